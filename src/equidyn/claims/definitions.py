"""The paper's claims, and some of ours, judged from tables.

A claim is a statistic and the range in which it would be found if the claim held; see `equidyn.claims.verdicts` for
what follows from it. Ranges follow from the paper's text and are such that what the authors have published lies in
them, where it can show the claim at all: a test judges it by the same code.

The paper's claims are those of Shen et al. 2025 (arXiv 2512.02303).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from equidyn.claims import analyses as of_analyses
from equidyn.claims import budgets, losses
from equidyn.claims.evidence import INTERVAL, WITHIN, Evidence, Found, NotEvaluated, Settings, Untestable
from equidyn.claims.published import Published, SingleCurves
from equidyn.claims.tables import TaskTables
from equidyn.claims.verdicts import NOT_TESTABLE, verdict
from equidyn.core.numbers import short
from equidyn.study.choice import MODEL_SIZE, NEARLY, OPTIMISER, TRAIN_SIZE, Choice
from equidyn.study.selection import EMA, RAW, averages, usual_average

COLUMNS = (
    "claim", "label", "by", "task", "weights", "statement", "statistic", "expected_low", "expected_high", "closed",
    "value", "low", "high", "ends", "published_value", "published_verdict", "published_reason", "verdict", "reason",
    "sensitivity", "figure",
)  # fmt: skip
"""Columns of the table of claims."""

PAPER, OURS = "paper", "ours"

# Expected ranges. Closed at infinity: a ratio may be beyond all bounds.
_STEPS = pd.Interval(0, WITHIN, closed="both")  # sooner is no contradiction
_MORE = pd.Interval(1, np.inf, closed="right")  # "faster", "smoother", "better conditioned": more than the other
_STRONG = pd.Interval(0.5, 1, closed="both")  # "correlates strongly": by the usual convention, 0.5 and more
_RETURNS = pd.Interval(2, np.inf, closed="both")  # the share at least doubles again
_ABOVE = pd.Interval(NEARLY, np.inf, closed="both")  # no longer "at or below 2 %"
_SMALL = pd.Interval(0, 25, closed="both")  # the authors' own reach 22 % (flow matching)
_WINS = pd.Interval(0, 1, closed="left")  # a lower loss than the other's
_NOT_LATER = pd.Interval(0, 1, closed="both")
_SILENT = pd.Interval(0, 0.05, closed="left")
_LITTLE = pd.Interval(0, 0.02, closed="both")

SEEDS, SHARES, SKILLS = range(1, 10), (True,), (0.25, 0.4, 0.6, 0.7)
"""Settings under which a verdict must be the same: numbers of the bootstrap, how shares are averaged, skills."""

_SHARE = ("seed", "ratios", "symmetry")  # what statistics depend on
_SKILL = (*_SHARE, "skill")

_FORCES, _FLOW, _VOXELS = "force_field", "flow_matching", "voxel_denoising"
_NO_ENERGY = "neither relative errors nor, but for force fields, the null loss is published"
_NO_NULL = "the null loss is not published"
_RARELY = "evaluated every 3,645 steps (50 % of the data) or 7,290 (sizes of the network), which can miss the dip"
_ONE_OPTIMISER = "optimisers were varied for force fields only"
_PAIRS = "only the figures' correlation is published"


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        label: The claim in a few words, for axes and rows of tables.
        statement: The claim in plain words.
        statistic: The statistic that tests it, in words.
        expected: Range of the statistic that would reproduce it.
        find: Function that computes the statistic from evidence.
        kind: Kind of the statistic: "steps", "ratio", "correlation", "percent", "skill" or "fraction".
        figures: Name of the figure to look at, and of the one for tasks with flow times.
        depends: Fields of `Settings` that the statistic depends on, and "symmetry" if it does on how predictions are
            twisted and compared.
        tasks: Tasks that the claim is about; all if empty.
        printed: Correlations that the authors print in their figures, by task.
        unshown: Why what the authors have published cannot show it, by task; "" for all.
        by: Whose claim it is.
    """

    label: str
    statement: str
    statistic: str
    expected: pd.Interval
    find: Callable[[Evidence], Found]
    kind: str
    figures: tuple[str, str]
    depends: Sequence[str] = ()
    tasks: Sequence[str] = ()
    printed: Mapping[str, Sequence[float]] = field(default_factory=dict)
    unshown: Mapping[str, str] = field(default_factory=dict)
    by: str = PAPER

    def variations(self) -> Iterator[tuple[str, Settings]]:
        """Settings under which the verdict must be the same, with a name each."""
        each: tuple[tuple[str, Iterable[Any], str], ...] = (
            ("seed", SEEDS, "bootstrap {}"),
            ("ratios", SHARES, "mean of the clusters' shares"),
            ("skill", SKILLS, "skill {}"),
        )
        for name, values, words in each:
            if name in self.depends:
                yield from ((words.format(value), Settings(**{name: value})) for value in values)


