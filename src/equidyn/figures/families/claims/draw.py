"""All claims at a glance: statistic, interval and expected range of each, by kind of statistic.

Each line has the network itself above and its averaged weights, thinner, below. The conventions of all figures are in
`equidyn.figures.parts.drawing`. Statistics have different units, so every kind has an axis of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.claims.definitions import CLAIMS, COLUMNS, EMA, RAW
from equidyn.claims.evidence import INTERVAL, RANGE
from equidyn.claims.published import ROWS
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.study.selection import need

VERDICTS = {
    REPRODUCED: (style.PALETTE[0], "o", "✓"),
    NOT_REPRODUCED: (style.PALETTE[1], "X", "✗"),
    NOT_TESTABLE: (style.MUTED, "D", "?"),
}
"""Colour, marker and sign."""

_LINE = 0.132  # inch, of one claim and task, or of a line of a label
_FOOT = 0.42  # inch, below a panel
_LABEL, _TASK = 1.45, 0.9  # inch, of columns left of panels
_WORDS = 29  # characters of a line of a label
_VERDICT = 0.62  # inch, of a column right of panels
_LOOKS = {RAW: (-0.17, 1.6, 4.4), EMA: (0.2, 0.8, 3.2)}  # place in the line, width of intervals, size of markers
_COLUMNS = {RAW: "raw", EMA: "averaged"}
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
    "skill": _Axis("Skill", False, (-0.2, 0.5), (-1, 1)),
    "fraction": _Axis("Relative equivariance error", True, (1e-3, 0.3), (1e-6, 10)),
}


def verdicts(table: pd.DataFrame, options: Mapping[str, Options]) -> tuple[Figure, pd.DataFrame]:
    """Statistic, interval and expected range of every claim and task, one panel per kind of statistic.

    Args:
        table: As `equidyn.claims.definitions.judge` makes it.
        options: Of each task, by its name; other tasks are left out.

    Returns:
        The figure, and the rows about the tasks with their ``kind``. Of those without any value nothing is drawn.

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
    ranks = {"kind": list(_AXES), "claim": list(CLAIMS), "task": list(options), "weights": list(_LOOKS)}
    data = data.sort_values(
        list(ranks), key=lambda column: column.map(ranks[column.name].index), kind="stable"
    ).reset_index(drop=True)
    known = data[data.groupby(["claim", "task"])["value"].transform("count") > 0]
    panels = [rows for _, rows in known.groupby("kind", sort=False)]
    heights = [_LINE * (_placed(rows)[-1].stop + 0.4) for rows in panels]
    figure = layout.free(layout.TWO, _LINE + sum(heights) + _FOOT * len(panels))
    layout.legends(figure, _handles())
    left = _LABEL + _TASK
    top = _LINE
    for rows, height in zip(panels, heights, strict=True):
        axes = layout.at(figure, left, top, layout.TWO - left - 2 * _VERDICT, height)
        _panel(axes, rows, options, _AXES[rows["kind"].iloc[0]])
        if top == _LINE:
            for i, text in enumerate(_COLUMNS.values()):
                _beside(axes, i, -0.9, text, fontweight="bold")
        top += height + _FOOT
    return figure, data


def _placed(rows: pd.DataFrame) -> list[range]:
    """Lines of each claim of a panel: as many as its tasks, or as lines of its label."""
    places, start = [], 0
    for _, own in rows.groupby("claim", sort=False):
        lines = len(textwrap.wrap(own["label"].iloc[0], _WORDS))
        places.append(range(start, start + max(own["task"].nunique(), lines)))
        start = places[-1].stop
    return places


def notes(data: pd.DataFrame, options: Mapping[str, Options]) -> list[str]:
    """How intervals were made and what is not drawn, for captions."""
    level = f"{100 * next(iter(options.values())).confidence:g} %"
    sentences = [
        f"Intervals are {level}. Those of held-out losses are by bootstrap, of seeds first, then of clusters, the same "
        "for all runs and steps of a task, widened to Student's where a statistic has a standard error; those of "
        "analyses are Student's, over seeds, of which it takes three.",
        "A verdict that depends on the skill that counts as learned, on the bootstrap or on how shares are averaged is "
        "not testable.",
        "Ratios are of the twirled loss to the equivariance error; of late returns, of the share to its lowest value "
        "before; per compute, of the loss to that of an equivariant network.",
        "A step that was not reached lies anywhere after the end of training.",
    ]
    rows = data["published_reason"].str.contains(ROWS, na=False)
    if told := [options[task].words.title for task in dict.fromkeys(data.loc[rows, "task"])]:
        sentences.append(f"Of {' and '.join(told)}, {ROWS}.")
    known = data.groupby(["label", "task"], sort=False)["value"].count()
    if gone := [f"{label} ({options[task].words.title})" for label, task in known.index[known == 0]]:
        sentences.append(f"Without a value, as something that they need is missing: {', '.join(gone)}.")
    return sentences


