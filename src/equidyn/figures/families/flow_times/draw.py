"""Training dynamics of flow matching: how much of the held-out loss is equivariance error, at each flow time.

Each function takes the evaluation table and `Options`, and returns a figure with the rows it shows; the card lists
them. The conventions of all figures are in `equidyn.figures.parts.drawing`. Flow time t runs from 0, noise, to 1, data;
colours run with it. Curves are drawn as the moving average of `equidyn.analysis.smoothing`, what was measured lies
behind them faintly; where evaluations are far apart the two are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.analysis.overfitting import overfitted
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import (
    PERCENT,
    by_run,
    curve,
    has_replicates,
    overfitted_band,
    percent_and_skill,
    series_handles,
)
from equidyn.figures.parts.times import TIME, by_curve, smoothed, validation_loss
from equidyn.figures.parts.variations import AUGMENTATION, MODEL_SIZE, TRAIN_SIZE, Looks, Variation, labels, looks_of
from equidyn.study.selection import chosen, need, replicates, shown

_SHARE = ("t", "self_conditioning", "percent", "percent_low", "percent_high")


def percent_final_by_time(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent and skill at the last step of the baseline's replicates by flow time, a bar for each."""
    data = _replicates(table, options, _SHARE)
    data = data.loc[by_curve(data)["step"].idxmax()].reset_index(drop=True)
    looks = _time_looks(data)
    times, runs = list(looks), list(dict.fromkeys(data["run"]))
    width = 0.8 / len(runs)
    middle = data["series"].map(times.index)
    place = middle + width * (data["run"].map(runs.index) - (len(runs) - 1) / 2)
    colours = [looks[series][0] for series in data["series"]]
    faces = ["white" if unskilled else colour for unskilled, colour in zip(data["unskilled"], colours, strict=True)]
    unskilled = data[data["unskilled"] & (data["run"] == options.baseline)]
    figure, (above, below) = layout.stacked(2.1, 0.95, width=layout.TWO)
    for axes, name in ((above, "percent"), (below, "skill")):
        axes.bar(place, data[name], 0.92 * width, color=faces, edgecolor=colours, linewidth=0.8)
        if f"{name}_ema" in data:
            axes.scatter(place, data[f"{name}_ema"], marker="D", s=9, facecolor="white", edgecolor=style.INK, zorder=3)
        for at, skill in zip(middle[unskilled.index], unskilled["skill"], strict=True):
            axes.axvspan(at - 0.5, at + 0.5, color=drawing.shade_of(skill, options), linewidth=0, zorder=0)
    whiskers = np.clip([data["percent"] - data["percent_low"], data["percent_high"] - data["percent"]], 0, None)
    above.errorbar(place, data["percent"], whiskers, linestyle="none", color=style.INK, linewidth=0.7, capsize=1.5)
    above.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    for at, value, top in zip(place, data["percent"], data[["percent", "percent_high"]].max(axis=1), strict=True):
        above.annotate(
            f"{value:.2g}", (at, max(top, 0)), (0, 2.5), textcoords="offset points", ha="center", fontsize=style.NOTES,
            rotation=90 if len(runs) > 1 else 0,
        )  # fmt: skip
    shares = drawing.with_averages(data, ["percent", "percent_low", "percent_high"])
    drawing.scale(above, shares, log=False, include=options.threshold)
    above.set(ylabel=PERCENT, ylim=(above.get_ylim()[0], 1.12 * above.get_ylim()[1]))
    below.axhline(0, color=style.INK, linewidth=0.6)
    below.set(xlabel=TIME, xlim=(-0.6, len(times) - 0.4), ylim=(min(-0.05, 1.1 * data["skill"].min()), 1.0))
    drawing.skill_axis(below, options)
    below.set_xticks(range(len(times)), times)
    lasts = data.drop_duplicates("run")
    handles = [
        Patch(facecolor=style.MUTED, label=f"{name}, step {step:,}")
        for name, step in zip(labels(lasts, options), lasts["step"], strict=True)
    ]
    reading = [
        Patch(facecolor="white", edgecolor=style.INK, label=drawing.no_skill(options)),
        *drawing.shades(figure, options),
        Line2D([], [], color=style.INK, linewidth=0.7, marker="|", label=f"{options.level} interval"),
        Line2D([], [], label=f"{options.threshold:g} % of the loss", **drawing.THRESHOLD),
    ]
    for entry in drawing.averages(data):
        entry.set(marker="D", markersize=3, markerfacecolor="white", linestyle="none")
        entry.set_label(entry.get_label().replace("dotted", "diamonds"))
        reading.append(entry)
    layout.legends(figure, {"Bars from left to right": handles, "How to read": reading})
    return figure, data


