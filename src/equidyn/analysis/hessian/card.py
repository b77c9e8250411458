"""The card of the analysis of Hessians."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from equidyn.analysis.card import EIGENVALUES, AnalysisCard, AnalysisSettings, hessian_product, of_second_derivatives
from equidyn.core.settings import Distinct
from equidyn.models.work import Work


class HessianSettings(AnalysisSettings):
    """Eigenvalues of the Hessians of the two parts of the loss."""

    blocks: Distinct[str] = Field(
        description="Modules or parameters by their names, or all; small ones (up to 8,192 parameters) are computed in "
        "full, larger ones by Lanczos and random probes."
    )
    probes: int = Field(ge=2, description="Random vectors for traces and densities.")
    lanczos_steps: int = Field(ge=2, description="Steps of Lanczos from each random vector.")
    tolerance: float = Field(1e-6, gt=0, description="Relative tolerance of extreme eigenvalues.")


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Products with the Hessian of either part of the loss, for each block."""
    products = told["probes"] * told["lanczos_steps"] + EIGENVALUES
    return 2 * len(told["blocks"]) * products * hessian_product(example, copies)


CARD = AnalysisCard(
    name="hessian",
    order=3,
    measure="equidyn.analysis.hessian.measure:measure",
    settings=HessianSettings,
    operations=operations,
    activations=of_second_derivatives,
    closed_form=True,
    cannot={
        "trilinear": "trilinear interpolation has no second derivative",
        "cubic": "cubic splines have no derivative here",
    },
)
