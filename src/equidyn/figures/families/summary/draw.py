"""All tasks of a study side by side.

The conventions of all figures are in `equidyn.figures.parts.drawing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, curve
from equidyn.figures.parts.times import at_times, smoothed
from equidyn.figures.parts.variations import (
    Looks,
    by_comparison,
    comparison_looks,
    comparison_names,
    labels,
    looks_of,
)
from equidyn.study.selection import chosen, of_baseline, shown

_SHARE = ("percent", "percent_low", "percent_high")


def summary(table: pd.DataFrame, options: Mapping[str, Options]) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline of each task, one panel per task on one scale.

    Args:
        table: Evaluation table of a study.
        options: Of each task, by its name; tasks without rows are left out.

    Returns:
        The figure, and the rows it shows, whatever their task.

    Raises:
        ValueError: The table has rows of none of the tasks.
    """
    there = set(table["task"]) if "task" in table else set()
    shares = {task: _share(table, own) for task, own in options.items() if task in there}
    if not shares:
        raise ValueError(f"no rows of any task to draw: neither {', nor '.join(options)}")
    data = pd.concat(shares.values(), ignore_index=True)
    figure, grid = layout.sheet(layout.TWO, [2.5], len(shares))
    steps, blocks = drawing.Steps(data["step"], log=True), {}
    first: Any = None
    for i, (task, rows) in enumerate(shares.items()):
        own = options[task]
        axes = figure.add_subplot(grid[0, i], sharey=first)
        looks, title = _looks(rows, own)
        for series, (colour, marker) in reversed(looks.items()):
            curve(axes, rows[rows["series"] == series], "percent", steps, colour, marker)
        steps.dress(axes, narrow=True)
        axes.axhline(own.threshold, zorder=1, **drawing.THRESHOLD)
        axes.set(title=own.words.title, xlabel=drawing.STEP)
        axes.tick_params(labelleft=first is None)
        name = f"{own.words.title}, {title}" if title else own.words.title
        blocks[name] = [drawing.sample(*look, series) for series, look in looks.items()]
        first = first or axes
    drawing.scale(first, drawing.with_averages(data, _SHARE), log=True, include=own.threshold)
    first.set_ylabel(PERCENT)
    blocks["How to read"] = drawing.guide(figure, own, band=True) + drawing.averages(data)
    layout.legends(figure, blocks)
    return figure, data


def _share(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows of a task's baseline, a series for each of a few flow times, or for each comparison."""
    rows = of_baseline(chosen(table, options, every=("group", "comparison")), options)
    if "t" in rows and rows["t"].notna().all():
        rows = at_times(rows).drop(columns="flow_times")
        data = shown(rows, ("t", "self_conditioning", *_SHARE), options, [f"t = {short(t)}" for t in rows["t"]])
        return smoothed(data, ["percent"])
    if options.comparisons:
        rows = by_comparison(rows, options)
        return shown(rows, _SHARE, options, comparison_names(rows, options))
    return shown(rows, _SHARE, options, labels(rows, options))


def _looks(rows: pd.DataFrame, options: Options) -> tuple[Looks, str]:
    """Looks of the series of a panel, and what they are, if not runs."""
    if "t" in rows:
        return looks_of(rows["series"], style.timed), "flow time"
    if rows["comparison"].isin(list(options.comparisons)).all():
        return comparison_looks(rows, options), "rotations"
    return looks_of(rows["series"]), ""
