"""Pieces that figures of training dynamics are drawn from: axes, lines, shading, legends.

Two conventions hold in all figures. First, a small share of equivariance error is empty as long as the network
predicts nothing, so steps where the skill (one minus loss over the loss of the best trivial prediction) is below 0.05
are drawn dashed with open markers, and shaded where a panel has one curve of the baseline. Every evaluated step stands
for the part of the axis nearest to it. Second, step 0, the untrained network, has a place on logarithmic axes: at the
left end, before a break.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from equidyn.core.numbers import power, short
from equidyn.figures.parts import style
from equidyn.figures.parts.options import Options

STEP = "Optimiser step"
PARTS = {
    "twirled": ("Twirled loss", style.PALETTE[4], "s"),
    "equivariance": ("Equivariance error", style.PALETTE[0], "o"),
}
"""Name, colour and marker of the two parts of the loss, the same in all figures."""
TOTAL = ("#9A9A9A", "D")
"""Colour and marker of the loss."""

DASHES = (0, (2.2, 1.3))
THRESHOLD = {"color": style.INK, "linewidth": 0.7, "linestyle": (0, (7, 3))}
FLOOR = {"color": style.INK, "linewidth": 0.85, "linestyle": (0, (6, 1.5, 1, 1.5))}
AVERAGE = {"linewidth": 0.9, "linestyle": (0, (1, 1.1))}
BAR = {"color": style.INK, "marker": "|", "markersize": 6, "markeredgewidth": 1.2, "linestyle": "none"}
"""Sample of a range, which is no interval: of values that may be, or of a few that were found."""
RING = {"marker": "o", "markersize": 6.5, "markerfacecolor": "none", "markeredgewidth": 0.8, "linestyle": "none"}
BAND = 0.2
"""Opacity of intervals."""
_DENSE = 60  # steps, beyond which markers would touch
_MINOR = (2.0, 5.0)  # ticks within a decade; with all eight, drawing takes a quarter longer
_SHORT, _MIDDLE = 1.5, 2.6  # decades of axes with labels at 1, 2 and 5, and at 1 and 3, of each decade
_LARGE = 1e5  # end of axes whose thousands are given by powers of ten
_APART = 0.07  # of the panel's diagonal, between markers


class Steps:
    """Places of training steps on an axis: step 0 gets one on logarithmic axes too."""

    def __init__(self, steps: pd.Series, *, log: bool):
        positive = steps[steps > 0]
        self.log = log
        self.first = float(positive.min()) if len(positive) else 1.0
        self.last = float(max(steps.max(), self.first))
        self.zero = self.first / 2.5
        self.has_zero = bool((steps == 0).any())

    def __call__(self, steps: pd.Series) -> np.ndarray:
        """Coordinates of steps."""
        steps = steps.to_numpy(dtype=float)
        return np.where(steps == 0, self.zero, steps) if self.log else steps

    def dress(self, axes: Axes, *, narrow: bool = False) -> None:
        """Scale, limits and ticks, short ones on narrow axes; where step 0 is off the scale, a break says so."""
        if not self.log:
            margin = 0.02 * self.last
            axes.set_xlim(-margin, self.last + margin)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            return
        axes.set_xscale("log")
        axes.set_xlim((self.zero if self.has_zero else self.first) / 1.3, self.last * 1.18)
        decades = 10.0 ** np.arange(np.floor(np.log10(self.first)), np.ceil(np.log10(self.last)) + 1)
        ticks = [d for d in decades if self.first <= d <= 1.18 * self.last]
        minor = [k * d for d in decades for k in _MINOR if self.first <= k * d <= 1.18 * self.last]
        if len(ticks) < 2:
            ticks = sorted({self.first, *ticks, self.last})
        axes.xaxis.set_major_locator(FixedLocator([self.zero, *ticks] if self.has_zero else ticks))
        axes.xaxis.set_minor_locator(FixedLocator(minor))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: self._label(step, narrow)))
        if self.has_zero:
            self._break(axes)

    def _label(self, step: float, narrow: bool) -> str:
        """0, 100, 10,000; on narrow axes 10k."""
        if self.has_zero and np.isclose(step, self.zero):
            return "0"
        if not narrow:
            return f"{step:,.0f}"
        return f"{step:g}" if step < 1000 else f"{step / 1000:g}k" if step < 1e6 else f"{step / 1e6:g}M"

    def _break(self, axes: Axes) -> None:
        """Two strokes across the lower frame between step 0 and the first step after it."""
        middle = np.sqrt(self.zero * self.first)
        slash = [(-1, -1.6), (1, 1.6)]
        for side in (0.95, 1.05):
            axes.plot(
                middle * side, 0, transform=axes.get_xaxis_transform(), clip_on=False, zorder=10,
                marker=slash, markersize=5, linestyle="none", color=style.INK, markeredgewidth=0.7,
            )  # fmt: skip


def between(a: np.ndarray, b: np.ndarray, log: bool) -> np.ndarray:
    """Half-way, as seen on the axis; NaN where a logarithmic axis has no place."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(a > 0, a, np.nan) * np.where(b > 0, b, np.nan)) if log else (a + b) / 2


