"""A study's tables as evidence: sums over held-out clusters, and analyses of checkpoints.

All runs and steps of a task are evaluated on the same clusters, so that one resample of clusters serves all. Where the
baseline has further seeds, the bootstrap resamples seeds first, then clusters. A statistic without bounds also has a
standard error, from the jackknife over clusters and from the spread of seeds; it is given the outer ends of the
percentile bootstrap, the studentised one and Student's interval.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import special  # its statistics take most of a second to import

from equidyn.claims.budgets import trainings
from equidyn.claims.evidence import (
    EXAMPLES,
    FEWEST_SEEDS,
    INTERVAL,
    RANGE,
    Bounds,
    Curves,
    Evidence,
    Found,
    NotEvaluated,
    Settings,
    Training,
    Trainings,
    Untestable,
)
from equidyn.core.numbers import short
from equidyn.core.seeding import seed_for
from equidyn.run.recipe import DESIGN
from equidyn.study.choice import Choice, comparable
from equidyn.study.costs import spent
from equidyn.study.selection import settings
from equidyn.study.tables import prefer_estimator

_ROUNDING = 1e-6
_SUMS = ("weight", "total", "equivariance", "prediction_energy", "null_energy")


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """Sums by cluster of a run.

    Attributes:
        steps: (N,) evaluated steps.
        times: (T,) flow times; a single 0 where there are none.
        labels: (C,) labels of the clusters.
        sums: (5, T, N, C) the sums named in `_SUMS`.
    """

    steps: np.ndarray
    times: np.ndarray
    labels: np.ndarray
    sums: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(5,) of which sums anything is known."""
        return ~np.isnan(self.sums).any(axis=-1).all(axis=(1, 2))

    @classmethod
    def of(cls, run: str, rows: pd.DataFrame) -> ClusterSums:
        """Those of some rows.

        Raises:
            ValueError: There is not just one row for each flow time, step and cluster.
        """
        timed = "t" in rows and rows["t"].notna().any()
        keyed = rows.assign(t=rows["t"] if timed else 0.0).set_index(["t", "step", "cluster"])
        sums = keyed[list(_SUMS)].sort_index()
        times, steps, labels = (np.unique(sums.index.get_level_values(name)) for name in sums.index.names)
        if not sums.index.is_unique or len(sums) != len(times) * len(steps) * len(labels):
            raise ValueError(f"run {run!r} must have one row for each flow time, step and cluster: sum its examples")
        shape = len(_SUMS), len(times), len(steps), len(labels)
        return cls(steps, times, labels, sums.to_numpy(dtype=float).T.reshape(shape))


