"""Figures of gradients."""

from functools import partial

from equidyn.figures.card import Family, Figure, timed, untimed
from equidyn.figures.phrases import FLOW, STEP_ZERO

figure = partial(Figure, category="Why it is easy", fits=untimed, tables=("gradients",), notes="notes")

CARD = Family(
    name="gradients",
    order=8,
    figures=(
        figure(
            "gradient_ratio",
            "Equivariance share of the loss against the ratio of gradient norms",
            """Share of the held-out loss that comes from equivariance error, against the norm of its gradient relative
            to that of the twirled loss; one point per checkpoint. The line is the path of the baseline through them,
            grey lines are those of other runs.""",
            f"Gradients are by all parameters. {STEP_ZERO}",
        ),
        figure(
            "gradient_ratio_by_time",
            "Equivariance share of the loss against the ratio of gradient norms, by flow time",
            """Share of the held-out loss that comes from equivariance error, against the norm of its gradient relative
            to that of the twirled loss; one point per checkpoint, one panel per flow time, all on one scale. Lines:
            path of the baseline; grey: other runs.""",
            f"Gradients are by all parameters. {FLOW} {STEP_ZERO}",
            fits=timed,
        ),
        figure(
            "gradient_split",
            "Gradients of the two parts of the loss",
            """Gradients of the baseline's held-out loss against the training step: norms of those of its two parts,
            the ratio of the norms, for all parameters and groups of them, and the cosine of the angle between them;
            where it is negative, reducing one part raises the other.""",
            STEP_ZERO,
        ),
    ),
)
