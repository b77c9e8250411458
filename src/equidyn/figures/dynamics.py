"""Training dynamics: how much of the held-out loss is equivariance error, step by step.

Each function takes the evaluation table and `Options`, and returns a figure with the rows it shows; `catalogue` lists
them.

Two conventions hold in all figures. First, a small share of equivariance error is empty as long as the network
predicts nothing, so steps where the skill (one minus loss over the loss of the best constant prediction) is below 5 %
are drawn dashed with open markers, and shaded for the baseline; a panel below shows the skill itself. Every evaluated
step stands for the part of the axis nearest to it. Second, step 0, the untrained network, has a place on logarithmic
axes: at the left end, before a break.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from equidyn.figures import style
from equidyn.figures.numbers import count, power, short
from equidyn.figures.selection import DESIGN, choose, is_control, replicates, settings, varying

PERCENT = "Share of held-out loss from\nequivariance error (%)"
STEP = "Training step"
_DASHES = (0, (2.2, 1.3))
_COLUMN = 3.0  # inch, of legends
_WRAP = 38  # characters that fit there


@dataclass(frozen=True)
class Options:
    """What to draw.

    Attributes:
        baseline: Run that others are compared with.
        task: Rows of other tasks are ignored.
        weights: "raw" or "ema".
        estimator: "exact" or "sampled"; runs without the first are shown by the second.
        useful_skill: Below this skill a network predicts nothing useful.
        threshold: Percent below which the paper calls a network nearly equivariant.
        confidence: Level at which the table's intervals were computed, for captions.
    """

    baseline: str = "base"
    task: str = "force_field"
    weights: str = "ema"
    estimator: str = "exact"
    useful_skill: float = 0.05
    threshold: float = 2.0
    confidence: float = 0.95


def percent_linear(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates, both axes linear."""
    return _percent_of_replicates(table, options, log_x=False, log_y=False)


