"""Statistics that test the paper's claims, with intervals, from a task's tables.

Intervals of held-out losses are by bootstrap over clusters: all runs and steps of a task are evaluated on the same
clusters, so that one resample of clusters serves all. Where the baseline has replicates, the resamples of all its seeds
are pooled. The bounds of a step that was not reached within training say that it lies somewhere after the last one: a
run that is too short contradicts nothing.

Losses and flow times are those of `equidyn.study.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
from scipy import stats

from equidyn.analysis.correlation import FEWEST, Correlation, log_correlation
from equidyn.core.numbers import short
from equidyn.core.seeding import seed_for
from equidyn.study.choice import Choice
from equidyn.study.costs import at_equal_compute
from equidyn.study.selection import is_control, settings, varying
from equidyn.study.tables import prefer_estimator

PERCENT = 2.0  # "at or below 2 % of the held-out loss"
RELATIVE = 0.02  # the same of the energy of what is predicted, which does not fall when predictions vanish
SKILL = 0.5  # half of the trivial prediction's loss is gone: the network has learned its task in part
TENTH = 0.1
LATE = 0.4  # flow times from here on see their share return
LAST_STEP = 10_000  # "within 1k to 10k steps"

_SUMS = ("weight", "total", "equivariance", "prediction_energy", "null_energy")


class Untestable(Exception):  # noqa: N818
    """Something that a statistic needs is missing; the message says what."""


@dataclass(frozen=True)
class Found:
    """A statistic, its interval (NaN if there is none) and notes."""

    value: float
    low: float
    high: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds of a statistic, in the data (first row) and in each resample: arrays (S, ...)."""

    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def exact(cls, values: np.ndarray) -> Bounds:
        """Bounds of a statistic that is known exactly."""
        return cls(values, values)

    def reduced(self, reduce: Callable[..., np.ndarray], times: np.ndarray) -> Bounds:
        """The extreme over some flow times, (S,)."""
        return Bounds(reduce(self.lower[:, times], axis=1), reduce(self.upper[:, times], axis=1))


@dataclass(frozen=True)
class Curves:
    """Held-out losses of a run in the data (first row) and in each resample: S samples, T flow times, N steps.

    Attributes:
        steps: (N,) in order.
        times: (T,) flow times; a single 0 where there are none.
        sums: `_SUMS` over clusters, each (S, T, N).
    """

    steps: np.ndarray
    times: np.ndarray
    sums: dict[str, np.ndarray]

    @property
    def loss(self) -> np.ndarray:
        """The total loss, (S, T, N)."""
        return self.sums["total"] / self.sums["weight"]

    @property
    def equivariance(self) -> np.ndarray:
        """The equivariance error, (S, T, N)."""
        return self.sums["equivariance"] / self.sums["weight"]

    @property
    def twirled(self) -> np.ndarray:
        """The twirled loss, that of the network averaged over rotations, (S, T, N)."""
        return self.loss - self.equivariance

    @property
    def null_loss(self) -> np.ndarray:
        """The loss of a predictor that has learned nothing, (S, T, N)."""
        return self.sums["null_energy"] / self.sums["weight"]

    @property
    def percent(self) -> np.ndarray:
        """Share of equivariance error in the loss."""
        return 100 * self.sums["equivariance"] / self.sums["total"]

    @property
    def skill(self) -> np.ndarray:
        """1 − loss / loss of a predictor that has learned nothing."""
        return 1 - self.sums["total"] / self.sums["null_energy"]

    def falls(self, *, useful: bool) -> Bounds:
        """First step at which the share is small, (S, T); if `useful`, and the network also predicts something."""
        reached = self.percent <= PERCENT
        if useful:
            energy = self.sums["prediction_energy"]
            reached &= (self.skill >= SKILL) & (self.sums["equivariance"] <= RELATIVE * energy) & (energy > 0)
        return self.first(reached)

    def first(self, reached: np.ndarray) -> Bounds:
        """First step at which something is reached, (S, T); later than the last step if it never is."""
        ever, step = reached.any(axis=-1), self.steps[reached.argmax(axis=-1)].astype(float)
        later = np.nextafter(float(self.steps[-1]), np.inf)
        return Bounds(np.where(ever, step, later), np.where(ever, step, np.inf))

    def over_times(self, losses: np.ndarray) -> np.ndarray:
        """(S, N): the mean over flow times of a loss divided by (1 - t)², its weight in training."""
        return (losses / (1 - self.times[:, None]) ** 2).mean(axis=1)


