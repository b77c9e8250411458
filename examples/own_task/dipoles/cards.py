"""What a study knows of the task and of its data without importing PyTorch."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import SourceCard, Typical
from equidyn.tasks.card import Comparison, Sizes, TaskCard, Words

CHARGES = 6


class Clouds(Settings):
    """Keys of the source in a study's configuration."""

    examples: int = Field(ge=1, description="Clouds of charges.")


SOURCE = SourceCard(
    task="dipoles",
    source="clouds",
    text="Clouds of six charges at random places.",
    build="dipoles.work:build_store",
    recipe=Clouds,
    typical=Typical(1000, mean=CHARGES, largest=CHARGES),
)
TASK = TaskCard(
    name="dipoles",
    task="dipoles.work:Dipoles",
    unit="e²Å²",
    words=Words(
        title="Dipoles of charges",
        examples="clouds",
        clusters="clouds",
        null="a dipole of zero",
        remark="which is the best constant",
        trivial="zero",
        error="Mean squared error per component",
    ),
    size="charges",
    sizes=lambda data, settings, typical, count: Sizes((CHARGES,), CHARGES, "six charges each"),
    inputs="dipoles.work:inputs",
    comparisons={"vectors": Comparison("of dipoles", "predicted dipoles are turned back", exact=True)},
    comparison="vectors",
    has_positions=False,
)
