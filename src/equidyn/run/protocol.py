"""How checkpoints are evaluated.

Imports nothing heavy: the configuration is checked by these classes, and its documentation follows from them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from equidyn.core.settings import Settings

FLOOR_EXAMPLES = 32
"""Rounding differs little between molecules: these tell its size."""

Examples = Annotated[
    Literal["all"] | Annotated[int, Field(ge=2)],
    Field(description="Held-out examples to use, evenly spaced over all of them, or all."),
]
Rotations = Annotated[
    int,
    Field(
        ge=2,
        description="Rotations per example of the sampled estimator; the estimate does not depend on their number.",
    ),
]
BatchSize = Annotated[int, Field(ge=1, description="Examples per forward pass, before repeating them for rotations.")]


class CommonEvaluation(Settings):
    """What the evaluations of all runs share."""

    rotations: Rotations = 10
    weights: tuple[Literal["raw", "ema"], ...] = Field(
        ("raw", "ema"), min_length=1, description="Which weights to evaluate: raw ones, their moving average, or both."
    )
    sampled: bool = Field(True, description="Run the sampled estimator also where the exact one applies.")
    confidence: float = Field(0.95, gt=0, lt=1, description="Level of the intervals.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples behind them.")
    seed: int = Field(
        0, ge=0, description="Of the rotations and the bootstrap; the same rotations are used at all steps and runs."
    )


class EvaluationSettings(CommonEvaluation):
    """How checkpoints are evaluated."""

    examples: Examples = "all"
    batch_size: BatchSize = 64
    conditions: tuple[Mapping[str, Any], ...] = Field(
        ({},),
        description="Under which conditions to ask for predictions, flow times for instance: columns of the tables, "
        "each with its value, as the task understands them.",
    )
