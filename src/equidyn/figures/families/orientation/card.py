"""A figure of how the data are oriented."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="orientation",
    order=5,
    figures=(
        Figure(
            "orientation_audit",
            "Orientation of the data",
            """Whether examples lie in all directions, told by the longest and the shortest principal axis of each (of
            the positions of its atoms, masses left out; axes that are not defined, as variances along two differ by
            less than 1 % of their sum, are left out). Left: maps of the axes, in which uniform axes fill equal
            areas equally, with the eigenvalues λ of the mean of u uᵀ over the unit vectors u, and the p-value of
            Bingham's test of them for clustered axes. Right: share of the training axes within an angle of x, y or
            z, less that of uniform axes, 1 − cos; band and p-value, of the largest difference, from turning all
            clusters at random.""",
            category="Data",
            tables=("orientation", "orientation_tests", "orientation_angles"),
            notes="notes",
        ),
    ),
)
