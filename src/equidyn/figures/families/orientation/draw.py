"""How examples lie in their frame: maps of their longest and shortest axes, and tests of whether these are uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator

from equidyn.analysis.orientation import FRAME, columns_of, noticeable
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.study.selection import need
from equidyn.tasks.card import Words

LEVEL, TESTS = 0.05, 4
"""Level of all tests of the training side together, and their number: two of each axis (Bonferroni's correction)."""

POINTS = 3000
"""Most axes of one side in a map; of more, as many at even distances in the table."""

_AXES = {"long": "longest", "short": "shortest"}
_SIDES = {"train": (style.PALETTE[0], "o"), "validation": (style.PALETTE[1], "s")}
_FRAME_LOOKS = {
    "x": (style.PALETTE[2], "-"),
    "y": (style.PALETTE[3], (0, (5, 1.5))),
    "z": (style.PALETTE[6], (0, (5, 1.2, 1, 1.2))),
}
_ANGLES = (0, 45, 60, 75, 90)
_STAR = {"marker": "*", "markersize": 8, "markerfacecolor": style.PALETTE[4], "markeredgecolor": style.INK}
_HALO = [withStroke(linewidth=1.8, foreground="white")]  # of letters, which lie over dots


def orientation_audit(
    table: pd.DataFrame, tests: pd.DataFrame, angles: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Maps of the longest and shortest axes of both sides; and angles of the training side's to x, y and z.

    Args:
        table: One row per example, as `equidyn.analysis.orientation.audit` makes it.
        tests: Of its axes, as `equidyn.analysis.orientation.examine` makes them.
        angles: Curves that come with these.
        options: What is drawn.

    Returns:
        The figure, and what it shows, in rows of three kinds, `shown`. Columns `axis` ("long" or "short") and `side`
        are in all; others are empty where they do not apply.

        - "test": the tests.
        - "angles", of the training side: the curves, and the `excess` of the share over that of uniform axes.
        - "map": `example` and its place, `map_x` and `map_y`, in a disc of radius 1.

    Raises:
        ValueError: A table lacks a column.
    """
    need(table, ["example", "side", *(name for axis in _AXES for name in columns_of(axis))])
    curves = angles.assign(shown="angles", side="train", excess=angles["share"] - angles["uniform"])
    data = pd.concat([tests.assign(shown="test"), curves, _places(table)], ignore_index=True)
    figure, panels = layout.tiled(4, 4, 2.15)
    reach = 100 * 1.25 * max(curves["excess"].abs().max(), tests["band"].max())
    for row, (axis, name) in enumerate(_AXES.items()):
        part = data[data["axis"] == axis]
        found = tests[tests["axis"] == axis].set_index("side")
        left, right = panels[2 * row : 2 * row + 2]
        _draw_map(left, part[part["shown"] == "map"], found)
        left.set_title(f"{name.capitalize()} axis")
        _draw_angles(right, part[part["shown"] == "angles"], found.loc["train"])
        right.set_ylim(-reach, reach)
        right.set_title("Its angles, train")
    layout.legends(figure, {"Data": _series(tests, options), "How to read": _reading(tests)})
    return figure, data


def _places(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the maps."""
    parts = []
    for axis in _AXES:
        names = columns_of(axis)
        for side, rows in table.dropna(subset=names).groupby("side"):
            some = rows.iloc[drawing.spread(range(len(rows)), POINTS)]
            x, y = equal_area(some[names].to_numpy()).T
            columns = {"example": some["example"], "map_x": x, "map_y": y}
            parts.append(pd.DataFrame({"shown": "map", "axis": axis, "side": side, **columns}))
    return pd.concat(parts, ignore_index=True).astype({"example": "Int64"})


def equal_area(axes: np.ndarray) -> np.ndarray:
    """Return the places (n, 2) of axes (n, 3) in Lambert's equal-area map of the half sphere around z.

    Areas are those on the sphere divided by 2: z is at the origin, all that is perpendicular to it on the unit circle,
    where opposite points are the same axis.
    """
    axes = np.where(axes[:, 2:] < 0, -axes, axes)
    return axes[:, :2] / np.sqrt(1 + axes[:, 2:])


def _draw_map(axes: Axes, points: pd.DataFrame, tests: pd.DataFrame) -> None:
    """One dot per axis, and the eigenvalues and p-value of each side below."""
    axes.add_patch(Circle((0, 0), 1, facecolor="none", edgecolor=style.INK, zorder=3))
    for angle in (30, 60):
        radius = np.sqrt(1 - np.cos(np.radians(angle)))
        axes.add_patch(Circle((0, 0), radius, facecolor="none", edgecolor=style.MUTED, zorder=1))
        axes.text(
            0, -radius, f"{angle}°", ha="center", va="center", fontsize=style.LEAST_TYPE, zorder=4, path_effects=_HALO
        )
    size = float(np.clip(45 / np.sqrt(len(points)), 1.1, 3))
    for side, part in points.groupby("side", sort=False):
        colour, marker = _SIDES[side]
        face = {"markerfacecolor": "none"} if side == "validation" else {"markeredgecolor": "none", "alpha": 0.55}
        axes.plot(
            part["map_x"], part["map_y"], linestyle="none", marker=marker, markersize=size, color=colour,
            markeredgewidth=size / 5, zorder=2, rasterized=True, **face,
        )  # fmt: skip
    train = tests.loc["train"]
    if train["p_value"] < LEVEL / TESTS:
        direction = train[[f"direction_{letter}" for letter in FRAME]].to_numpy(dtype=float)
        axes.plot(*equal_area(direction[None])[0], linestyle="none", zorder=5, **_STAR)
    for letter, place in (("x", (1.12, 0)), ("y", (0, 1.12)), ("z", (0, 0))):
        look = {"color": _FRAME_LOOKS[letter][0], "fontweight": "bold", "path_effects": _HALO}
        axes.text(*place, letter, ha="center", va="center", zorder=4, **look)
    lines = [f"{side}:\nλ = {_eigenvalues(row)}; p = {_digits(row['p_value'])}" for side, row in tests.iterrows()]
    axes.set(xlim=(-1.22, 1.22), ylim=(-1.06, 1.22), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel("\n".join(lines), fontsize=style.NOTES)
    axes.spines[:].set_visible(False)


def _draw_angles(axes: Axes, curves: pd.DataFrame, test: pd.Series) -> None:
    """Excess shares over those of uniform axes, in percentage points, with the band of uniform axes."""
    axes.axhspan(-100 * test["band"], 100 * test["band"], color=style.GREY, linewidth=0, zorder=0)
    axes.axhline(0, color=style.INK, linewidth=0.6)
    for letter, part in curves.groupby("frame", sort=False):
        colour, line = _FRAME_LOOKS[letter]
        axes.plot(part["uniform"], 100 * part["excess"], color=colour, linestyle=line)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(FixedLocator([1 - np.cos(np.radians(angle)) for angle in _ANGLES]))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{angle}°" for angle in _ANGLES]))
    axes.set(xlabel="Angle to x, y or z", ylabel="Share within, − uniform (% points)")
    axes.text(
        0.03, 0.97, f"p = {_digits(test['p_along_frame'])}", transform=axes.transAxes, va="top", fontsize=style.NOTES
    )


def _series(tests: pd.DataFrame, options: Options) -> list[Any]:
    """Legend entries of what is drawn."""
    words = options.words
    entries: list[Any] = []
    for side, rows in tests.groupby("side", sort=False):
        colour, marker = _SIDES[side]
        label = f"{side}: {int(rows['of_examples'].iloc[0]):,} {words.examples}"
        face = {"markerfacecolor": "none"} if side == "validation" else {"alpha": 0.7}
        entries.append(Line2D([], [], color=colour, marker=marker, linestyle="none", label=label, **face))
    entries += [
        Line2D([], [], color=colour, linestyle=line, label=f"angles to {letter}")
        for letter, (colour, line) in _FRAME_LOOKS.items()
    ]
    return entries


def _reading(tests: pd.DataFrame) -> list[Any]:
    """Legend entries of how to read the figure."""
    maps = "maps: half sphere seen along z, in equal areas; rings are 30° and 60° from z"
    moments = "λ: mean cos² of the angle to the direction preferred, one between, and the one avoided; 0.33 if uniform"
    entries: list[Any] = [layout.remark(text) for text in (maps, moments)]
    if (tests.loc[tests["side"] == "train", "p_value"] < LEVEL / TESTS).any():
        label = f"direction preferred in training, if p < {LEVEL / TESTS:g}"
        entries.append(Line2D([], [], linestyle="none", label=label, **_STAR))
    return [
        *entries,
        Patch(facecolor=style.GREY, label="where all curves stay in 95 % of cases if axes are uniform"),
        layout.remark("p: probability that uniform axes are as uneven or more"),
    ]


def _digits(p: float) -> str:
    """A p-value with two digits."""
    return short(float(f"{p:.2g}"))


def _eigenvalues(test: pd.Series) -> str:
    """The three eigenvalues of a test."""
    return ", ".join(f"{test[f'eigenvalue_{i}']:.2f}" for i in (1, 2, 3))


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How much was tested, what was found, and what this means for "learning to rotate", for captions."""
    words = options.words
    tests = data[data["shown"] == "test"].set_index(["side", "axis"])
    sentences = []
    for side, rows in tests.groupby("side", sort=False):
        rows = rows.droplevel("side")
        counts = " and ".join(
            f"{int(row['axes']):,} {_AXES[axis]} axes of {int(row['clusters']):,} {words.clusters}"
            for axis, row in rows.iterrows()
        )
        found = ", ".join(
            f"{_AXES[axis]} λ = {_eigenvalues(row)} (p = {_digits(row['p_value'])})" for axis, row in rows.iterrows()
        )
        name = {"train": "Training", "validation": "Validation"}[side]
        sentences.append(f"{name}: {int(rows['of_examples'].iloc[0]):,} {words.examples}, {counts}; {found}.")
    train = tests.loc["train"]
    if (train["pairs"] > 0).any():
        alike = ", ".join(
            f"{short(round(row['alignment'], 3))} ({_AXES[axis]}, {int(row['pairs']):,} pairs)"
            for axis, row in train[train["pairs"] > 0].iterrows()
        )
        sentences.append(
            f"Training {words.examples} of the same {words.clusters}, mean of (3 cos² − 1) / 2 of the angle between "
            f"axes, 0 if independent and 1 if parallel: {alike}."
        )
    sentences += _verdict(train, words)
    if (tests["axes"] > POINTS).any():
        sentences.append(f"Maps show {POINTS:,} axes of a side at most.")
    return sentences


def _verdict(train: pd.DataFrame, words: Words) -> list[str]:
    """Whether training examples have directions of their own, and what that means for networks trained on them."""
    values = train[["p_value", "p_along_frame"]]
    p = min(1.0, TESTS * float(values.min(axis=None)))
    said = f"the smallest of {TESTS} p-values, of λ and of angles, times {TESTS} is {_digits(p)}"
    limit = noticeable(float(train["effective"].min()), LEVEL / TESTS)
    if p >= LEVEL:
        return [
            f"The orientation of the training set is compatible with uniform ({said}); a single preferred direction "
            f"would show in these tests from λ of about {limit:.2f} on.",
            "So the data hold rotations even unaugmented: a network trained on them unrotated has no frame shared by "
            f"the {words.examples} to lean on, and learning to rotate serves it on its own data too.",
        ]
    strongest = train.loc[train["p_value"].idxmin()]
    return [
        f"The orientation of the training set is not uniform ({said}; the strongest preference: mean cos² of "
        f"{strongest['eigenvalue_1']:.2f} to one direction instead of 0.33).",
        "So a network trained on these data unrotated meets some orientations more often than others, and its error on "
        "rotated input measures also how it copes with the rarer ones, not only whether it learned to rotate; runs "
        "that rotate their training examples do not meet this preference.",
    ]
