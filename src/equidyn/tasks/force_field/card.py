"""The card of the force-field task."""

import math
from collections.abc import Mapping
from typing import Any

from equidyn.tasks.card import Comparison, Sizes, TaskCard, Typical, Words


def sizes(data: Mapping[str, Any], settings: Mapping[str, Any], typical: Typical, count: int) -> Sizes:
    """Numbers of atoms of the source's molecules."""
    # The mean of n sizes strays from that of all as one over the root of n.
    largest = typical.mean + (typical.largest - typical.mean) / math.sqrt(count)
    return Sizes((typical.mean,), largest, f"{typical.mean:g} atoms on average, {typical.largest} at most")


CARD = TaskCard(
    name="force_field",
    order=1,
    task="equidyn.tasks.force_field.task:ForceField",
    unit="eV²/Å²",
    words=Words(
        title="Force field",
        examples="examples",
        clusters="molecules",
        null="the best constant prediction",
        remark="which is zero for forces",
        trivial="a constant",
        error="Mean squared error per component",
    ),
    size="atoms",
    sizes=sizes,
    inputs="equidyn.tasks.force_field.inputs:inputs",
    comparisons={"vectors": Comparison("of vectors", "predicted vectors are taken back", exact=True)},
    comparison="vectors",
    control="control-small",
    quantities="equidyn.data.describe:molecule_quantities",
)
