"""Silence and symmetry: whether the share of equivariance error falls before a network predicts anything.

The conventions of all figures are in `equidyn.figures.parts.drawing`.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import by_run, curve, has_replicates
from equidyn.figures.parts.times import at_times, smoothed
from equidyn.study.labels import BASELINE
from equidyn.study.selection import chosen, need, replicates, shown

_COLUMNS = ("percent", "percent_low", "percent_high", "relative_equivariance", "skill")
_LOOKS = {
    "percent": ("share of the loss", style.PALETTE[0], "o"),
    "relative_percent": ("relative error", style.PALETTE[1], "s"),
    "skill": ("skill", style.PALETTE[2], "^"),
}
"""Name, colour and marker of each curve."""
_MARKED = {"percent": "small_share", "relative_percent": "small_error", "skill": "half_learned"}
"""Columns that flag the first step at which each curve has got there."""
_DASH = 7  # length, in widths of the line


def silence_and_symmetry(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Share and relative error above, skill below, against step; a column of panels for each of a few flow times."""
    rows = replicates(chosen(table, options), options.baseline)
    if options.timed:
        need(rows, ["t"])
        rows = at_times(rows)
        series = [f"t = {short(t)}" for t in rows["t"]]
        data = shown(rows, [*_COLUMNS, "t", "self_conditioning", "flow_times"], options, series)
    else:
        data = shown(rows, _COLUMNS, options, [BASELINE] * len(rows))
    for name in drawing.with_averages(data, ["relative_equivariance"]):
        data[name.replace("relative_equivariance", "relative_percent")] = 100 * data[name]
    data = _marked(data, options)
    data = smoothed(data, list(_LOOKS)) if options.timed else data
    parts = [part for _, part in data.groupby("t")] if options.timed else [data]
    figure, grid = layout.sheet(layout.TWO if options.timed else layout.ONE, (2.05, 1.0), len(parts))
    place = drawing.Steps(data["step"], log=True)
    shares = drawing.with_averages(data, ["percent", "relative_percent"])
    for i, part in enumerate(parts):
        above = figure.add_subplot(grid[0, i])
        below = figure.add_subplot(grid[1, i], sharex=above)
        drawing.scale(above, shares, log=True, include=options.threshold)
        below.set_ylim(-0.2, 1.0)
        place.dress(below, narrow=options.timed)
        _curves(above, below, part, place)
        for axes in (above, below):
            drawing.shade(axes, part[part["run"] == options.baseline], place, options)
            axes.tick_params(labelleft=i == 0)
        above.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
        above.tick_params(labelbottom=False)
        above.set_title(part["series"].iloc[0] if options.timed else "")
        below.set_xlabel(drawing.STEP)
        drawing.skill_axis(below, options)
        if i:
            below.set_ylabel("")
        else:
            above.set_ylabel("Equivariance error (%)")
    handles = [_handle(data, parts, name, options.timed) for name in _LOOKS]
    reading = drawing.guide(figure, options, band=True, threshold=False, seeds=has_replicates(data))
    reading += drawing.averages(data)
    reading.append(Line2D([], [], label=f"{options.threshold:g} %", **drawing.THRESHOLD))
    layout.legends(figure, {"Curve, and first step (vertical)": handles, "How to read": reading})
    return figure, data


def _marked(data: pd.DataFrame, options: Options) -> pd.DataFrame:
    """The flags of `_MARKED`; what was measured decides, not a moving average."""
    curves = ["run", "t"] if "t" in data else ["run"]
    best = data.groupby(curves)["skill"].transform("max")
    reached = {
        "percent": data["percent"] <= options.threshold,
        "relative_percent": data["relative_percent"] <= options.threshold,
        "skill": (best > 0) & (data["skill"] >= best / 2),
    }
    keys = [data[name] for name in curves]
    return data.assign(
        **{_MARKED[name]: there & (there.groupby(keys).cumsum() == 1) for name, there in reached.items()}
    )


def _curves(above: Axes, below: Axes, part: pd.DataFrame, place: drawing.Steps) -> None:
    """Curves of all seeds in a column of panels, and where the first gets; equal steps share a line of dashes."""
    reached: dict[float, list[str]] = {}
    for name, (_, colour, marker) in _LOOKS.items():
        axes = below if name == "skill" else above
        for run, main in reversed(by_run(part)):
            curve(axes, run, name, place, colour, marker, main=main, log_y=axes is above)
            if main:
                for x in place(run.loc[run[_MARKED[name]], "step"]):
                    reached.setdefault(x, []).append(colour)
    for x, colours in reached.items():
        for i, colour in enumerate(colours):
            dashes = (_DASH * i, (_DASH, _DASH * (len(colours) - 1))) if len(colours) > 1 else "-"
            for axes in (above, below):
                axes.axvline(x, color=colour, linewidth=0.7, linestyle=dashes, zorder=1.5)


def _handle(data: pd.DataFrame, parts: list[pd.DataFrame], name: str, timed: bool) -> Line2D:
    """Entry of a curve in the legend, with the steps of its vertical lines."""
    text, colour, marker = _LOOKS[name]
    lines = [f"{text}, half of the best" if name == "skill" else f"{text} ≤ 2 %"]
    for part in parts:
        seeds = [_step(run, name) for run, _ in by_run(part)]
        said = seeds[0] + (f" ({', '.join(seeds[1:])})" if len(seeds) > 1 else "")
        lines.append(f" {part['series'].iloc[0]}: {said}" if timed else f" step {said}")
    return drawing.sample(colour, marker, "\n".join(lines))


def _step(run: pd.DataFrame, name: str) -> str:
    steps = run.loc[run[_MARKED[name]], "step"]
    return f"{steps.iloc[0]:,}" if len(steps) else "never"
