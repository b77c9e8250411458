"""Figures of the equivariance error's own structure."""

from functools import partial

from equidyn.figures.card import Family, Figure

figure = partial(Figure, category="The error's own structure")

CARD = Family(
    name="structure",
    order=7,
    figures=(
        figure(
            "error_by_angle",
            "Equivariance error by the angle of the rotation",
            """Half the mean squared difference between the turned back predictions for two orientations a rotation
            apart, against the rotation's angle, for several training steps of the baseline. Left: as a share of the
            held-out loss. Next: relative to its average over all rotations, which is the equivariance error; black
            are errors of one angular degree alone, scaled alike. Right, where predictions are differentiable: the
            degree that an error would have which grows from angle 0 as fast. A network that predicts vectors as the
            product of a linear layer and invariant features has degree 2.""",
            tables=("angles",),
            notes="angle_notes",
        ),
        figure(
            "error_by_layer",
            "Equivariance error by layer",
            """Variance over rotations of the features that each layer of the baseline puts out, turned back as they
            ought to turn, relative to the mean square of the features, for several training steps; last, of the
            prediction.""",
            tables=("layers",),
            notes="layer_notes",
        ),
    ),
)