@dataclass(frozen=True, eq=False)
class TaskTables:
    """All tables of one task; see `equidyn.claims.definitions.judge`."""

    choice: Choice
    evaluation: pd.DataFrame
    clusters: Mapping[str, pd.DataFrame]
    analyses: Mapping[tuple[str, str], pd.DataFrame]
    compute: pd.DataFrame
    resamples: int
    confidence: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.choice.task

    @property
    def baseline(self) -> str:
        """The run that others are compared with."""
        return self.choice.baseline

    @property
    def weights(self) -> str:
        """Which weights are judged, "raw" or "ema"."""
        return self.choice.weights

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Design of all runs, by name."""
        return settings(self.evaluation).sort_index()

    @cached_property
    def replicates(self) -> list[str]:
        """The baseline, then its further seeds."""
        return self.like([])

    def like(self, columns: Sequence[str]) -> list[str]:
        """Runs that differ from the baseline in these columns and seed alone, baseline first; no controls."""
        if self.baseline not in self.runs.index:
            raise Untestable(f"no run {self.baseline!r} was evaluated")
        return list(varying(self.runs.reset_index(), self.baseline, columns)["run"])

    @cached_property
    def control(self) -> str | None:
        """The first exactly equivariant network with the baseline's training data."""
        runs = self.runs[is_control(self.runs)].sort_values("seed", kind="stable")
        same = runs["train_subset"] == self.runs.loc[self.replicates[0], "train_subset"]
        return next(iter(runs.index[same]), None)

    @cached_property
    def labels(self) -> np.ndarray:
        """(C,) labels of the clusters, which all runs of the task share."""
        return np.unique(self.rows(self.replicates[0])["cluster"])

    @cached_property
    def counts(self) -> np.ndarray:
        """(S, C) how often each resample has each cluster; the first is the data as they are."""
        count = len(self.labels)
        rng = np.random.default_rng(seed_for(self.seed, "claims", self.name))
        return np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), self.resamples)])

    def rows(self, run: str) -> pd.DataFrame:
        """Sums by cluster of a run, with the weights and conditions that figures show."""
        if run not in self.clusters:
            raise Untestable(f"no sums by cluster of run {run!r}")
        rows = _only(self.clusters[run], self.weights, self.choice.conditions)
        if rows.empty:
            raise Untestable(f"run {run!r} was not evaluated with weights {self.weights!r} in the usual way")
        return rows

    @cached_property
    def curves(self) -> Callable[[str], Curves]:
        """Losses of a run, computed once."""
        return cache(self._curves)

    def _curves(self, run: str) -> Curves:
        rows = self.rows(run)
        timed = "t" in rows and rows["t"].notna().any()
        sums = rows.assign(t=rows["t"] if timed else 0.0).set_index(["t", "step", "cluster"])[list(_SUMS)].sort_index()
        times, steps, labels = (np.unique(sums.index.get_level_values(name)) for name in sums.index.names)
        if not np.array_equal(labels, self.labels):
            raise ValueError(
                f"run {run!r} was evaluated on other clusters than {self.baseline!r}: evaluate both on the same"
            )
        if not sums.index.is_unique or len(sums) != len(times) * len(steps) * len(labels):
            raise ValueError(f"run {run!r} must have one row for each flow time, step and cluster: sum its examples")
        if run != self.baseline and not np.array_equal(times, self.times):
            raise ValueError(f"run {run!r} was evaluated at other flow times than {self.baseline!r}: use the same")
        values = sums.to_numpy(dtype=float).reshape(len(times), len(steps), len(labels), len(_SUMS))
        drawn = np.tensordot(self.counts, values, axes=(1, 2))
        return Curves(steps, times, {name: drawn[..., i] for i, name in enumerate(_SUMS)})

    @cached_property
    def times(self) -> np.ndarray:
        """(T,) flow times of the baseline; a single 0 where there are none."""
        return self.curves(self.replicates[0]).times

    @property
    def timed(self) -> bool:
        """Whether there are several flow times."""
        return len(self.times) > 1

    @cached_property
    def learned(self) -> np.ndarray:
        """(T,) at which flow times some run of the task reaches a skill of one half."""
        reached = np.zeros(len(self.times), dtype=bool)
        known = [run for run in self.runs.index if run in self.clusters]
        best = {run: self.curves(run).skill.max(axis=2) for run in known}
        for skill in best.values():
            reached |= skill[0] >= SKILL
        if not reached.any():
            run = max(best, key=lambda name: best[name][0].max())
            found = self.pooled([Bounds.exact(best[run].max(axis=1))])
            raise Untestable(
                f"no run reaches a skill of {SKILL:g}: the best is {_said(found.value)} "
                f"({_said(found.low)} to {_said(found.high)}, run {run!r})"
            )
        return reached

    @property
    def judged(self) -> np.ndarray:
        """(T,) flow times that count: those at which something can be learned, where there are several."""
        return self.learned if self.timed else np.ones(1, dtype=bool)

    def pooled(self, drawn: Sequence[Bounds], *notes: str, value: float | None = None) -> Found:
        """A statistic from its samples for each seed, each (S,), the first that of the baseline.

        Percentiles are at a level widened for few clusters as in `equidyn.core.decomposition.interval`. No two samples
        are averaged, as some may be infinite. The interval is made to hold the value.
        """
        value = float(drawn[0].upper[0]) if value is None else value
        count = len(self.labels)
        if count < 2:
            return Found(value, np.nan, np.nan, (f"{count} cluster gives no interval", *notes))
        quantile = np.sqrt(count / (count - 1)) * stats.t.ppf((1 + self.confidence) / 2, count - 1)
        lower, upper = (
            np.sort(np.concatenate([getattr(each, end)[1:] for each in drawn])) for end in ("lower", "upper")
        )
        tail = stats.norm.sf(quantile) * (len(lower) - 1)
        low, high = lower[int(tail)], upper[len(upper) - 1 - int(tail)]
        if len(drawn) > 1:
            notes = (f"{len(drawn)} seeds pooled", *notes)
        return Found(value, min(float(low), value), max(float(high), value), notes)

    def analysis(self, kind: str) -> pd.DataFrame:
        """Rows of the baseline in the table of an analysis, by step."""
        if (kind, self.name) not in self.analyses:
            raise Untestable(f"there is no {kind} analysis of this task")
        table = self.analyses[kind, self.name]
        conditions = self.choice.conditions
        pair = [name for name in ("group", "comparison") if name in table]
        if pair and len(table[pair].drop_duplicates()) == 1:
            # An analysis under one group and comparison alone is judged by these.
            conditions = {name: value for name, value in conditions.items() if name not in pair}
        rows = _only(table[table["run"] == self.baseline], self.weights, conditions)
        if rows.empty:
            raise Untestable(f"the {kind} analysis has no rows of run {self.baseline!r}, weights {self.weights!r}")
        return rows.sort_values("step", kind="stable")


