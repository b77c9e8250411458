"""What the data are like: distributions of simple quantities, training against validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.data.describe import LABELS
from equidyn.figures.parts import layout, style
from equidyn.figures.parts.options import Options
from equidyn.study.selection import need

_KEYS = ("example", "cluster", "side")
_LOOKS = {
    "train": {"facecolor": style.PALETTE[5], "edgecolor": style.PALETTE[0], "alpha": 0.6},
    "validation": {"facecolor": "none", "edgecolor": style.PALETTE[1], "linewidth": style.LINE},
}
_MEDIANS = {"train": (style.PALETTE[0], "^", 8), "validation": (style.PALETTE[1], "D", 4)}
_BINS = 30
_ELONGATED = 1.5
"""Radius of gyration of a chain that is called elongated, over that of globular ones of N residues, 2.2 N^0.38 Å."""


def data_summary(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Histograms of every quantity, as shares of each side's examples so that sides of unequal size compare.

    Args:
        table: Description of the data, one row per example: example, cluster, side ("train" or "validation") and
            numbers that describe the example.
        options: What is drawn.

    Returns:
        The figure, and its bins: quantity, side, low, high, examples and their share; and of how many examples and
        clusters the side consists. Of chains: how many of each side are elongated, and the clusters of these.

    Raises:
        ValueError: There is nothing to draw.
    """
    need(table, _KEYS)
    numbers = table.drop(columns=list(_KEYS)).select_dtypes("number")
    quantities = [name for name in numbers if np.isfinite(numbers[name]).any()]
    if not quantities:
        raise ValueError("the data table has no numbers to draw: describe the data first")
    data = pd.concat([_histograms(table, name) for name in quantities], ignore_index=True)
    words = options.words
    columns = len(quantities) if len(quantities) <= 3 else layout.most_square(len(quantities))
    figure, panels = layout.tiled(len(quantities), columns, 1.75)
    handles = {}
    for i, (axes, quantity) in enumerate(zip(panels, quantities, strict=True)):
        for side, part in data[data["quantity"] == quantity].groupby("side", sort=False):
            look, size = _LOOKS[side], part.iloc[0]
            axes.stairs(100 * part["share"], [*part["low"], part["high"].iloc[-1]], fill=True, **look)
            label = f"{side}: {size['of_examples']:,} {words.examples} of {size['of_clusters']:,} {words.clusters}"
            handles[side] = Patch(label=label, **look)
        for side, (colour, marker, size) in _MEDIANS.items():
            median = table.loc[table["side"] == side, quantity].median()
            axes.plot(
                median, 0, marker=marker, markersize=size, color=colour, markeredgecolor="white", markeredgewidth=0.5,
                clip_on=False, zorder=5, linestyle="none",
            )  # fmt: skip
        axes.set_xlabel(LABELS.get(quantity, quantity))
        axes.set_ylabel("" if i % columns else f"Share of {words.examples} (%)")
        axes.set_ylim(bottom=0)
    medians = [
        Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=f"median, {side}")
        for side, (colour, marker, size) in _MEDIANS.items()
    ]
    layout.legends(figure, {"Data": list(handles.values()), "On the axis": medians}, columns=3)
    return figure, data


def _histograms(table: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Histograms of one quantity, both sides in the same bins."""
    finite = table[np.isfinite(table[quantity])]
    values = finite[quantity].to_numpy(dtype=float)
    if (values % 1 == 0).all():  # bins of unequally many whole numbers would look like a comb
        width = np.ceil((np.ptp(values) + 1) / _BINS)
        edges = np.arange(values.min(), values.max() + width + 1, width) - 0.5
    else:
        edges = np.histogram_bin_edges(values, _BINS)
    parts = []
    for side in _LOOKS:
        rows, whole = finite[finite["side"] == side], table[table["side"] == side]
        counts, _ = np.histogram(rows[quantity], edges)
        columns = {"quantity": quantity, "side": side, "low": edges[:-1], "high": edges[1:], "examples": counts}
        sizes = {"of_examples": len(whole), "of_clusters": whole["cluster"].nunique()}
        if {"residues", "radius_of_gyration"} <= set(table):
            long = whole[whole["radius_of_gyration"] > _ELONGATED * 2.2 * whole["residues"] ** 0.38]
            named = ", ".join(map(str, np.unique(long["cluster"])))
            sizes |= {"elongated": len(long), "elongated_clusters": named}
        parts.append(pd.DataFrame({**columns, "share": counts / max(1, len(rows)), **sizes}))
    return pd.concat(parts, ignore_index=True)


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How much data there is of each side, and which held-out chains can weigh much, for captions."""
    words, sides = options.words, data.drop_duplicates("side")
    sentences = [
        f"{'Training' if side.side == 'train' else 'Validation'}: {side.of_examples:,} {words.examples} of "
        f"{side.of_clusters:,} {words.clusters}."
        for side in sides.itertuples()
    ]
    if "elongated" in data:
        held_out = sides.set_index("side").loc["validation"]
        named = f" ({words.clusters} {held_out['elongated_clusters']})" if held_out["elongated"] else ""
        sentences.append(
            f"The radius of gyration of {held_out['elongated']} held-out {words.examples}{named} is more than "
            f"{_ELONGATED:g} times that of globular ones of N residues, 2.2 N^0.38 Å. The equivariance error of such "
            "chains is large, so that one can move an estimate: claims say which cluster moves them most."
        )
    return sentences
