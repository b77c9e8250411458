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
from equidyn.figures.parts import drawing, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import marks, percent_and_skill
from equidyn.figures.parts.variations import AUGMENTATION, MODEL_SIZE, OPTIMISER, TRAIN_SIZE, Variation, looks_of
from equidyn.study.selection import ACTION_FLOOR, chosen, of_baseline, replicates, shown

_SHARE = ("percent", "percent_low", "percent_high")


def _percent_of_replicates(
    table: pd.DataFrame, options: Options, *, log_x: bool, log_y: bool
) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates."""
    rows = replicates(chosen(table, options), options.baseline)
    data = _shares(rows, options, [f"seed {seed}" for seed in rows["seed"]])
    data = data.join(marks(data, options.threshold))
    looks = looks_of(data["series"])
    return percent_and_skill(data, looks, options, log_x=log_x, log_y=log_y, title="Replicate"), data


def _percent_by(table: pd.DataFrame, options: Options, variation: Variation) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by what runs differ in, one colour per setting; replicates share it."""
    rows = variation.rows(table, options)
    data = _shares(rows, options, variation.names(rows))
    figure = percent_and_skill(data, variation.looks(data), options, log_x=True, log_y=True, title=variation.title)
    return figure, data


percent_linear = partial(_percent_of_replicates, log_x=False, log_y=False)
percent_logx = partial(_percent_of_replicates, log_x=True, log_y=False)
percent_loglog = partial(_percent_of_replicates, log_x=True, log_y=True)
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
    """Equivariance error, twirled error and total of the baseline, in units and relative to the start."""
    rows = of_baseline(chosen(table, options), options)
    floors = [ACTION_FLOOR] if options.has_floor else []
    data = shown(rows, ["total", "twirled", "equivariance", "null_loss", *floors], options, rows["run"])
    first = data.iloc[0]
    for name in ("equivariance", "twirled"):
        for column in drawing.with_averages(data, [name]):
            data[column.replace(name, f"{name}_relative")] = data[column] / first[name]
    twirled, *look = drawing.PARTS["twirled"]
    parts = {
        "total": ("Total", "#9A9A9A", "D"),
        "twirled": (f"{twirled} (what would be left\nof a rotation-averaged network)", *look),
        "equivariance": drawing.PARTS["equivariance"],
    }
    averages = drawing.averages(data)
    key = 2.0 if options.comparison else 1.5  # inch; a line more above, a floor among the losses
    key += 0.35 * len(averages)
    figure = style.new_figure(10.5, 4.9 + key)
    drawing.name_comparison(figure, data, options)
    grid = figure.add_gridspec(2, 6, height_ratios=(4.9, key))
    left, right = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
    place = drawing.Steps(data["step"], log=True)
    handles = []
    for axes, suffix in ((left, ""), (right, "_relative")):
        drawn = [name for name in parts if name + suffix in data]
        values = drawing.with_averages(data, [name + suffix for name in drawn])
        floor = drawing.in_reach(data[ACTION_FLOOR], values) if axes is left and floors else None
        drawing.scale(axes, values, log=True, include=floor)
        for name in drawn:
            label, colour, marker = parts[name]
            sizes = (3.6, 8.0) if name == "total" else (1.7, 5.0)  # the total shows behind the part it equals
            x, y = place(data["step"]), data[name + suffix]
            drawing.line(axes, x, y, data["unskilled"], place.log, True, colour, marker, *sizes)
            drawing.average(axes, x, data, name + suffix, colour, log_y=True)
            if axes is left:
                handles.append(drawing.sample(colour, marker, label))
        place.dress(axes)
        drawing.shade(axes, data, place, options)
        axes.set_xlabel(drawing.STEP)
    null = float(data["null_loss"].iloc[0])
    dashed = {"color": style.MUTED, "linewidth": 1.2, "linestyle": (0, (6, 2))}
    left.axhline(null, **dashed)
    handles.append(Line2D([], [], label=f"Loss of {options.words.null}", **dashed))
    if floors:
        handles.append(_floor_line(left, float(first[ACTION_FLOOR])))
    left.set(title="Held-out loss and its two parts", ylabel=f"{options.words.error} ({drawing.unit(data)})")
    right.set(title="Learning speed of the parts", ylabel=f"Error relative to step {int(first['step']):,}")
    speed = [_mark_speed(right, data, place, name, *parts[name][1:]) for name in ("equivariance", "twirled")]
    legends = {"Loss": handles, f"Fall from step {int(first['step']):,}": speed}
    legends["How to read"] = drawing.guide(options, shading=True, band=False, threshold=False) + averages
    for i, (title, entries) in enumerate(legends.items()):
        drawing.legend(drawing.blank(figure, grid[1, 2 * i : 2 * i + 2]), entries, title)
    return figure, data


def _floor_line(axes: Axes, floor: float) -> Line2D:
    """Draw the interpolation floor where the axis reaches it; an entry for the legend that tells it anyway."""
    label = f"Interpolation floor of the equivariance error: {short(floor)}"
    if floor < axes.get_ylim()[0]:
        return Line2D([], [], linestyle="none", label=f"{label} (below the axis)")
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
        axes.scatter(
            place(reached["step"].head(1)), reached[f"{name}_relative"].head(1).clip(lower=axes.get_ylim()[0]),
            s=120, facecolor="none", edgecolor=colour, linewidth=1.2, zorder=4,
        )  # fmt: skip
        said.append(f"{100 * share:g} % by step {int(reached['step'].iloc[0]):,}")
    label = f"{name.capitalize()} error:\n{said[0]}, {said[1]}"
    return Line2D([], [], linestyle="none", marker="o", markersize=9, markerfacecolor="none", color=colour, label=label)
