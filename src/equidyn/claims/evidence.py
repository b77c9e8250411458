"""What claims are judged on: curves of losses along training, whoever has measured them.

There are two kinds of evidence: the tables of a study, with sums over held-out clusters (`equidyn.claims.tables`), and
what the authors have published, single curves without clusters (`equidyn.claims.published`). The same statistics
(`equidyn.claims.losses`, `equidyn.claims.analyses`) are computed of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from equidyn.core.numbers import short

RELATIVE = 0.02  # the same of the relative error, which does not fall when predictions vanish
WITHIN = 10_000  # "within 1k to 10k steps"; sooner is no contradiction
EARLIEST = 10  # steps after which a fall is looked for
FEWEST_SEEDS = 3  # of which the spread tells anything
DENSE = 1.6  # evaluations further apart than by this factor can miss a fall
LEARNS = 0.2  # best skill from which on a flow time counts: a quarter of it, the least part looked at, is still useful
LASTS = 2.0  # a fall that lasts until this multiple of its step is seen by evaluations that far apart

INTERVAL, EXAMPLES, RANGE, SINGLE = "interval", "interval of too few seeds", "range of a few values", "value"
"""What the ends of a statistic are: a confidence interval; the same, where it must hold seeds and does not; extremes of
a few values; one value alone."""


class Untestable(Exception):  # noqa: N818
    """Something that a statistic needs is missing; the message says what."""


class NotEvaluated(Untestable):
    """Nothing was evaluated with the weights that are judged."""


@dataclass(frozen=True)
class Found:
    """A statistic, its ends (NaN if there are none), notes, and what the ends are."""

    value: float
    low: float
    high: float
    notes: tuple[str, ...] = ()
    kind: str = INTERVAL


@dataclass(frozen=True)
class Settings:
    """What could be chosen otherwise without changing the claim.

    Attributes:
        skill: Part of the way from the null loss to the run's best that counts as learned.
        ratios: Whether a share is the mean of the clusters' shares, as the authors average those of batches, in place
            of the share of the sums.
        seed: Number of the bootstrap.
    """

    skill: float = 0.5
    ratios: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds of a statistic, in the data (first row) and in each resample: arrays (S, ...).

    Attributes:
        lower: Lower bounds.
        upper: Upper bounds.
        seen: What is found at evaluated steps, where that is not the upper bound.
        smooth: Whether bounds follow the clusters' sums smoothly, so that they have a standard error.
    """

    lower: np.ndarray
    upper: np.ndarray
    seen: np.ndarray | None = None
    smooth: bool = False

    @classmethod
    def exact(cls, values: np.ndarray) -> Bounds:
        """Bounds of a statistic that is known exactly."""
        return cls(values, values, smooth=True)

    @property
    def value(self) -> np.ndarray:
        """What is found."""
        return self.upper if self.seen is None else self.seen

    def reduced(self, reduce: Callable[..., np.ndarray], times: np.ndarray) -> Bounds:
        """The extreme over some flow times, (S,)."""
        lower, upper, seen = (reduce(each[:, times], axis=1) for each in (self.lower, self.upper, self.value))
        return Bounds(lower, upper, seen, self.smooth)


