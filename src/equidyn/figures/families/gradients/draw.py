"""Gradients of the two parts of the held-out loss: is equivariance error a small share because its gradient is large?

Figures of the analysis of kind "gradients", whose tables `equidyn.analysis.gradients.measure` fills. The conventions of
all figures are in `equidyn.figures.parts.drawing`. Quantities are drawn against each other as a path through the
checkpoints, coloured by step, with correlations of `equidyn.analysis.correlation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.core.numbers import several, short
from equidyn.figures.parts import drawing, layout, paths, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, curve
from equidyn.study.selection import need

RATIO = "Gradient norm of the equivariance error\n/ of the twirled loss"
GROUPS = {
    "all": (style.INK, "o"),
    "embedding": (style.PALETTE[2], "^"),
    "blocks": (style.PALETTE[3], "D"),
    "head": (style.PALETTE[1], "s"),
}
"""Colour and marker of groups of parameters."""

_RATIO = ("ratio", "ratio_low", "ratio_high")
_SHARE = ("percent", "percent_low", "percent_high")
_COSINE = ("cosine", "cosine_low", "cosine_high")
_NORMS = tuple(f"{part}_norm{suffix}" for part in (*drawing.PARTS, "total") for suffix in ("", "_plugin"))
_SIZES = ("parameter_group", "group_parameters", "folds")
_PALE: dict[str, Any] = {"alpha": 0.4, "linewidth": 2.0}
_SEEN = 2.0  # factor by which an interval may stretch an axis


def gradient_ratio(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against the ratio of gradient norms, a path through the baseline's checkpoints; other runs faintly.

    Args:
        table: Of kind "gradients"; the group "all" of parameters is shown.
        options: What is drawn.

    Returns:
        The figure, and the rows shown with the correlation of the logarithms along each run.
    """
    data = _ratios(table, options)
    figure, (axes,) = layout.stacked(2.9)
    colours = paths.StepColours(data.loc[data["run"] == options.baseline, "step"])
    _ratio_panel(axes, data, data, options, colours, room=0.2)
    axes.set(xlabel=RATIO, ylabel=PERCENT)
    colours.bar(figure, [axes])
    handles = paths.run_handles(data, options, correlations=data["run"].nunique() > 1)
    layout.legends(figure, {"Run": handles, "How to read": paths.path_guide(options)})
    return figure, data


def gradient_ratio_by_time(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against the ratio of gradient norms, one panel per flow time; see `gradient_ratio`."""
    need(table, ["t"])
    data = _ratios(table, options)
    times = sorted(data["t"].unique())
    columns = layout.most_square(len(times))
    figure, panels = layout.tiled(len(times), columns, 1.75)
    colours = paths.StepColours(data.loc[data["run"] == options.baseline, "step"])
    for i, (axes, time) in enumerate(zip(panels, times, strict=True)):
        _ratio_panel(axes, data[data["t"] == time], data, options, colours, room=0.24)
        axes.set_title(f"t = {short(time)}")
        axes.tick_params(labelbottom=i + columns >= len(panels), labelleft=i % columns == 0)
        axes.set_ylabel(PERCENT if i % columns == 0 else "")
        if i // columns == (len(panels) - 1) // columns:
            axes.set_xlabel("Gradient norm ratio,\nequivariance / twirled")
    colours.bar(figure, panels)
    layout.legends(figure, {"Run": paths.run_handles(data, options), "How to read": paths.path_guide(options)})
    return figure, data


def gradient_split(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Norms of the two gradients of the baseline against step; their ratio and the angle, by group of parameters.

    Args:
        table: Of kind "gradients".
        options: What is drawn.

    Returns:
        The figure, and the rows shown, by group of parameters and step.
    """
    need(table, ["parameter_group"])
    columns = [*_SIZES, *_NORMS, *_RATIO, "ratio_plugin", *_COSINE]
    groups = [group for group in GROUPS if group in set(table["parameter_group"])]
    parts = [paths.of_runs(table[table["parameter_group"] == group], options, columns) for group in groups]
    data = pd.concat([part[part["run"] == options.baseline] for part in parts], ignore_index=True)
    whole = data[data["parameter_group"] == groups[0]]
    figure, panels = layout.stacked(1.7, 1.6, 1.35)
    norms, ratio, cosine = panels
    place = drawing.Steps(data["step"], log=True)
    names = [f"{part}_norm{suffix}" for part in drawing.PARTS for suffix in ("", "_plugin")]
    drawing.scale(norms, whole[names], log=True)
    drawing.scale(ratio, _near(data, "ratio"), log=True)
    for part, (_, colour, marker) in reversed(drawing.PARTS.items()):
        norms.plot(place(whole["step"]), whole[f"{part}_norm_plugin"], color=colour, **_PALE)
        curve(norms, whole, f"{part}_norm", place, colour, marker)
    for group in reversed(groups):
        rows = data[data["parameter_group"] == group]
        # Bands of several colours over one another would be brown.
        drawn = rows if group == groups[0] else rows.drop(columns=["ratio_low", "ratio_high"])
        curve(ratio, drawn, "ratio", place, *GROUPS[group])
        curve(cosine, rows, "cosine", place, *GROUPS[group], main=group == groups[0], log_y=False)
    place.dress(cosine)
    for axes in panels:
        drawing.shade(axes, whole, place, options)
    cosine.axhline(0, color=style.INK, linewidth=0.6)
    ends = _near(data, "cosine").fillna(0.0)
    low, high = ends.min(axis=None), ends.max(axis=None)
    margin = 0.06 * (max(high, 0.0) - min(low, 0.0) or 1.0)
    cosine.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)
    norms.set_ylabel(f"Norm, all parameters\n({drawing.unit(data)} per weight)")
    ratio.set_ylabel("Ratio of norms,\nequivariance / twirled")
    cosine.set(ylabel="Cosine of the\ngradients' angle", xlabel=drawing.STEP)
    layout.legends(figure, _split_legends(figure, data, groups, options))
    return figure, data


