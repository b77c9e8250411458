"""A figure of the verdicts on the paper's claims."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="claims",
    order=13,
    figures=(
        Figure(
            "verdicts",
            "Claims, judged",
            """One panel for each kind of statistic, one line for each claim and task: the value measured here with its
            interval, of the network itself (raw) above and of its averaged weights (ema) below, the range that the
            claim expects, shaded, and what the same code finds in the authors' data. A claim is reproduced if the whole
            interval lies in that range, not reproduced if all of it lies outside, and otherwise not testable at this
            scale.""",
            category="All tasks",
            overview=True,
            tables=("claims",),
            notes="notes",
        ),
    ),
)
