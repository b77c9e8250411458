"""The card of the analysis of gradients."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from equidyn.analysis.card import AnalysisCard, AnalysisSettings
from equidyn.models.work import Work


class GradientSettings(AnalysisSettings):
    """Gradients of the two parts of the loss, their norms and the angle between them."""

    folds: int = Field(
        ge=2,
        description="Number of disjoint parts of the examples between which inner products are taken; as many "
        "gradients are held in memory.",
    )


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """A forward pass, and a backward pass for each part of the loss."""
    return copies * (example.forward + 2 * example.backward)


CARD = AnalysisCard(
    name="gradients",
    order=1,
    measure="equidyn.analysis.gradients.measure:measure",
    settings=GradientSettings,
    operations=operations,
    activations=lambda example, how, told, copies: how["batch_size"] * copies * example.kept,
    weights=lambda told: 2 * told["folds"] + 2,  # gradients of both parts of the loss in each fold
    closed_form=True,
    cannot={"cubic": "cubic splines have no derivative here"},
)