def _only(table: pd.DataFrame, weights: str, conditions: Mapping[str, object]) -> pd.DataFrame:
    """Rows with these weights and conditions, or without a condition, by the exact estimator where a run has it."""
    rows = table[table["weights"] == weights]
    for name, value in conditions.items():
        if name in rows:
            rows = rows[rows[name].isna() | (rows[name] == value)]
    return prefer_estimator(rows, "exact")


# Statistics of held-out losses.


def falls(task: TaskTables, *, useful: bool, sizes: Sequence[str] = ()) -> Found:
    """The last of the first steps with a small share, over flow times, and over runs that differ in size."""
    others = [run for run in task.like(sizes) if run not in task.replicates]
    if sizes and task.runs.loc[[task.baseline, *others], sizes[0]].nunique() < 2:
        raise Untestable(f"no run differs from {task.baseline!r} in {sizes[0]} alone")
    times = task.learned if useful else np.ones(len(task.times), dtype=bool)
    first = {run: task.curves(run).falls(useful=useful) for run in (*task.replicates, *others)}
    latest = {run: found.reduced(np.max, times) for run, found in first.items()}
    drawn = [_latest([latest[run] for run in (replicate, *others)]) for replicate in task.replicates]
    if others:
        shown = {run: latest[run] for run in (task.baseline, *others)}
        notes = ["by run: " + ", ".join(f"{run} {_step(found, 0)}" for run, found in shown.items())]
    else:
        texts = [_step(first[task.baseline], i) for i in range(len(times))]
        notes = _by_time(task, texts, times) if task.timed else [f"step {texts[0]}"]
    return task.pooled(drawn, *notes, *_left_out(task, times))


def _latest(bounds: Sequence[Bounds]) -> Bounds:
    return Bounds(np.max([each.lower for each in bounds], axis=0), np.max([each.upper for each in bounds], axis=0))