@dataclass(frozen=True)
class Curves:
    """Held-out losses of a run in the data (first row) and in each resample: S samples, T flow times, N steps.

    Losses are means per component; None where nobody has measured or published them.

    Attributes:
        steps: (N,) evaluated steps in order.
        times: (T,) flow times; a single 0 where there are none.
        percent: (S, T, N) share of the equivariance error in the loss.
        total: (S, T, N) loss.
        equivariance: (S, T, N) equivariance error.
        null: Loss of a predictor that has learned nothing, of a shape that fits (S, T, N).
        energy: (S, T, N) mean square of what is predicted beyond the null prediction.
    """

    steps: np.ndarray
    times: np.ndarray
    percent: np.ndarray
    total: np.ndarray | None = None
    equivariance: np.ndarray | None = None
    null: np.ndarray | None = None
    energy: np.ndarray | None = None

    def known(self, name: str) -> np.ndarray:
        """One of the losses.

        Raises:
            Untestable: It is not known.
        """
        found = getattr(self, name)
        if found is None:
            raise Untestable(f"the {_WORDS[name]} is not known")
        return np.asarray(found)

    @property
    def twirled(self) -> np.ndarray:
        """The twirled loss, that of the network averaged over rotations."""
        return self.known("total") - self.known("equivariance")

    @property
    def penalty(self) -> np.ndarray:
        """What the loss exceeds the twirled loss by, percent."""
        with np.errstate(divide="ignore"):
            return 100 * self.percent / np.maximum(100 - self.percent, 0)

    @property
    def skill(self) -> np.ndarray:
        """1 − loss / loss of a predictor that has learned nothing."""
        return 1 - self.known("total") / self.known("null")

    @property
    def progress(self) -> np.ndarray:
        """Part of the way that the loss has fallen: 0 at the null loss, 1 at the best of this run at this time."""
        null, total = self.known("null"), self.known("total")
        best = total.min(axis=-1, keepdims=True)
        return np.where(null > best, (null - total) / np.where(null > best, null - best, 1), -np.inf)

    @property
    def relative(self) -> np.ndarray:
        """The relative error: equivariance error over `energy`; infinite where nothing is predicted."""
        energy = self.known("energy")
        return np.divide(self.known("equivariance"), energy, out=np.full(energy.shape, np.inf), where=energy > 0)

    @property
    def since(self) -> np.ndarray:
        """(N,) from when on something may have happened that each evaluation is the first to see."""
        return np.concatenate([self.steps[:1], np.nextafter(self.steps[:-1].astype(float), np.inf)])

    @property
    def ends(self) -> int:
        """The last evaluated step."""
        return int(self.steps[-1])

    def learning(self) -> np.ndarray:
        """(T,) at which flow times the run learns something, so that parts of what it learns tell anything.

        Raises:
            Untestable: At none.
        """
        best = self.skill[0].max(axis=-1)
        if not (best >= LEARNS).any():
            raise Untestable(f"too little is learned: the best skill is {short(float(best.max()))}, not {LEARNS:g}")
        return best >= LEARNS

    def at(
        self, quantity: np.ndarray, course: np.ndarray, level: float, *, smooth: bool, jump: float = np.inf
    ) -> Bounds:
        """Bounds (S, T) of a quantity (S, T, N) when a course (S, T, N) first comes up to a level.

        That is between two evaluations. Where these are no further apart than by a factor `DENSE`, and the course by no
        more than a jump, the quantity is taken for a straight line over the course between them, in logarithms if it is
        positive; else its values at both are the bounds. Nothing is known where the level is never reached. For
        `smooth`, see `Bounds`.
        """
        reached = course >= level
        ever, at = reached.any(axis=-1), reached.argmax(axis=-1)
        before = np.maximum(at - 1, 0)
        (start, low), (stop, high) = (
            [np.take_along_axis(each, i[..., None], axis=-1)[..., 0] for each in (quantity, course)]
            for i in (before, at)
        )
        with np.errstate(all="ignore"):  # of what is infinite, or never reached
            part = np.where(high > low, (level - low) / (high - low), 1.0)
            plain = start + part * (stop - start)
            between = np.where((start > 0) & (stop > 0), start * (stop / start) ** part, plain)
            is_near = (self.steps[at] <= DENSE * self.steps[before]) & (high - low <= jump)
        is_known = is_near & np.isfinite(between)
        lower, seen, upper = (
            np.where(is_known, between, end) for end in (np.minimum(start, stop), stop, np.maximum(start, stop))
        )
        infinite = np.full_like(upper, np.inf)
        return Bounds(np.where(ever, lower, 0), np.where(ever, upper, infinite), np.where(ever, seen, infinite), smooth)

    def first(self, reached: np.ndarray, until: float | None = None, gap: float = DENSE) -> Bounds:
        """Bounds (S, T) of the first step at which something (S, T, N) is reached: after the evaluation before.

        Where it never is, it is later than the step `until`, the last that could show it (the last evaluated one);
        where evaluations are further apart than by a factor `gap`, it may have been at any time, as may one after the
        steps of interest.
        """
        until = float(self.steps[-1]) if until is None else until
        ever, at = reached.any(axis=-1), reached.argmax(axis=-1)
        is_dense = self.is_dense(gap)
        later = np.nextafter(until, np.inf) if is_dense else 0.0
        seen = ever & (is_dense | (self.steps[at] <= WITHIN))
        lower = np.where(seen, self.since[at], np.where(ever, 0.0, later))
        return Bounds(lower, np.where(ever, self.steps[at].astype(float), np.inf))

    def is_dense(self, gap: float) -> bool:
        """Whether no two evaluations from step `EARLIEST` to `WITHIN` are further apart than by a factor."""
        start, stop = (self.steps[self.steps <= EARLIEST], self.steps[self.steps >= WITHIN])
        first, last = (start[-1] if len(start) else np.inf, stop[0] if len(stop) else self.ends)
        marks = self.steps[(self.steps >= first) & (self.steps <= last)]
        return len(marks) > 0 and bool((marks[1:] <= gap * marks[:-1]).all())

    def first_lasting(self, reached: np.ndarray) -> Bounds:
        """The same, of what then remains so until a multiple `LASTS` of its step."""
        judged = self.steps[self._until() <= self.ends]
        return self.first(self.lasting(reached), float(judged[-1]) if len(judged) else -np.inf, LASTS)

    def first_for_good(self, reached: np.ndarray) -> Bounds:
        """Bounds (S, T) of the first step from which something (S, T, N) is reached until the end of training.

        It is after the last evaluation at which it is not; where training ends before a multiple `LASTS` of its step,
        it may be later or never.
        """
        kept = np.flip(np.logical_and.accumulate(np.flip(reached, -1), axis=-1), -1)
        at = kept.argmax(axis=-1)
        is_seen = kept[..., -1] & (self._until()[at] <= self.ends)
        lower = np.where(kept[..., -1], self.since[at], np.nextafter(float(self.ends), np.inf))
        return Bounds(lower, np.where(is_seen, self.steps[at].astype(float), np.inf))

    def lasting(self, reached: np.ndarray) -> np.ndarray:
        """Whether something is reached at a step, the next one, and all until a multiple `LASTS` of it."""
        kept = [
            reached[..., (self.steps >= step) & (self.steps <= last)].all(axis=-1) & (last <= self.ends)
            for step, last in zip(self.steps, self._until(), strict=True)
        ]
        return np.stack(kept, axis=-1)

    def _until(self) -> np.ndarray:
        """(N,) until which step something must remain that is reached at each step, to last."""
        return np.maximum(LASTS * self.steps, [*self.steps[1:], np.inf])

    @cached_property
    def total_over_times(self) -> np.ndarray:
        """(S, N): the loss, see `_over_times`."""
        return self._over_times(self.known("total"))

    @cached_property
    def twirled_over_times(self) -> np.ndarray:
        """(S, N): the twirled loss, see `_over_times`."""
        return self._over_times(self.twirled)

    @cached_property
    def null_over_times(self) -> np.ndarray:
        """(N,): the null loss in the data, see `_over_times`."""
        return self._over_times(np.broadcast_to(self.known("null"), self.known("total").shape)[:1])[0]

    def _over_times(self, losses: np.ndarray) -> np.ndarray:
        """The mean over flow times of a loss divided by (1 - t)², as in training but all times alike."""
        return (losses / (1 - self.times[:, None]) ** 2).mean(axis=1)


