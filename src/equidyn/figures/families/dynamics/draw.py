"""Training dynamics: how much of the held-out loss is equivariance error, step by step.

Each function takes the evaluation table and `Options`, and returns a figure with the rows it shows; the card lists
them. The conventions of all figures are in `equidyn.figures.parts.drawing`. Runs have one curve here, for one way of
comparing predictions where there are several; those evaluated at several flow times are drawn by
`equidyn.figures.families.flow_times.draw`, several ways side by side by `equidyn.figures.families.voxels.draw`.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, curve, marks, percent_and_skill, series_handles
from equidyn.figures.parts.variations import (
    AUGMENTATION,
    MODEL_SIZE,
    OPTIMISER,
    TRAIN_SIZE,
    Variation,
    labels,
    looks_of,
)
from equidyn.study.selection import ACTION_FLOOR, chosen, of_baseline, replicates, shown

_SHARE = ("percent", "percent_low", "percent_high")


def percent_loglog(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates, and their skill."""
    data = _of_replicates(table, options)
    data = data.join(marks(data, options.threshold))
    return percent_and_skill(data, looks_of(data["series"]), options, title="Run"), data


def percent_linear(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent on a linear axis against step, and against its logarithm, for the baseline's replicates."""
    data = _of_replicates(table, options)
    looks = looks_of(data["series"])
    figure, panels = layout.tiled(2, 2, 2.2)
    for axes, log in zip(panels, (False, True), strict=True):
        place = drawing.Steps(data["step"], log=log)
        shares = drawing.with_averages(data, _SHARE)
        drawing.scale(axes, shares, log=False, include=options.threshold)
        for series, look in reversed(looks.items()):
            curve(axes, data[data["series"] == series], "percent", place, *look, log_y=False)
        place.dress(axes)
        drawing.shade(axes, data[data["run"] == options.baseline], place, options)
        axes.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
        axes.set_xlabel(drawing.STEP)
    panels[0].set_ylabel(PERCENT)
    panels[1].tick_params(labelleft=False)
    reading = drawing.guide(figure, options, band=True) + drawing.averages(data)
    layout.legends(figure, {"Run": series_handles(data, looks), "How to read": reading})
    return figure, data


def _of_replicates(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Shares of the baseline and of its further seeds."""
    rows = replicates(chosen(table, options), options.baseline)
    return _shares(rows, options, labels(rows, options))


def _percent_by(table: pd.DataFrame, options: Options, variation: Variation) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by what runs differ in, one colour per setting; replicates share it."""
    rows = variation.rows(table, options)
    data = _shares(rows, options, variation.names(rows, options))
    return percent_and_skill(data, variation.looks(data), options, title=variation.title), data


percent_by_train_size = partial(_percent_by, variation=TRAIN_SIZE)
percent_by_model_size = partial(_percent_by, variation=MODEL_SIZE)
percent_by_optimiser = partial(_percent_by, variation=OPTIMISER)
percent_by_augmentation = partial(_percent_by, variation=AUGMENTATION)


def _shares(rows: pd.DataFrame, options: Options, series: list[str]) -> pd.DataFrame:
    """Percent and its interval, and of grids what interpolation alone would give, as percent of the same loss."""
    if not options.has_floor:
        return shown(rows, _SHARE, options, series)
    data = shown(rows, (*_SHARE, "total", ACTION_FLOOR), options, series)
    return data.assign(percent_floor=100 * data[ACTION_FLOOR] / data["total"])


def losses(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error, twirled loss and total of the baseline, in units and relative to the start."""
    rows = of_baseline(chosen(table, options), options)
    floors = [ACTION_FLOOR] if options.has_floor else []
    data = shown(rows, ["total", "twirled", "equivariance", "null_loss", *floors], options, rows["run"])
    first = data.iloc[0]
    for name in ("equivariance", "twirled"):
        for column in drawing.with_averages(data, [name]):
            data[column.replace(name, f"{name}_relative")] = data[column] / first[name]
    parts = {"total": ("Total", *drawing.TOTAL), **drawing.PARTS}
    figure, panels = layout.tiled(2, 2, 2.4)
    left, right = panels
    place = drawing.Steps(data["step"], log=True)
    handles = []
    for axes, suffix in ((left, ""), (right, "_relative")):
        drawn = [name for name in parts if name + suffix in data]
        values = drawing.with_averages(data, [name + suffix for name in drawn])
        floor = drawing.in_reach(data[ACTION_FLOOR], values) if axes is left and floors else None
        drawing.scale(axes, values, log=True, include=floor)
        for name in drawn:
            label, colour, marker = parts[name]
            # The total shows behind the part it equals.
            sizes = (style.WIDE, style.BIG) if name == "total" else (style.LINE, style.MARKER)
            x, y = place(data["step"]), data[name + suffix]
            drawing.line(axes, x, y, data["unskilled"], place.log, True, colour, marker, *sizes)
            drawing.average(axes, x, data, name + suffix, colour, log_y=True)
            if axes is left:
                handles.append(drawing.sample(colour, marker, label))
        place.dress(axes)
        drawing.shade(axes, data, place, options)
        axes.set_xlabel(drawing.STEP)
    null = float(data["null_loss"].iloc[0])
    dashed = {"color": style.MUTED, "linewidth": 0.8, "linestyle": (0, (6, 2))}
    left.axhline(null, **dashed)
    handles.append(Line2D([], [], label=f"loss of {options.words.null}", **dashed))
    if floors:
        handles.append(_floor_line(left, float(first[ACTION_FLOOR])))
    left.set(title="Held-out loss and its two parts", ylabel=f"{options.words.error}\n({drawing.unit(data)})")
    right.set(title="Learning speed of the parts", ylabel=f"Error relative to step {int(first['step']):,}")
    speed = [_mark_speed(right, data, place, name, *parts[name][1:]) for name in ("equivariance", "twirled")]
    reading = drawing.guide(figure, options, band=False, threshold=False) + drawing.averages(data)
    blocks = {"Loss": handles, f"Fall from step {int(first['step']):,}": speed, "How to read": reading}
    layout.legends(figure, blocks)
    return figure, data


def _floor_line(axes: Axes, floor: float) -> Line2D:
    """Draw the interpolation floor where the axis reaches it; an entry for the legend that tells it anyway."""
    label = f"interpolation floor of the equivariance error: {short(floor)}"
    if floor < axes.get_ylim()[0]:
        return layout.remark(f"{label} (below the axis)")
    axes.axhline(floor, **drawing.FLOOR)
    return Line2D([], [], label=label, **drawing.FLOOR)


def _mark_speed(axes: Axes, data: pd.DataFrame, place: drawing.Steps, name: str, colour: str, marker: str) -> Line2D:
    """Mark the first step at which an error is a tenth and a hundredth of its start; an entry for the legend."""
    said = []
    for share in (0.1, 0.01):
        reached = data[data[f"{name}_relative"] <= share]
        if reached.empty:
            said.append(f"{100 * share:g} % not reached")
            continue
        height = reached[f"{name}_relative"].head(1).clip(lower=axes.get_ylim()[0])
        axes.plot(place(reached["step"].head(1)), height, color=colour, zorder=4, **drawing.RING)
        said.append(f"{100 * share:g} % by step {int(reached['step'].iloc[0]):,}")
    return Line2D([], [], color=colour, label=f"{drawing.PARTS[name][0]}:\n{said[0]},\n{said[1]}", **drawing.RING)