def _split_legends(figure: Figure, data: pd.DataFrame, groups: list[str], options: Options) -> dict[str, list[Any]]:
    parts = [
        drawing.sample(colour, marker, f"of the {name.lower()}") for name, colour, marker in drawing.PARTS.values()
    ]
    text = "pale: plug-in norm, which noise in the gradient raises"
    parts.append(Line2D([], [], color=style.MUTED, label=text, **_PALE))
    sizes = data.groupby("parameter_group")["group_parameters"].first()
    handles = [
        drawing.sample(*GROUPS[group], f"{group} ({sizes[group]:,} parameter{'s' if sizes[group] > 1 else ''})")
        for group in groups
    ]
    reading = drawing.guide(figure, options, band=False, threshold=False)
    reading.append(drawing.interval(options, f", of ratio and cosine for {groups[0]} parameters alone"))
    return {"Gradient": parts, "Parameters": handles, "How to read": reading}


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How gradients were measured, correlations, and what has no place in the figure, for captions."""
    limit = options.limit
    sentences = evidence(data, options)
    sentences.append(
        f"Norms are those of the gradient of the mean over all examples, without the bias that noise gives them: inner "
        f"products are taken between {several(data['folds'])} folds of the data only, whose clusters differ; intervals "
        "of ratios and cosines are by jackknife over the folds."
    )
    if "pearson" in data:
        sentences += paths.correlation_notes(data, options, "ratio", "percent")
        sentences.append(f"Open markers: skill below {limit}, where a low share means little.")
        gone = data[~(paths.positive(data["ratio"]) & paths.positive(data["percent"]))]
    else:
        last = data[data["step"] == data["step"].max()]
        said = ", ".join(
            f"{'not told from zero' if np.isnan(row.ratio) else short(row.ratio)} ({row.parameter_group})"
            for row in last.itertuples()
        )
        sentences.append(f"Ratios at the last step: {said}.")
        sentences.append(f"Dashed lines with open markers, and shading: skill below {limit}.")
        gone = data[~(data[["twirled_norm", "equivariance_norm"]] > 0).all(axis=1)]
    if len(gone):
        sentences.append(
            f"{len(gone)} of {len(data)} estimates cannot be drawn: the corrected square of a norm, or the share, is "
            "not positive."
        )
    return sentences


def _ratios(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows of the group "all" with correlations."""
    need(table, ["parameter_group"])
    columns = [*_SIZES, *_SHARE, *_RATIO, "ratio_plugin"]
    return paths.correlated(
        paths.of_runs(table[table["parameter_group"] == "all"], options, columns), "ratio", "percent", options
    )


def _ratio_panel(
    axes: Axes, part: pd.DataFrame, whole: pd.DataFrame, options: Options, colours: paths.StepColours, room: float
) -> None:
    """Paths of all runs, on axes that hold the whole data, and the baseline's correlation below them."""
    paths.log_axis(axes, "x", _near(whole, "ratio"))
    paths.log_axis(axes, "y", _near(whole, "percent"), room)
    paths.draw(axes, part, "ratio", "percent", options, colours)
    row = next(part[part["run"] == options.baseline].itertuples(), None)
    if row is not None:
        paths.box(axes, paths.correlation_text(row, "\n"))


def _near(data: pd.DataFrame, name: str) -> pd.DataFrame:
    """Values and their intervals, which are cut where they would press the values of a panel flat."""
    value, low, high = (data[f"{name}{end}"] for end in ("", "_low", "_high"))
    if name == "cosine":
        return pd.DataFrame({"value": value, "low": low.clip(lower=-1), "high": high.clip(upper=1)})
    return pd.DataFrame({"value": value, "low": low.clip(value / _SEEN), "high": high.clip(upper=value * _SEEN)})