def _panel(axes: Axes, data: pd.DataFrame, options: Mapping[str, Options], axis: _Axis) -> None:
    """One line per claim and task, from the top; what is off the axis points there."""
    low, high = _limits(data, axis)
    if axis.log:
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    first, last = (axes.transAxes + axes.transData.inverted()).transform([(_EDGE, 0), (1 - _EDGE, 0)])[:, 0]
    labels: dict[int, str] = {}
    for lines, (_, own) in zip(_placed(data), data.groupby("claim", sort=False), strict=True):
        text = textwrap.fill(own["label"].iloc[0], _WORDS)
        axes.annotate(
            text, (0, lines.start - 0.35), (-72 * (_LABEL + _TASK - 0.03), 0), va="top", fontsize=style.NOTES,
            xycoords=axes.get_yaxis_transform(), textcoords="offset points", annotation_clip=False,
        )  # fmt: skip
        if lines.start:
            axes.axhline(lines.start - 0.5, color=style.MUTED, linewidth=0.4)
        for place, (task, rows) in zip(lines, own.groupby("task", sort=False), strict=False):
            left, right = np.clip(rows[["expected_low", "expected_high"]].to_numpy(dtype=float)[0], low, high)
            axes.barh(place, right - left, 0.86, left=left, color=_RANGE, linewidth=0, zorder=0.5)
            for row in rows.itertuples():
                _judged(axes, place, row, (first, last))
            published = rows["published_value"].iloc[0]
            if first <= published <= last:
                axes.plot(published, place, color=style.INK, zorder=2.8, **_STAR)
            labels[place] = options[task].words.title
    axes.set_yticks(list(labels), labels.values(), fontsize=style.NOTES)
    axes.set_ylim(_placed(data)[-1].stop - 0.1, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis.label)
    if axis.log:
        drawing.log_labels(axes.xaxis)


def _judged(axes: Axes, place: int, row: Any, inner: tuple[float, float]) -> None:
    """Interval, value and verdict of one kind of weights."""
    (colour, marker, _), (shift, width, size) = VERDICTS[row.verdict], _LOOKS[row.weights]
    (first, last), height = inner, place + shift
    ends = np.array([row.low, row.high, row.value])
    look = _INTERVAL if row.ends == INTERVAL else _FEW
    axes.plot(np.clip(ends[:2], first, last), [height] * 2, color=colour, linewidth=width, zorder=2, **look)
    for beyond, limit, arrow in (((ends < first).any(), first, "<"), ((ends > last).any(), last, ">")):
        if beyond:
            axes.plot(limit, height, marker=arrow, markersize=size, color=colour, zorder=2.5)
    if first <= row.value <= last:
        axes.plot(row.value, height, marker=marker, markersize=size, color=colour, markeredgecolor="white",
                  markeredgewidth=0.4, zorder=3)  # fmt: skip
    _beside(axes, list(_COLUMNS).index(row.weights), place, _text(row), color=colour)


_INTERVAL = {"marker": "|", "markersize": 4}
_FEW = {"linestyle": (0, (1, 1)), "marker": ""}
_STAR = {"marker": "*", "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.4, "linestyle": "none"}


def _beside(axes: Axes, column: int, place: float, text: str, **look: Any) -> None:
    """Text in a column right of a panel."""
    axes.annotate(
        text, (1, place), (4 + 72 * _VERDICT * column, 0), xycoords=axes.get_yaxis_transform(), va="center",
        textcoords="offset points", fontsize=style.NOTES, annotation_clip=False, **look,
    )  # fmt: skip


def _limits(data: pd.DataFrame, axis: _Axis) -> tuple[float, float]:
    """Ends of an axis: what it must reach and all finite values and intervals, within reason."""
    values = data[["value", "low", "high", "published_value"]].to_numpy(dtype=float).ravel()
    values = values[np.isfinite(values) & ((values > 0) | (not axis.log))]
    values = np.clip([*values, *axis.include], *axis.widest)
    low, high = values.min(), values.max()
    return (low / 1.5, high * 1.5) if axis.log else (low, high)


def _text(row: Any) -> str:
    """Value and the sign of the verdict."""
    sign = VERDICTS[row.verdict][2]
    if np.isnan(row.value):
        return sign
    value = short(row.value) if np.isfinite(row.value) else "not seen"
    return f"{sign} {value}".replace("-", "−")


def _handles() -> dict[str, list[Any]]:
    """Entries of the legend."""
    verdict = [
        Line2D([], [], color=colour, marker=marker, markersize=4.4, label=f"{sign} {name}")
        for name, (colour, marker, sign) in VERDICTS.items()
    ]
    weights = [
        Line2D([], [], color=style.INK, linewidth=width, marker="o", markersize=size, label=text)
        for (_, width, size), text in zip(_LOOKS.values(), ("raw weights", "averaged weights (EMA)"), strict=True)
    ]
    ends = [
        Line2D([], [], color=style.INK, label=INTERVAL, **_INTERVAL),
        Line2D([], [], color=style.INK, label=RANGE, **_FEW),
        Line2D([], [], color=style.INK, marker=">", linestyle="none", label="goes on beyond the axis"),
    ]
    others = [
        Patch(facecolor=_RANGE, label="expected range"),
        Line2D([], [], color=style.INK, label="what the authors have published", **_STAR),
    ]
    return {"Verdict": verdict, "Value": weights, "Ends": ends, "To compare": others}
