"""A figure of the verdicts on the paper's claims."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="claims",
    order=1,
    figures=(
        Figure(
            "verdicts",
            "Claims, judged",
            """One line for each claim and task, by kind of statistic: the value measured here with its interval, of the
            raw and of the averaged weights; shaded, the range that the claim expects; starred, what the authors' data
            give. Right: verdict and value.""",
            """A claim is reproduced if the whole interval lies in the expected range, not reproduced if all of it lies
            outside, and otherwise not testable at this scale. The same code judges the authors' data.""",
            category="All tasks",
            overview=True,
            tables=("claims",),
            notes="notes",
        ),
    ),
)