_WORDS = {"total": "loss", "equivariance": "equivariance error", "null": "null loss", "energy": "predictions' energy"}


@dataclass(frozen=True)
class Training:
    """A training whose loss at its cost is compared with others'.

    Attributes:
        run: Its name.
        model: Name of its network.
        seed: Its seed.
        costs: (N,) what training until each evaluated step costs, in the unit asked for.
        curves: Its losses.
    """

    run: str
    model: str
    seed: int
    costs: np.ndarray
    curves: Curves


@dataclass(frozen=True)
class Trainings:
    """Trainings that differ in network, learning rate, length and seed alone.

    Attributes:
        ours: Of the baseline's network and learning rate.
        theirs: Of each exactly equivariant network that can be compared.
        lacks: What is missing of the other equivariant networks.
        anneals: Whether learning rates fall, so that only the end of a training is one.
    """

    ours: Sequence[Training]
    theirs: Mapping[str, Sequence[Training]]
    lacks: Mapping[str, str]
    anneals: bool


class Evidence(ABC):
    """Everything that is known of one task under one kind of weights.

    Attributes:
        settings: What could be chosen otherwise.
        judges_values: Whether a verdict may rest on values without an interval, as nothing else is published.
    """

    settings: Settings
    judges_values: ClassVar[bool] = False

    @property
    @abstractmethod
    def useful_skill(self) -> float:
        """Skill below which a network predicts nothing useful."""

    @property
    @abstractmethod
    def replicates(self) -> list[str]:
        """The run that others are compared with, then its further seeds."""

    @abstractmethod
    def others(self, columns: Sequence[str]) -> list[str]:
        """Runs that differ from the baseline in some columns of the design, and in the seed, alone; no controls."""

    def alone(self, runs: Sequence[str]) -> list[str]:
        """Those of some runs that have no further seed among them."""
        return list(runs)

    @abstractmethod
    def curves(self, run: str) -> Curves:
        """Losses of a run."""

    @abstractmethod
    def analysis(self, kind: str) -> pd.DataFrame:
        """Rows of the baseline and its further seeds in the table of an analysis, by run and step."""

    @abstractmethod
    def trainings(self, unit: str) -> Trainings:
        """Trainings whose losses at equal cost are compared.

        Args:
            unit: Of their costs: "FLOP" or "s".
        """

    @abstractmethod
    def combined(self, drawn: Sequence[Bounds], *notes: str, value: float | None = None) -> Found:
        """A statistic from its samples (S,) of each seed, the baseline first."""

    @abstractmethod
    def over_seeds(
        self, values: Sequence[float], scale: tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]], *notes: str
    ) -> Found:
        """A statistic from one value for each seed, averaged on a scale: a function and its inverse."""