def stretches(flags: Sequence[Any]) -> list[tuple[int, int, Any]]:
    """First, last and value of each stretch of equal values."""
    flags = list(flags)
    starts = [i for i in range(len(flags)) if i == 0 or flags[i] != flags[i - 1]]
    ends = [*(i - 1 for i in starts[1:]), len(flags) - 1]
    return [(a, b, flags[a]) for a, b in zip(starts, ends, strict=True)] if flags else []


def line(
    axes: Axes,
    x: np.ndarray,
    values: pd.Series,
    unskilled: pd.Series,
    log_x: bool,
    log_y: bool,
    colour: str,
    marker: str,
    width: float = style.LINE,
    size: float = style.MARKER,
) -> None:
    """Solid with filled markers, or dashed with open ones where unskilled; the change is half-way between two steps.

    Of many steps, some have a marker, at even distances along the line.
    """
    dense = len(x) > _DENSE
    if not dense:
        size *= min(1.0, (25 / len(x)) ** 0.5)
    y = values.to_numpy(dtype=float)
    y = np.where(y > 0, y, np.nan) if log_y else y
    unskilled = unskilled.to_numpy(dtype=bool)
    mid_x, mid_y = between(x[:-1], x[1:], log_x), between(y[:-1], y[1:], log_y)
    for first, last, quiet in stretches(unskilled):
        xs, ys = x[first : last + 1], y[first : last + 1]
        if first > 0:
            xs, ys = np.r_[mid_x[first - 1], xs], np.r_[mid_y[first - 1], ys]
        if last < len(x) - 1:
            xs, ys = np.r_[xs, mid_x[last]], np.r_[ys, mid_y[last]]
        axes.plot(xs, ys, color=colour, linewidth=width, linestyle=DASHES if quiet and width else "-", zorder=2.5)
        axes.plot(
            x[first : last + 1], y[first : last + 1], linestyle="none", marker=marker, markersize=size, color=colour,
            markerfacecolor="white" if quiet else colour, markeredgewidth=0.7, zorder=3,
            markevery=_APART if dense and last > first else None,
        )  # fmt: skip


def average(axes: Axes, x: np.ndarray, part: pd.DataFrame, name: str, colour: str, *, log_y: bool) -> None:
    """What averaged weights have of a quantity, as a thin dotted line, where the data have it."""
    for column in (f"{name}_ema_smoothed", f"{name}_ema"):
        if column in part:
            values = part[column].where(part[column] > 0) if log_y else part[column]
            axes.plot(x, values, color=colour, zorder=2.4, **AVERAGE)
            return