@dataclass(frozen=True, eq=False)
class TaskTables(Evidence):
    """All tables of one task; see `equidyn.claims.definitions.judge`."""

    choice: Choice
    evaluation: pd.DataFrame
    clusters: Mapping[str, pd.DataFrame]
    analyses: Mapping[tuple[str, str], pd.DataFrame]
    costs: pd.DataFrame
    resamples: int
    confidence: float
    seed: int
    settings: Settings = field(default_factory=Settings)
    _read: dict = field(default_factory=dict)  # of the tables, for all choices and settings
    _kept: dict = field(default_factory=dict)  # for one choice and number of the bootstrap

    def under(self, settings: Settings) -> TaskTables:
        """The same evidence under other settings."""
        kept = self._kept if settings.seed == self.settings.seed else {}
        return replace(self, settings=settings, _kept=kept)

    def of(self, choice: Choice, kept: dict | None = None) -> TaskTables:
        """The same evidence of other rows: another average of the weights, or another group and comparison.

        What is computed of them is kept in `kept`, if given.
        """
        return self if choice == self.choice else replace(self, choice=choice, _kept={} if kept is None else kept)

    @property
    def useful_skill(self) -> float:
        """Skill below which a network predicts nothing useful."""
        return self.choice.useful_skill

    @property
    def weights(self) -> str:
        """Which weights are judged."""
        return self.choice.weights

    @property
    def runs(self) -> pd.DataFrame:
        """Design of all runs, by name, and the last step at which each was evaluated."""
        return _once(self._read, "runs", lambda: settings(self.evaluation).sort_index())

    @cached_property
    def replicates(self) -> list[str]:
        """The baseline, then its further seeds, trained as long."""
        return self._like([])

    def others(self, columns: Sequence[str]) -> list[str]:
        """Runs that differ from the baseline in some columns, and in the seed, alone; no controls."""
        return [run for run in self._like(columns) if run not in self.replicates]

    def alone(self, runs: Sequence[str]) -> list[str]:
        """Those of some runs that have no further seed among them."""
        design = self.runs.loc[list(runs), list(DESIGN)].astype(str)
        return list(design.index[~design.duplicated(keep=False)])

    def _like(self, columns: Sequence[str], **lengths_and_controls: bool) -> list[str]:
        baseline = self.choice.baseline
        if baseline not in self.runs.index:
            raise Untestable(f"no run {baseline!r} was evaluated")
        return comparable(self.runs.to_dict("index"), baseline, columns, **lengths_and_controls)

    @property
    def labels(self) -> np.ndarray:
        """(C,) labels of the clusters, which all runs of the task share."""
        return self._sums(self.replicates[0]).labels

    @property
    def counts(self) -> np.ndarray:
        """(S, C) how often each sample has each cluster: the data, the data without each cluster, and resamples."""
        return _once(self._kept, "counts", self._counts)

    def _counts(self) -> np.ndarray:
        count = len(self.labels)
        rng = np.random.default_rng(seed_for(self.seed + self.settings.seed, "claims", self.choice.task))
        drawn = rng.multinomial(count, np.full(count, 1 / count), self.resamples)
        return np.vstack([np.ones(count), 1 - np.eye(count), drawn])

    def _rows(self, run: str) -> pd.DataFrame:
        """Sums by cluster of a run, with the weights that are judged and the conditions that figures show."""
        if run not in self.clusters:
            raise Untestable(f"no sums by cluster of run {run!r}")
        rows = _only(self.clusters[run], self.weights, self.choice.conditions)
        if rows.empty:
            raise NotEvaluated(f"run {run!r} was not evaluated with {self.weights} weights")
        return rows

    def curves(self, run: str) -> Curves:
        """Losses of a run, computed once for each number of the bootstrap."""
        return _once(self._kept, (run, self.settings.ratios), lambda: self._curves(run))

    def _curves(self, run: str) -> Curves:
        found = self._sums(run)
        weight, total, equivariance, energy, null = map(self._summed, found.sums)
        with np.errstate(divide="ignore", invalid="ignore"):  # of a single cluster that is left out
            percent = self._mean_share(found.sums) if self.settings.ratios else 100 * equivariance / total
            parts = zip((total, equivariance, null, energy), found.known[[1, 2, 4, 3]], strict=True)
            losses = [part / weight if is_known else None for part, is_known in parts]
        return Curves(found.steps, found.times, percent, *losses)

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """(S, T, N) sums over clusters of values (T, N, C), in the data and in each resample."""
        return np.tensordot(self.counts, values, axes=(1, 2))

    def _mean_share(self, sums: np.ndarray) -> np.ndarray:
        """(S, T, N) mean over clusters of their shares, percent."""
        total, equivariance = sums[1], sums[2]
        shares = np.divide(equivariance, total, out=np.zeros_like(total), where=total > 0)
        return 100 * self._summed(shares) / self.counts.sum(axis=1)[:, None, None]

    def _sums(self, run: str) -> ClusterSums:
        """The sums of a run, with the weights that are judged and the conditions that figures show; checked."""
        found, baseline = self._once_of("sums", run, lambda: ClusterSums.of(run, self._rows(run))), self.replicates[0]
        if run != baseline:
            usual = self._sums(baseline)
            if not np.array_equal(found.labels, usual.labels):
                raise ValueError(
                    f"run {run!r} was evaluated on other clusters than {baseline!r}: evaluate both on the same"
                )
            if not np.array_equal(found.times, usual.times):
                raise ValueError(f"run {run!r} was evaluated at other flow times than {baseline!r}: use the same")
        return found

    def _once_of(self, what: str, run: str, make: Callable[[], Any]) -> Any:
        """What the rows of a run that are looked at say, made once for all settings."""
        return _once(self._read, (what, run, self.weights, *self.choice.conditions.items()), make)

    def analysis(self, kind: str) -> pd.DataFrame:
        """Rows of the baseline and its further seeds in the table of an analysis, by run and step."""
        task = self.choice.task
        if (kind, task) not in self.analyses:
            raise Untestable(f"there is no {kind} analysis of this task")
        table = self.analyses[kind, task]
        conditions = self.choice.conditions
        pair = [name for name in ("group", "comparison") if name in table]
        if pair and len(table[pair].drop_duplicates()) == 1:
            # An analysis under one group and comparison alone is judged by these.
            conditions = {name: value for name, value in conditions.items() if name not in pair}
        rows = _only(table[table["run"].isin(self.replicates)], self.weights, conditions)
        if rows.empty:
            made = ", ".join(sorted(set(table["weights"])))
            raise NotEvaluated(
                f"the {kind} analysis has no rows of run {self.replicates[0]!r} with {self.weights} weights, but {made}"
            )
        order = rows["run"].map(self.replicates.index)
        return rows.assign(_order=order).sort_values(["_order", "step"], kind="stable").drop(columns="_order")

    def trainings(self, unit: str) -> Trainings:
        """Trainings whose losses at equal cost are compared, gathered once for each number of the bootstrap."""

        def gathered() -> Trainings:
            tables = self.of(self.choice.at_equal_cost, _once(self._kept, "at equal cost", dict))
            runs, baseline = self.runs.to_dict("index"), self.replicates[0]
            return trainings(runs, baseline, self.choice.anneals, lambda run: tables._training(run, unit))

        return _once(self._kept, ("trainings", unit, self.settings.ratios), gathered)

    def _training(self, run: str, unit: str) -> Training:
        curves, design = self.curves(run), self.runs.loc[run]
        costs = self._once_of(f"costs in {unit}", run, lambda: spent(self.costs, run, curves.steps, unit))
        if np.isnan(costs).any():
            raise Untestable(f"what a step of run {run!r} costs in {unit} is not known")
        return Training(run, design["model"], design["seed"], costs, curves)

    def combined(self, drawn: Sequence[Bounds], *notes: str, value: float | None = None) -> Found:
        """A statistic from its samples (S,) for each seed, the baseline first; see the module.

        Seeds are averaged in logarithms where all samples are smooth, finite and positive, plainly where they are
        smooth and finite, and else by their median.
        """
        count, clusters = len(drawn), len(self.labels)
        lower, upper, seen = (np.stack([getattr(each, what) for each in drawn]) for what in ("lower", "upper", "value"))
        known = bool(np.isfinite(upper).all() and all(each.smooth for each in drawn))
        forward, back, mean = _scale(lower, known)
        seeds = f"{count} seeds" if count > 1 else "one seed, so that ends hold examples alone"
        value = float(back(mean(forward(seen[:, 0]), np.median))) if value is None else value
        if clusters < 2:
            return Found(value, np.nan, np.nan, (f"{clusters} cluster gives no interval", *notes))
        level, start = (1 + self.confidence) / 2, clusters + 1
        rng = np.random.default_rng(seed_for(self.seed + self.settings.seed, "seeds", self.choice.task))
        chosen = rng.integers(0, count, (count, lower.shape[1] - start)) if count > 1 else np.zeros((1, 1), dtype=int)
        ends = [
            np.sort(mean(forward(np.take_along_axis(each[:, start:], chosen, axis=0) if count > 1 else each[:, start:]),
                         quantile))
            for each, quantile in ((lower, _lower_median), (upper, _upper_median))
        ]  # fmt: skip
        quantile = np.sqrt(clusters / (clusters - 1)) * special.stdtrit(clusters - 1, level)
        tail = int(special.ndtr(-quantile) * (len(ends[0]) - 1))
        low, high = ends[0][tail], ends[1][-1 - tail]
        if known:
            low = min(low, self._student(forward(lower))[0])
            high = max(high, self._student(forward(upper))[1])
        low, high = float(back(low)), float(back(high))
        kind = INTERVAL if count >= FEWEST_SEEDS else EXAMPLES
        leverage = self._leverage(back(mean(forward(seen[:, :start]), np.median)))
        return Found(value, min(low, value), max(high, value), (seeds, *notes, *leverage), kind)

    def _leverage(self, values: np.ndarray) -> list[str]:
        """The cluster that moves a statistic most, of its values (1 + C,) with all clusters and without each."""
        whole, without = values[0], values[1:]
        moves = np.abs(without - whole) if np.isfinite(whole) else np.zeros(1)
        most = int(moves.argmax())
        if moves[most] <= _ROUNDING * abs(whole):
            return []
        moved = f"from {short(whole)} to {short(without[most])}"
        return [f"one of {len(without)} clusters, {self.labels[most]}, moves it most when it is left out, {moved}"]

    def _student(self, values: np.ndarray) -> tuple[float, float]:
        """Interval of the mean over seeds of values (R, S): in the data, without each cluster, and in resamples.

        For clusters, the outer ends of Student's and of the studentised bootstrap, as in
        `equidyn.core.decomposition.interval`, but linearised by the jackknife; for seeds, Student's; their distances
        from the mean are added in squares.
        """
        seeds, clusters = len(values), len(self.labels)
        level, middle, (mean, *others) = (1 + self.confidence) / 2, values[:, 0].mean(), values.mean(axis=0)
        without, drawn = np.array(others[:clusters]), np.array(others[clusters:])
        influence = (clusters - 1) * (without.mean() - without)
        square = np.square(influence).sum() / (clusters * (clusters - 1))
        counts = self.counts[clusters + 1 :]
        spread = counts @ np.square(influence) / clusters - np.square(counts @ influence / clusters)
        errors = np.sqrt(np.maximum(spread, 0) / (clusters - 1))
        some = errors > _ROUNDING * np.sqrt(square)
        deviations = (drawn[some] - mean) / errors[some] if some.any() else np.zeros(1)
        quantile = special.stdtrit(clusters - 1, level)
        reach = np.sqrt(square) * np.array(
            [max(quantile, np.quantile(deviations, level)), max(quantile, -np.quantile(deviations, 1 - level))]
        )
        if seeds > 1:
            own = special.stdtrit(seeds - 1, level) * values[:, 0].std(ddof=1) / np.sqrt(seeds)
            reach = np.hypot(reach, own)
        return float(middle - reach[0]), float(middle + reach[1])

    def over_seeds(
        self, values: Sequence[float], scale: tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]], *notes: str
    ) -> Found:
        """Student's interval over seeds; of too few of them, their range."""
        forward, back = scale
        found = forward(np.array(values))
        count, value = len(values), float(back(found.mean()))
        shown = f"{count} seed{'s' if count > 1 else ''}: {', '.join(map(short, values))}"
        if count < FEWEST_SEEDS:
            ends = (min(values), max(values)) if count > 1 else (np.nan, np.nan)
            return Found(value, *ends, (f"{shown}; an interval needs {FEWEST_SEEDS}", *notes), RANGE)
        reach = special.stdtrit(count - 1, (1 + self.confidence) / 2) * found.std(ddof=1) / np.sqrt(count)
        low, high = (float(back(found.mean() + sign * reach)) for sign in (-1, 1))
        return Found(value, low, high, (shown, *notes))


