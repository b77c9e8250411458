"""What several figures share: percent above skill, curves, and what legends say of series.

Rows are as `equidyn.study.selection.shown` returns them. A series, one entry of the legend, holds one curve per
run: the first is drawn in full, the others are its replicates.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.variations import Looks

PERCENT = "Share of loss from\nequivariance error (%)"
MARKED = {"dip": "dip", "lowest": "lowest", "lowest_useful": "with skill"}
"""Flags that `marks` sets, and what they are called in legends."""


def percent_and_skill(
    data: pd.DataFrame, looks: Looks, options: Options, *, title: str, log_y: bool = True, width: float = layout.ONE
) -> Figure:
    """Percent above, skill below.

    Args:
        data: With the percent and its interval; rings are drawn if it has marks, shading if the baseline has one curve.
            If it has ``percent_smoothed``, that is drawn, and the percent itself faintly; if it has ``percent_floor``,
            the baseline's is.
        looks: Colour and marker of each series.
        options: What is drawn.
        title: Of the legend.
        log_y: Whether the percent axis is logarithmic.
        width: Of the figure.
    """
    rings, shading = "dip" in data, "t" not in data
    figure, (above, below) = layout.stacked(2.15, 0.95, width=width)
    place = drawing.Steps(data["step"], log=True)
    shares = drawing.with_averages(data, ["percent", "percent_low", "percent_high"])
    drawing.scale(above, shares, log=log_y, include=options.threshold)
    below.set_ylim(-0.2, 1.0)
    handles = []
    for series, (colour, marker) in reversed(looks.items()):  # the first on top
        curves = data[data["series"] == series]
        for part, main in reversed(by_run(curves)):
            curve(above, part, "percent", place, colour, marker, main=main, log_y=log_y)
            skill = (part["skill"], part["unskilled"], True, False, colour, marker)
            drawing.line(below, place(part["step"]), *skill, style.LINE if main else style.THIN, style.DOT)
            if main:
                drawing.average(below, place(part["step"]), part, "skill", colour, log_y=False)
            if rings:
                _ring(above, part, place, colour)
        label = series + notes(curves, data)
        if rings:
            label += _marks_text(curves, options.threshold)
        handles.append(drawing.sample(colour, marker, label))
    place.dress(below)
    if shading:
        for axes in (above, below):
            drawing.shade(axes, data[data["run"] == options.baseline], place, options)
    reading = drawing.guide(figure, options, band=True, rings=rings, seeds=has_replicates(data))
    reading += drawing.averages(data)
    above.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    low, high = above.get_ylim()
    if "percent_floor" in data:
        part = data[data["run"] == options.baseline]
        if part["percent_floor"].between(max(low, 0), high, inclusive="right").any():
            above.plot(place(part["step"]), part["percent_floor"], **drawing.FLOOR)
            reading.append(Line2D([], [], label="baseline: interpolation floor", **drawing.FLOOR))
    floor = float(data["floor_control"].max())
    if log_y and low <= floor <= high and options.control_is_exact(data):
        dotted = {"color": style.MUTED, "linewidth": 0.7, "linestyle": ":"}
        above.axhline(floor, **dotted)
        reading.append(Line2D([], [], label="numeric floor", **dotted))
    above.set_ylabel(PERCENT)
    below.set_xlabel(drawing.STEP)
    drawing.skill_axis(below, options)
    layout.legends(figure, {title: handles[::-1], "How to read": reading})
    return figure


def curve(
    axes: Axes,
    part: pd.DataFrame,
    name: str,
    place: drawing.Steps,
    colour: str,
    marker: str,
    *,
    main: bool = True,
    log_y: bool = True,
) -> None:
    """One curve of a quantity, with its interval and its moving average where the data has them.

    Args:
        axes: Where.
        part: Rows of one curve.
        name: Column of the quantity; ``{name}_low``, ``{name}_high``, ``{name}_smoothed`` and ``{name}_ema`` are looked
            for beside it.
        place: Of the steps.
        colour: Of the curve.
        marker: Of the curve.
        main: Whether it is the main one of its series; others are thin, without interval and averaged weights.
        log_y: Whether the axis of the quantity is logarithmic.
    """
    x = place(part["step"])
    if main and f"{name}_low" in part:
        low, high = part[f"{name}_low"], part[f"{name}_high"]
        axes.fill_between(x, low, high, color=colour, alpha=drawing.BAND, linewidth=0)
    if main:
        drawing.average(axes, x, part, name, colour, log_y=log_y)
    if f"{name}_smoothed" in part:
        raw = part[name].where(part[name] > 0) if log_y else part[name]
        axes.plot(x, raw, color=colour, alpha=0.25, linewidth=style.THIN)
        name = f"{name}_smoothed"
    width, size = (style.LINE, style.MARKER) if main else (style.THIN, style.DOT)
    drawing.line(axes, x, part[name], part["unskilled"], place.log, log_y, colour, marker, width, size)


def by_run(curves: pd.DataFrame) -> list[tuple[pd.DataFrame, bool]]:
    """The curve of each run of a series, and whether it is the first."""
    return [(part, i == 0) for i, (_, part) in enumerate(curves.groupby("run", sort=False))]


def has_replicates(data: pd.DataFrame) -> bool:
    """Whether some series holds several runs."""
    return bool((data.groupby("series")["run"].nunique() > 1).any())


def notes(curves: pd.DataFrame, data: pd.DataFrame) -> str:
    """What the legend says of a series beside its name: the number of seeds, where series differ in it."""
    seeds = data.groupby("series")["run"].nunique()
    own = curves["run"].nunique()
    return f", {own} seeds" if own > 1 and (len(seeds) == 1 or seeds.nunique() > 1) else ""


def series_handles(data: pd.DataFrame, looks: Looks) -> list[Line2D]:
    """Legend entries of series, with what `notes` says of each."""
    return [drawing.sample(*look, name + notes(data[data["series"] == name], data)) for name, look in looks.items()]


def overfitted_band(axes: Axes, part: pd.DataFrame, place: drawing.Steps, **look: Any) -> None:
    """A band from where a curve is overfitted, if it is; its first evaluation cannot exceed an earlier one."""
    if first := int(part["overfitted"].to_numpy().argmax()):
        x = place(part["step"])
        start = float(drawing.between(x[first - 1], x[first], place.log))
        axes.axvspan(start, axes.get_xlim()[1], linewidth=0, zorder=0, **look)


def _ring(axes: Axes, part: pd.DataFrame, place: drawing.Steps, colour: str) -> None:
    """Rings around the marked values of a curve."""
    low = part[part[list(MARKED)].any(axis=1)]
    look = drawing.RING | {"markeredgecolor": colour}
    axes.plot(place(low["step"]), low["percent"], zorder=4, **look)


def marks(data: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Where each run's percent is lowest: of all steps, of those with useful skill, and in its first dip.

    The dip is the lowest value, at or below the threshold, before the first rise to twice that value.
    """
    flags = pd.DataFrame(False, index=data.index, columns=list(MARKED))
    for _, part in data.groupby("run"):
        percent = part["percent"].dropna()
        useful = percent[~part["unskilled"]]
        for name, values in (("lowest", percent), ("lowest_useful", useful)):
            if len(values):
                flags.loc[values.idxmin(), name] = True
        bottom = percent.cummin()
        risen = percent[(percent >= 2 * bottom) & (bottom <= threshold)]
        if len(risen):
            flags.loc[percent.loc[: risen.index[0]].idxmin(), "dip"] = True
    return flags


def _marks_text(part: pd.DataFrame, threshold: float) -> str:
    """The marked values of one run, for the legend; where marks coincide, once."""
    lines = []
    below = part.loc[part["percent"] <= threshold, "step"]
    if len(below):
        lines.append(f"≤ {threshold:g} % first at step {below.iloc[0]:,}")
    for step, row in part.set_index("step").iterrows():
        marks = [text for name, text in MARKED.items() if row[name]]
        if "lowest" in marks and "with skill" in marks:
            marks.remove("with skill")
        if marks:
            lines.append(f"{', '.join(marks)} {row['percent']:.2g} % at {step:,}")
    return "".join(f"\n {line}" for line in lines)
