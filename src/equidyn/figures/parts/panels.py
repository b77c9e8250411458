"""Drawings that several figures share: percent above skill, and equivariance error against skill.

Both take rows as `equidyn.study.selection.shown` returns them. A series, one entry of the legend, holds one curve per
run: the first is drawn in full, the others are its replicates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.variations import Looks
from equidyn.study.selection import is_control

PERCENT = "Share of held-out loss from\nequivariance error (%)"
MARKED = {"dip": "dip", "lowest": "lowest", "lowest_useful": "with skill"}
"""Flags that `marks` sets, and what they are called in legends."""


def percent_and_skill(
    data: pd.DataFrame, looks: Looks, options: Options, *, log_x: bool, log_y: bool, title: str
) -> Figure:
    """Percent above, skill below.

    Args:
        data: With the percent and its interval; rings are drawn if it has marks, shading if the baseline has one curve.
            If it has ``percent_smoothed``, that is drawn, and the percent itself faintly; if it has ``percent_floor``,
            the baseline's is.
        looks: Colour and marker of each series.
        options: What is drawn.
        log_x: Whether the step axis is logarithmic.
        log_y: Whether the percent axis is.
        title: Of the legend.
    """
    rings, shading = "dip" in data, "t" not in data
    figure, (above, below), column = drawing.stacked(3.1, 1)
    drawing.name_comparison(figure, data, options)
    place = drawing.Steps(data["step"], log=log_x)
    drawing.scale(above, data[["percent", "percent_low", "percent_high"]], log=log_y, include=options.threshold)
    below.set_ylim(-0.2, 1.0)
    handles = []
    for series, (colour, marker) in reversed(looks.items()):  # the first on top
        curves = data[data["series"] == series]
        for part, main in reversed(by_run(curves)):
            curve(above, part, "percent", place, colour, marker, main=main, log_y=log_y)
            skill = (part["skill"], part["unskilled"], log_x, False, colour, marker)
            drawing.line(below, place(part["step"]), *skill, width=1.7 if main else 0.9, size=3.2)
            if rings:
                _ring(above, part, place, colour)
        label = series + notes(curves, data, options)
        if rings:
            label += _marks_text(curves, options.threshold)
        handles.append(drawing.sample(colour, marker, label))
    place.dress(below)
    if shading:
        for axes in (above, below):
            drawing.shade(axes, data[data["run"] == options.baseline], place, options)
    reading = drawing.guide(options, shading=shading, band=True, rings=rings, seeds=has_replicates(data))
    above.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    low, high = above.get_ylim()
    if "percent_floor" in data:
        part = data[data["run"] == options.baseline]
        if part["percent_floor"].between(max(low, 0), high, inclusive="right").any():
            above.plot(place(part["step"]), part["percent_floor"], **drawing.FLOOR)
            reading.append(Line2D([], [], label="baseline: interpolation floor", **drawing.FLOOR))
    floor = float(data["floor_control"].max())
    if log_y and low <= floor <= high and options.control_is_exact(data):
        dotted = {"color": style.MUTED, "linewidth": 1, "linestyle": ":"}
        above.axhline(floor, **dotted)
        reading.append(Line2D([], [], label="numeric floor", **dotted))
    above.set_ylabel(PERCENT)
    below.set_xlabel(drawing.STEP)
    drawing.skill_axis(below, options)
    drawing.legends(column, handles[::-1], title, reading)
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
        name: Column of the quantity; ``{name}_low``, ``{name}_high`` and ``{name}_smoothed`` are looked for beside it.
        place: Of the steps.
        colour: Of the curve.
        marker: Of the curve.
        main: Whether it is the main one of its series; others are thin and have no interval.
        log_y: Whether the axis of the quantity is logarithmic.
    """
    x = place(part["step"])
    if main and f"{name}_low" in part:
        low, high = part[f"{name}_low"], part[f"{name}_high"]
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    if f"{name}_smoothed" in part:
        raw = part[name].where(part[name] > 0) if log_y else part[name]
        axes.plot(x, raw, color=colour, alpha=0.25, linewidth=0.9)
        name = f"{name}_smoothed"
    width, size = (1.7, 5.0) if main else (0.9, 3.2)
    drawing.line(axes, x, part[name], part["unskilled"], place.log, log_y, colour, marker, width, size)


def by_run(curves: pd.DataFrame) -> list[tuple[pd.DataFrame, bool]]:
    """The curve of each run of a series, and whether it is the first."""
    return [(part, i == 0) for i, (_, part) in enumerate(curves.groupby("run", sort=False))]


def has_replicates(data: pd.DataFrame) -> bool:
    """Whether some series holds several runs."""
    return bool((data.groupby("series")["run"].nunique() > 1).any())