def faster(task: TaskTables) -> Found:
    """Steps in which the twirled loss falls to a tenth, over those of the equivariance error; least over flow times."""
    drawn, texts = [], []
    for run in task.replicates:
        curves = task.curves(run)
        twirled, equivariance = (_tenth(curves, part) for part in (curves.twirled, curves.equivariance))
        ratio = Bounds(twirled.lower / equivariance.upper, twirled.upper / equivariance.lower)
        drawn.append(ratio.reduced(np.min, task.judged))
        if run == task.baseline:
            texts = [f"{_step(twirled, i)} / {_step(equivariance, i)}" for i in range(len(task.times))]
    notes = [
        *(_by_time(task, texts, task.judged) if task.timed else [f"steps: {texts[0]}"]),
        *_left_out(task, task.judged),
    ]
    lower, upper = float(drawn[0].lower[0]), float(drawn[0].upper[0])
    if lower == upper:
        return task.pooled(drawn, *notes)
    if lower > 0:
        what = f"at least {_said(lower)}, as the twirled loss does not get there within training"
        return task.pooled(drawn, what, *notes, value=lower)
    if np.isfinite(upper):
        what = f"at most {_said(upper)}, as the equivariance error does not get there within training"
        return task.pooled(drawn, what, *notes, value=upper)
    raise Untestable("; ".join(["neither part of the loss falls to a tenth within training", *notes]))


def _tenth(curves: Curves, part: np.ndarray) -> Bounds:
    """First step at which a loss is a tenth of its first value."""
    first = part[..., :1]
    return curves.first((part <= TENTH * first) & (first > 0))


def with_skill(task: TaskTables) -> Found:
    """Remaining share of the twirled loss over that of the equivariance error where skill is first one half."""
    drawn, times = [], task.judged
    for run in task.replicates:
        curves = task.curves(run)
        useful = curves.skill >= SKILL
        if run == task.baseline:
            times = times & useful[0].any(axis=-1)
            if not times.any():
                raise Untestable(f"run {run!r} does not reach a skill of {SKILL:g} within training")
        at = useful.argmax(axis=-1)[..., None]
        (twirled, twirled_first), (equivariance, equivariance_first) = (
            (np.take_along_axis(part, at, axis=-1)[..., 0], part[..., 0])
            for part in (curves.twirled, curves.equivariance)
        )
        above, below = twirled * equivariance_first, equivariance * twirled_first
        ratio = np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0)
        known = useful.any(axis=-1)
        drawn.append(Bounds(np.where(known, ratio, 0), np.where(known, ratio, np.inf)).reduced(np.min, times))
        if run == task.baseline:
            texts = [_said(value) for value in ratio[0]]
    return task.pooled(drawn, *_by_time(task, texts, times), *_left_out(task, times))


def penalty(task: TaskTables) -> Found:
    """Excess of the loss over the twirled loss at the last step, percent; the most over flow times."""
    values = [100 * (curves.loss / curves.twirled - 1)[..., -1] for curves in map(task.curves, task.replicates)]
    drawn = [Bounds.exact(value).reduced(np.max, task.judged) for value in values]
    texts = [_said(value) for value in values[0][0]]
    return task.pooled(drawn, *_by_time(task, texts, task.judged), *_left_out(task, task.judged))


def returns(task: TaskTables) -> Found:
    """Largest ratio of the share to its lowest value before; geometric mean over late flow times."""
    late = _late(task)
    shares = [task.curves(run).percent for run in task.replicates]
    rises = [(share / np.minimum.accumulate(share, axis=-1)).max(axis=-1) for share in shares]
    means = [stats.gmean(rise[:, late], axis=1) for rise in rises]
    noise = "the largest of several noisy ratios exceeds 1 even where nothing returns"
    return _so_far(task, means, *_by_time(task, [_said(value) for value in rises[0][0]], late), noise)


def ends_above(task: TaskTables) -> Found:
    """The share at the last step, the smallest over late flow times."""
    late = _late(task)
    shares = [task.curves(run).percent[..., -1] for run in task.replicates]
    lowest = [share[:, late].min(axis=1) for share in shares]
    return _so_far(task, lowest, *_by_time(task, [_said(value) for value in shares[0][0]], late))


def _late(task: TaskTables) -> np.ndarray:
    """(T,) which flow times are late."""
    late = task.times >= LATE
    if not late.any():
        raise Untestable(f"no flow time of {LATE:g} or later was evaluated")
    return late


