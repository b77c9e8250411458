"""All claims at a glance: statistic, interval and expected range of each, by kind of statistic.

The conventions of all figures are in `equidyn.figures.parts.drawing`. Statistics have different units, so every kind
has an axis of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.claims.definitions import CLAIMS, COLUMNS
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, style
from equidyn.figures.parts.options import Options
from equidyn.study.selection import need

VERDICTS = {
    REPRODUCED: (style.PALETTE[0], "o"),
    NOT_REPRODUCED: (style.PALETTE[1], "X"),
    NOT_TESTABLE: (style.MUTED, "D"),
}
"""Colour and marker."""

_LINE = 0.235  # inch, of one claim and task
_EDGE = 0.02  # of a panel's width, from its ends to what lies beyond
_RANGE = "#CDE7DC"


@dataclass(frozen=True)
class _Axis:
    """Scale of a kind of statistic, and what it must reach."""

    label: str
    log: bool
    include: tuple[float, float]
    widest: tuple[float, float]


_AXES = {
    "steps": _Axis("Optimiser step", True, (10, 3e4), (1, 1e6)),
    "ratio": _Axis("Ratio", True, (0.3, 10), (1e-3, 1e4)),
    "percent": _Axis("Percent", True, (0.1, 10), (1e-3, 100)),
    "correlation": _Axis("Pearson's R of logarithms", False, (-1.05, 1.05), (-1.05, 1.05)),
    "slope": _Axis("Slope of logarithms", False, (-0.5, 2.5), (-6, 8)),
}


def verdicts(table: pd.DataFrame, options: Mapping[str, Options]) -> tuple[Figure, pd.DataFrame]:
    """Statistic, interval and expected range of every claim and task, one panel per kind of statistic.

    Args:
        table: As `equidyn.claims.definitions.judge` makes it.
        options: Of each task, by its name; other tasks are left out.

    Returns:
        The figure, and the rows it shows with their ``kind``.

    Raises:
        ValueError: The table has rows of none of the tasks, lacks a column, or has an unknown claim.
    """
    need(table, COLUMNS)
    if unknown := sorted(set(table["claim"]) - set(CLAIMS)):
        raise ValueError(f"unknown claim(s) {', '.join(unknown)}: judge the study again")
    data = table[table["task"].isin(list(options))]
    if data.empty:
        raise ValueError(f"no claims about any task to draw: neither {', nor '.join(options)}")
    data = data.assign(kind=[CLAIMS[name].kind for name in data["claim"]])
    ranks = {"kind": list(_AXES), "claim": list(CLAIMS), "task": list(options)}
    data = data.sort_values(
        list(ranks), key=lambda column: column.map(ranks[column.name].index), kind="stable"
    ).reset_index(drop=True)
    kinds = list(dict.fromkeys(data["kind"]))
    lines = [int((data["kind"] == kind).sum()) + 1.2 for kind in kinds]
    figure = style.new_figure(11, _LINE * sum(lines) + 0.55 * len(kinds) + 1.1)
    grid = figure.add_gridspec(len(kinds) + 1, 1, height_ratios=[*lines, 1.6])
    for i, kind in enumerate(kinds):
        _panel(figure.add_subplot(grid[i, 0]), data[data["kind"] == kind], options, _AXES[kind])
    foot = drawing.blank(figure, grid[-1, 0])
    foot.legend(handles=_handles(), ncols=3, loc="lower center").set_in_layout(False)
    return figure, data


def notes(data: pd.DataFrame, options: Mapping[str, Options]) -> list[str]:
    """How often each verdict was given, and how intervals were made, for captions."""
    counts = data["verdict"].value_counts()
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in VERDICTS)
    level = f"{100 * next(iter(options.values())).confidence:g} %"
    sentences = [
        f"Of {len(data)} claims, each about one task: {said}.",
        f"Intervals of held-out losses are {level}, by bootstrap over clusters, the same resamples for all runs and "
        "steps of a task, pooled over the baseline's seeds; of correlations and slopes by moving-block bootstrap along "
        "training; of landscapes and Hessians they are the range of all that were computed.",
        "Ratios are of the twirled loss to the equivariance error; of late returns, of the share to its lowest value "
        "before; per compute, of the loss to an equivariant control's.",
        "A step that was not reached lies anywhere after the end of training.",
    ]
    if (gone := int(data["value"].isna().sum())) > 0:
        sentences.append(f"Without a value, as something that they need is missing: {gone}.")
    return sentences


def _panel(axes: Axes, data: pd.DataFrame, options: Mapping[str, Options], axis: _Axis) -> None:
    """One line per claim and task, from the top; what is off the axis points there."""
    low, high = _limits(data, axis)
    if axis.log:
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    first, last = (axes.transAxes + axes.transData.inverted()).transform([(_EDGE, 0), (1 - _EDGE, 0)])[:, 0]
    for place, row in enumerate(data.itertuples()):
        colour, marker = VERDICTS[row.verdict]
        left, right = np.clip([row.expected_low, row.expected_high], low, high)
        axes.barh(place, right - left, 0.86, left=left, color=_RANGE, linewidth=0, zorder=0.5)
        ends = np.array([row.low, row.high, row.value])
        axes.plot(np.clip(ends[:2], first, last), [place] * 2, color=colour, linewidth=2, zorder=2)
        for beyond, limit, arrow in (((ends < first).any(), first, "<"), ((ends > last).any(), last, ">")):
            if beyond:
                axes.plot(limit, place, marker=arrow, markersize=6, color=colour, zorder=2.5)
        if first <= row.value <= last:
            axes.plot(row.value, place, marker=marker, markersize=6.5, color=colour, markeredgecolor="white", zorder=3)
        axes.annotate(
            _text(row), (1, place), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points",
            va="center", fontsize=8, color=colour, annotation_clip=False,
        )  # fmt: skip
    starts = [i for i, claim in enumerate(data["claim"]) if i == 0 or claim != data["claim"].iloc[i - 1]]
    for start in starts[1:]:
        axes.axhline(start - 0.5, color=style.MUTED, linewidth=0.5)
    labels = [
        (f"{row.claim.replace('_', ' ').capitalize()}:  " if i in starts else "") + options[row.task].words.title
        for i, row in enumerate(data.itertuples())
    ]
    axes.set_yticks(range(len(data)), labels, fontsize=8.5)
    axes.set_ylim(len(data) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis.label, fontsize=9)
    if axis.log:
        drawing.log_labels(axes.xaxis)


def _limits(data: pd.DataFrame, axis: _Axis) -> tuple[float, float]:
    """Ends of an axis: what it must reach and all finite values and intervals, within reason."""
    values = data[["value", "low", "high"]].to_numpy(dtype=float).ravel()
    values = values[np.isfinite(values) & ((values > 0) | (not axis.log))]
    values = np.clip([*values, *axis.include], *axis.widest)
    low, high = values.min(), values.max()
    return (low / 1.5, high * 1.5) if axis.log else (low, high)


def _text(row: Any) -> str:
    """Value and verdict in words."""
    if np.isnan(row.value):
        return row.verdict
    value = short(row.value) if np.isfinite(row.value) else "not reached"
    return f"{value}: {row.verdict}".replace("-", "−")


def _handles() -> list[Any]:
    """Entries of the legend."""
    looks = {"markeredgecolor": "white", "markersize": 8, "linewidth": 2}
    handles: list[Any] = [
        Line2D([], [], color=colour, marker=marker, label=name, **looks) for name, (colour, marker) in VERDICTS.items()
    ]
    handles.append(Patch(facecolor=_RANGE, label="expected range"))
    handles.append(Line2D([], [], color=style.INK, linewidth=2, label="interval"))
    handles.append(Line2D([], [], color=style.INK, marker=">", linestyle="none", label="goes on beyond the axis"))
    return handles
