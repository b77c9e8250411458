"""Losses at equal cost: of the baseline, and of exactly equivariant networks that were trained in the same way.

Where learning rates fall along training, a training counts at its end alone; where they do not, at every evaluated
step. Between two costs no further apart than by a factor `DENSE`, the best loss so far is a straight line in
logarithms, which is what is found; else it lies between those at both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from equidyn.claims.evidence import DENSE, Bounds, Evidence, Found, Training, Trainings, Untestable
from equidyn.core.numbers import short
from equidyn.models.card import CONTROL
from equidyn.study.choice import OPPONENT, comparable


def trainings(
    runs: Mapping[str, Mapping[str, Any]], baseline: str, anneals: bool, train: Callable[[str], Training]
) -> Trainings:
    """The trainings that are compared at equal cost.

    Args:
        runs: See `equidyn.study.choice.comparable`.
        baseline: Name of a run.
        anneals: Whether learning rates fall.
        train: Function of the name of a run; an equivariant network of which it is `Untestable` is left out.
    """
    ours = [train(run) for run in comparable(runs, baseline, [], all_lengths=True)]
    theirs: dict[str, list[Training]] = {}
    lacks: dict[str, str] = {}
    for run in comparable(runs, baseline, OPPONENT, all_lengths=True, include_controls=True):
        model = runs[run]["model"]
        if runs[run]["variant"] == CONTROL and model not in lacks:
            try:
                theirs[model] = [*theirs.get(model, []), train(run)]
            except Untestable as lack:
                lacks[model] = str(lack)
                theirs.pop(model, None)
    return Trainings(ours, theirs, lacks, anneals)


@dataclass(frozen=True)
class Frontier:
    """The best losses that trainings of one network and seed have reached, by what they cost.

    Attributes:
        trainings: In any order.
        anneals: Whether a training counts at its end alone.
    """

    trainings: Sequence[Training]
    anneals: bool
    _kept: dict = field(default_factory=dict)  # what `_lines` returns

    @cached_property
    def whole(self) -> list[float]:
        """Costs at which a training counts, ascending."""
        costs = np.unique(np.concatenate([self._counting(each)[0] for each in self.trainings]))
        return [float(cost) for cost in costs]

    def best(self, budget: float) -> str:
        """The run with the lowest loss of those that count within a budget, at least the first of `whole`."""
        counting = {each.run: self._counting(each) for each in self.trainings}
        losses = {run: loss[costs <= budget] for run, (costs, loss) in counting.items()}
        return min((run for run, loss in losses.items() if len(loss)), key=lambda run: losses[run].min())

    def _counting(self, training: Training) -> tuple[np.ndarray, np.ndarray]:
        """Costs at which a training counts, ascending, and its losses there in the data."""
        counts = (training.costs > 0) & (not self.anneals or training.costs == training.costs[-1])
        return training.costs[counts], _losses(training, False)[0, counts]

    def loss(self, budget: float, averaged: bool) -> Bounds:
        """(S,) the lowest loss within a budget, at least the first of `whole`; averaged over rotations if so asked."""
        found = [_within(costs, best, budget) for costs, best in self._lines(averaged) if costs[0] <= budget]
        lower, upper, seen = (
            np.min([getattr(each, end) for each in found], axis=0) for end in ("lower", "upper", "value")
        )
        return Bounds(lower, upper, seen, smooth=True)

    def _lines(self, averaged: bool) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ascending costs (n,) and the logarithm of the lowest loss until each (S, n), on which all budgets lie."""
        if averaged not in self._kept:
            spent = [(each, each.costs > 0) for each in self.trainings]
            lines = [(each.costs[counts], _losses(each, averaged)[:, counts]) for each, counts in spent]
            if self.anneals:
                costs, ends = np.array([cost[-1] for cost, _ in lines]), np.stack([loss[:, -1] for _, loss in lines], 1)
                lines = [(np.sort(costs), ends[:, np.argsort(costs, kind="stable")])]
            self._kept[averaged] = [
                (costs, np.log(np.maximum(np.minimum.accumulate(losses, axis=1), np.finfo(float).tiny)))
                for costs, losses in lines
            ]
        return self._kept[averaged]

    def skill(self, budget: float, averaged: bool = False) -> float:
        """Skill of the best that was trained within a budget, in the data."""
        null = self.trainings[0].curves.null_over_times[-1]
        return float(1 - self.loss(budget, averaged).upper[0] / null)


def _losses(training: Training, averaged: bool) -> np.ndarray:
    return training.curves.twirled_over_times if averaged else training.curves.total_over_times


def _within(costs: np.ndarray, best: np.ndarray, budget: float) -> Bounds:
    """The lowest loss within a budget, of the logarithms (S, n) of the lowest until ascending costs (n,)."""
    last = int(np.searchsorted(costs, budget, side="right")) - 1
    if last == len(costs) - 1 or budget == costs[last]:
        return Bounds.exact(np.exp(best[:, last]))
    part = np.log(budget / costs[last]) / np.log(costs[last + 1] / costs[last])
    between = np.exp(best[:, last] * (1 - part) + best[:, last + 1] * part)
    if costs[last + 1] > DENSE * costs[last]:
        return Bounds(np.exp(best[:, last + 1]), np.exp(best[:, last]), between)
    return Bounds.exact(between)