def with_averages(data: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Columns, and those that averaged weights have of them."""
    return data[[*names, *(f"{name}_ema" for name in names if f"{name}_ema" in data)]]


def averages(data: pd.DataFrame) -> list[Line2D]:
    """Legend entries of the dotted lines, if there are any."""
    if "skill_ema" not in data:
        return []
    decays = data["decay_ema"].dropna().unique() if "decay_ema" in data else []
    said = f", decay {', '.join(f'{decay:g}' for decay in decays)}" if len(decays) else ""
    return [Line2D([], [], color=style.INK, label=f"dotted: averaged weights (EMA{said})", **AVERAGE)]


def some(count: int) -> np.ndarray:
    """Which of a curve's points to mark: all, or of many a few, the farther apart the later they come."""
    return np.unique(np.geomspace(1, count, _DENSE // 2).astype(int)) - 1 if count > _DENSE else np.arange(count)


def shade(axes: Axes, data: pd.DataFrame, place: Steps, options: Options) -> None:
    """Shades behind the steps at which a run predicts nothing useful, by whether its skill is about zero or worse."""
    if data.empty:
        return
    x = place(data["step"])
    edges = [axes.get_xlim()[0], *between(x[:-1], x[1:], place.log), axes.get_xlim()[1]]
    colours = [
        shade_of(skill, options) if unskilled else "" for skill, unskilled in data[["skill", "unskilled"]].to_numpy()
    ]
    for first, last, colour in stretches(colours):
        if colour:
            axes.axvspan(edges[first], edges[last + 1], color=colour, linewidth=0, zorder=0)


def shade_of(skill: float, options: Options) -> str:
    """Shade that stands for a skill that is not useful."""
    return style.WORSE if skill < -options.useful_skill else style.SILENT


def log_limits(values: pd.Series) -> tuple[float, float]:
    """Limits of a logarithmic axis around positive values."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        return 0.1, 10.0
    margin = max((high / low) ** 0.06, 1.2)
    return low / margin, high * margin


def scale(axes: Axes, values: pd.DataFrame, *, log: bool, include: float | None = None) -> None:
    """Limits of the y axis from the values to be drawn."""
    flat = pd.Series(values.to_numpy(dtype=float).ravel())
    if include is not None:
        flat = pd.concat([flat, pd.Series([include])])
    if log:
        axes.set_yscale("log")
        axes.set_ylim(*log_limits(flat[flat > 0]))
        log_labels(axes.yaxis)
    else:
        margin = 0.04 * float(flat.max() - min(flat.min(), 0))  # so that markers at zero stay whole
        axes.set_ylim(min(0.0, float(flat.min())) - margin, float(flat.max()) + margin)


def in_reach(floors: pd.Series, values: pd.DataFrame) -> float | None:
    """The least floor that an axis had better include: none so far below the values that it would press them flat."""
    near = floors[floors > 0.01 * values[values > 0].min(axis=None)]
    return float(near.min()) if len(near) else None


def log_labels(axis: Axis) -> None:
    """Numbers of one form at decades, between them on axes of few, and at even distances on shorter ones."""
    low, high = axis.get_view_interval()
    decades = float(np.log10(high / low))
    if high / low < 3:
        axis.set_major_locator(MaxNLocator(4))
    elif decades < _MIDDLE:
        axis.set_major_locator(LogLocator(subs=(1.0, *_MINOR) if decades < _SHORT else (1.0, 3.0), numticks=20))
    form = _tidy if high >= _LARGE else short
    axis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    axis.set_minor_locator(NullLocator() if decades < _SHORT else LogLocator(subs=_MINOR, numticks=20))
    axis.set_minor_formatter(NullFormatter())


def _tidy(value: float) -> str:
    return power(value) if value > 1000 else short(value)


def skill_axis(axes: Axes, options: Options) -> None:
    """Label a y axis of skill, with a line at the least that is useful."""
    axes.axhline(options.useful_skill, color=style.INK, linewidth=0.6, linestyle=":")
    axes.set_ylabel("Skill")
    axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def sample(
    colour: str, marker: str, label: str, *, unskilled: bool = False, linestyle: Any = None, thin: bool = False
) -> Line2D:
    """A piece of line for the legend."""
    return Line2D(
        [], [], color=colour, marker=marker, markerfacecolor="white" if unskilled else colour,
        markersize=style.DOT if thin else style.MARKER, markeredgewidth=0.7,
        linewidth=style.THIN if thin else style.LINE, linestyle=linestyle or (DASHES if unskilled else "-"),
        label=label,
    )  # fmt: skip


def shades(figure: Figure, options: Options) -> list[Patch]:
    """Legend entries of the shades that a figure has."""
    trivial = options.words.trivial
    drawn = {to_hex(patch.get_facecolor()) for axes in figure.axes for patch in axes.patches}
    entries = [
        Patch(facecolor=style.SILENT, label=f"baseline no better than {trivial}"),
        Patch(facecolor=style.WORSE, edgecolor=style.MUTED, label=f"baseline worse than {trivial}"),
    ]
    return [entry for entry in entries if to_hex(entry.get_facecolor()) in drawn]


def interval(options: Options, remark: str = "") -> Patch:
    """Legend entry of a band."""
    return Patch(facecolor=style.PALETTE[0], alpha=2 * BAND, label=f"{options.level} interval{remark}")


def no_skill(options: Options) -> str:
    """Legend text of what is drawn open."""
    return f"skill < {options.limit}: predicts nothing"


def guide(
    figure: Figure, options: Options, *, band: bool, rings: bool = False, threshold: bool = True, seeds: bool = False
) -> list[Any]:
    """Legend entries that figures share, of what a figure has when its panels are drawn."""
    entries: list[Any] = skills(options, no_skill(options))
    if seeds:
        entries.append(Line2D([], [], color=style.INK, linewidth=style.THIN, label="thin: further seeds"))
    entries += shades(figure, options)
    if band:
        entries.append(interval(options))
    if rings:
        entries.append(Line2D([], [], color=style.INK, label="ring: dip or lowest share", **RING))
    if threshold:
        entries.append(Line2D([], [], label=f"{options.threshold:g} % of the loss", **THRESHOLD))
    return entries


def unit(data: pd.DataFrame) -> str:
    """Unit of the losses."""
    return " or ".join(dict.fromkeys(data["unit"]))


def skills(options: Options, useless: str, linestyle: Any = None) -> list[Line2D]:
    """Legend entries of filled and of open markers, of which the text of the latter is given."""
    return [
        sample(style.INK, "o", f"skill ≥ {options.limit}", linestyle=linestyle),
        sample(style.INK, "o", useless, unskilled=True, linestyle=linestyle),
    ]


def spread(values: Sequence[_Value], most: int) -> list[_Value]:
    """At most so many of some values, evenly from the first to the last."""
    places = np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)
    return [values[i] for i in places]


def shortened(name: str, longest: int) -> str:
    """A module's name, without its middle if it is longer than so many characters."""
    head = longest // 3
    return name if len(name) <= longest else f"{name[:head]}…{name[head + 1 - longest :]}"


_Value = TypeVar("_Value", bound=Hashable)
