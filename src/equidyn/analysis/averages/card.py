"""The card of the analysis of averages of the weights."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from equidyn.analysis.card import AnalysisCard, AnalysisSettings
from equidyn.core.settings import Distinct
from equidyn.models.work import Work
from equidyn.run.protocol import Weights

SINGLE = 0.5
"""Time of an operation in single precision, in which networks are evaluated, relative to double."""


class AveragesSettings(AnalysisSettings):
    """Evaluation of the raw weights and of all averages of the same training, on fewer examples."""

    weights: Literal["all"] | Distinct[Weights] = Field(
        description="Which weights, by names as in `evaluation.weights`, or `all` that runs of the task keep."
    )


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """One pass in single precision."""
    return SINGLE * copies * example.forward


CARD = AnalysisCard(
    name="averages",
    order=8,
    measure="equidyn.analysis.averages.measure:measure",
    settings=AveragesSettings,
    operations=operations,
    closed_form=True,
)
