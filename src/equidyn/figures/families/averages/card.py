"""Figures of averages of the weights."""

from functools import partial

from equidyn.figures.card import Family, Figure, compared
from equidyn.figures.phrases import STEP_ZERO

figure = partial(
    Figure,
    title="What averaging the weights does to the fall",
    caption="""Left: share of the held-out loss that comes from equivariance error, against the training step, of the
    baseline's raw weights and of exponential averages of them, one curve per decay. Right: the step at which it has
    fallen, against the steps that an average remembers.""",
    method=f"""On the right stands the first evaluated step at which the share is small (dashed line on the left),
    against 1 / (1 − decay), which is 1 for raw weights; a bar reaches down to the evaluation before, and an arrow says
    that the training ends first. Grey: as many steps as are remembered. {STEP_ZERO}""",
    category="Training dynamics",
    notes="notes",
)

CARD = Family(
    name="averages",
    order=2,
    figures=(
        figure("averaging", tables=("averages", "published"), fits=lambda card: not compared(card)),
        # The authors' numbers are downloaded.
        figure("averaging_of_voxels", tables=("averages", "published_tables"), fits=compared),
    ),
)