def losses_by_time(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Total, twirled and equivariance error of the baseline against step by flow time."""
    parts = {"total": "Total loss", "twirled": "Twirled loss", "equivariance": "Equivariance error"}
    data = _replicates(table, options, ("t", "self_conditioning", *parts, "null_loss"))
    data = smoothed(data[data["run"] == options.baseline].reset_index(drop=True), list(parts))
    looks = _time_looks(data)
    figure, panels = layout.tiled(len(parts), len(parts), 2.3)
    place = drawing.Steps(data["step"], log=True)
    for axes, (name, label) in zip(panels, parts.items(), strict=True):
        # One scale: two parts add up to the third.
        drawing.scale(axes, drawing.with_averages(data, list(parts)), log=True)
        for series, (colour, marker) in looks.items():
            curve(axes, data[data["series"] == series], name, place, colour, marker)
        place.dress(axes, narrow=True)
        axes.set(title=label, xlabel=drawing.STEP)
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    panels[0].set_ylabel(f"{options.words.error} ({drawing.unit(data)})")
    handles = [drawing.sample(*look, series) for series, look in looks.items()]
    reading = drawing.guide(figure, options, band=False, threshold=False) + drawing.averages(data)
    layout.legends(figure, {TIME: handles, "How to read": reading})
    return figure, data


def _percent_by_time(table: pd.DataFrame, options: Options, *, log_y: bool) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates by flow time."""
    data = smoothed(_replicates(table, options, _SHARE), ["percent"])
    looks = _time_looks(data)
    return percent_and_skill(data, looks, options, log_y=log_y, title=TIME, width=layout.TWO), data


def _percent_by_time_and(table: pd.DataFrame, options: Options, variation: Variation) -> tuple[Figure, pd.DataFrame]:
    """A panel per flow time with a colour per setting, and one of the validation loss that tells overfitting."""
    rows = variation.rows(table, options)
    data = shown(rows, [*_SHARE, "total"], options, variation.names(rows, options))
    for name in drawing.with_averages(data, ["total"]):
        data[name.replace("total", "validation_loss")] = validation_loss(data, name)
    data = smoothed(data, ["percent", "validation_loss"])
    data["overfitted"] = by_curve(data)["validation_loss_smoothed"].transform(overfitted).astype(bool)
    looks = variation.looks(data)
    times = sorted(data["t"].unique())
    columns = layout.most_square(len(times) + 1)
    figure, panels = layout.tiled(len(times) + 1, columns, 1.7)
    place = drawing.Steps(data["step"], log=True)
    useful = data[~data["unskilled"].groupby(data["t"]).transform("all")]
    for axes, time in zip(panels, times, strict=False):
        # One scale for all times but those at which nothing is ever predicted, where the share falls for ever.
        scaled = useful if time in set(useful["t"]) else data[data["t"] == time]
        shares = drawing.with_averages(scaled, ["percent", "percent_low", "percent_high"])
        drawing.scale(axes, shares, log=True, include=options.threshold)
        _curves(axes, data[data["t"] == time], "percent", place, looks)
        axes.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
        axes.set_title(f"t = {short(time)}")
    drawing.scale(panels[-1], drawing.with_averages(data, ["validation_loss"]), log=True)
    _curves(panels[-1], data[data["t"] == times[0]].assign(unskilled=False), "validation_loss", place, looks)
    panels[-1].set_title(f"Validation loss ({drawing.unit(data)})")
    for i, axes in enumerate(panels):
        outer = i + columns >= len(panels)
        axes.tick_params(labelbottom=outer)
        axes.set_xlabel(drawing.STEP if outer else "")
    for axes in panels[:-1:columns]:
        axes.set_ylabel(PERCENT)
    reading = drawing.guide(figure, options, band=True, seeds=has_replicates(data))
    reading += drawing.averages(data)
    if any(axes.patches for axes in panels):
        reading.append(Patch(facecolor=style.PALETTE[0], alpha=0.14, label="overfitted from its left edge on"))
    reading.append(layout.remark("Validation loss: mean over t of error / (1 − t)²"))
    layout.legends(figure, {variation.title: series_handles(data, looks), "How to read": reading})
    return figure, data


percent_by_time_loglog = partial(_percent_by_time, log_y=True)
percent_by_time_logx = partial(_percent_by_time, log_y=False)
percent_by_time_and_train_size = partial(_percent_by_time_and, variation=TRAIN_SIZE)
percent_by_time_and_model_size = partial(_percent_by_time_and, variation=MODEL_SIZE)
percent_by_time_and_augmentation = partial(_percent_by_time_and, variation=AUGMENTATION)


def _curves(axes: Axes, data: pd.DataFrame, name: str, place: drawing.Steps, looks: Looks) -> None:
    """Curves of a panel, and where the first run of each series is overfitted."""
    place.dress(axes, narrow=True)
    for series, (colour, marker) in reversed(looks.items()):
        for part, main in reversed(by_run(data[data["series"] == series])):
            curve(axes, part, name, place, colour, marker, main=main)
            if main:
                overfitted_band(axes, part, place, color=colour, alpha=0.14)


def _replicates(table: pd.DataFrame, options: Options, columns: Sequence[str]) -> pd.DataFrame:
    """Rows of the baseline and of its replicates, one series per flow time."""
    rows = replicates(chosen(table, options), options.baseline)
    need(rows, ["t"])
    return shown(rows, columns, options, rows["t"].map(short))


def _time_looks(data: pd.DataFrame) -> Looks:
    return looks_of(data.sort_values("t")["series"], style.timed)
