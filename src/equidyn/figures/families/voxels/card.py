"""Figures of predicted grids."""

from functools import partial

from equidyn.figures.card import Family, Figure, compared
from equidyn.figures.phrases import STEP_ZERO

figure = partial(Figure, fits=compared)

CARD = Family(
    name="voxels",
    order=4,
    figures=(
        figure(
            "percent_by_action",
            "Equivariance share by rotations and how predictions are compared",
            f"""Top: share of the baseline's held-out squared error that comes from equivariance error, against the
            training step. Middle: the equivariance error, relative to the loss of a blank grid, as losses have one
            scale per voxel and another per atom. Bottom: skill. One colour for each way of rotating and comparing:
            {{{{ ways }}}}. Dash-dotted: the interpolation floor, what a perfect prediction leaves when compared in
            the same way, on top as a share of the same network's loss; where there is none, or only below the axis,
            there is no line. {STEP_ZERO}""",
            category="Training dynamics",
            by_comparison=True,
        ),
        figure(
            "interpolation_floor",
            "What turning grids costs by itself",
            """Errors of a prediction that is perfect for every orientation of the molecule, the clean grid: all of it
            comes from how predictions are compared. Top: squared error relative to the square of what it is
            compared with. Bottom: the share of equivariance error in it. A zero is no error at all, about 1e-15 is
            rounding. Rotations and ways of comparing: {{ ways }}. The "symmetric" grid has the molecule in its
            middle; the "upstream" grid has it 0.625 voxels off on each axis, which the rotation knows unless said
            to be ignored.""",
            category="Data",
            tables=("floors",),
            notes="floor_notes",
        ),
    ),
)
