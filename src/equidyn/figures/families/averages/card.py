"""Figures of averages of the weights."""

from functools import partial

from equidyn.figures.card import Family, Figure, compared
from equidyn.figures.phrases import STEP_ZERO

figure = partial(
    Figure,
    title="What averaging the weights does to the fall",
    caption=f"""Left: share of the held-out squared error that comes from equivariance error, against the training step,
    of the raw weights of the baseline and of exponential averages of the same training, one curve per decay. Right: the
    first evaluated step at which that share is small (dashed line on the left), against the steps that an average
    remembers, 1 / (1 − decay), which is 1 for raw weights; a bar reaches down to the evaluation before, and an arrow
    says that the training ends first. Grey: as many steps as are remembered. {STEP_ZERO}""",
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
