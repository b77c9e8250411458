"""Figures of the last linear layer."""

from functools import partial

from equidyn.figures.card import Family, Figure, timed
from equidyn.figures.phrases import STEP_ZERO

figure = partial(Figure, category="Why it is easy", tables=("head",), notes="notes")

CARD = Family(
    name="heads",
    order=9,
    figures=(
        figure(
            "head_deviation",
            "Distance of the last layer from equivariance",
            """Squared distance of the weights of the last linear layer from those with which the layer itself would be
            equivariant, against the training step; below, if it can be equivariant at all, as a share of the squared
            length of the weights.""",
            f"""On the right, the same per weight, which for a force field is the variance over the three rows. Grey:
            other runs. {STEP_ZERO}""",
            appendix=timed,
        ),
        figure(
            "head_error",
            "Equivariance error and the last layer",
            """Equivariance error against the squared distance of the last layer's weights from equivariance, |w⊥|², one
            point per checkpoint; divided by |w⊥|², which is what features make of the distance; and, if the layer can
            be equivariant at all, where it comes from.""",
            f"""Predictions are linear in the weights w of the last layer, so that at fixed features the equivariance
            error is a quadratic form wᵀQw: part of it comes from w⊥, part from the rest of w, and part from the two
            together. The error per squared distance lies between nothing and the largest eigenvalue of Q.
            {STEP_ZERO}""",
        ),
    ),
)
