"""Statistics of held-out losses along training that test the paper's claims.

Each is a function of the evidence about a task. A statistic is computed for each seed of the baseline, in the data and
in each resample; how seeds and resamples make an interval is the evidence's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from equidyn.claims.evidence import (
    LEARNS,
    PERCENT,
    RELATIVE,
    WITHIN,
    Bounds,
    Curves,
    Evidence,
    Found,
    Training,
    Untestable,
)
from equidyn.core.numbers import short

LATE = 0.4  # flow times from here on see their share return
LATER = 0.6  # and from here on it stays high in all of the authors' runs on much data
LONG = 100_000  # steps after which the authors' runs end above 2 %


def falls(evidence: Evidence, *, useful: bool = False, lasting: bool = False, sizes: Sequence[str] = ()) -> Found:
    """The last of the steps at which the share has fallen, over flow times, and over runs that differ in `sizes`."""
    others = evidence.others(sizes) if sizes else []
    if sizes and not others:
        raise Untestable(f"no run differs from {evidence.replicates[0]!r} in {sizes[0]} alone")
    first = {run: _fall(evidence, evidence.curves(run), useful, lasting) for run in (*evidence.replicates, *others)}
    latest = {run: found.reduced(np.max, times) for run, (found, times) in first.items()}
    drawn = [_latest([latest[run] for run in (replicate, *others)]) for replicate in evidence.replicates]
    by_run = ", ".join(f"{run} {_step(found)}" for run, found in latest.items())
    counted = {run: times for run, (_, times) in first.items()}
    if len(latest) > 1:
        told = [f"by run: {by_run}"]
        if alone := evidence.alone(others):
            told.append(f"of one seed, so that ends hold no spread over seeds of it: {', '.join(alone)}")
        return evidence.combined(drawn, *told, *_left_out(evidence, counted, _TOO_LITTLE))
    found, times = first[evidence.replicates[0]]
    by_time = _by_time(evidence, [_step(found, i) for i in range(len(times))], times)
    return evidence.combined(drawn, *by_time, *_left_out(evidence, counted, _TOO_LITTLE))


def _fall(evidence: Evidence, curves: Curves, useful: bool, lasting: bool) -> tuple[Bounds, np.ndarray]:
    """Bounds (S, T) of the step at which the share has fallen, and the flow times (T,) that count."""
    reached, times = curves.percent <= PERCENT, np.ones(len(curves.times), dtype=bool)
    if useful:
        reached = reached & (curves.relative <= RELATIVE) & (curves.progress >= evidence.settings.skill)
        times = curves.learning()
    return curves.first_lasting(reached) if lasting else curves.first(reached), times


def _latest(bounds: Sequence[Bounds]) -> Bounds:
    return Bounds(np.max([each.lower for each in bounds], axis=0), np.max([each.upper for each in bounds], axis=0))


def faster(evidence: Evidence) -> Found:
    """What is left to learn of the twirled loss over the equivariance error, once half is learned; least over times."""

    def statistic(curves: Curves) -> Bounds:
        twirled, equivariance, skill = curves.twirled, curves.known("equivariance"), evidence.settings.skill
        left = twirled - twirled.min(axis=-1, keepdims=True)
        at = (curves.progress >= skill).argmax(axis=-1)[..., None]
        if not np.take_along_axis(left, at, axis=-1)[0, curves.learning()].all():
            raise Untestable("no evaluation lies between half and all of what is learned")
        ratio = np.divide(left, equivariance, out=np.full_like(left, np.inf), where=equivariance > 0)
        return curves.at(ratio, curves.progress, skill, smooth=True)

    return _extreme(evidence, statistic, np.min, "null")


def penalty(evidence: Evidence) -> Found:
    """The largest excess of the loss over the twirled loss, percent, from the first skill on; most over flow times.

    Where no null loss is known, from the first share of 2 % or less on.
    """

    def statistic(curves: Curves) -> Bounds:
        learned = curves.percent <= PERCENT if curves.null is None else curves.skill >= evidence.useful_skill
        since = np.maximum.accumulate(learned, axis=-1)
        return Bounds.exact(np.where(since, curves.penalty, -np.inf).max(axis=-1))

    return _extreme(evidence, statistic, np.max)


def silent(evidence: Evidence) -> Found:
    """Skill, or 0 if it is negative, where the share has become small; the most over flow times."""

    def statistic(curves: Curves) -> Bounds:
        if not (curves.percent <= PERCENT)[0].any(axis=-1)[curves.learning()].all():
            raise Untestable(f"the share does not fall to {PERCENT:g} % within training")
        return curves.at(np.maximum(curves.skill, 0), -curves.percent, -PERCENT, smooth=False)

    return _extreme(evidence, statistic, np.max, "null")


def at_skill(evidence: Evidence, *, skill: float) -> Found:
    """Relative equivariance error where a skill is reached; the most over flow times that reach it."""
    drawn: list[Bounds] = []
    texts: list[str] = []
    counted: dict[str, np.ndarray] = {}
    for run in evidence.replicates:
        curves = evidence.curves(run)
        times = counted[run] = (curves.skill[0] >= skill).any(axis=-1)
        if not times.any():
            best = curves.skill[0].max()
            raise Untestable(f"run {run!r} does not reach a skill of {skill:g}: its best is {short(float(best))}")
        bounds = curves.at(curves.relative, curves.skill, skill, smooth=True)
        drawn.append(bounds.reduced(np.max, times))
        texts = texts or _by_time(evidence, _said_each(bounds), times)
    return evidence.combined(drawn, *texts, *_left_out(evidence, counted, f"the skill stays below {skill:g}"))


def order(evidence: Evidence) -> Found:
    """Step at which the relative error has fallen to stay, over that at which half is learned; most over flow times."""
    drawn: list[Bounds] = []
    texts: list[str] = []
    counted: dict[str, np.ndarray] = {}
    for run in evidence.replicates:
        curves = evidence.curves(run)
        times = counted[run] = curves.learning()
        equivariant = curves.first_lasting(curves.relative <= RELATIVE)
        learned = curves.first(curves.progress >= evidence.settings.skill)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = Bounds(
                np.nan_to_num(equivariant.lower / learned.upper, nan=0.0),
                np.nan_to_num(equivariant.upper / learned.lower, nan=np.inf, posinf=np.inf),
                np.nan_to_num(equivariant.value / learned.value, nan=np.inf, posinf=np.inf),
            )
        drawn.append(ratio.reduced(np.max, times))
        steps = [f"{_step(equivariant, i)} / {_step(learned, i)}" for i in range(len(times))]
        texts = texts or _by_time(evidence, steps, times)
    return evidence.combined(drawn, *texts, *_left_out(evidence, counted, _TOO_LITTLE))


def returns(evidence: Evidence) -> Found:
    """Largest ratio of the share to its lowest value before; geometric mean over late flow times."""

    def statistic(curves: Curves) -> np.ndarray:
        shares = np.where(curves.percent > 0, curves.percent, np.inf)  # 0 where nothing is predicted yet
        lowest = np.minimum.accumulate(shares, axis=-1)
        rises = np.divide(curves.percent, lowest, out=np.ones_like(lowest), where=np.isfinite(lowest))
        return rises.max(axis=-1)

    return _so_far(evidence, statistic, stats.gmean, LATE, WITHIN, least=None)


def ends_above(evidence: Evidence) -> Found:
    """The share at the last step, the smallest over later flow times."""
    return _so_far(evidence, lambda curves: curves.percent[..., -1], np.min, LATER, LONG, least=0.0)


def _so_far(
    evidence: Evidence, statistic: Callable, reduce: Callable[..., np.ndarray], earliest: float, long: int,
    *, least: float | None,
) -> Found:  # fmt: skip
    """A statistic over the flow times from one on that may still rise where training ends before a step.

    Or fall to `least`, unless it is a maximum.
    """
    drawn: list[Bounds] = []
    values: list[float] = []
    texts: list[str] = []
    ends: list[int] = []
    for run in evidence.replicates:
        curves = evidence.curves(run)
        times = curves.times >= earliest
        if not times.any():
            raise Untestable(f"no flow time of {earliest:g} or later was evaluated")
        found = statistic(curves)
        reduced = reduce(found[:, times], axis=1)
        values.append(float(reduced[0]))
        lower = reduced if least is None else np.full_like(reduced, least)
        drawn.append(Bounds.exact(reduced) if curves.ends >= long else Bounds(lower, np.full_like(reduced, np.inf)))
        texts = texts or _by_time(evidence, list(map(_said, found[0])), times)
        ends.append(curves.ends)
    if min(ends) < long:
        texts = [f"training ends at step {min(ends):,}, before {long:,}, so the share may still change", *texts]
    return evidence.combined(drawn, *texts, value=float(np.median(values)))


def _extreme(
    evidence: Evidence, statistic: Callable[[Curves], Bounds], reduce: Callable[..., np.ndarray], *needs: str
) -> Found:
    """A statistic's extreme over the flow times at which something is learned; all where no null loss is known.

    Seeds of which something that it needs is not published are left out and named, unless it is of none.
    """
    drawn: list[Bounds] = []
    texts: list[str] = []
    counted: dict[str, np.ndarray] = {}
    every = {run: evidence.curves(run) for run in evidence.replicates}
    known = {run: each for run, each in every.items() if all(getattr(each, name) is not None for name in needs)}
    for run, curves in (known or every).items():
        everywhere = np.ones(len(curves.times), dtype=bool)
        times = counted[run] = everywhere if curves.null is None else curves.learning()
        values = statistic(curves)
        drawn.append(values.reduced(reduce, times))
        texts = texts or _by_time(evidence, _said_each(values), times)
    unnamed = f"what it needs is not published of {', '.join(run for run in every if run not in counted)}"
    lacking = [unnamed] if len(counted) < len(every) else []
    return evidence.combined(drawn, *texts, *lacking, *_left_out(evidence, counted, _TOO_LITTLE))


# Losses at equal cost.


def wins(evidence: Evidence, *, averaged: bool, unit: str) -> Found:
    """Loss of the baseline over that of an equivariant network, both trained in full within the largest common budget.

    That is the largest which the baseline and some equivariant network have used. Each of these is taken at its best
    within it, and the one that the baseline does worst against counts. Seeds are compared in pairs.

    Args:
        evidence: About a task.
        averaged: Whether the baseline is averaged over rotations when it is used.
        unit: Of the budget: "FLOP" or "s".
    """
    compared = evidence.trainings(unit)
    lacks, pairs, found = dict(compared.lacks), {}, []
    for model, theirs in compared.theirs.items():
        trained = {each.seed for each in theirs}
        seeds = [seed for seed in dict.fromkeys(each.seed for each in compared.ours) if seed in trained]
        groups = compared.ours, theirs
        pairs[model] = [[_Frontier(group, seed, compared.anneals) for group in groups] for seed in seeds]
        if not seeds:
            lacks[model] = f"it was trained with no seed of {evidence.replicates[0]!r}"
    budgets = [min(frontier.largest for pair in each for frontier in pair) for each in pairs.values() if each]
    for model, each in pairs.items():
        try:
            found += [_against(evidence, each, max(budgets), averaged, unit)] if each else []
        except Untestable as lack:
            lacks[model] = str(lack)
    told = [f"{model} is not compared: {lack}" for model, lack in lacks.items()]
    if not found:
        only = (
            f"no equivariant network was trained like {evidence.replicates[0]!r}, but for its learning rate and length"
        )
        raise Untestable("; ".join(told) or only)
    worst = max(found, key=lambda each: each.value)
    return replace(worst, notes=(*worst.notes, *told))


def _against(
    evidence: Evidence, pairs: Sequence[Sequence[_Frontier]], budget: float, averaged: bool, unit: str
) -> Found:
    for pair in pairs:
        for frontier in pair:
            if frontier.least > budget:
                raise Untestable(
                    f"{frontier.name} has no whole schedule within {short(budget)} {unit}, the largest common budget"
                )
            if frontier.skill(budget) < evidence.useful_skill:
                raise Untestable(f"at {short(budget)} {unit} {frontier.name} predicts nothing")
    drawn = [Bounds.exact(_ratio(pair, budget, averaged)) for pair in pairs]
    first = pairs[0]
    budgets = sorted({cost for frontier in first for cost in frontier.whole if cost <= budget})
    common = [cost for cost in budgets if cost >= max(frontier.least for frontier in first)]
    shown = [*common[:: -(-len(common) // 6)][:-1], budget] if len(common) > 1 else [budget]
    curve = ", ".join(f"{short(cost)}: {_said(float(_ratio(first, cost, averaged)[0]))}" for cost in shown)
    names = " and ".join(f"{frontier.name} to {short(frontier.largest)}" for frontier in first)
    return evidence.combined(drawn, f"ratio by budget in {unit}: {curve}", f"trained: {names}")


class _Frontier:
    """The best losses (S,) that trainings of one network and seed have reached, by what they cost.

    Where learning rates fall, a training counts at its end alone; where they do not, every step is an end.
    """

    def __init__(self, trainings: Sequence[Training], seed: int, anneals: bool):
        chosen = sorted((each for each in trainings if each.seed == seed), key=lambda each: each.costs[-1])
        self.parts = chosen if anneals else chosen[-1:]
        self.name, self.anneals = chosen[-1].run, anneals
        self.whole = [each.costs[-1] for each in chosen] if anneals else [x for x in chosen[-1].costs if x > 0]
        self.least, self.largest = min(self.whole), max(self.whole)

    def loss(self, budget: float, averaged: bool) -> np.ndarray:
        """(S,) the lowest loss until a budget, linear in logarithms between, that of the largest beyond it."""
        columns = [
            (each.curves.over_times(each.curves.twirled if averaged else each.curves.known("total")), each.costs)
            for each in self.parts
        ]
        if self.anneals:
            losses, costs = np.stack([loss[:, -1] for loss, _ in columns], axis=1), np.array(self.whole)
        else:
            losses, costs = columns[0][0][:, columns[0][1] > 0], np.array(self.whole)
        best = np.log(np.maximum(np.minimum.accumulate(losses, axis=1), np.finfo(float).tiny))
        different = np.append(np.diff(costs) > 0, True)  # of trainings at equal cost the best counts
        best, costs = best[:, different], costs[different]
        place = np.clip(np.searchsorted(costs, budget), 1, len(costs) - 1) if len(costs) > 1 else 0
        if len(costs) == 1:
            return np.exp(best[:, 0])
        low, high = np.log(costs[place - 1]), np.log(costs[place])
        part = min((np.log(budget) - low) / (high - low), 1.0)
        return np.exp(best[:, place - 1] * (1 - part) + best[:, place] * part)

    def skill(self, budget: float) -> float:
        """Skill at a budget, in the data."""
        curves = self.parts[-1].curves
        null = curves.over_times(np.broadcast_to(curves.known("null"), curves.known("total").shape))[0, -1]
        return float(1 - self.loss(budget, averaged=False)[0] / null)


def _ratio(pair: Sequence[_Frontier], budget: float, averaged: bool) -> np.ndarray:
    baseline, opponent = pair
    return baseline.loss(budget, averaged) / opponent.loss(budget, averaged=False)


# Words.


def _said(value: float) -> str:
    """A number in a reason."""
    return "unknown" if np.isnan(value) else short(value)


def _said_each(bounds: Bounds) -> list[str]:
    """Numbers in the data at all flow times."""
    ends = zip(bounds.lower[0], bounds.upper[0], strict=True)
    return [_said(low) if low == high else f"{_said(low)} to {_said(high)}" for low, high in ends]


def _step(found: Bounds, i: int = 0) -> str:
    """The step in the data, at the i-th flow time if there are several."""
    lower, upper = (np.atleast_1d(each[0])[i] for each in (found.lower, found.upper))
    return _said(upper) if np.isfinite(upper) else f"> {_said(lower)}" if lower else "not seen"


def _by_time(evidence: Evidence, texts: Sequence[str], times: np.ndarray) -> list[str]:
    """Values at the flow times that count, where there are several, of the first run."""
    every = evidence.curves(evidence.replicates[0]).times
    if len(every) == 1:
        return []
    told = [f"{short(t)}: {text}" for t, text, counts in zip(every, texts, times, strict=True) if counts]
    return [f"by t: {', '.join(told)}"]


_TOO_LITTLE = f"the best skill is below {LEARNS:g}"


def _left_out(evidence: Evidence, counted: Mapping[str, np.ndarray], why: str) -> list[str]:
    """Flow times that do not count, of all runs if these are the same, else of each."""
    left = {
        run: ", ".join(short(t) for t, counts in zip(evidence.curves(run).times, times, strict=True) if not counts)
        for run, times in counted.items()
    }
    if len(set(left.values())) == 1:
        told = [f"t = {times}" for times in set(left.values()) if times]
    else:
        told = [f"t = {times} of {run}" for run, times in left.items() if times]
    return [f"left out, as {why}: {'; '.join(told)}"] if told else []
