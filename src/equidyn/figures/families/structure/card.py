"""Figures of the equivariance error's own structure."""

from functools import partial

from equidyn.figures.card import Family, Figure, uncompared

figure = partial(Figure, category="The error's own structure")

CARD = Family(
    name="structure",
    order=7,
    figures=(
        figure(
            "error_by_angle",
            "Equivariance error by the angle of the rotation",
            """How much predictions for two orientations differ, against the angle between these, for several steps of
            the baseline: as a share of the held-out loss; relative to the average over all rotations; and, against the
            step, the degree of an error that grows as fast from angle 0.""",
            """Drawn is half the mean squared difference between the turned back predictions for two orientations a
            rotation apart; its average over all rotations is the equivariance error. Black are errors of one angular
            degree alone, scaled alike. The effective degree needs predictions that are differentiable. A network that
            predicts vectors as the product of a linear layer and invariant features has degree 2.""",
            tables=("angles",),
            notes="angle_notes",
        ),
        figure(
            "error_by_degree",
            "Equivariance error by angular momentum",
            """The equivariance error of the baseline split by degree ℓ of its dependence on the rotation, which counts
            how finely it varies, against the training step. Left: as a share of the held-out loss. Right: as a share of
            the equivariance error.""",
            """The turned back prediction is a function of the rotation, and ℓ is as the degree of spherical harmonics.
            The degrees add up to the equivariance error; all beyond the last that is told apart are one grey curve. A
            network that predicts vectors as the product of a linear layer and invariant features has degree 2 alone;
            what a truncated neighbourhood or a grid adds is of higher degrees too.""",
            tables=("spectrum",),
            notes="degree_notes",
        ),
        figure(
            "error_by_layer",
            "Equivariance error by layer",
            """Variance over rotations of the features that each layer of the baseline puts out, turned back as they
            ought to turn, relative to the mean square of the features, for several training steps; last, of the
            prediction.""",
            appendix=uncompared,
            tables=("layers",),
            notes="layer_notes",
        ),
    ),
)