def _once(kept: dict, key: Hashable, make: Callable[[], Any]) -> Any:
    """What is kept under a key, made where nothing is."""
    if key not in kept:
        kept[key] = make()
    return kept[key]


def _scale(lower: np.ndarray, known: bool) -> tuple[Callable, Callable, Callable]:
    """A scale, its inverse, and how seeds are averaged on it."""
    if known and (lower > 0).all():
        return np.log, np.exp, lambda values, quantile: values.mean(axis=0)
    if known:
        return _same, _same, lambda values, quantile: values.mean(axis=0)
    return _same, _same, lambda values, quantile: quantile(values, axis=0)


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _lower_median(values: np.ndarray, axis: int) -> np.ndarray:
    return np.sort(values, axis=axis)[(values.shape[axis] - 1) // 2]


def _upper_median(values: np.ndarray, axis: int) -> np.ndarray:
    return np.sort(values, axis=axis)[values.shape[axis] // 2]


def _only(table: pd.DataFrame, weights: str, conditions: Mapping[str, object]) -> pd.DataFrame:
    """Rows with these weights and conditions, or without a condition, by the exact estimator where a run has it."""
    rows = table[table["weights"] == weights]
    for name, value in conditions.items():
        if name in rows:
            rows = rows[rows[name].isna() | (rows[name] == value)]
    return prefer_estimator(rows, "exact")
