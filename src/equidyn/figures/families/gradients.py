"""Gradients of the two parts of the held-out loss: is equivariance error a small share because its gradient is large?

Figures of the analysis of kind "gradients", whose tables `equidyn.analysis.gradients.measure` fills. The conventions of
all figures are in `equidyn.figures.parts.drawing`. Quantities are drawn against each other as a path through the
checkpoints, coloured by step, with correlations of `equidyn.analysis.correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.analysis.correlation import log_correlation
from equidyn.core.numbers import several, short
from equidyn.figures.parts import drawing, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, curve
from equidyn.study.selection import KEYS, need, of_analysis
from equidyn.study.tables import CONDITIONS

RATIO = "Gradient norm of the equivariance error / of the twirled error"
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
_SIZES = ("group", "group_parameters", "folds")
_SEEN = 2.0  # factor by which an interval may stretch an axis
_BARS = {"color": style.MUTED, "linewidth": 0.7, "alpha": 0.7}


class StepColours:
    """Colours of training steps on a logarithmic scale, on which step 0 has a place."""

    def __init__(self, steps: pd.Series):
        self.place = drawing.Steps(steps, log=True)
        low = self.place.zero if self.place.has_zero else self.place.first
        self._scalars = ScalarMappable(
            LogNorm(low, max(self.place.last, 1.01 * low)), ListedColormap(style.graded(256))
        )

    def __call__(self, steps: pd.Series) -> np.ndarray:
        """(n, 4) colours of steps."""
        return self._scalars.to_rgba(self.place(steps))

    def bar(self, figure: Figure, panels: Sequence[Axes]) -> None:
        """A bar of colours above panels."""
        thin = 7 * figure.get_size_inches()[0] - 20  # the same height for all widths
        bar = figure.colorbar(self._scalars, ax=panels, location="top", aspect=thin, pad=0.02)
        bar.ax.set_xlabel(drawing.STEP, fontsize=9)
        limits = bar.ax.get_xlim()
        self.place.dress(bar.ax)
        bar.ax.set_xlim(limits)
        bar.ax.tick_params(labelsize=8)
        for stroke in bar.ax.lines:  # the break, where the ticks are
            stroke.set_ydata([1])


def gradient_ratio(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against the ratio of gradient norms, a path through the baseline's checkpoints; other runs faintly.

    Args:
        table: Of kind "gradients"; the group "all" is shown.
        options: What is drawn.

    Returns:
        The figure, and the rows shown with the correlation of the logarithms along each run.
    """
    data = _ratios(table, options)
    with style.applied():
        figure, (axes,), column = drawing.stacked(1)
        drawing.name_action(figure, data)
        colours = StepColours(data.loc[data["run"] == options.baseline, "step"])
        _ratio_panel(axes, data, data, options, colours, room=0.16)
        axes.set(xlabel=RATIO, ylabel=PERCENT)
        colours.bar(figure, [axes])
        drawing.legends(
            column, run_handles(data, options, correlations=data["run"].nunique() > 1), "Run", path_guide(options)
        )
    return figure, data