def percent_logx(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates, step logarithmic."""
    return _percent_of_replicates(table, options, log_x=True, log_y=False)


def percent_loglog(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step for the baseline's replicates, both axes logarithmic."""
    return _percent_of_replicates(table, options, log_x=True, log_y=True)


def percent_by_train_size(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by number of training examples (and batch size, if it differs too)."""
    rows = _select(table, options, ["train_subset", "batch_size"])
    several = rows["batch_size"].nunique() > 1
    names = [
        f"{examples:,}" + (f", batch size {size}" if several else "")
        for examples, size in zip(rows["train_examples"], rows["batch_size"], strict=True)
    ]
    return _percent_by(rows, names, ["train_examples", "batch_size"], options, title="Training examples", ordered=True)


def percent_by_model_size(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by model."""
    rows = _select(table, options, ["model"])
    names = [f"{count(n)}, {model}" for n, model in zip(rows["parameters"], rows["model"], strict=True)]
    return _percent_by(rows, names, ["parameters", "model"], options, title="Parameters, model", ordered=True)


def percent_by_optimiser(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by optimiser and learning rate."""
    rows = _select(table, options, ["optimiser", "lr"])
    names = [
        f"{_OPTIMISERS.get(name, name)}, {power(lr)}" for name, lr in zip(rows["optimiser"], rows["lr"], strict=True)
    ]
    return _percent_by(rows, names, ["optimiser", "lr"], options, title="Optimiser, peak learning rate")


def percent_by_augmentation(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by the share of training examples that are rotated."""
    rows = _select(table, options, ["augmentation"])
    names = [{0.0: "none", 1.0: "all"}.get(share, f"{100 * share:g} %") for share in rows["augmentation"]]
    return _percent_by(rows, names, ["augmentation"], options, title="Rotated training examples")


_OPTIMISERS = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}


def losses(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error, twirled error and total of the baseline, in units and relative to the start."""
    rows = _chosen(table, options)
    rows = varying(rows, options.baseline, [])
    rows = rows[rows["run"] == options.baseline]
    data = _data(rows, ["total", "twirled", "equivariance", "null_loss"], options, rows["run"])
    first = data.iloc[0]
    for name in ("equivariance", "twirled"):
        data[f"{name}_relative"] = data[name] / first[name]
    parts = {
        "total": ("Total", "#9A9A9A", "D"),
        "twirled": ("Twirled error (what would be left\nof a rotation-averaged network)", style.PALETTE[4], "s"),
        "equivariance": ("Equivariance error", style.PALETTE[0], "o"),
    }
    with style.applied():
        figure = style.new_figure(10.5, 6.4)
        grid = figure.add_gridspec(2, 6, height_ratios=(3.4, 1))
        left, right = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
        place = _Steps(data["step"], log=True)
        handles = []
        for axes, suffix in ((left, ""), (right, "_relative")):
            drawn = [name for name in parts if name + suffix in data]
            _scale(axes, data[[name + suffix for name in drawn]], log=True)
            for name in drawn:
                label, colour, marker = parts[name]
                sizes = (3.6, 8.0) if name == "total" else (1.7, 5.0)  # the total shows behind the part it equals
                x, y = place(data["step"]), data[name + suffix]
                _line(axes, x, y, data["silent"], place.log, True, colour, marker, *sizes)
                if axes is left:
                    handles.append(_sample(colour, marker, label))
            place.dress(axes)
            _shade(axes, data, place, options)
            axes.set_xlabel(STEP)
        null = float(data["null_loss"].iloc[0])
        left.axhline(null, color=style.MUTED, linewidth=1.2, linestyle=(0, (6, 2)))
        handles.append(Line2D([], [], color=style.MUTED, linewidth=1.2, linestyle=(0, (6, 2)), label=_NULL))
        left.set(title="Held-out loss and its two parts", ylabel=f"Mean squared error per component ({_unit(data)})")
        right.set(title="Learning speed of the parts", ylabel=f"Error relative to step {int(first['step']):,}")
        speed = [_mark_speed(right, data, place, name, *parts[name][1:]) for name in ("equivariance", "twirled")]
        legends = {"Loss": handles, f"Fall from step {int(first['step']):,}": speed}
        legends["How to read"] = _guide(options, band=False, rings=False, threshold=False)
        for i, (title, entries) in enumerate(legends.items()):
            axes = figure.add_subplot(grid[1, 2 * i : 2 * i + 2])
            axes.set_axis_off()
            _legend(axes, entries, title).set_in_layout(False)
    return figure, data


_NULL = "Loss of the best constant prediction"


def skill_companion(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Relative equivariance error against skill, one path per run, controls included."""
    rows = _chosen(table, options)
    if options.baseline not in set(rows["run"]):
        varying(rows, options.baseline, [])  # says which runs there are
    design = settings(rows)
    controls = is_control(design["model"])
    if controls.any():  # in closed form they have no error by construction, which measures nothing
        measured = _chosen(table[is_control(table["model"])], replace(options, estimator="sampled"))
        rows = pd.concat([rows[~is_control(rows["model"])], measured], ignore_index=True)
    names = [
        options.baseline,
        *design.index[~controls].drop(options.baseline, errors="ignore"),
        *design.index[controls],
    ]
    names = list(dict.fromkeys(names))
    group = design.groupby(list(DESIGN), sort=False, dropna=False).ngroup()
    data = _data(rows, ["skill", "relative_equivariance"], options, rows["run"])
    shown = data["relative_equivariance"].where(data["relative_equivariance"] > 0)
    networks = shown[~data["run"].map(controls)]
    low, high = _log_limits(networks if networks.notna().any() else shown)
    data["below_axis"] = ~(data["relative_equivariance"] >= low)
    with style.applied():
        figure, (axes,), column = _panels(1)
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.set_xscale("symlog", linthresh=1, linscale=2.2)
        left = min(-0.25, float(data["skill"].min()))
        axes.set_xlim(1.35 * left if left < -1 else left - 0.05, 1.0)
        axes.axvspan(axes.get_xlim()[0], -options.useful_skill, color=style.LIGHT_SHADE, linewidth=0, zorder=0)
        axes.axvspan(-options.useful_skill, options.useful_skill, color=style.DARK_SHADE, linewidth=0, zorder=0)
        colours = dict(zip(dict.fromkeys(group[names]), style.distinct(group.nunique()), strict=True))
        handles = []
        for i, name in enumerate(names):
            run = data[data["run"] == name]
            colour, marker = colours[group[name]], style.MARKERS[i % len(style.MARKERS)]
            y = run["relative_equivariance"].clip(lower=low)
            bold = name == options.baseline
            axes.plot(run["skill"], y, color=colour, linewidth=1.8 if bold else 1.1, alpha=0.85, clip_on=False)
            size = np.linspace(10, 62, len(run))
            for below, symbol in ((False, marker), (True, "v")):
                part = (run["below_axis"] == below).to_numpy()
                axes.scatter(
                    run["skill"][part],
                    y[part],
                    s=size[part],
                    marker=symbol,
                    facecolor=["white" if silent else colour for silent in run["silent"][part]],
                    edgecolor=colour,
                    linewidth=1,
                    clip_on=False,
                    zorder=3,
                )
            text = name + (" (baseline)" if bold else "")
            if run["below_axis"].all():
                text += f"\n(at most {short(run['relative_equivariance'].max())}: below the axis)"
            handles.append(_sample(colour, "v" if run["below_axis"].all() else marker, text))
        ticks = [-1000, -100, -10, -1, 0, 0.5, 1]
        axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if t >= axes.get_xlim()[0]]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
        _log_labels(axes)
        axes.set(
            xlabel="Skill: 1 − loss / loss of the best constant prediction (linear from −1 to 1, logarithmic below)",
            ylabel="Relative equivariance error\n(variance over rotations / energy of the prediction)",
        )
        guide = [
            _sample(style.INK, "o", f"skill ≥ {100 * options.useful_skill:g} %"),
            _sample(style.INK, "o", f"skill < {100 * options.useful_skill:g} %", silent=True, linestyle="-"),
            Line2D(
                [], [], linestyle="none", marker="o", markersize=3, markerfacecolor=style.INK, color=style.INK,
                label="early checkpoint",
            ),
            Line2D(
                [], [], linestyle="none", marker="o", markersize=8, markerfacecolor=style.INK, color=style.INK,
                label="late checkpoint",
            ),
            *_shades(options, whose=""),
        ]  # fmt: skip
        _legends(column, handles, "Run", guide)
    return figure, data


# ---------------------------------------------------------------------------------------------- percent


def _percent_of_replicates(
    table: pd.DataFrame, options: Options, *, log_x: bool, log_y: bool
) -> tuple[Figure, pd.DataFrame]:
    rows = replicates(_chosen(table, options), options.baseline)
    data = _data(rows, ["percent", "percent_low", "percent_high"], options, [f"seed {seed}" for seed in rows["seed"]])
    runs = list(dict.fromkeys(data["run"]))
    looks = dict(zip(runs, zip(style.distinct(len(runs)), _markers(len(runs)), strict=True), strict=True))
    return _draw_percent(data, looks, options, log_x=log_x, log_y=log_y, title="Replicate", minima=True)


def _percent_by(
    rows: pd.DataFrame,
    names: Sequence[str],
    order: Sequence[str],
    options: Options,
    *,
    title: str,
    ordered: bool = False,
) -> tuple[Figure, pd.DataFrame]:
    """One colour per setting, in the order of some columns; replicates share it."""
    data = _data(rows, ["percent", "percent_low", "percent_high"], options, names)
    runs = data.assign(**{name: rows[name] for name in order}).drop_duplicates("run")
    runs = runs.sort_values(list(order), kind="stable")
    series = list(dict.fromkeys(runs["series"]))
    if ordered:
        coloured, colours = series, style.graded(len(series))
    else:  # the baseline, which the table has first, keeps its colour in all figures
        coloured, colours = list(dict.fromkeys(data["series"])), style.distinct(len(series))
    look = dict(zip(coloured, zip(colours, _markers(len(series)), strict=True), strict=True))
    looks = {run: look[name] for run, name in zip(runs["run"], runs["series"], strict=True)}
    return _draw_percent(data, looks, options, log_x=True, log_y=True, title=title)


def _draw_percent(
    data: pd.DataFrame,
    looks: dict[str, tuple[str, str]],
    options: Options,
    *,
    log_x: bool,
    log_y: bool,
    title: str,
    minima: bool = False,
) -> tuple[Figure, pd.DataFrame]:
    """Percent above, skill below; `looks` gives colour and marker of each run, in the order of the legend."""
    if minima:
        data = data.join(_marks(data, options.threshold))
    with style.applied():
        figure, (above, below), column = _panels(3.1, 1)
        place = _Steps(data["step"], log=log_x)
        _scale(above, data[["percent", "percent_low", "percent_high"]], log=log_y, include=options.threshold)
        below.set_ylim(-0.2, 1.0)
        handles = {}
        runs_of = data.groupby("series")["run"].unique()
        for run, (colour, marker) in reversed(looks.items()):  # the first on top
            part = data[data["run"] == run]
            series = part["series"].iloc[0]
            main = run == runs_of[series][0]
            x = place(part["step"])
            above.fill_between(
                x, part["percent_low"], part["percent_high"], color=colour, alpha=0.2 if main else 0.1, linewidth=0
            )
            width = 1.7 if main else 0.9
            _line(above, x, part["percent"], part["silent"], log_x, log_y, colour, marker, width)
            _line(below, x, part["skill"], part["silent"], log_x, False, colour, marker, width, size=3.2)
            notes = ["baseline"] if len(looks) > 1 and options.baseline in runs_of[series] else []
            if len(runs_of[series]) > 1:
                notes.append(f"{len(runs_of[series])} seeds")
            label = f"{series} ({', '.join(notes)})" if notes else series
            if minima:
                low = part[part[list(_MARKED)].any(axis=1)]
                above.scatter(
                    place(low["step"]),
                    low["percent"],
                    s=120,
                    facecolor="none",
                    edgecolor=colour,
                    linewidth=1.1,
                    zorder=4,
                )
                label += _marks_text(part, options.threshold)
            handles.setdefault(series, _sample(colour, marker, label))
        place.dress(below)
        _shade(above, data[data["run"] == options.baseline], place, options)
        _shade(below, data[data["run"] == options.baseline], place, options)
        above.axhline(options.threshold, color=style.INK, linewidth=0.9, linestyle=(0, (7, 3)), zorder=1)
        guide = _guide(options, band=True, rings=minima, threshold=True)
        floor = float(data["floor_control"].max())
        if log_y and above.get_ylim()[0] <= floor <= above.get_ylim()[1]:
            above.axhline(floor, color=style.MUTED, linewidth=1, linestyle=":")
            guide.append(Line2D([], [], color=style.MUTED, linewidth=1, linestyle=":", label="numeric floor"))
        below.axhline(options.useful_skill, color=style.INK, linewidth=0.8, linestyle=":")
        above.set_ylabel(PERCENT)
        below.set(ylabel="Skill (%)", xlabel=STEP)
        below.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}"))
        order = dict.fromkeys(data.loc[data["run"] == run, "series"].iloc[0] for run in looks)
        _legends(column, [handles[series] for series in order], title, guide)
    return figure, data


_MARKED = {"dip": "dip", "lowest": "lowest", "lowest_useful": "with skill"}


def _marks(data: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Where each run's percent is lowest: of all steps, of those with useful skill, and in its first dip.

    The dip is the lowest value, at or below the threshold, before the first rise to twice that value.
    """
    marks = pd.DataFrame(False, index=data.index, columns=list(_MARKED))
    for _, part in data.groupby("run"):
        percent = part["percent"].dropna()
        useful = percent[~part["silent"]]
        for name, values in (("lowest", percent), ("lowest_useful", useful)):
            if len(values):
                marks.loc[values.idxmin(), name] = True
        bottom = percent.cummin()
        risen = percent[(percent >= 2 * bottom) & (bottom <= threshold)]
        if len(risen):
            marks.loc[percent.loc[: risen.index[0]].idxmin(), "dip"] = True
    return marks


def _marks_text(part: pd.DataFrame, threshold: float) -> str:
    """The marked values of one run, for the legend; where marks coincide, once."""
    lines = []
    below = part.loc[part["percent"] <= threshold, "step"]
    if len(below):
        lines.append(f"≤ {threshold:g} % first at step {below.iloc[0]:,}")
    for step, row in part.set_index("step").iterrows():
        marks = [text for name, text in _MARKED.items() if row[name]]
        if "lowest" in marks and "with skill" in marks:
            marks.remove("with skill")
        if marks:
            lines.append(f"{', '.join(marks)}: {row['percent']:.2g} % at {step:,}")
    return "".join(f"\n  {line}" for line in lines)


# ----------------------------------------------------------------------------------------------- shared


def _chosen(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    rows = table[table["task"] == options.task] if "task" in table else table
    if "task" in table and rows.empty:
        there = ", ".join(sorted(table["task"].unique())) or "no rows"
        raise ValueError(f"no rows of task {options.task!r} to draw; the evaluation table has {there}")
    return choose(rows, options.weights, options.estimator)


def _select(table: pd.DataFrame, options: Options, columns: Sequence[str]) -> pd.DataFrame:
    return varying(_chosen(table, options), options.baseline, columns)


_KEYS = (
    "study", "run", *DESIGN, "seed", "train_examples", "parameters", "step", "weights", "estimator", "rotations",
    "action", "examples", "clusters", "unit", "floor_control", "estimator_version", "package_version",
)  # fmt: skip


def _data(rows: pd.DataFrame, columns: Sequence[str], options: Options, series: Any) -> pd.DataFrame:
    """What identifies the rows, what is drawn of them, their name in the legend, and whether they are silent."""
    wanted = list(dict.fromkeys([*_KEYS, *columns, "skill"]))
    if missing := [name for name in wanted if name not in rows]:
        raise ValueError(f"the evaluation table lacks the column(s) {', '.join(missing)}")
    data = rows[wanted].reset_index(drop=True)
    data.insert(0, "series", list(series))
    data["silent"] = ~(data["skill"] >= options.useful_skill)
    return data


class _Steps:
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

    def dress(self, axes: Axes) -> None:
        """Scale, limits and ticks; where step 0 is off the scale, a break says so."""
        if not self.log:
            margin = 0.02 * self.last
            axes.set_xlim(-margin, self.last + margin)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            return
        axes.set_xscale("log")
        axes.set_xlim((self.zero if self.has_zero else self.first) / 1.3, self.last * 1.18)
        decades = 10.0 ** np.arange(np.floor(np.log10(self.first)), np.ceil(np.log10(self.last)) + 1)
        ticks = [d for d in decades if self.first <= d <= 1.18 * self.last]
        minor = [k * d for d in decades for k in range(2, 10) if self.first <= k * d <= 1.18 * self.last]
        if len(ticks) < 2:
            ticks = sorted({self.first, *ticks, self.last})
        axes.xaxis.set_major_locator(FixedLocator([self.zero, *ticks] if self.has_zero else ticks))
        axes.xaxis.set_minor_locator(FixedLocator(minor))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: "0" if self.has_zero and np.isclose(value, self.zero) else f"{value:,.0f}")
        )
        if self.has_zero:
            self._break(axes)

    def _break(self, axes: Axes) -> None:
        """Two strokes across the lower frame between step 0 and the first step after it."""
        middle = np.sqrt(self.zero * self.first)
        slash = [(-1, -1.6), (1, 1.6)]
        for side in (0.965, 1.035):
            axes.plot(
                middle * side, 0, transform=axes.get_xaxis_transform(), clip_on=False, zorder=10,
                marker=slash, markersize=8, linestyle="none", color=style.INK, markeredgewidth=1,
            )  # fmt: skip


def _between(a: np.ndarray, b: np.ndarray, log: bool) -> np.ndarray:
    """Half-way, as seen on the axis; NaN where a logarithmic axis has no place."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.where(a > 0, a, np.nan) * np.where(b > 0, b, np.nan)) if log else (a + b) / 2


def _stretches(flags: Sequence[Any]) -> list[tuple[int, int, Any]]:
    """First, last and value of each stretch of equal values."""
    flags = list(flags)
    starts = [i for i in range(len(flags)) if i == 0 or flags[i] != flags[i - 1]]
    ends = [*(i - 1 for i in starts[1:]), len(flags) - 1]
    return [(a, b, flags[a]) for a, b in zip(starts, ends, strict=True)] if flags else []


def _line(
    axes: Axes,
    x: np.ndarray,
    values: pd.Series,
    silent: pd.Series,
    log_x: bool,
    log_y: bool,
    colour: str,
    marker: str,
    width: float = 1.7,
    size: float = 5.0,
) -> None:
    """Solid with filled markers, or dashed with open ones where silent; the change is half-way between two steps."""
    size *= min(1.0, (25 / len(x)) ** 0.5)
    y = values.to_numpy(dtype=float)
    y = np.where(y > 0, y, np.nan) if log_y else y
    silent = silent.to_numpy(dtype=bool)
    mid_x, mid_y = _between(x[:-1], x[1:], log_x), _between(y[:-1], y[1:], log_y)
    for first, last, quiet in _stretches(silent):
        xs, ys = x[first : last + 1], y[first : last + 1]
        if first > 0:
            xs, ys = np.r_[mid_x[first - 1], xs], np.r_[mid_y[first - 1], ys]
        if last < len(x) - 1:
            xs, ys = np.r_[xs, mid_x[last]], np.r_[ys, mid_y[last]]
        axes.plot(xs, ys, color=colour, linewidth=width, linestyle=_DASHES if quiet else "-", zorder=2.5)
        axes.plot(
            x[first : last + 1], y[first : last + 1], linestyle="none", marker=marker, markersize=size, color=colour,
            markerfacecolor="white" if quiet else colour, markeredgewidth=1, zorder=3,
        )  # fmt: skip


def _shade(axes: Axes, data: pd.DataFrame, place: _Steps, options: Options) -> None:
    """Grey behind the steps at which a run predicts nothing useful: dark if as good as a constant, light if worse."""
    if data.empty:
        return
    x = place(data["step"])
    edges = [axes.get_xlim()[0], *_between(x[:-1], x[1:], place.log), axes.get_xlim()[1]]
    shade = np.where(data["skill"] < -options.useful_skill, style.LIGHT_SHADE, style.DARK_SHADE)
    shade = np.where(data["silent"], shade, "")
    for first, last, colour in _stretches(shade):
        if colour:
            axes.axvspan(edges[first], edges[last + 1], color=str(colour), linewidth=0, zorder=0)


def _log_limits(values: pd.Series) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        return 0.1, 10.0
    margin = max((high / low) ** 0.06, 1.2)
    return low / margin, high * margin


def _scale(axes: Axes, values: pd.DataFrame, *, log: bool, include: float | None = None) -> None:
    """Limits of the y axis from the values to be drawn."""
    flat = pd.Series(values.to_numpy(dtype=float).ravel())
    if include is not None:
        flat = pd.concat([flat, pd.Series([include])])
    if log:
        axes.set_yscale("log")
        axes.set_ylim(*_log_limits(flat[flat > 0]))
        _log_labels(axes)
    else:
        margin = 0.04 * float(flat.max() - min(flat.min(), 0))  # so that markers at zero stay whole
        axes.set_ylim(min(0.0, float(flat.min())) - margin, float(flat.max()) + margin)


def _log_labels(axes: Axes) -> None:
    """Plain numbers at decades, and between them if there are fewer than two."""
    low, high = axes.get_ylim()
    decades = np.floor(np.log10(high)) - np.ceil(np.log10(low)) + 1
    if decades < 2:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_speed(axes: Axes, data: pd.DataFrame, place: _Steps, name: str, colour: str, marker: str) -> Line2D:
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


def _sample(colour: str, marker: str, label: str, *, silent: bool = False, linestyle: Any = None) -> Line2D:
    """A piece of line for the legend."""
    return Line2D(
        [], [], color=colour, marker=marker, markerfacecolor="white" if silent else colour, markersize=5,
        linewidth=1.6, linestyle=linestyle or (_DASHES if silent else "-"), label=label,
    )  # fmt: skip


def _shades(options: Options, whose: str = "baseline: ") -> list[Patch]:
    limit = f"{100 * options.useful_skill:g} %"
    return [
        Patch(facecolor=style.DARK_SHADE, label=f"{whose}no better than a constant\n(skill within ± {limit})"),
        Patch(facecolor=style.LIGHT_SHADE, edgecolor=style.DARK_SHADE, label=f"{whose}worse than a constant"),
    ]


def _guide(options: Options, *, band: bool, rings: bool, threshold: bool) -> list[Any]:
    """Legend entries that all figures share."""
    limit = f"{100 * options.useful_skill:g} %"
    entries: list[Any] = [
        _sample(style.INK, "o", f"skill ≥ {limit}"),
        _sample(style.INK, "o", f"skill < {limit}: predicts nothing\nuseful, so a low share means little", silent=True),
        *_shades(options),
    ]
    if band:
        entries.append(Patch(facecolor=style.MUTED, alpha=0.35, label=f"{100 * options.confidence:g} % interval"))
    if rings:
        text = "lowest share: before it first doubles\n(dip), of all steps (lowest), of those\n"
        text += f"with skill ≥ {limit} (with skill)"
        ring = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "linestyle": "none"}
        entries.append(Line2D([], [], color=style.INK, label=text, **ring))
    if threshold:
        line = {"linewidth": 0.9, "linestyle": (0, (7, 3))}
        entries.append(Line2D([], [], color=style.INK, label=f"{options.threshold:g} % of the loss", **line))
    return entries


def _panels(*heights: float) -> tuple[Figure, list[Axes], Axes]:
    """A figure with panels one above the other on a shared x axis, and a column for legends on their right."""
    figure = style.new_figure(style.WIDTH, style.HEIGHT)
    grid = figure.add_gridspec(len(heights), 2, width_ratios=(style.WIDTH - _COLUMN, _COLUMN), height_ratios=heights)
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[i, 0], sharex=panels[0]) for i in range(1, len(heights))]
    for upper in panels[:-1]:
        upper.tick_params(labelbottom=False)
    column = figure.add_subplot(grid[:, 1])
    column.set_axis_off()
    return figure, panels, column