def error_against_skill(
    data: pd.DataFrame, looks: Looks, options: Options, *, title: str
) -> tuple[Figure, pd.DataFrame]:
    """Relative equivariance error against skill, one path per series, markers growing with the step.

    The axis ends at the lowest error of a network; what lies below, as that of controls does, is drawn at its edge.

    Args:
        data: With the relative error; one run per series. If it has moving averages, they are drawn.
        looks: Colour and marker of each series.
        options: What is drawn.
        title: Of the legend.

    Returns:
        The figure, and the data with the flag ``below_axis``.
    """
    positive = data["relative_equivariance"].where(data["relative_equivariance"] > 0)
    networks = positive[~is_control(data)]
    low, high = drawing.log_limits(networks if networks.notna().any() else positive)
    data = data.assign(below_axis=~(data["relative_equivariance"] >= low))
    suffix = "_smoothed" if "skill_smoothed" in data else ""
    figure, (axes,), column = drawing.stacked(1)
    drawing.name_comparison(figure, data, options)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xscale("symlog", linthresh=1, linscale=2.2)
    left = min(-0.25, float(data["skill"].min()))
    axes.set_xlim(1.35 * left if left < -1 else left - 0.05, 1.0)
    axes.axvspan(axes.get_xlim()[0], -options.useful_skill, color=style.LIGHT_SHADE, linewidth=0, zorder=0)
    axes.axvspan(-options.useful_skill, options.useful_skill, color=style.DARK_SHADE, linewidth=0, zorder=0)
    handles = []
    for series, (colour, marker) in looks.items():
        path = data[data["series"] == series]
        x, y = path[f"skill{suffix}"], path[f"relative_equivariance{suffix}"].clip(lower=low)
        bold = path["run"].iloc[0] == options.baseline
        axes.plot(x, y, color=colour, linewidth=1.8 if bold else 1.1, alpha=0.85, clip_on=False)
        size = pd.Series(np.linspace(10, 62, len(path)), index=path.index)
        marked = path.iloc[drawing.some(len(path))]
        for below, symbol in ((False, marker), (True, "v")):
            part = marked[marked["below_axis"] == below]
            axes.scatter(
                x[part.index], y[part.index], s=size[part.index], marker=symbol,
                facecolor=["white" if unskilled else colour for unskilled in part["unskilled"]],
                edgecolor=colour, linewidth=1, clip_on=False, zorder=3,
            )  # fmt: skip
        text = series + notes(path, data, options)
        if path["below_axis"].all():
            text += f"\n(at most {short(path['relative_equivariance'].max())}: below the axis)"
        handles.append(drawing.sample(colour, "v" if path["below_axis"].all() else marker, text))
    ticks = [-1000, -100, -10, -1, 0, 0.5, 1]
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if t >= axes.get_xlim()[0]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    drawing.log_labels(axes.yaxis)
    axes.set(
        xlabel=f"Skill: 1 − loss / loss of {options.words.null}\n(linear from −1 to 1, logarithmic below)",
        ylabel="Relative equivariance error\n(variance over rotations / energy of what is predicted beyond the null)",
    )
    dot = {"linestyle": "none", "marker": "o", "markerfacecolor": style.INK, "color": style.INK}
    reading = [
        *drawing.skills(options, f"skill < {options.limit}", linestyle="-"),
        Line2D([], [], markersize=3, label="early checkpoint", **dot),
        Line2D([], [], markersize=8, label="late checkpoint", **dot),
        *drawing.shades(options, whose=""),
    ]
    drawing.legends(column, handles, title, reading)
    return figure, data


def notes(curves: pd.DataFrame, data: pd.DataFrame, options: Options) -> str:
    """What the legend says of a series beside its name: the baseline and the number of seeds, where series differ."""
    with_baseline = data.loc[data["run"] == options.baseline, "series"].unique()
    said = []
    if curves["series"].iloc[0] in with_baseline and len(with_baseline) < data["series"].nunique():
        said.append("baseline")
    seeds = data.groupby("series")["run"].nunique()
    if seeds[curves["series"].iloc[0]] > 1 and (len(seeds) == 1 or seeds.nunique() > 1):
        said.append(f"{curves['run'].nunique()} seeds")
    return f" ({', '.join(said)})" if said else ""


def series_handles(data: pd.DataFrame, looks: Looks, options: Options) -> list[Line2D]:
    """Legend entries of series, with what `notes` says of each."""
    return [
        drawing.sample(*look, name + notes(data[data["series"] == name], data, options)) for name, look in looks.items()
    ]


def overfitted_band(axes: Axes, part: pd.DataFrame, place: drawing.Steps, **look: Any) -> None:
    """A band from where a curve is overfitted, if it is; its first evaluation cannot exceed an earlier one."""
    if first := int(part["overfitted"].to_numpy().argmax()):
        x = place(part["step"])
        start = float(drawing.between(x[first - 1], x[first], place.log))
        axes.axvspan(start, axes.get_xlim()[1], linewidth=0, zorder=0, **look)


def _ring(axes: Axes, part: pd.DataFrame, place: drawing.Steps, colour: str) -> None:
    """Rings around the marked values of a curve."""
    low = part[part[list(MARKED)].any(axis=1)]
    axes.scatter(place(low["step"]), low["percent"], s=120, facecolor="none", edgecolor=colour, linewidth=1.1, zorder=4)


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
            lines.append(f"{', '.join(marks)}: {row['percent']:.2g} % at {step:,}")
    return "".join(f"\n  {line}" for line in lines)
