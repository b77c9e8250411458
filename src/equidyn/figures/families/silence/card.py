"""A figure that tells networks that predict nothing from symmetric ones."""

from equidyn.figures.card import Family, Figure
from equidyn.figures.phrases import STEP_ZERO

CARD = Family(
    name="silence",
    order=2,
    figures=(
        Figure(
            "silence_and_symmetry",
            "Silence and symmetry told apart",
            """Above, the share of the held-out loss that comes from equivariance error, and the relative error, which
            is relative to the mean square of what is predicted; below, the skill. A silent network has a small share,
            but no small relative error. Vertical lines: where each first gets.""",
            f"""What is predicted is taken beyond the null prediction, against which skill is measured. Vertical lines:
            the first evaluated steps of the baseline at which the share, and the relative error, are at most 2 %, and
            at which it has half of the best skill it ever reaches; in brackets, those of further seeds. {STEP_ZERO}""",
            category="Training dynamics",
        ),
    ),
)
