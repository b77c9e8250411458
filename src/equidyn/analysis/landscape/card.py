"""The card of the analysis of loss landscapes."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from equidyn.analysis.card import (
    EIGENVALUES,
    AnalysisCard,
    AnalysisSettings,
    hessian_product,
    of_second_derivatives,
    share_of,
)
from equidyn.core.settings import Distinct
from equidyn.models.work import Work
from equidyn.run.protocol import Rotations

FRESH_ROTATIONS = 10
"""Rotations of the published grids."""


class LandscapeSettings(AnalysisSettings):
    """Both parts of the loss on planes of weights, with common random numbers and with the paper's protocol."""

    block: str = Field(description="Weights that move; a module or a parameter.")
    directions: Distinct[Literal["twirled", "equivariance", "random"]] = Field(
        description="Eigenvectors of the Hessian of either part, or random directions."
    )
    fresh_rotations: Rotations = Field(
        FRESH_ROTATIONS,
        description="Rotations per example where they are drawn anew at every point, as in the published grids.",
    )
    points: int = Field(ge=3, description="Points along each axis.")
    extent: float = Field(
        gt=0, description="Farthest point along an axis, as a fraction of the length of the block's weights."
    )


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Two surfaces on each plane, and the eigenvectors that span it."""
    surfaces = told["points"] ** 2 * (how["rotations"] + told.get("fresh_rotations", FRESH_ROTATIONS)) * example.forward
    return len(told["directions"]) * (
        surfaces + EIGENVALUES * share_of(told["block"]) * hessian_product(example, copies)
    )


def step(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """A row of a surface, or the eigenvectors of a plane."""
    row = told["points"] * max(how["rotations"], told.get("fresh_rotations", FRESH_ROTATIONS)) * example.forward
    return max(row, EIGENVALUES * share_of(told["block"]) * hessian_product(example, copies))


CARD = AnalysisCard(
    name="landscape",
    order=4,
    measure="equidyn.analysis.landscape.measure:measure",
    settings=LandscapeSettings,
    operations=operations,
    step=step,
    activations=of_second_derivatives,
    closed_form=True,
    cannot={
        "trilinear": "trilinear interpolation has no second derivative",
        "cubic": "cubic splines have no derivative here",
    },
)
