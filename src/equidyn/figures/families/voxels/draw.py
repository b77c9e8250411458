"""Figures of grids: ways of comparing predictions side by side, and what turning grids costs by itself.

The conventions of all figures are in `equidyn.figures.parts.drawing`. A way of comparing has the same
colour in all figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from equidyn.core.numbers import power, several, short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, curve
from equidyn.figures.parts.variations import by_comparison, comparison_looks, comparison_names
from equidyn.study.selection import ACTION_FLOOR, chosen, need, of_baseline, shown

_FLOORS = (
    "spacing", "centre", "group", "comparison", "relative_error", "total", "equivariance", "percent", "molecules",
    "rotations",
)  # fmt: skip


_ROUNDING = 1e-12
"""Relative errors that are no more than rounding in double precision."""


def percent_by_action(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent, equivariance error and skill of the baseline against step, one colour per comparison, with floors.

    Losses of several comparisons have several scales, so equivariance errors are relative to the null loss.
    """
    rows = by_comparison(of_baseline(chosen(table, options, every=("group", "comparison")), options), options)
    columns = ("percent", "percent_low", "percent_high", "total", "equivariance", "null_loss", ACTION_FLOOR)
    data = shown(rows, columns, options, comparison_names(rows, options))
    data["percent_floor"] = 100 * data[ACTION_FLOOR] / data["total"]
    for name in drawing.with_averages(data, ["equivariance"]):
        data[name.replace("equivariance", "equivariance_over_null")] = data[name] / data["null_loss"]
    data["floor_over_null"] = data[ACTION_FLOOR] / data["null_loss"]
    looks = comparison_looks(data, options)
    figure, panels = layout.stacked(1.75, 1.6, 0.95)
    share, error, skill = panels
    place = drawing.Steps(data["step"], log=True)
    shares = drawing.with_averages(data, ["percent", "percent_low", "percent_high"])
    drawing.scale(share, shares, log=True, include=options.threshold)
    errors = drawing.with_averages(data, ["equivariance_over_null"])
    drawing.scale(error, errors, log=True, include=drawing.in_reach(data["floor_over_null"], errors))
    skill.set_ylim(-0.2, 1.0)
    for series, (colour, marker) in reversed(looks.items()):  # the first on top
        part = data[data["series"] == series]
        for axes, name, floor in (
            (share, "percent", "percent_floor"), (error, "equivariance_over_null", "floor_over_null"),
        ):  # fmt: skip
            curve(axes, part, name, place, colour, marker)
            axes.plot(place(part["step"]), part[floor].where(part[floor] > 0), **drawing.FLOOR | {"color": colour})
        x, unskilled = place(part["step"]), part["unskilled"]
        drawing.line(skill, x, part["skill"], unskilled, place.log, False, colour, marker, size=style.DOT)
        drawing.average(skill, x, part, "skill", colour, log_y=False)
    place.dress(skill)
    share.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    share.set_ylabel(PERCENT)
    error.set_ylabel(f"Equivariance error /\nloss of {options.words.null}")
    skill.set_xlabel(drawing.STEP)
    drawing.skill_axis(skill, options)
    handles = [drawing.sample(colour, marker, series) for series, (colour, marker) in looks.items()]
    reading = drawing.guide(figure, options, band=True) + drawing.averages(data)
    reading.append(Line2D([], [], label="interpolation floor, in the colour of its rotations", **drawing.FLOOR))
    layout.legends(figure, {"Rotations": handles, "How to read": reading})
    return figure, data


def interpolation_floor(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Error of a perfect prediction by spacing, centre and comparison, and the equivariance error's share of it.

    Args:
        table: One row per spacing, centre and comparison, as `equidyn.analysis.interpolation` makes them.
        options: The ways of comparing predictions.

    Returns:
        The figure, and the rows by spacing, centre and comparison.

    Raises:
        ValueError: There is nothing to draw, or an unknown comparison.
    """
    need(table, _FLOORS)
    if table.empty:
        raise ValueError("the table of floors has no rows: measure the floors first")
    data = by_comparison(table, options).sort_values(["spacing", "centre"], kind="stable").reset_index(drop=True)
    data.insert(0, "series", comparison_names(data, options))
    looks = comparison_looks(data, options)
    drawn = data["relative_error"].where(data["relative_error"] > _ROUNDING)
    centres = data["centre"].str.replace(", ", ",\n")
    grids = [f"{short(spacing)} Å\n{centre}" for spacing, centre in zip(data["spacing"], centres, strict=True)]
    names = list(dict.fromkeys(grids))
    offsets = {series: 0.7 * ((i + 0.5) / len(looks) - 0.5) for i, series in enumerate(looks)}
    place = np.array([names.index(grid) for grid in grids]) + data["series"].map(offsets)
    figure, (above, below) = layout.stacked(2.2, 1.35, width=layout.TWO)
    drawing.scale(above, drawn.to_frame(), log=True)
    drawing.scale(below, data[["percent"]], log=False, include=1.0)
    least = above.get_ylim()[0]
    for axes, name in ((above, "relative_error"), (below, "percent")):
        axes.set_ylim(axes.get_ylim()[0], _headroom(axes.get_ylim(), log=axes is above))
        heights = data[name].where(drawn.notna(), least) if axes is above else data[name]
        for series, (colour, marker) in looks.items():
            own = data["series"] == series
            seen = own & drawn.notna() if axes is above else own
            axes.plot(place[seen], heights[seen], linestyle="none", marker=marker, markersize=4.5, color=colour)
            if (hidden := own & ~seen).any():
                look = {"linestyle": "none", "marker": "v", "markersize": 4.5, "color": colour, "clip_on": False}
                axes.plot(place[hidden], heights[hidden], **look)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=False, axis="x")
        for i in range(1, len(names)):
            axes.axvline(i - 0.5, color=style.MUTED, linewidth=0.5)
        for x, value, top in zip(place, data[name], heights, strict=True):
            axes.annotate(
                power(value) if 0 < value < 1e-3 else f"{value:.2g}", (x, top), (0, 4),
                textcoords="offset points", ha="center", fontsize=style.NOTES,
            ).set_in_layout(False)  # fmt: skip
    above.set_ylabel("Error of a perfect prediction\nrelative to the target's square")
    below.set_ylabel("Equivariance\nshare of it (%)")
    below.set(xlim=(-0.5, len(names) - 0.5), xlabel="Distance between voxels, and centre of the grid")
    below.set_xticks(range(len(names)), names)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, linestyle="none", label=series)
        for series, (colour, marker) in looks.items()
    ]
    reading = []
    if drawn.isna().any():
        text = "at the foot: none, or rounding alone"
        reading.append(Line2D([], [], color=style.INK, marker="v", markersize=4.5, linestyle="none", label=text))
    layout.legends(figure, {"Rotations": handles, "How to read": reading})
    return figure, data


def floor_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """From how much floors were measured, for captions."""
    amount = f"{several(data['molecules'])} {options.words.examples}, {several(data['rotations'])} rotations each"
    return [f"Evidence: {amount}."]


def _headroom(limits: tuple[float, float], *, log: bool) -> float:
    """Upper limit that leaves a fifth of the axis for the numbers on top of the bars."""
    low, high = limits
    return high * (high / low) ** 0.25 if log else high + 0.25 * (high - low)
