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
            """Share of the held-out loss that comes from equivariance error, that error itself, and the skill, against
            the training step, one colour for each way of rotating and comparing predicted grids. Dash-dotted: what a
            perfect prediction leaves when compared in the same way.""",
            f"""The equivariance error is relative to the loss of a blank grid, as losses have one scale per voxel and
            another per atom. Ways of rotating and comparing: {{{{ ways }}}}. The interpolation floor is, on top, a
            share of the same network's loss; where there is none, or only below the axis, there is no line.
            {STEP_ZERO}""",
            category="Training dynamics",
            by_comparison=True,
        ),
        figure(
            "interpolation_floor",
            "What turning grids costs by itself",
            """Errors of a prediction that is perfect for every orientation of the molecule, the clean grid: all of it
            comes from how predictions are compared. Below, the share of equivariance error in it.""",
            """The error is the squared error relative to the square of what it is compared with. At the foot: no error
            at all, or about 1e-15, which is rounding. Rotations and ways of comparing: {{ ways }}. The "symmetric" grid
            has the molecule in its middle; the "upstream" grid has it 0.625 voxels off on each axis, which the rotation
            knows unless said to be ignored.""",
            category="Data",
            tables=("floors",),
            notes="floor_notes",
        ),
    ),
)
