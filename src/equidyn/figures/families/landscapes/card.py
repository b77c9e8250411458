"""Figures of loss landscapes."""

from functools import partial

from equidyn.figures.card import Family, Figure, any_task

ROUGHNESS = (
    "Roughness is the root mean square of what the best quadratic leaves, divided by the range of that quadratic; R² "
    "is the share of the variance that it explains."
)

figure = partial(Figure, category="Why it is easy", tables=("landscape",), notes="notes")

CARD = Family(
    name="landscapes",
    order=10,
    figures=(
        figure(
            "landscape_surfaces",
            "Loss landscapes",
            """The two parts of the loss around a checkpoint of the baseline, in a plane of weights through it. Above,
            batch, noise and rotations are the same at all points; below, rotations are drawn anew at each, as published
            grids look.""",
            f"Heights have one scale for each loss. {ROUGHNESS}",
        ),
        figure(
            "landscape_contours",
            "Loss landscapes, each on its own scale",
            """The two parts of the loss around a checkpoint of the baseline, in a plane of weights through it (cross),
            with contours of the best quadratic. Above, with the same rotations at all points; below, with rotations
            drawn anew at each.""",
            f"Batch and noise are the same at all points. Colours have a scale of their own in each panel. {ROUGHNESS}",
            appendix=any_task,
        ),
        figure(
            "landscape_roughness",
            "Roughness of loss landscapes",
            """Roughness of the two parts of the loss around a checkpoint of the baseline, along eigenvectors of the
            Hessian of each part and along random directions, and of the published grids: with the same rotations at all
            points (filled) or new ones at each (open).""",
            f"""On the right, how many times rougher the latter is. {ROUGHNESS} Grey: where 95 % of grids of the same
            size lie that are nothing but noise.""",
            tables=("landscape", "published_landscape"),
            notes="roughness_notes",
        ),
        figure(
            "landscape_published",
            "Published loss landscapes",
            """The authors' grids of the two parts of the loss, drawn as ours are; heights have one scale for each loss
            of a network.""",
            ROUGHNESS,
            overview=True,
            tables=("published_landscape",),
            notes="published_notes",
        ),
    ),
)
