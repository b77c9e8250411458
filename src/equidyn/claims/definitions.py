"""The paper's claims, judged from tables.

A claim is a statistic and the range in which it would be found if the claim held; see `equidyn.claims.verdicts` for
what follows from it. Ranges follow from the paper's text, not from results.

The claims are those of Shen et al. 2025 (arXiv 2512.02303).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd

from equidyn.claims.statistics import (
    LAST_STEP,
    PERCENT,
    Found,
    TaskTables,
    Untestable,
    correlation,
    ends_above,
    falls,
    faster,
    geometric,
    penalty,
    returns,
    slope,
    wins,
    with_skill,
)
from equidyn.claims.verdicts import NOT_TESTABLE, verdict
from equidyn.study.choice import MODEL_SIZE, TRAIN_SIZE, Choice

COLUMNS = (
    "claim", "task", "statement", "statistic", "expected_low", "expected_high", "value", "low", "high", "published",
    "verdict", "reason", "figure",
)  # fmt: skip
"""Columns of the table of claims."""

# Expected ranges. Closed at infinity: a ratio may be beyond all bounds.
_STEPS = pd.Interval(0, LAST_STEP, closed="both")  # sooner is no contradiction
_FASTER = pd.Interval(1, np.inf, closed="right")  # "faster", "smoother", "better conditioned": more than the other
_STRONG = pd.Interval(0.5, 1, closed="both")  # "correlates strongly": by the usual convention, 0.5 and more
_QUADRATIC = pd.Interval(0.5, 1.5, closed="both")  # power 1 of the squared deviation, told from 0 and from 2
_RETURNS = pd.Interval(2, np.inf, closed="both")  # the share at least doubles again
_ABOVE = pd.Interval(PERCENT, np.inf, closed="both")  # no longer "at or below 2 %"
_SMALL = pd.Interval(0, PERCENT, closed="both")  # a share of 2 % costs 2 % of the loss
_WINS = pd.Interval(0, 1, closed="left")  # a lower loss than the other's

_FLOW = "flow_matching"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        statement: The claim in plain words.
        statistic: The statistic that tests it, in words.
        expected: Range of the statistic that would reproduce it.
        find: Function that computes the statistic of a task.
        kind: Kind of the statistic: "steps", "ratio", "correlation", "slope" or "percent".
        figures: Name of the figure to look at, and of the one for tasks with flow times.
        published: The paper's own number for a task.
        tasks: Tasks that the claim is about; all if empty.
        needs: Analysis whose table a further task must have for the claim to be about it.
    """

    statement: str
    statistic: str
    expected: pd.Interval
    find: Callable[[TaskTables], Found]
    kind: str
    figures: tuple[str, str]
    published: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    needs: str = ""

    def concerns(self, task: TaskTables) -> bool:
        """Whether the claim is about a task."""
        return not self.tasks or task.name in self.tasks or (self.needs, task.name) in task.analyses


