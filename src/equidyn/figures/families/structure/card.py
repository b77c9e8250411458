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
            "error_by_degree",
            "Equivariance error by angular momentum",
            """The equivariance error of the baseline split by degree l of its dependence on the rotation: the turned
            back prediction is a function of the rotation, and l counts how finely it varies, as the degree of
            spherical harmonics does. The degrees add up to the equivariance error; all beyond the last that is told
            apart are one grey curve. Left: as a share of the held-out loss. Right: as a share of the equivariance
            error. A network that predicts vectors as the product of a linear layer and invariant features has degree
            2 alone; what a truncated neighbourhood or a grid adds is of higher degrees too.""",
            tables=("spectrum",),
            notes="degree_notes",
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