_LOSS_FIGURES = ("losses", "losses_by_time")
_SKILL_FIGURES = ("silence_and_symmetry", "silence_and_symmetry")
_HESSIANS = ("hessian_summary", "hessian_summary")
_PLANES = ("landscape_roughness", "landscape_roughness")

CLAIMS = {
    "falls_below_2_percent": Claim(
        "Falls to 2 %",
        "Equivariance error falls to 2 % of the held-out loss or less within 1,000 to 10,000 training steps.",
        "first evaluated step at which the share is at most 2 %, which lies after the evaluation before; flow "
        "matching: the last over flow times",
        _STEPS,
        losses.falls,
        "steps",
        ("percent_loglog", "percent_by_time_loglog"),
        _SHARE,
    ),
    "falls_with_skill": Claim(
        "Falls to 2 % with skill",
        "Equivariance error falls as soon in networks that have learned something; where nothing is predicted, it is "
        "small anyway.",
        "first evaluated step at which share and relative error are at most 2 % and the loss has fallen halfway from "
        "the null loss to the run's best; flow matching: the last over flow times at which it learns",
        _STEPS,
        partial(losses.falls, useful=True),
        "steps",
        _SKILL_FIGURES,
        _SKILL,
        unshown={"": _NO_ENERGY},
        by=OURS,
    ),
    "falls_to_stay": Claim(
        "Falls to 2 % for good",
        "Once the equivariance error is at most 2 % of the held-out loss, it remains so.",
        "first evaluated step from which the share is at most 2 % until the end of training, at twice that step or "
        "later; flow matching: the last over flow times",
        _STEPS,
        partial(losses.falls, lasting=True),
        "steps",
        ("percent_loglog", "percent_by_time_loglog"),
        _SHARE,
        by=OURS,
    ),
    "robust_to_model_size": Claim(
        "Falls with all model sizes",
        "Equivariance error falls as soon for all model sizes.",
        "the last, over model sizes, of the first steps at which the share is at most 2 %",
        _STEPS,
        partial(losses.falls, sizes=MODEL_SIZE),
        "steps",
        ("percent_by_model_size", "percent_by_time_and_model_size"),
        _SHARE,
        unshown={_VOXELS: _RARELY},
    ),
    "robust_to_data_size": Claim(
        "Falls with all training sets",
        "Equivariance error falls as soon for all sizes of the training set.",
        "the last, over training sets, of the first steps at which the share is at most 2 %",
        _STEPS,
        partial(losses.falls, sizes=TRAIN_SIZE),
        "steps",
        ("percent_by_train_size", "percent_by_time_and_train_size"),
        _SHARE,
        unshown={_VOXELS: _RARELY},
    ),
    "robust_to_optimiser": Claim(
        "Falls with all optimisers",
        "Equivariance error falls as soon with all optimisers and learning rates.",
        "the last, over optimisers, of the first steps at which the share is at most 2 %",
        _STEPS,
        partial(losses.falls, sizes=OPTIMISER),
        "steps",
        ("percent_by_optimiser", "percent_by_time_loglog"),
        _SHARE,
        unshown={_FLOW: _ONE_OPTIMISER, _VOXELS: _ONE_OPTIMISER},
    ),
    "robust_with_skill": Claim(
        "Falls with skill, all model sizes",
        "Equivariance error falls as soon for all model sizes, counting only networks that have learned something.",
        "the last, over model sizes, of the first steps at which share and relative error are at most 2 % and the "
        "loss has fallen halfway from the null loss to the run's best",
        _STEPS,
        partial(losses.falls, useful=True, sizes=MODEL_SIZE),
        "steps",
        ("percent_by_model_size", "percent_by_time_and_model_size"),
        _SKILL,
        unshown={"": _NO_ENERGY},
        by=OURS,
    ),
    "learned_faster": Claim(
        "Learned faster than the task",
        "Equivariance is learned faster than the main task.",
        "where the loss has fallen halfway from the null loss to the run's best, between two evaluations: what the "
        "twirled loss exceeds its own best by, over the equivariance error; flow matching: the least over flow times "
        "at which it learns",
        _MORE,
        losses.faster,
        "ratio",
        _LOSS_FIGURES,
        _SKILL,
        unshown={_FLOW: _NO_NULL, _VOXELS: _NO_NULL},
    ),
    "penalty_small_throughout": Claim(
        "Small penalty throughout",
        "Networks pay little for not being equivariant, throughout training.",
        "what the loss exceeds the twirled loss by (%), the most from the first skill of 0.05 on; flow matching: the "
        "most over flow times at which the run learns; at most a quarter",
        _SMALL,
        losses.penalty,
        "percent",
        _LOSS_FIGURES,
        _SHARE,
    ),
    "late_return": Claim(
        "Returns at later flow times",
        "At later flow times the share comes back after its early minimum.",
        "share at the end over its lowest, from the first skill of 0.05 on, each a geometric mean of the evaluations "
        "in half a decade of steps: geometric mean over flow times from 0.4 on",
        _RETURNS,
        losses.returns,
        "ratio",
        ("percent_by_time_loglog", "percent_by_time_loglog"),
        _SHARE,
        (_FLOW,),
    ),
    "ends_above_2_percent_late": Claim(
        "Ends above 2 % at later flow times",
        "At later flow times long training ends with a share above 2 %.",
        "share at the last step (%), the least over flow times from 0.6 on; counts from 100,000 steps on",
        _ABOVE,
        losses.ends_above,
        "percent",
        ("percent_final_by_time", "percent_final_by_time"),
        _SHARE,
        (_FLOW,),
    ),
    "smoother": Claim(
        "Smoother in the weights",
        "The equivariance error is smoother in the weights than the twirled loss.",
        "largest eigenvalue of the twirled loss' Hessian over that of the equivariance error's, in the same unit: "
        "geometric mean over steps and blocks, of each seed",
        _MORE,
        partial(of_analyses.curvature, quantity=of_analyses.largest, settled=("largest",)),
        "ratio",
        _HESSIANS,
        unshown={"": "no Hessians are published"},
    ),
    "smoother_landscape_as_published": Claim(
        "Smoother landscape, as published",
        "The equivariance error's landscape is smoother than the twirled loss', by the authors' protocol.",
        "roughness of the twirled loss over that of the equivariance error, with rotations drawn anew at every point "
        "of a plane: geometric mean over planes, of each seed",
        _MORE,
        partial(of_analyses.roughness, protocol="fresh"),
        "ratio",
        _PLANES,
        unshown={_VOXELS: "no landscape is published"},
    ),
    "smoother_landscape": Claim(
        "Smoother landscape, without noise",
        "The equivariance error's landscape is smoother than the twirled loss', without the noise of rotations.",
        "roughness of the twirled loss over that of the equivariance error, with the same rotations at all points of a "
        "plane: geometric mean over planes, of each seed",
        _MORE,
        partial(of_analyses.roughness, protocol="common"),
        "ratio",
        _PLANES,
        unshown={"": "rotations were drawn anew at every point"},
        by=OURS,
    ),
    "better_conditioned": Claim(
        "Better conditioned",
        "The equivariance error's Hessian is better conditioned than the twirled loss'.",
        "largest eigenvalue over the mean magnitude, of the twirled loss over that of the equivariance error: "
        "geometric mean over steps and blocks, of each seed",
        _MORE,
        partial(of_analyses.curvature, quantity=of_analyses.mean_condition, settled=("largest", "mean_condition")),
        "ratio",
        _HESSIANS,
        unshown={"": "no Hessians are published"},
    ),
    "better_conditioned_by_smallest": Claim(
        "Better conditioned, as in textbooks",
        "The equivariance error's Hessian has the smaller condition number of textbooks.",
        "largest eigenvalue over the smallest, where none is negative, of the twirled loss over that of the "
        "equivariance error: geometric mean over steps and blocks, of each seed",
        _MORE,
        partial(of_analyses.curvature, quantity=of_analyses.textbook_condition, settled=("largest", "mean_condition")),
        "ratio",
        _HESSIANS,
        unshown={"": "no Hessians are published"},
    ),
    "tracks_gradient_norm_ratio": Claim(
        "Follows gradient norms",
        "The share follows the ratio of gradient norms, of the equivariance error and the twirled loss.",
        "Pearson's R of the logarithms of share and ratio along training, of each seed, with norms as they are, which "
        "noise makes too large, as published; flow matching: mean over flow times on Fisher's scale",
        _STRONG,
        partial(of_analyses.correlation, kind="gradients", x="ratio_plugin", y="percent"),
        "correlation",
        ("gradient_ratio", "gradient_ratio_by_time"),
        printed={_FORCES: (0.7498,), _FLOW: (0.230, 0.645, 0.877, 0.816, 0.251, 0.929, 0.945, 0.883)},
        unshown={_VOXELS: _PAIRS.replace("only the figures'", "no")},
    ),
    "tracks_unbiased_gradient_norm_ratio": Claim(
        "Follows gradient norms, unbiased",
        "The share follows the ratio of gradient norms without the part that noise adds to them.",
        "Pearson's R of the logarithms of share and ratio along training, of each seed, with unbiased squares of "
        "norms, which can be negative; flow matching: mean over flow times on Fisher's scale",
        _STRONG,
        partial(of_analyses.correlation, kind="gradients", x="ratio", y="percent"),
        "correlation",
        ("gradient_ratio", "gradient_ratio_by_time"),
        unshown={"": _PAIRS},
        by=OURS,
    ),
    "tracks_head_deviation": Claim(
        "Follows the last layer",
        "Equivariance error follows the last layer's distance from equivariance.",
        "Pearson's R of the logarithms of |w⊥|² and equivariance error along training, of each seed",
        _STRONG,
        partial(of_analyses.correlation, kind="head", x="deviation", y="measured"),
        "correlation",
        ("head_error", "head_error"),
        tasks=(_FORCES,),
        printed={_FORCES: (0.9364,)},
    ),
    **{
        f"{averaged}wins_per_{word}": Claim(
            f"Lower loss per {label}" + (", twirled" if averaged else ""),
            "For the same training compute, networks that learn equivariance may reach a lower loss than equivariant "
            "ones" + (", if they are averaged over rotations in use." if averaged else "."),
            f"loss of the baseline{', averaged over rotations,' if averaged else ''} over that of an equivariant "
            f"network within the largest common training budget, {text}, by whole schedules, interpolated; the most "
            "over equivariant networks; flow matching: mean over flow times of loss / (1 − t)²; voxels: under the "
            "cube's rotations",
            _WINS,
            partial(budgets.wins, averaged=bool(averaged), unit=unit),
            "ratio",
            (figure, figure),
            ("seed",),
            unshown={"": "no losses of equivariant networks against compute are published"},
        )
        for averaged in ("", "averaged_")
        for word, label, unit, text, figure in (
            ("second", "second", "s", "in seconds of steps timed in turns", "loss_against_seconds"),
            ("flop", "FLOP", "FLOP", "in floating-point operations", "loss_against_compute"),
        )
    },
    "silent_at_first": Claim(
        "Silent at first",
        "The share first falls while nothing is predicted.",
        "skill (0 if negative) where the share first comes down to 2 %, between two evaluations; flow matching: the "
        "most over flow times at which it learns",
        _SILENT,
        losses.silent,
        "skill",
        _SKILL_FIGURES,
        _SHARE,
        by=OURS,
    ),
    "equivariant_at_skill_0.5": Claim(
        "Equivariant at a skill of 0.5",
        "Half of the task is learned equivariantly.",
        "relative error where a skill of 0.5 is first reached, between two evaluations; flow matching: the most over "
        "flow times that reach it",
        _LITTLE,
        partial(losses.at_skill, skill=0.5),
        "fraction",
        _SKILL_FIGURES,
        ("seed", "symmetry"),
        unshown={"": _NO_ENERGY},
        by=OURS,
    ),
    "equivariant_before_skilled": Claim(
        "Equivariant before skilled",
        "Predictions become equivariant before half of the task is learned.",
        "step at which the relative error falls to 2 %, to remain so until twice that step, over that at which the "
        "loss has fallen halfway from the null loss to the run's best; flow matching: the most over flow times at "
        "which it learns",
        _NOT_LATER,
        losses.order,
        "ratio",
        _SKILL_FIGURES,
        _SKILL,
        unshown={"": _NO_ENERGY},
        by=OURS,
    ),
}
"""Claims by name, the paper's and ours."""


