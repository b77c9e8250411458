"""How checkpoints are evaluated.

Imports nothing heavy: the configuration is checked by these classes, and its documentation follows from them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from equidyn.core.rooms import cards
from equidyn.core.settings import Settings

FLOOR_EXAMPLES = 32
"""Number of examples that floors are measured on; rounding differs little between molecules."""

KEPT_GB = 0.5
"""Most memory in 10⁹ bytes of what is made of examples for one checkpoint and kept for the next."""

Examples = Annotated[
    Literal["all"] | Annotated[int, Field(ge=2)],
    Field(description="Number of held-out examples to use, evenly spaced over all, or `all`."),
]
Rotations = Annotated[
    int,
    Field(
        ge=2,
        description="Group elements per example of the sampled estimator; the estimates are unbiased for any number.",
    ),
]
BatchSize = Annotated[int, Field(ge=1, description="Examples per forward pass, before repeating them for rotations.")]
FittingBatch = Annotated[
    Annotated[int, Field(ge=1)] | None,
    Field(
        description="Examples per forward pass, before repeating them for rotations; if not given, 16 on a CPU, and as "
        "many as fill half of a GPU by plan. Where they do not fit, they are halved until they do."
    ),
]


Weights = Annotated[
    Literal["raw", "ema"] | Annotated[str, Field(pattern=r"^ema-0\.\d+$")],
    Field(description="`raw` weights, their average `ema`, or one of `training.<task>.averages`, as `ema-0.999`."),
]


class SymmetrySettings(Settings):
    """A group whose elements twist predictions, and how these are compared."""

    group: str = Field(
        description=f"Name of the group: {', '.join(f'`{name}`' for name in cards('equidyn.core.groups'))}."
    )
    comparison: str = Field(description="How predictions are compared, by the names on the task's card.")


class CommonEvaluation(Settings):
    """Settings that the evaluations of all runs share."""

    rotations: Rotations = 10
    weights: tuple[Weights, ...] = Field(
        ("raw", "ema"),
        min_length=1,
        description="Which weights to evaluate: `raw`, their average `ema`, and further ones that are kept.",
    )
    sampled: bool = Field(True, description="Run the sampled estimator also where the exact one applies.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the intervals.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples behind them.")
    seed: int = Field(
        0,
        ge=0,
        description="Seed of the group elements and the bootstrap; all steps and runs use the same elements.",
    )


class EvaluationSettings(CommonEvaluation):
    """How checkpoints are evaluated."""

    examples: Examples = "all"
    batch_size: BatchSize = 64
    conditions: tuple[Mapping[str, Any], ...] = Field(
        ({},),
        description="Under which conditions to ask for predictions: columns of the tables, each with its value. A "
        "`group` says whose elements twist predictions, a `comparison` how they are compared; the others, flow times "
        "for instance, are the task's own.",
    )