@dataclass(frozen=True)
class Contest:
    """The baseline against one equivariant network.

    Attributes:
        model: Name of that network.
        pairs: Of each seed that both have, the baseline's losses and the other's.
    """

    model: str
    pairs: Sequence[tuple[Frontier, Frontier]]

    def common(self, seed: int, budget: float) -> list[float]:
        """Costs within a budget at which a training of either counts, from which on both have one, for one pair."""
        pair = self.pairs[seed]
        first = max(frontier.whole[0] for frontier in pair)
        return [cost for cost in sorted({*pair[0].whole, *pair[1].whole}) if first <= cost <= budget]

    def ratio(self, seed: int, budget: float, averaged: bool) -> Bounds:
        """(S,) the baseline's loss, or that of it averaged over rotations, over the other's, within a budget."""
        baseline, opponent = self.pairs[seed]
        ours, theirs = baseline.loss(budget, averaged), opponent.loss(budget, averaged=False)
        return Bounds(ours.lower / theirs.upper, ours.upper / theirs.lower, ours.value / theirs.value, smooth=True)


def contests(compared: Trainings) -> tuple[list[Contest], float, dict[str, str]]:
    """Contests, the largest common budget (that the baseline and some opponent used), and why others do not compete."""
    lacks, found = dict(compared.lacks), []
    for model, theirs in compared.theirs.items():
        ours, others = (_by_seed(side, compared.anneals) for side in (compared.ours, theirs))
        pairs = [(frontier, others[seed]) for seed, frontier in ours.items() if seed in others]
        if pairs:
            found.append(Contest(model, pairs))
        else:
            lacks[model] = f"it was trained with no seed of {compared.ours[0].run!r}"
    budgets = [min(frontier.whole[-1] for pair in each.pairs for frontier in pair) for each in found]
    return found, max(budgets, default=0.0), lacks


def _by_seed(side: Sequence[Training], anneals: bool) -> dict[int, Frontier]:
    seeds = dict.fromkeys(each.seed for each in side)
    return {seed: Frontier([each for each in side if each.seed == seed], anneals) for seed in seeds}


def unfit(contest: Contest, budget: float, useful_skill: float, unit: str) -> str:
    """Why one of both has nothing to compare within a budget, in words; empty if both have."""
    for frontier in (frontier for pair in contest.pairs for frontier in pair):
        if frontier.whole[0] > budget:
            run = frontier.best(frontier.whole[0])
            return f"{run} has no whole schedule within {short(budget)} {unit}, the largest common budget"
        if frontier.skill(budget) < useful_skill:
            return f"at {short(budget)} {unit} {frontier.best(budget)} predicts nothing"
    return ""


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
    every, budget, lacks = contests(compared)
    found = []
    for contest in every:
        if lack := unfit(contest, budget, evidence.useful_skill, unit):
            lacks[contest.model] = lack
        else:
            found.append(_found(evidence, contest, budget, averaged, unit, {each.seed for each in compared.ours}))
    told = [f"{model} is not compared: {lack}" for model, lack in lacks.items()]
    if not found:
        only = (
            f"no equivariant network was trained like {evidence.replicates[0]!r}, but for its learning rate and length"
        )
        raise Untestable("; ".join(told) or only)
    worst = max(found, key=lambda each: each.value)
    return replace(worst, notes=(*worst.notes, *told))


def _found(
    evidence: Evidence, contest: Contest, budget: float, averaged: bool, unit: str, seeds: set[int]
) -> Found:  # fmt: skip
    drawn = [contest.ratio(seed, budget, averaged) for seed in range(len(contest.pairs))]
    common = contest.common(0, budget)
    shown = [*common[:: -(-len(common) // 6)][:-1], budget] if len(common) > 1 else [budget]
    curve = ", ".join(f"{short(cost)}: {_told(contest.ratio(0, cost, averaged))}" for cost in shown)
    names, ends = (
        " and ".join(each)
        for each in zip(*((side.best(budget), short(side.whole[-1])) for side in contest.pairs[0]), strict=True)
    )
    notes = [f"ratio by budget in {unit}: {curve}", f"compared: {names}, whose longest trainings reach {ends}"]
    if alone := sorted(seeds - {pair[0].trainings[0].seed for pair in contest.pairs}):
        notes.append(f"without seeds {', '.join(map(str, alone))} of the baseline, which {contest.model} lacks")
    return evidence.combined(drawn, *notes)


def _told(ratio: Bounds) -> str:
    """A ratio in the data."""
    low, high = (short(float(end[0])) for end in (ratio.lower, ratio.upper))
    return low if low == high else f"{low} to {high}"