def judge(
    evaluation: pd.DataFrame,
    clusters: Mapping[str, pd.DataFrame],
    analyses: Mapping[tuple[str, str], pd.DataFrame],
    costs: pd.DataFrame,
    choices: Mapping[str, Choice],
    *,
    curves: pd.DataFrame,
    landscapes: pd.DataFrame,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    each: Callable[..., Iterable[Any]] = map,
) -> pd.DataFrame:
    """Judge every claim for every task, of the network itself and of its averaged weights, and of the authors' data.

    Args:
        evaluation: Evaluation table of a study, which says what runs there are and how they differ.
        clusters: For each run, sums over the examples of each held-out cluster: columns ``step``, ``weights``,
            ``estimator``, conditions, ``cluster``, ``weight``, ``total``, ``equivariance``, ``prediction_energy``,
            ``null_energy``. Exact estimates are taken where a run has them.
        analyses: Tables of the analyses "gradients", "head", "hessian" and "landscape", as far as they exist, by
            (analysis, task).
        costs: Columns ``run``; ``step_flops``, the floating-point operations of a training step; and, where steps were
            timed in turns, ``timed_seconds_per_step``.
        choices: Baseline, weights and conditions of each task, in the order of the table.
        curves: The authors' curves, see `equidyn.analysis.authors.published_curves` and `voxmol_curves`.
        landscapes: Theirs, see `equidyn.analysis.authors.published_landscapes`.
        resamples: Number of resamples of the bootstrap over clusters.
        confidence: Level of intervals.
        seed: Seed of the bootstrap.
        each: A function like `map` that judges tasks, and weights, one by one, or several at a time in processes.

    Returns:
        One row per claim, task and weights, "raw" and "ema", with the columns `COLUMNS`. Value and ends are NaN where
        there are none. The average of the decay that the authors use stands for "ema" where the baseline has it, else
        the study's own.

    Raises:
        ValueError: Runs of a task were evaluated on different clusters or at different flow times, or a run has not
            just one row for each step and cluster.
    """
    published = each(judged_of_published, [Published(task, curves, landscapes) for task in choices])
    parts = []
    for (task, choice), theirs in zip(choices.items(), published, strict=True):
        own = evaluation[evaluation["task"] == task]
        of_runs = {run: clusters[run] for run in own["run"].unique() if run in clusters}
        of_task = {(kind, about): table for (kind, about), table in analyses.items() if about == task}
        tables = TaskTables(choice, own, of_runs, of_task, costs, resamples, confidence, seed)
        parts += [(tables, weights, theirs) for weights in (RAW, EMA)]
    ranks = list(CLAIMS)
    rows = [row for judged in each(_judged_of_task, parts) for row in judged]
    return pd.DataFrame(sorted(rows, key=lambda row: ranks.index(row["claim"])), columns=list(COLUMNS))


