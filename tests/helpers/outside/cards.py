"""What the workflow knows of the task and of the source, without importing them."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import SourceCard, Typical
from equidyn.tasks.card import Comparison, Sizes, TaskCard, Words


class Pairs(Settings):
    """How many there are."""

    examples: int = Field(ge=1, description="Vectors, two in each cluster.")


SOURCE = SourceCard(
    task="vectors",
    source="pairs",
    text="Vectors, two in each cluster.",
    build="outside.work:build_store",
    recipe=Pairs,
    typical=Typical(100, mean=1, largest=1),
)
TASK = TaskCard(
    name="vectors",
    task="outside.work:StoredVectors",
    unit="1",
    words=Words(
        title="Vectors",
        examples="vectors",
        clusters="pairs",
        null="the best constant prediction",
        remark="which is zero for vectors",
        trivial="a constant",
        error="Mean squared error per component",
    ),
    size="vectors",
    sizes=lambda data, settings, typical, count: Sizes((1,), 1, "one vector each"),
    inputs="outside.work:inputs",
    comparisons={"vectors": Comparison("of vectors", "predicted vectors are taken back", exact=True)},
    comparison="vectors",
    has_positions=False,
)
