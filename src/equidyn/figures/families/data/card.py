"""A figure of the data."""

from equidyn.figures.card import Family, Figure

CARD = Family(
    name="data",
    order=3,
    figures=(
        Figure(
            "data_summary",
            "Training and validation data",
            """Distributions of simple quantities over the examples of the training set and of the validation set,
            which have no cluster in common; each set's shares add up to 100 %. Marks on the axis: medians.""",
            category="Data",
            tables=("data",),
            notes="notes",
        ),
    ),
)