def _so_far(task: TaskTables, values: Sequence[np.ndarray], *notes: str) -> Found:
    """Bounds of a statistic that may still rise where training is too short for a return, from (S,) values per seed."""
    last = [int(task.curves(run).steps[-1]) for run in task.replicates]
    drawn = [
        Bounds(value, value if step >= LAST_STEP else np.full_like(value, np.inf))
        for value, step in zip(values, last, strict=True)
    ]
    if min(last) < LAST_STEP:
        notes = (f"training ends at step {min(last):,}, so the share may still come back", *notes)
    return task.pooled(drawn, *notes, value=float(values[0][0]))


def wins(task: TaskTables, *, averaged: bool) -> Found:
    """The least ratio of the baseline's best loss so far to an equivariant control's, over equal training compute.

    Compute at which either predicts nothing useful does not count: losing less at that stage is no win.
    """
    if task.control is None:
        raise Untestable(f"no equivariant control has the training data of {task.baseline!r}")
    least, where = [], []
    for run in task.replicates:
        curves, control = task.curves(run), task.curves(task.control)
        losses = curves.over_times(curves.twirled if averaged else curves.loss)
        spent = _flops(task, run, curves), _flops(task, task.control, control)
        pairs = [
            at_equal_compute(spent[0], loss, spent[1], other)
            for loss, other in zip(losses, control.over_times(control.loss), strict=True)
        ]
        budgets, *found = pairs[0]
        null = curves.over_times(curves.null_loss)[0, 0]
        useful = np.maximum(*found) <= (1 - task.choice.useful_skill) * null
        if not useful.any():
            raise Untestable(
                f"there is no training compute at which both {run!r} and {task.control!r} have a skill of at least "
                f"{task.choice.useful_skill:g}"
            )
        ratios = np.array([best / reference for _, best, reference in pairs])[:, useful]
        least.append(Bounds.exact(ratios.min(axis=1)))
        budgets = budgets[useful]
        where.append(f"{short(budgets[ratios[0].argmin()])} FLOP, of {short(budgets[0])} to {short(budgets[-1])}")
    return task.pooled(least, f"control {task.control}; least at {where[0]}")


def _flops(task: TaskTables, run: str, curves: Curves) -> np.ndarray:
    """Training compute (N,) at each step."""
    flops = task.compute[task.compute["run"] == run].groupby("step")["training_flops"].first().reindex(curves.steps)
    if flops.isna().any():
        raise Untestable(f"the training compute of run {run!r} is not known")
    return flops.to_numpy(dtype=float)


# Statistics of analyses.


def geometric(task: TaskTables, kind: str, column: str, keys: Iterable[str], what: str) -> Found:
    """Geometric mean of a quantity of the twirled loss over that of the equivariance error, and the range of it."""
    rows = task.analysis(kind)
    if kind == "landscape":
        rows = rows[rows["protocol"] == "common"]
    keys = [name for name in ("step", "t", "block", *keys) if name in rows and rows[name].notna().all()]
    by_loss = rows.drop_duplicates([*keys, "loss"]).pivot(index=keys, columns="loss", values=column)
    by_loss = by_loss.reindex(columns=["twirled", "equivariance"])
    ratios = (by_loss["twirled"] / by_loss["equivariance"]).sort_index()
    ratios = ratios[(ratios > 0) & np.isfinite(ratios)]
    notes = []
    equal = (np.abs(ratios - 1) < _EQUAL).groupby(level="block").transform("all")
    if kind == "hessian" and equal.any():
        blocks = ", ".join(dict.fromkeys(equal[equal].index.get_level_values("block")))
        notes.append(f"left out is {blocks}, where both are equal by the form of the network")
        ratios = ratios[~equal]
    if ratios.empty:
        raise Untestable("; ".join([f"no {what} of both losses is known", *notes]))
    notes.insert(0, f"{len(ratios)} {what}{'s' if len(ratios) > 1 else ''}: " + ", ".join(map(_said, ratios)))
    low, high = (ratios.min(), ratios.max()) if len(ratios) > 1 else (np.nan, np.nan)
    return Found(float(stats.gmean(ratios)), float(low), float(high), tuple(notes))


_EQUAL = 1e-6  # relative, of two numbers that are the same up to rounding


