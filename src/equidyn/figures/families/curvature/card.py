"""Figures of Hessians."""

from functools import partial

from equidyn.figures.card import Family, Figure, timed
from equidyn.figures.phrases import STEP_ZERO

figure = partial(Figure, category="Why it is easy", tables=("hessian",))

CARD = Family(
    name="curvature",
    order=6,
    figures=(
        figure(
            "hessian_spectra",
            "Eigenvalues of the Hessian of either loss",
            """Magnitude of the eigenvalues of the Hessian of the twirled loss and of the equivariance error, against
            their rank, in the parameters of blocks of the baseline (rows), at several steps (columns). The flatter the
            curve, the better conditioned the loss.""",
            """Hessians are of held-out losses. Positive and negative eigenvalues are ranked apart: where all are known,
            a curve ends at how many there are. Panels of a row share their axes. Shaded: at this step the network
            predicts nothing useful yet.""",
            notes="spectra_notes",
        ),
        figure(
            "hessian_summary",
            "Curvature of either loss over training",
            """Largest eigenvalue, trace, effective rank and condition of the Hessian of the twirled loss and of the
            equivariance error against the training step, one column of panels per block of the baseline's
            parameters.""",
            f"""Hessians are of held-out losses. Equivariance error is far smaller than the twirled loss, so the
            largest eigenvalue is also shown relative to the loss that it belongs to; effective rank and condition do
            not depend on the scale of a loss. The condition is told by the mean magnitude of eigenvalues, as the
            smallest of many are zero or chance. {STEP_ZERO}""",
            appendix=timed,
            notes="notes",
        ),
    ),
)
