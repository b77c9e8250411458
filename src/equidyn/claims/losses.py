"""Statistics of held-out losses along training that test the paper's claims.

Each is a function of the evidence about a task. A statistic is computed for each seed of the baseline, in the data and
in each resample; how seeds and resamples make an interval is the evidence's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from equidyn.claims.evidence import (
    LEARNS,
    RELATIVE,
    WITHIN,
    Bounds,
    Curves,
    Evidence,
    Found,
    Untestable,
)
from equidyn.core.numbers import short
from equidyn.study.choice import NEARLY

LATE = 0.4  # flow times from here on see their share return
HALF_DECADE = 10**0.5
LATER = 0.6  # and from here on it stays high in all of the authors' runs on much data
JUMP = 0.25  # of skill from one evaluation to the next, over which nothing is interpolated
SURELY = 0.975  # of the resamples
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
    reached, times = curves.percent <= NEARLY, np.ones(len(curves.times), dtype=bool)
    if useful:
        reached = reached & (curves.relative <= RELATIVE) & (curves.progress >= evidence.settings.skill)
        times = curves.learning()
    return curves.first_for_good(reached) if lasting else curves.first(reached), times


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
        return curves.at(ratio, curves.progress, skill, smooth=True, jump=JUMP)

    return _extreme(evidence, statistic, np.min, "null")


def penalty(evidence: Evidence) -> Found:
    """The largest excess of the loss over the twirled loss, percent, from the first skill on; most over flow times.

    Where no null loss is known, from the first share of 2 % or less on.
    """

    def statistic(curves: Curves) -> Bounds:
        return Bounds.exact(np.where(_since_skill(evidence, curves), curves.penalty, -np.inf).max(axis=-1))

    return _extreme(evidence, statistic, np.max)


def _since_skill(evidence: Evidence, curves: Curves) -> np.ndarray:
    """Whether an evaluation (S, T, N) is not before the first skill; before the first small share if none is known."""
    learned = curves.percent <= NEARLY if curves.null is None else curves.skill >= evidence.useful_skill
    return np.maximum.accumulate(learned, axis=-1)


def silent(evidence: Evidence) -> Found:
    """Skill, or 0 if it is negative, where the share has become small; the most over flow times."""

    def statistic(curves: Curves) -> Bounds:
        if not (curves.percent <= NEARLY)[0].any(axis=-1)[curves.learning()].all():
            raise Untestable(f"the share does not fall to {NEARLY:g} % within training")
        return curves.at(np.maximum(curves.skill, 0), -curves.percent, -NEARLY, smooth=False)

    return _extreme(evidence, statistic, np.max, "null")


def at_skill(evidence: Evidence, *, skill: float) -> Found:
    """Relative equivariance error where a skill is reached; the most over flow times that reach it."""
    drawn: list[Bounds] = []
    texts: list[str] = []
    counted: dict[str, np.ndarray] = {}
    for run in evidence.replicates:
        curves = evidence.curves(run)
        reached: np.ndarray = np.any(curves.skill >= skill, axis=-1)
        times = counted[run] = reached[0] & (reached.mean(axis=0) >= SURELY)
        if not times.any():
            best = curves.skill[0].max()
            raise Untestable(
                f"run {run!r} does not surely reach a skill of {skill:g}: its best is {short(float(best))}"
            )
        bounds = curves.at(curves.relative, curves.skill, skill, smooth=True, jump=JUMP)
        drawn.append(bounds.reduced(np.max, times))
        texts = texts or _by_time(evidence, _said_each(bounds), times)
    return evidence.combined(
        drawn, *texts, *_left_out(evidence, counted, f"a skill of {skill:g} is not surely reached")
    )


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
    """The share at the end over its lowest since the first skill; geometric mean over late flow times.

    Single evaluations of raw weights scatter several-fold, so that the largest ratio of two is large without any trend.
    Means over half a decade of steps are compared instead.
    """

    def statistic(curves: Curves) -> np.ndarray:
        counted = _since_skill(evidence, curves) & (curves.percent > 0)
        logarithms = np.log(np.where(counted, curves.percent, 1.0))
        windows = (curves.steps <= curves.steps[:, None]) & (curves.steps * HALF_DECADE >= curves.steps[:, None])
        number = counted @ windows.T.astype(float)
        mostly = 2 * number >= (curves.percent > 0) @ windows.T.astype(float)
        means = np.divide(
            logarithms @ windows.T, number, out=np.full(number.shape, np.inf), where=mostly & (number > 0)
        )
        with np.errstate(invalid="ignore"):  # where nothing is learned
            return np.exp(means[..., -1] - means.min(axis=-1))

    return _so_far(evidence, statistic, _geometric_mean, LATE, WITHIN, least=1.0)


def _geometric_mean(values: np.ndarray, axis: int) -> np.ndarray:
    return np.exp(np.log(values).mean(axis=axis))


def ends_above(evidence: Evidence) -> Found:
    """The share at the last step, the smallest over later flow times."""
    return _so_far(evidence, lambda curves: curves.percent[..., -1], np.min, LATER, LONG, least=0.0)


def _so_far(
    evidence: Evidence, statistic: Callable, reduce: Callable[..., np.ndarray], earliest: float, long: int,
    *, least: float,
) -> Found:  # fmt: skip
    """A statistic over the flow times from one on, which where training ends before a step may still rise, or fall to
    `least`.
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
        either = Bounds(np.full_like(reduced, least), np.full_like(reduced, np.inf))
        drawn.append(Bounds.exact(reduced) if curves.ends >= long else either)
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
