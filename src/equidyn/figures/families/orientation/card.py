"""A figure of how the data are oriented."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="orientation",
    order=5,
    figures=(
        Figure(
            "orientation_audit",
            "Orientation of the data",
            """Whether examples lie in all directions. Maps: the longest and the shortest principal axis of each, on
            which uniform axes fill equal areas equally. Curves: share of the training axes within an angle of x, y or
            z, less that of uniform axes; grey, where these would stay.""",
            """Axes are of the positions of atoms, masses left out; those that are not defined, as variances along two
            differ by less than 1 % of their sum, are left out. λ are the eigenvalues of the mean of u uᵀ over the unit
            vectors u, with the p-value of Bingham's test of them for clustered axes; opposite points of the rim of a
            map are the same axis. The scale of angles is 1 − cos, the share of uniform axes; band and p-value, of the
            largest difference, are from turning all clusters at random.""",
            category="Data",
            tables=("orientation", "orientation_tests", "orientation_angles"),
            notes="notes",
        ),
    ),
)