def _legends(column: Axes, series: list[Any], title: str, guide: list[Any]) -> None:
    """What the lines are, at the top of a column, and how to read them, at its foot; taller if there are many."""
    for handle in series:
        lines = handle.get_label().split("\n")
        handle.set_label("\n".join(textwrap.fill(line, _WRAP, subsequent_indent="    ") for line in lines))
    lines = sum(handle.get_label().count("\n") + 1 for handle in [*series, *guide])
    gaps = len(series) + len(guide) + 5  # between entries, and two titles
    figure = column.get_figure()
    figure.set_size_inches(style.WIDTH, max(style.HEIGHT, 0.145 * lines + 0.06 * gaps + 0.9))
    upper = _legend(column, series, title, "upper left")
    column.add_artist(upper)
    _legend(column, guide, "How to read", "lower left").set_in_layout(False)
    upper.set_in_layout(False)


def _legend(axes: Axes, handles: list[Any], title: str, corner: str = "upper left") -> Legend:
    legend = axes.legend(handles=handles, title=title, loc=corner, alignment="left")
    legend.get_title().set_fontweight("bold")
    return legend


def _markers(count: int) -> list[str]:
    return [style.MARKERS[i % len(style.MARKERS)] for i in range(count)]


def _unit(data: pd.DataFrame) -> str:
    return " or ".join(dict.fromkeys(data["unit"]))