CLAIMS = {
    "falls_below_2_percent": Claim(
        "Equivariance error falls to 2 % of the held-out loss or less within 1,000 to 10,000 training steps.",
        "first evaluated step at which the share is at most 2 %; flow matching: the last over flow times",
        _STEPS,
        partial(falls, useful=False),
        "steps",
        ("percent_loglog", "percent_by_time_loglog"),
        {
            "force_field": "1,680 to 1,900, three seeds of 6M",
            _FLOW: "911 to 1,139 by t, rows of the log of 60M",
            "voxel_denoising": "5,472 with 1 % of the data, 6,561 with 10 %, 7,288 with 25 %, never with 50 %",
        },
    ),
    "falls_below_2_percent_with_skill": Claim(
        "The same, of networks that have learned something: a share of a loss is small, too, if nothing is predicted.",
        "first evaluated step at which the share is at most 2 %, skill at least 0.5 and the equivariance error at most "
        "2 % of the energy of the prediction; flow matching: the last over flow times at which a run has that skill",
        _STEPS,
        partial(falls, useful=True),
        "steps",
        ("skill_companion", "error_against_skill_by_time"),
    ),
    "robust_to_model_size": Claim(
        "That holds for all model sizes.",
        "the last, over model sizes, of the first steps at which the share is at most 2 %",
        _STEPS,
        partial(falls, useful=False, sizes=MODEL_SIZE),
        "steps",
        ("percent_by_model_size", "percent_by_time_and_model_size"),
        {
            "force_field": "1,680 with 6M; 4M and 1M are near 1 % by 1,600 to 3,000",
            _FLOW: "911 to 1,139 with 60M, 845 to 986 with 400M, rows of the logs",
            "voxel_denoising": "111M: 2.1 % at the first evaluation, 7,290; 28M and 7M: not seen, evaluated that often",
        },
    ),
    "robust_to_model_size_with_skill": Claim(
        "That holds for all model sizes, of networks that have learned something.",
        "the last, over model sizes, of the first steps with a small share and skill, as above",
        _STEPS,
        partial(falls, useful=True, sizes=MODEL_SIZE),
        "steps",
        ("percent_by_model_size", "percent_by_time_and_model_size"),
    ),
    "robust_to_data_size": Claim(
        "That holds for all sizes of the training set.",
        "the last, over training sets, of the first steps at which the share is at most 2 %",
        _STEPS,
        partial(falls, useful=False, sizes=TRAIN_SIZE),
        "steps",
        ("percent_by_train_size", "percent_by_time_and_train_size"),
        {
            "force_field": "all reach 0.08 to 0.12 % by 2,500 to 4,740",
            _FLOW: "911 to 1,139 with all data, 1,984 to 2,425 with 1 %, rows of the logs",
            "voxel_denoising": "5,472 with 1 % of the data, 6,561 with 10 %, 7,288 with 25 %, never with 50 %",
        },
    ),
    "robust_to_data_size_with_skill": Claim(
        "That holds for all sizes of the training set, of networks that have learned something.",
        "the last, over training sets, of the first steps with a small share and skill, as above",
        _STEPS,
        partial(falls, useful=True, sizes=TRAIN_SIZE),
        "steps",
        ("percent_by_train_size", "percent_by_time_and_train_size"),
    ),
    "learned_faster_than_main_task": Claim(
        "Equivariance is learned faster than the main task.",
        "step at which the twirled loss is first a tenth of its value at the first evaluated step, over that of the "
        "equivariance error; flow matching: the least over flow times at which a run reaches a skill of 0.5",
        _FASTER,
        faster,
        "ratio",
        ("losses", "losses_by_time"),
        {"force_field": "at step 1,000, 0.55 % of the equivariance error are left and 4.2 % of the twirled loss"},
    ),
    "learned_faster_with_skill": Claim(
        "Equivariance is learned faster, judged where the network has learned half of its task.",
        "share of the twirled loss that remains at the first step with a skill of 0.5, over that of the equivariance "
        "error, both relative to the first evaluated step; flow matching: the least over flow times",
        _FASTER,
        with_skill,
        "ratio",
        ("losses", "losses_by_time"),
    ),
    "smoother_landscape": Claim(
        "The equivariance error's landscape is smoother than the twirled loss'.",
        "roughness of the twirled loss over that of the equivariance error, with the same rotations at all points of a "
        "plane: geometric mean, and range, over planes",
        _FASTER,
        partial(geometric, kind="landscape", column="roughness", keys=("directions",), what="plane"),
        "ratio",
        ("landscape_roughness", "landscape_roughness"),
    ),
    "better_conditioned": Claim(
        "The equivariance error's Hessian is better conditioned than the twirled loss'.",
        "condition (largest over median magnitude of eigenvalues) of the twirled loss over that of the equivariance "
        "error, in blocks whose Hessian is known in full: geometric mean, and range, over steps and blocks",
        _FASTER,
        partial(geometric, kind="hessian", column="median_condition", keys=(), what="Hessian"),
        "ratio",
        ("hessian_summary", "hessian_summary"),
    ),
    "tracks_gradient_norm_ratio": Claim(
        "The share follows the ratio of gradient norms, of the equivariance error and the twirled loss.",
        "Pearson's R of the logarithms of share and ratio along training; flow matching: mean over flow times on "
        "Fisher's scale",
        _STRONG,
        partial(correlation, kind="gradients", x="ratio", y="percent"),
        "correlation",
        ("gradient_ratio", "gradient_ratio_by_time"),
        {"force_field": "0.75", _FLOW: "0.23 to 0.95 by t"},
    ),
    "tracks_head_deviation": Claim(
        "Equivariance error follows the last layer's distance from equivariance.",
        "Pearson's R of the logarithms of |w⊥|² and equivariance error along training; flow matching: mean over flow "
        "times on Fisher's scale",
        _STRONG,
        partial(correlation, kind="head", x="deviation", y="measured"),
        "correlation",
        ("head_error", "head_error"),
        {"force_field": "0.94"},
        ("force_field",),
        "head",
    ),
    "quadratic_in_head_deviation": Claim(
        "Equivariance error is quadratic in the last layer's distance from equivariance.",
        "slope of the logarithm of the equivariance error by that of |w⊥|² along training, 1 if quadratic in |w⊥|; "
        "flow matching: mean over flow times",
        _QUADRATIC,
        partial(slope, x="deviation", y="measured"),
        "slope",
        ("head_error", "head_error"),
        {},
        ("force_field",),
        "head",
    ),
    "late_return": Claim(
        "At later flow times the share comes back after its early minimum.",
        "largest ratio of the share to its lowest value before: geometric mean over flow times from 0.4 on",
        _RETURNS,
        returns,
        "ratio",
        ("percent_by_time_loglog", "percent_by_time_loglog"),
        {_FLOW: "10 to 34 by t, 60M"},
        (_FLOW,),
    ),
    "ends_above_2_percent_late": Claim(
        "At later flow times training ends with a share above 2 %.",
        "share at the last step (%), the least over flow times from 0.4 on",
        _ABOVE,
        ends_above,
        "percent",
        ("percent_final_by_time", "percent_final_by_time"),
        {_FLOW: "2.4 to 6.5 by t, 60M"},
        (_FLOW,),
    ),
    "loss_penalty_small": Claim(
        "Networks pay little for not being equivariant.",
        "what the loss exceeds the twirled loss by at the last step (%); flow matching: the most over flow times at "
        "which a run reaches a skill of 0.5",
        _SMALL,
        penalty,
        "percent",
        ("losses", "losses_by_time"),
        {
            "force_field": "0.07 (a share of 0.065 % to 0.073 %)",
            _FLOW: "up to 7.0 (a share of 6.5 %, t = 0.9)",
            "voxel_denoising": "7 to 12 (shares of 6.8 % to 10.8 %)",
        },
    ),
    "wins_per_compute": Claim(
        "For the same training compute, networks that learn equivariance may reach a lower loss than equivariant ones.",
        "best loss so far of the baseline over that of an equivariant control at equal training compute, the least "
        "over what both reached with a skill of at least 0.05; flow matching: loss as in validation",
        _WINS,
        partial(wins, averaged=False),
        "ratio",
        ("loss_against_compute", "loss_against_compute"),
    ),
    "averaged_wins_per_compute": Claim(
        "For the same training compute, networks averaged over rotations at test time may reach a lower loss than "
        "equivariant ones.",
        "the same, of the baseline's twirled loss",
        _WINS,
        partial(wins, averaged=True),
        "ratio",
        ("loss_against_compute", "loss_against_compute"),
    ),
}
"""The paper's claims, by name."""