def gradient_ratio_by_time(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against the ratio of gradient norms, one panel per flow time; see `gradient_ratio`."""
    need(table, ["t"])
    data = _ratios(table, options)
    times = sorted(data["t"].unique())
    with style.applied():
        columns = math.ceil(math.sqrt(len(times)))
        figure, panels, column = drawing.tiled(len(times), columns)
        colours = StepColours(data.loc[data["run"] == options.baseline, "step"])
        for i, (axes, time) in enumerate(zip(panels, times, strict=True)):
            _ratio_panel(axes, data[data["t"] == time], data, options, colours, room=0.24)
            axes.set_title(f"t = {short(time)}")
            axes.tick_params(labelbottom=i + columns >= len(panels), labelleft=i % columns == 0)
            axes.set_ylabel(PERCENT if i % columns == 0 else "")
            if i // columns == (len(panels) - 1) // columns:
                axes.set_xlabel(RATIO.replace(" / ", "\n/ "))
        colours.bar(figure, panels)
        drawing.legends(column, run_handles(data, options), "Run", path_guide(options))
    return figure, data


def gradient_split(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Norms of the two gradients of the baseline against step; their ratio and the angle, by group of parameters.

    Args:
        table: Of kind "gradients".
        options: What is drawn.

    Returns:
        The figure, and the rows shown, by group and step.
    """
    need(table, ["group"])
    columns = [*_SIZES, *_NORMS, *_RATIO, "ratio_plugin", *_COSINE]
    groups = [group for group in GROUPS if group in set(table["group"])]
    parts = [of_runs(table[table["group"] == group], options, columns) for group in groups]
    data = pd.concat([part[part["run"] == options.baseline] for part in parts], ignore_index=True)
    whole = data[data["group"] == groups[0]]
    with style.applied():
        figure, panels, column = drawing.stacked(1.25, 1.25, 1)
        figure.set_size_inches(style.WIDTH, 8.4)
        drawing.name_action(figure, data)
        norms, ratio, cosine = panels
        place = drawing.Steps(data["step"], log=True)
        names = [f"{part}_norm{suffix}" for part in drawing.PARTS for suffix in ("", "_plugin")]
        drawing.scale(norms, whole[names], log=True)
        drawing.scale(ratio, _near(data, "ratio"), log=True)
        for part, (_, colour, marker) in reversed(drawing.PARTS.items()):
            norms.plot(place(whole["step"]), whole[f"{part}_norm_plugin"], color=colour, alpha=0.4, linewidth=2.6)
            curve(norms, whole, f"{part}_norm", place, colour, marker)
        for group in reversed(groups):
            rows = data[data["group"] == group]
            curve(ratio, rows, "ratio", place, *GROUPS[group])
            curve(cosine, rows, "cosine", place, *GROUPS[group], main=group == groups[0], log_y=False)
        place.dress(cosine)
        for axes in panels:
            drawing.shade(axes, whole, place, options)
        cosine.axhline(0, color=style.INK, linewidth=0.8)
        low, high = _near(data, "cosine").min(axis=None), _near(data, "cosine").max(axis=None)
        margin = 0.06 * (max(high, 0.0) - min(low, 0.0) or 1.0)
        cosine.set_ylim(min(low, 0.0) - margin, max(high, 0.0) + margin)
        norms.set_ylabel(f"Gradient norm, all parameters\n({drawing.unit(data)} per unit of weight)")
        ratio.set_ylabel("Ratio of gradient norms,\nequivariance / twirled")
        cosine.set(ylabel="Cosine of the angle between\nthe two gradients", xlabel=drawing.STEP)
        _split_legends(column, data, groups, options)
    return figure, data


def _split_legends(column: Axes, data: pd.DataFrame, groups: list[str], options: Options) -> None:
    parts = [drawing.sample(*look, f"of the {name.lower()}") for name, *look in drawing.PARTS.values()]
    pale = {"color": style.MUTED, "alpha": 0.4, "linewidth": 2.6}
    parts.append(Line2D([], [], label="pale: plug-in norm, which noise in the gradient raises", **pale))
    sizes = data.groupby("group")["group_parameters"].first()
    handles = [
        drawing.sample(*GROUPS[group], f"{group} ({sizes[group]:,} parameter{'s' if sizes[group] > 1 else ''})")
        for group in groups
    ]
    reading = drawing.guide(options, shading=True, band=True, threshold=False)
    reading[-1].set_label(f"{reading[-1].get_label()}; of the cosine, for {groups[0]} parameters alone")
    three_legends(column, {"Gradient": parts, "Parameters": handles, "How to read": reading})


def three_legends(column: Axes, entries: dict[str, list[Any]]) -> None:
    """Legends with their titles at the top, in the middle and at the foot of a column."""
    corners = ("upper left", "center left", "lower left")
    made = [
        drawing.legend(column, entries[title], title, corner=corner)
        for title, corner in zip(entries, corners, strict=True)
    ]
    for each in made:
        each.set_in_layout(False)
    for each in made[:-1]:  # the axes have the last
        column.add_artist(each)


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How gradients were measured, correlations, and what has no place in the figure, for captions."""
    limit = f"{100 * options.useful_skill:g} %"
    sentences = evidence(data, options)
    sentences.append(
        f"Norms are those of the gradient of the mean over all examples, without the bias that noise gives them: inner "
        f"products are taken between {several(data['folds'])} folds of the data only, whose clusters differ; intervals "
        "of ratios and cosines are by jackknife over the folds."
    )
    if "pearson" in data:
        sentences += correlation_notes(data, options, "ratio", "percent")
        sentences.append(f"Open markers: skill below {limit}, where a low share means little.")
        gone = data[~(_positive(data["ratio"]) & _positive(data["percent"]))]
    else:
        last = data[data["step"] == data["step"].max()]
        said = ", ".join(
            f"{'not told from zero' if np.isnan(row.ratio) else short(row.ratio)} ({row.group})"
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


def correlation_notes(data: pd.DataFrame, options: Options, x: str, y: str) -> list[str]:
    """Correlations along the baseline: how they were computed, values, and those of steps with useful skill alone."""
    baseline = data[data["run"] == options.baseline]
    by_time = "t" in baseline
    first = baseline.drop_duplicates(curve_keys(baseline))
    known = first.dropna(subset="pearson")
    if known.empty:
        return ["There are too few checkpoints to correlate."]
    sentences = [
        f"Pearson's R and Spearman's ρ are of the natural logarithms over {several(known['pairs'])} checkpoints; "
        f"intervals, {100 * options.confidence:g} %, are by moving-block bootstrap with blocks of "
        f"{several(known['block_length'])} checkpoints, as neighbours are alike. What falls with training correlates, "
        "whatever the cause."
    ]
    if by_time:
        said = "; ".join(
            f"t = {short(row.t)}: {correlation_text(row, ', ', intervals=False)}" for row in known.itertuples()
        )
        return [*sentences, f"{said}."]
    useful = correlated(baseline[~baseline["silent"]], x, y, options) if (~baseline["silent"]).any() else baseline[:0]
    whole = correlation_text(next(known.itertuples()), ", ")
    if useful["silent"].empty or len(useful) == len(baseline) or np.isnan(useful["pearson"].iloc[0]):
        return [*sentences, f"{whole}."]
    return [
        *sentences,
        f"{whole}; over the {useful['pairs'].iloc[0]} of them with skill of at least "
        f"{100 * options.useful_skill:g} %, {correlation_text(next(useful.itertuples()), ', ')}.",
    ]


def _ratios(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows of the group "all" with correlations."""
    need(table, ["group"])
    columns = [*_SIZES, *_SHARE, *_RATIO, "ratio_plugin"]
    return correlated(of_runs(table[table["group"] == "all"], options, columns), "ratio", "percent", options)


def _ratio_panel(
    axes: Axes, part: pd.DataFrame, whole: pd.DataFrame, options: Options, colours: StepColours, room: float
) -> None:
    """Paths of all runs, on axes that hold the whole data, and the baseline's correlation below them."""
    log_axis(axes, "x", _near(whole, "ratio"))
    log_axis(axes, "y", _near(whole, "percent"), room)
    paths(axes, part, "ratio", "percent", options, colours)
    row = next(part[part["run"] == options.baseline].itertuples(), None)
    if row is not None:
        box(axes, correlation_text(row, "\n"))


def of_runs(table: pd.DataFrame, options: Options, columns: Sequence[str]) -> pd.DataFrame:
    """What identifies the rows of an analysis and is drawn of them: the baseline first, then other runs but controls.

    Args:
        table: Of an analysis: one row per run, step and condition.
        options: What is drawn.
        columns: What is drawn.

    Returns:
        The rows in the order of steps, with ``silent``: whether the skill is not useful.
    """
    rows = of_analysis(table, options, columns, others=True)
    known = [name for name in (*KEYS, *CONDITIONS) if name in rows]
    return rows[list(dict.fromkeys([*known, *columns, "skill", "silent"]))]


def curve_keys(data: pd.DataFrame) -> list[str]:
    """Columns that tell curves apart."""
    return [name for name in ("run", "t") if name in data]


def correlated(data: pd.DataFrame, x: str, y: str, options: Options) -> pd.DataFrame:
    """The data and the correlation of the logarithms of two columns along each curve, see `log_correlation`."""
    parts = []
    for _, part in data.groupby(curve_keys(data), sort=False):
        found = asdict(log_correlation(part[x], part[y], level=options.confidence))
        parts.append(part.assign(pairs=found.pop("count"), block_length=found.pop("block"), **found))
    return pd.concat(parts, ignore_index=True)


def correlation_text(row: Any, separator: str, *, intervals: bool = True) -> str:
    """Both coefficients of a row of `correlated`, with their intervals or without."""
    if np.isnan(row.pearson):
        return f"no correlation from {row.pairs} point{'' if row.pairs == 1 else 's'}"
    said = []
    for symbol, name in (("R", "pearson"), ("ρ", "spearman")):
        value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
        said.append(f"{symbol} = {value:.2f}" + (f" [{low:.2f}, {high:.2f}]" if intervals else ""))
    return separator.join(said).replace("-", "−")


def box(axes: Axes, text: str) -> None:
    """Text in a frame at the lower right of a panel."""
    frame = {"facecolor": "white", "edgecolor": style.MUTED, "linewidth": 0.6, "boxstyle": "round,pad=0.35"}
    axes.text(
        0.975, 0.035, text, transform=axes.transAxes, ha="right", va="bottom", multialignment="left", fontsize=8.5,
        bbox=frame, zorder=5,
    )  # fmt: skip


def log_axis(axes: Axes, name: str, values: pd.DataFrame | pd.Series, room: float = 0.0) -> None:
    """Logarithmic scale, limits and plain numbers on an axis, "x" or "y", with a share of it left free at its foot."""
    flat = pd.Series(np.ravel(values.to_numpy(dtype=float)))
    low, high = drawing.log_limits(flat[flat > 0])
    low = high * (low / high) ** (1 / (1 - room))
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    drawing.log_labels(getattr(axes, f"{name}axis"))


def paths(
    axes: Axes, data: pd.DataFrame, x: str, y: str, options: Options, colours: StepColours, *, line: bool = True
) -> None:
    """The baseline's path through its checkpoints, coloured by step, with bars of intervals; other runs faintly."""
    for i, (run, part) in enumerate(data.groupby("run", sort=False)):
        part = part[_positive(part[x]) & _positive(part[y])]
        points = part[[x, y]].to_numpy(dtype=float)
        main = run == options.baseline
        colour = colours(part["step"]) if main else np.tile(to_rgba(style.MUTED), (len(part), 1))
        if line:
            segments = np.stack([points[:-1], points[1:]], axis=1)
            look = {"linewidths": 1.8, "zorder": 2.5} if main else {"linewidths": 0.8, "alpha": 0.6, "zorder": 2}
            axes.add_collection(LineCollection(segments, colors=colour[1:], **look))
        if main:
            bars(axes, part, x, y)
        axes.scatter(
            *points.T, s=34 if main else 11, marker=style.MARKERS[i % len(style.MARKERS)],
            facecolor=np.where(part["silent"].to_numpy()[:, None], 1.0, colour), edgecolor=colour,
            linewidth=1.2 if main else 0.7, zorder=3 if main else 2,
        )  # fmt: skip


def bars(axes: Axes, part: pd.DataFrame, x: str, y: str) -> None:
    """Bars of the intervals of two columns, where the rows have them."""
    errors = {}
    for side, name in (("xerr", x), ("yerr", y)):
        if f"{name}_low" in part:
            reach = [part[name] - part[f"{name}_low"], part[f"{name}_high"] - part[name]]
            errors[side] = np.clip(reach, 0, None)
    axes.errorbar(
        part[x], part[y], linestyle="none", zorder=2.2, ecolor=_BARS["color"], elinewidth=_BARS["linewidth"],
        alpha=_BARS["alpha"], **errors,
    )  # fmt: skip


def run_handles(data: pd.DataFrame, options: Options, *, correlations: bool = False) -> list[Line2D]:
    """Legend entries of runs as `paths` draws them."""
    handles = []
    for i, (run, part) in enumerate(data.groupby("run", sort=False)):
        main = run == options.baseline
        text = f"{run} (baseline)" if main and data["run"].nunique() > 1 else run
        if correlations:
            text += "\n" + correlation_text(next(part.itertuples()), ", ", intervals=False)
        marker = style.MARKERS[i % len(style.MARKERS)]
        colour = style.graded(3)[1] if main else style.MUTED
        handles.append(
            Line2D([], [], color=colour, marker=marker, markersize=5.5 if main else 3.5, linewidth=1.8 if main else 0.8,
                   label=text)
        )  # fmt: skip
    return handles


def path_guide(options: Options, *, intervals: bool = True) -> list[Any]:
    """How to read `paths`."""
    limit = f"{100 * options.useful_skill:g} %"
    dot = {"linestyle": "none"}
    entries: list[Any] = [
        drawing.sample(style.INK, "o", f"skill ≥ {limit}", **dot),
        drawing.sample(style.INK, "o", drawing.silence(options), silent=True, **dot),
        Patch(facecolor=style.graded(3)[1], label="baseline: colour is the step"),
    ]
    if intervals:
        entries.append(Line2D([], [], label=f"{100 * options.confidence:g} % interval", **_BARS))
    return entries


def _positive(values: pd.Series) -> pd.Series:
    return values.notna() & (values > 0)


def _near(data: pd.DataFrame, name: str) -> pd.DataFrame:
    """Values and their intervals, which are cut where they would press the values of a panel flat."""
    value, low, high = (data[f"{name}{end}"] for end in ("", "_low", "_high"))
    if name == "cosine":
        return pd.DataFrame({"value": value, "low": low.clip(lower=-1), "high": high.clip(upper=1)})
    return pd.DataFrame({"value": value, "low": low.clip(value / _SEEN), "high": high.clip(upper=value * _SEEN)})
