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
            f"""Above, on one axis, the share of the held-out squared error that comes from equivariance error, and the
            relative equivariance error: the same error over the energy of what the network predicts beyond the
            prediction that skill is measured against. While a network predicts next to nothing, its share is small
            because it is silent; its relative error is not. Below, the skill. Vertical lines: the first evaluated
            steps of the baseline at which the share, and the relative error, are at most 2 %, and at which it has half
            of the best skill it ever reaches. {STEP_ZERO}""",
            category="Training dynamics",
        ),
    ),
)
