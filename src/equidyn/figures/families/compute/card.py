"""Figures of losses against what training costs."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="compute",
    order=11,
    figures=(
        Figure(
            "loss_against_compute",
            "Held-out loss against training compute",
            """Held-out loss of the baseline, of other sizes (thin) and of an exactly equivariant control, trained on
            the same data in the same way, against training compute; and of the baseline averaged over rotations at
            test time, which is its twirled loss. Below: best losses so far divided by the control's at equal
            compute, linear in the logarithm of compute between evaluations. FLOP: matrix products and convolutions,
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
            which were trained in turns for some steps on one machine. Below: best losses so far divided by the
            control's at equal time, linear in the logarithm of time between evaluations. Step 0 is the untrained
            network.""",
            category="What it costs",
            tables=("evaluation", "costs", "timings"),
            notes="notes",
        ),
    ),
)
