"""Figures of losses against what training costs."""

from equidyn.figures.card import Family, Figure
from equidyn.figures.phrases import STEP_ZERO

_METHOD = (
    "All are trained on the same data in the same way but for learning rate and length; averaged over rotations, the "
    "baseline's loss is its twirled loss. The ratios below are what the claims judge: where learning rates fall, of "
    "whole schedules alone. Further seeds show the spread: tables have intervals of shares, and none of losses."
)
_COUNTED = (
    "FLOP: matrix products and convolutions, there and back, from closed formulas for examples of typical size; what "
    "else networks do takes time too, and is not counted."
)
_TIMED = (
    "Time: steps times the median time of one step of each network, all of which were trained in turns for some steps "
    "on one machine."
)

CARD = Family(
    name="compute",
    order=11,
    figures=(
        Figure(
            "loss_against_compute",
            "Held-out loss against training compute",
            """Held-out loss of the baseline, of other sizes (thin) and of exactly equivariant controls, against
            training compute; and of the baseline averaged over rotations at test time. Below: the best losses divided
            by those of the control that the baseline does worst against, at equal compute.""",
            f"{_METHOD} {_COUNTED} {STEP_ZERO}",
            category="What it costs",
            tables=("evaluation", "costs"),
            notes="notes",
        ),
        Figure(
            "loss_against_seconds",
            "Held-out loss against training time",
            """Held-out loss of the baseline, of other sizes (thin) and of exactly equivariant controls, against
            training time; and of the baseline averaged over rotations at test time. Below: the best losses divided by
            those of the control that the baseline does worst against, at equal time.""",
            f"{_METHOD} {_TIMED} {STEP_ZERO}",
            category="What it costs",
            tables=("evaluation", "costs", "timings"),
            notes="notes",
        ),
    ),
)