def _judged_of_task(part: tuple[TaskTables, str, dict[str, _Judged]]) -> list[dict[str, Any]]:
    """A row per claim about a task, of the network itself or of its averaged weights, beside what is published."""
    tables, weights, theirs = part
    own, choice = tables.evaluation, tables.choice
    decays = averages(own, choice.baseline)
    told = usual_average(own, choice.baseline) if weights == EMA else RAW
    note = f"averaged with a decay of {decays[told]:g}" if decays.get(told, np.nan) > 0 else ""
    evidence = tables.of(replace(choice, weights=told))
    others = {
        f"decay {decay:g}": replace(evidence.choice, weights=name)
        for name, decay in decays.items()
        if weights == EMA and name != told
    }
    about = [name for name, _ in _about(choice.task)]
    judged = _firm(evidence, {name: _judged(CLAIMS[name], evidence) for name in about}, others)
    return [_row(name, choice, weights, note, *judged[name], theirs[name]) for name in about]


def judged_of_published(evidence: SingleCurves) -> dict[str, _Judged]:
    """What is found in published curves about each claim, with the verdict and its reason."""
    return {name: _judged(claim, evidence) for name, claim in _about(evidence.task)}


def _about(task: str) -> list[tuple[str, Claim]]:
    return [(name, claim) for name, claim in CLAIMS.items() if not claim.tasks or task in claim.tasks]


