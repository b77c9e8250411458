"""A figure of all tasks."""

from equidyn.figures.card import Family, Figure
from equidyn.figures.phrases import STEP_ZERO

CARD = Family(
    name="summary",
    order=0,
    figures=(
        Figure(
            "summary",
            "Equivariance share of the loss in all tasks",
            """Share of the held-out loss that comes from equivariance error, against the training step, for the
            baseline of each task; all panels have one scale.""",
            f"""Equivariance error is the variance of the prediction over rotations of the input. Flow time t runs from
            0, pure noise, to 1, data; predictions on grids are compared in several ways. {STEP_ZERO}""",
            category="All tasks",
            overview=True,
        ),
    ),
)
