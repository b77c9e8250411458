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
            f"""Share of the held-out squared error that comes from equivariance error, against the norm of its gradient
            relative to that of the twirled error, by all parameters; one point per checkpoint. The line is the path
            of the baseline through them, grey lines are those of other runs. {STEP_ZERO}""",
        ),
        figure(
            "gradient_ratio_by_time",
            "Equivariance share of the loss against the ratio of gradient norms, by flow time",
            f"""Share of the held-out squared error that comes from equivariance error, against the norm of its gradient
            relative to that of the twirled error, by all parameters; one point per checkpoint, one panel per flow
            time, all on one scale. Lines are the path of the baseline through them, grey lines are those of other
            runs. {FLOW} {STEP_ZERO}""",
            fits=timed,
        ),
        figure(
            "gradient_split",
            "Gradients of the two parts of the loss",
            f"""Gradients of the baseline's held-out loss against the training step. Top: norm of the gradient of the
            twirled error and of the equivariance error by all parameters. Middle: the ratio of the two, for all
            parameters and for groups of them. Bottom: cosine of the angle between the two gradients; where it is
            negative, reducing one part raises the other. {STEP_ZERO}""",
        ),
    ),
)