def correlation(task: TaskTables, kind: str, x: str, y: str) -> Found:
    """Pearson's R of logarithms along training, averaged over flow times on Fisher's scale, as are interval ends.

    One network is measured at all times on the same checkpoints, so times are not independent: averaging the ends
    allows for any dependence, as the standard deviation of a mean is at most the mean of standard deviations.
    """
    found = _correlated(task, kind, x, y)
    ends = np.array([[each.pearson, each.pearson_low, each.pearson_high] for _, each in found.values()])
    value, low, high = np.tanh(np.arctanh(np.clip(ends, _EQUAL - 1, 1 - _EQUAL)).mean(axis=0))
    return Found(float(value), float(low), float(high), _of_times(list(found), list(map(_said, ends[:, 0]))))


def slope(task: TaskTables, x: str, y: str) -> Found:
    """Least-squares slope of logarithms along training, averaged over flow times, as are interval ends."""
    found = _correlated(task, "head", x, y)
    ends = np.array([_sloped(logs, each.block, task) for logs, each in found.values()])
    value, low, high = ends.mean(axis=0)
    return Found(float(value), float(low), float(high), _of_times(list(found), list(map(_said, ends[:, 0]))))


def _sloped(logs: np.ndarray, block: int, task: TaskTables) -> tuple[float, float, float]:
    """Slope of the second series (2, n) by the first, and its interval: as in `log_correlation`, on a plain scale."""
    count = logs.shape[1]
    rng = np.random.default_rng(seed_for(task.seed, "slope", task.name))
    starts = rng.integers(0, count - block + 1, (task.resamples, -(-count // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(task.resamples, -1)[:, :count]
    x, y = logs[:, np.vstack([np.arange(count), drawn])]
    x = x - x.mean(axis=1, keepdims=True)
    varies = (x**2).sum(axis=1) > 0
    slopes = (x * y).sum(axis=1)[varies] / (x**2).sum(axis=1)[varies]
    level = (1 + task.confidence) / 2
    stretch = stats.t.ppf(level, count / block - 1) / stats.norm.ppf(level) / np.sqrt(1 - block / count)
    low, high = np.quantile(slopes[1:], [1 - level, level])
    value = slopes[0]
    return float(value), float(value - stretch * max(value - low, 0)), float(value + stretch * max(high - value, 0))


def _correlated(task: TaskTables, kind: str, x: str, y: str) -> dict[float | None, tuple[np.ndarray, Correlation]]:
    """Logarithms (2, n) along the baseline and their correlation, by flow time (None where there are none).

    Times at which too few checkpoints have both quantities are left out.
    """
    rows = task.analysis(kind)
    if "parameter_group" in rows:
        rows = rows[rows["parameter_group"] == "all"]
    timed = "t" in rows and rows["t"].notna().any()
    found = {}
    for t, path in rows.groupby("t") if timed else [(None, rows)]:
        pairs = path.loc[(path[x] > 0) & (path[y] > 0), [x, y]].to_numpy(dtype=float).T
        each = log_correlation(*pairs, level=task.confidence, resamples=task.resamples, seed=task.seed)
        if np.isfinite(each.pearson):
            found[t] = np.log(pairs), each
    if not found:
        raise Untestable(f"fewer than {FEWEST} checkpoints have both quantities, or one does not change")
    return found


# Words.


def _said(value: float) -> str:
    """A number in a reason."""
    return "unknown" if np.isnan(value) else short(value)


def _step(found: Bounds, i: int) -> str:
    """The step in the data, at the i-th flow time if there are several."""
    lower, upper = (np.atleast_1d(each[0])[i] for each in (found.lower, found.upper))
    return _said(upper) if np.isfinite(upper) else f"> {_said(lower)}"


def _by_time(task: TaskTables, texts: Sequence[str], times: np.ndarray) -> list[str]:
    """Values at some flow times, where there are several."""
    return (
        list(_of_times(task.times[times], [text for text, shown in zip(texts, times, strict=True) if shown]))
        if task.timed
        else []
    )


def _of_times(times: Sequence[float | None], texts: Sequence[str]) -> tuple[str, ...]:
    told = [f"{short(t)}: {text}" for t, text in zip(times, texts, strict=True) if t is not None]
    return (f"by t: {', '.join(told)}",) if told else ()


def _left_out(task: TaskTables, times: np.ndarray) -> list[str]:
    """A note on the flow times that do not count."""
    if times.all():
        return []
    return [f"left out, as skill stays below {SKILL:g}: t = {', '.join(map(short, task.times[~times]))}"]