_Judged = tuple[Found, str, str]


def _judged(claim: Claim, evidence: Evidence, *, is_usual: bool = True) -> _Judged:
    """A statistic, the verdict and its reason.

    Raises:
        NotEvaluated: Something was not evaluated with these weights, which are not the usual ones.
    """
    try:
        if isinstance(evidence, Published) and evidence.task in claim.printed:
            printed = claim.printed[evidence.task]
            found = evidence.over_seeds(printed, of_analyses.FISHER, "as printed in the figures")
        else:
            found = claim.find(evidence)
    except Untestable as lack:
        if isinstance(lack, NotEvaluated) and not is_usual:
            raise
        return Found(np.nan, np.nan, np.nan), NOT_TESTABLE, str(lack)
    decision, why = verdict(claim.expected, found.low, found.high, found.kind)
    if found.kind != INTERVAL and not evidence.judges_values and not np.isnan(found.low):
        article = "an" if found.kind[0] in "aeiou" else "a"
        decision, why = NOT_TESTABLE, f"{short(found.low)} to {short(found.high)} is {article} {found.kind}"
    return found, decision, "; ".join((why, *found.notes))


def _firm(
    evidence: TaskTables, judged: dict[str, _Judged], decays: Mapping[str, Choice]
) -> dict[str, tuple[Found, str, str, str]]:
    """Verdicts that are the same under all settings; the others are not testable. With what was found of each.

    Other averages of the weights, by words for them, and other groups and comparisons are settings, too, for what was
    evaluated with them.
    """
    others: dict[str, dict[str, str]] = {name: {} for name in judged}
    places: dict[tuple[str, Settings], list[str]] = {}
    for name, (_, decision, _) in judged.items():
        for words, settings in CLAIMS[name].variations() if decision != NOT_TESTABLE else ():
            places.setdefault((words, settings), []).append(name)
    for (words, settings), names in sorted(places.items(), key=lambda item: item[0][1].seed):
        changed = evidence.under(settings)
        for name in names:
            others[name][words] = _judged(CLAIMS[name], changed)[1]
    usual = evidence.choice
    symmetries = {" ".join(pair): usual.under(pair) for pair in usual.pairs}
    for words, choice in {**decays, **symmetries}.items():
        changed = evidence.of(choice)
        for name, (_, decision, _) in judged.items():
            with suppress(NotEvaluated):
                depends = choice != usual and (words in decays or "symmetry" in CLAIMS[name].depends)
                if decision != NOT_TESTABLE and depends:
                    others[name][words] = _judged(CLAIMS[name], changed, is_usual=False)[1]
    result = {}
    for name, (found, decision, why) in judged.items():
        flipped = {words: other for words, other in others[name].items() if other != decision}
        told = f"the same under {len(others[name])} other settings" if others[name] else ""
        if flipped:
            told = "; ".join(f"{words}: {other}" for words, other in flipped.items())
            decision, why = NOT_TESTABLE, f"{decision} under the usual settings only; {why}"
        result[name] = found, decision, why, told
    return result


def _row(
    name: str, choice: Choice, weights: str, note: str, found: Found, decision: str, why: str, told: str,
    published: _Judged,
) -> dict[str, Any]:  # fmt: skip
    """A row of the table."""
    claim, (theirs, their_decision, their_reason) = CLAIMS[name], published
    unshown = claim.unshown.get(choice.task, claim.unshown.get("", ""))
    ends = found.kind if not np.isnan(found.low) else ""
    theirs_said = unshown if unshown and their_decision == NOT_TESTABLE else their_reason
    return dict(
        zip(
            COLUMNS,
            (
                name, claim.label, claim.by, choice.task, weights, claim.statement, claim.statistic,
                claim.expected.left, claim.expected.right, claim.expected.closed, found.value, found.low, found.high,
                ends, theirs.value, their_decision, theirs_said, decision, "; ".join(filter(None, (why, note))), told,
                f"{choice.task}/{claim.figures[choice.timed]}",
            ),
            strict=True,
        )
    )  # fmt: skip