def judge(
    evaluation: pd.DataFrame,
    clusters: Mapping[str, pd.DataFrame],
    analyses: Mapping[tuple[str, str], pd.DataFrame],
    compute: pd.DataFrame,
    choices: Mapping[str, Choice],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Judge every claim of the paper for every task.

    Args:
        evaluation: Evaluation table of a study, which says what runs there are and how they differ.
        clusters: For each run, sums over the examples of each held-out cluster: columns ``step``, ``weights``,
            ``estimator``, conditions, ``cluster``, ``weight``, ``total``, ``equivariance``, ``prediction_energy``,
            ``null_energy``. Exact estimates are taken where a run has them.
        analyses: Tables of the analyses "gradients", "head", "hessian" and "landscape", as far as they exist, by
            (analysis, task).
        compute: Rows with ``run``, ``step`` and ``training_flops``, the floating-point operations until that step.
        choices: Baseline, weights and conditions of each task, in the order of the table.
        resamples: Number of resamples of the bootstrap over clusters.
        confidence: Level of intervals.
        seed: Seed of the bootstrap.

    Returns:
        One row per claim and task, with the columns `COLUMNS`. Value and interval are NaN where there are none.

    Raises:
        ValueError: Runs of a task were evaluated on different clusters or at different flow times, or a run has not
            just one row for each step and cluster.
    """
    tasks = {
        name: TaskTables(
            choice, evaluation[evaluation["task"] == name], clusters, analyses, compute, resamples, confidence, seed
        )
        for name, choice in choices.items()
    }  # fmt: skip
    rows = [
        _judged(name, claim, task) for name, claim in CLAIMS.items() for task in tasks.values() if claim.concerns(task)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _judged(name: str, claim: Claim, task: TaskTables) -> dict[str, object]:
    """A row of the table."""
    try:
        found = claim.find(task)
        decision, why = verdict(claim.expected, found.low, found.high)
    except Untestable as lack:
        found, decision, why = Found(np.nan, np.nan, np.nan), NOT_TESTABLE, str(lack)
    return dict(
        zip(
            COLUMNS,
            (
                name, task.name, claim.statement, claim.statistic, claim.expected.left, claim.expected.right,
                found.value, found.low, found.high, claim.published.get(task.name, ""), decision,
                "; ".join((why, *found.notes)), f"{task.name}/{claim.figures[task.choice.timed]}",
            ),
            strict=True,
        )
    )  # fmt: skip
