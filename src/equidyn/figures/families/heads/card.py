"""Figures of the last linear layer."""

from functools import partial

from equidyn.figures.card import Family, Figure
from equidyn.figures.phrases import STEP_ZERO

figure = partial(Figure, category="Why it is easy", tables=("head",), notes="notes")

CARD = Family(
    name="heads",
    order=9,
    figures=(
        figure(
            "head_deviation",
            "Distance of the last layer from equivariance",
            f"""Squared distance of the weights of the last linear layer from those with which the layer itself would be
            equivariant, |w⊥|², against the training step; on the right, the same per weight, which for a force
            field is the variance over the three rows. Below it, if the layer can be equivariant at all, its share
            of the squared length of the weights. Grey: other runs. {STEP_ZERO}""",
        ),
        figure(
            "head_error",
            "Equivariance error and the last layer",
            f"""Predictions are linear in the weights w of the last layer, so that at fixed features the equivariance
            error is a quadratic form wᵀQw. First panel: the error against the squared distance of w from
            equivariance, |w⊥|², one point per checkpoint. Then: the error that the form predicts against the
            measured one, with the line of equality; the error per squared distance, what features make of it; and,
            if the layer can be equivariant at all, which part of the predicted error comes from w⊥, from the rest
            of w, and from the two together. {STEP_ZERO}""",
        ),
    ),
)
