"""Two quantities of a run against each other: its path through the checkpoints, and their correlation."""

from __future__ import annotations

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
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.variations import labels
from equidyn.study.selection import KEYS, of_analysis
from equidyn.study.tables import CONDITIONS

_BARS = {"color": style.MUTED, "linewidth": 0.5, "alpha": 0.7}


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
        thin = 12 * figure.get_figwidth() - 5  # the same height for all widths
        bar = figure.colorbar(self._scalars, ax=panels, location="top", aspect=thin, pad=0.02)
        bar.ax.set_xlabel(f"Colour: {drawing.STEP.lower()}", fontsize=style.LABELS)
        limits = bar.ax.get_xlim()
        self.place.dress(bar.ax)
        bar.ax.set_xlim(limits)
        for stroke in bar.ax.lines:  # the break, where the ticks are
            stroke.set_ydata([1])


def of_runs(table: pd.DataFrame, options: Options, columns: Sequence[str]) -> pd.DataFrame:
    """What identifies the rows of an analysis and is drawn of them: the baseline first, then other runs but controls.

    Args:
        table: Of an analysis: one row per run, step and condition.
        options: What is drawn.
        columns: What is drawn.

    Returns:
        The rows in the order of steps, with ``unskilled``: whether the skill is not useful.
    """
    rows = of_analysis(table, options, columns, others=True)
    known = [name for name in (*KEYS, *CONDITIONS) if name in rows]
    return rows[list(dict.fromkeys([*known, *columns, "skill", "unskilled"]))]


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
        f"intervals, {options.level}, are by moving-block bootstrap with blocks of "
        f"{several(known['block_length'])} checkpoints, as neighbours are alike. What falls with training correlates, "
        "whatever the cause."
    ]
    if by_time:
        said = "; ".join(
            f"t = {short(row.t)}: {correlation_text(row, ', ', intervals=False)}" for row in known.itertuples()
        )
        return [*sentences, f"{said}."]
    useful = (
        correlated(baseline[~baseline["unskilled"]], x, y, options) if (~baseline["unskilled"]).any() else baseline[:0]
    )
    whole = correlation_text(next(known.itertuples()), ", ")
    if useful["unskilled"].empty or len(useful) == len(baseline) or np.isnan(useful["pearson"].iloc[0]):
        return [*sentences, f"{whole}."]
    return [
        *sentences,
        f"{whole}; over the {useful['pairs'].iloc[0]} of them with skill of at least "
        f"{options.limit}, {correlation_text(next(useful.itertuples()), ', ')}.",
    ]


def box(axes: Axes, text: str) -> None:
    """Text in a frame at the lower right of a panel."""
    frame = {"facecolor": "white", "edgecolor": style.MUTED, "linewidth": 0.45, "boxstyle": "round,pad=0.3"}
    axes.text(
        0.975, 0.035, text, transform=axes.transAxes, ha="right", va="bottom", multialignment="left", bbox=frame,
        fontsize=style.NOTES, zorder=5,
    )  # fmt: skip


def log_axis(axes: Axes, name: str, values: pd.DataFrame | pd.Series, room: float = 0.0) -> None:
    """Logarithmic scale, limits and plain numbers on an axis, "x" or "y", with a share of it left free at its foot."""
    flat = pd.Series(np.ravel(values.to_numpy(dtype=float)))
    low, high = drawing.log_limits(flat[flat > 0])
    low = high * (low / high) ** (1 / (1 - room))
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    drawing.log_labels(getattr(axes, f"{name}axis"))


def draw(
    axes: Axes, data: pd.DataFrame, x: str, y: str, options: Options, colours: StepColours, *, line: bool = True
) -> None:
    """The baseline's path through its checkpoints, coloured by step, with bars of intervals; other runs faintly."""
    for i, (run, part) in enumerate(data.groupby("run", sort=False)):
        part = part[positive(part[x]) & positive(part[y])]
        points = part[[x, y]].to_numpy(dtype=float)
        main = run == options.baseline
        colour = colours(part["step"]) if main else np.tile(to_rgba(style.MUTED), (len(part), 1))
        if line:
            segments = np.stack([points[:-1], points[1:]], axis=1)
            look = {"linewidths": style.LINE, "zorder": 2.5} if main else {"linewidths": 0.5, "alpha": 0.6, "zorder": 2}
            axes.add_collection(LineCollection(segments, colors=colour[1:], **look))
        if main:
            bars(axes, part, x, y)
        axes.scatter(
            *points.T, s=15 if main else 5, marker=style.MARKERS[i % len(style.MARKERS)],
            facecolor=np.where(part["unskilled"].to_numpy()[:, None], 1.0, colour), edgecolor=colour,
            linewidth=0.8 if main else 0.5, zorder=3 if main else 2,
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
    """Legend entries of runs as `draw` draws them."""
    handles, runs = [], data.drop_duplicates("run")
    for i, (row, text) in enumerate(zip(runs.itertuples(), labels(runs, options), strict=True)):
        main = row.run == options.baseline
        if correlations:
            text += "\n " + correlation_text(row, ", ", intervals=False)
        marker = style.MARKERS[i % len(style.MARKERS)]
        colour = style.graded(3)[1] if main else style.MUTED
        handles.append(drawing.sample(colour, marker, text, thin=not main))
    return handles


def path_guide(options: Options, *, intervals: bool = True) -> list[Any]:
    """How to read `draw`."""
    entries: list[Any] = [
        *drawing.skills(options, drawing.no_skill(options), linestyle="none"),
        Patch(facecolor=style.graded(3)[1], label="baseline: colour is the step"),
    ]
    if intervals:
        entries.append(Line2D([], [], label=f"{options.level} interval", **_BARS))
    return entries


def positive(values: pd.Series) -> pd.Series:
    """Which values have a place on a logarithmic axis."""
    return values.notna() & (values > 0)
