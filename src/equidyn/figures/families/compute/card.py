"""Figures of losses against what training costs."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="compute",
    order=11,
    figures=(
        Figure(
            "loss_against_compute",
            "Held-out loss against training compute",
            """Held-out loss of the baseline, of other sizes (thin) and of exactly equivariant controls, trained on
            the same data in the same way but for learning rate and length, against training compute; and of the
            baseline averaged over rotations at test time, which is its twirled loss. Below: what the claims judge, the
            best losses divided by those of the control that the baseline does worst against, at equal compute; where
            learning rates fall, of whole schedules alone. FLOP: matrix products and convolutions,
            there and back, from closed formulas for examples of typical size; what else networks do takes time too,
            and is not counted. Step 0 is the untrained network.""",
            category="What it costs",
            tables=("evaluation", "costs"),
            notes="notes",
        ),
        Figure(
            "loss_against_seconds",
            "Held-out loss against training time",
            """The same against the time of training: steps times the median time of one step of each network, all of
            which were trained in turns for some steps on one machine. Below: what the claims judge, the
            best losses divided by those of the control that the baseline does worst against, at equal time; where
            learning rates fall, of whole schedules alone. Step 0 is the untrained
            network.""",
            category="What it costs",
            tables=("evaluation", "costs", "timings"),
            notes="notes",
        ),
    ),
)
