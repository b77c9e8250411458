"""The card of the analysis of Hessians."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from equidyn.analysis.card import (
    EIGENVALUES,
    AnalysisCard,
    AnalysisSettings,
    hessian_product,
    in_series,
    of_second_derivatives,
    share_of,
)
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
    keep_graphs: bool = Field(
        True,
        description="Keep the derivatives' graphs of all examples in memory; else those of a batch are made anew for "
        "each product with a vector, which takes twice as long.",
    )


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Products with the Hessian of either part of the loss, for each block and number of rotations."""
    products = told["probes"] * told["lanczos_steps"] + EIGENVALUES
    product = hessian_product(example, in_series(copies))
    if not told.get("keep_graphs", True):
        product += (example.forward + example.backward) * in_series(copies)
    forward = len(told["blocks"]) * in_series(copies) * example.forward
    return 2 * (forward + sum(map(share_of, told["blocks"])) * products * product)


def step(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """The eigenvalues of the Hessian from all rotations, or one probe."""
    product = hessian_product(example, copies)
    if not told.get("keep_graphs", True):
        product += (example.forward + example.backward) * copies
    share = max(map(share_of, told["blocks"]))
    return copies * example.forward + share * max(EIGENVALUES, told["lanczos_steps"]) * product


CARD = AnalysisCard(
    name="hessian",
    order=3,
    measure="equidyn.analysis.hessian.measure:measure",
    settings=HessianSettings,
    operations=operations,
    step=step,
    activations=of_second_derivatives,
    closed_form=True,
    cannot={
        "trilinear": "trilinear interpolation has no second derivative",
        "cubic": "cubic splines have no derivative here",
    },
)
