"""The card of the flow-matching task."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from equidyn.core.settings import Distinct, Settings
from equidyn.tasks.card import Comparison, Sizes, TaskCard, Typical, Words

QUANTILES = 16
"""Number of quantiles that describe the length of the longest chain of a batch, to which all chains are padded."""


def sizes(data: Mapping[str, Any], settings: Mapping[str, Any], typical: Typical, count: int) -> Sizes:
    """Residues of chains, whose lengths are spread evenly over the range that the data's settings ask for."""
    shortest, longest = data["min_length"], data["max_length"]
    quantiles = [(place + 0.5) / QUANTILES for place in range(QUANTILES)]
    lengths = tuple(shortest + (longest - shortest) * quantile ** (1 / count) for quantile in quantiles)
    return Sizes(lengths, longest, f"{shortest} to {longest} residues, all lengths alike")


class Conditions(Settings):
    """Predictions are asked for under every combination of these."""

    t: Distinct[Annotated[float, Field(ge=0, lt=1)]] = Field(description="Flow times; 0 is noise, 1 would be data.")
    self_conditioning: Distinct[bool] = Field(
        description="Without (false) or with (true) the network's own first prediction as input."
    )


CARD = TaskCard(
    name="flow_matching",
    order=2,
    task="equidyn.tasks.flow_matching.task:FlowMatching",
    unit="nm²",
    words=Words(
        title="Flow matching",
        examples="chains",
        clusters="sequence families",
        null="the best multiple of the noisy input",
        remark="a Wiener filter for each flow time; at t = 0 the input is pure noise, which tells nothing of the data",
        trivial="a multiple of the noisy input",
        error="Squared error per coordinate",
    ),
    size="residues",
    sizes=sizes,
    inputs="equidyn.tasks.flow_matching.inputs:inputs",
    comparisons={"vectors": Comparison("of vectors", "predicted vectors are taken back", exact=True)},
    comparison="vectors",
    control="control-chain",
    conditions=Conditions,
    repeated=0.5,
    quantities="equidyn.data.describe:chain_quantities",
)
