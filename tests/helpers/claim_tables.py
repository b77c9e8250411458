"""Tables of small studies whose statistics are known by hand, and what is judged of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
from evaluation_rows import variant

from equidyn.analysis.authors import published_curves, published_landscapes
from equidyn.claims.definitions import CLAIMS, judge
from equidyn.claims.tables import TaskTables
from equidyn.study.choice import choice_of
from equidyn.tasks.registry import task_cards

_BETWEEN = (15, 22, 32, 46, 68, 147, 215, 316, 464, 681)
STEPS = (0, 10, 100, 1000, 1500, 2250, 3300, 5000, 7500, 10_000, 15_000)
SHARE = (50.0, 9.0, 1.5, 0.5, *[0.3] * 7)  # percent
LOSS = (2.0, 1.0, 0.9, 0.4, 0.3, 0.25, 0.2, 0.15, 0.12, 0.1, 0.1)  # null loss: 1
FORCE, FLOW, VOXELS = task_cards()
DESIGN = {
    "task": FORCE, "model": "net", "train_subset": "all", "batch_size": 8, "optimiser": "adamw", "lr": 1e-3,
    "augmentation": 0.0, "seed": 0,
}  # fmt: skip
HERE = {"weights": "raw", "estimator": "exact"}


def run(
    name, share=SHARE, loss=LOSS, *, steps=STEPS, times=None, energy=1.0, scatter=0.0, comparison=None, dense=False,
    **design,
):  # fmt: skip
    """A run's rows of the evaluation and its sums over twelve clusters, which scatter about losses given per step.

    Share and loss are lists for one curve, or for each flow time. A dense one has evaluations from step 10 to 1,000
    that are as close as later ones, with the numbers of the step before.
    """
    known = np.array(steps)
    steps = np.array(sorted({*steps, *(step for step in _BETWEEN if dense and step < steps[-1])}))
    at = np.searchsorted(known, steps, side="right") - 1
    energy = np.broadcast_to(energy, known.shape)[at]
    rng = np.random.default_rng(1)
    factors = np.exp(scatter * rng.normal(size=(2, 12)))
    factors /= factors.mean(axis=1, keepdims=True)
    parts = []
    for i, t in enumerate(times or [np.nan]):
        shares, losses = (np.array(values[i] if times else values)[at] for values in (share, loss))
        for cluster, (even, uneven) in enumerate(factors.T):
            equivariance = 10 * shares / 100 * losses * uneven
            part = {"total": 10 * losses * (1 - shares / 100) * even + equivariance, "equivariance": equivariance}
            part |= {"weight": 10.0, "null_energy": 10.0, "prediction_energy": 10.0 * energy}
            condition = {"t": t, "self_conditioning": False if times else None, "comparison": comparison}
            parts.append(pd.DataFrame({"run": name, **HERE, **condition, "step": steps, "cluster": cluster, **part}))
    designs = {**DESIGN, **design, "variant": variant(design.get("model", "net"))}
    return pd.DataFrame({"run": name, **HERE, **designs, "step": steps}), pd.concat(parts, ignore_index=True)


UNLEARNED = (0.9,) * len(STEPS)


def flow(name, shares, losses=(UNLEARNED, LOSS), times=(0.0, 0.6), **options):
    """A run at several flow times."""
    return run(name, shares, losses, times=times, **{"task": FLOW} | options)


def choice(task, baseline="base", weights="raw", **changed):
    """What is judged of a task, by its card."""
    config = {"figures": {"baseline": {task: baseline}, "weights": weights, "estimator": "exact"}}
    return replace(choice_of(config, task), **changed)


def tables(*runs, analyses=None, flops=None, seconds=None, baseline="base", weights="raw", resamples=200, **changed):
    """The evidence about the task of the runs."""
    evaluation = pd.concat([rows for rows, _ in runs], ignore_index=True)
    sums = {rows["run"].iloc[0]: clusters for rows, clusters in runs}
    costs = pd.DataFrame([{"run": name, "step_flops": (flops or {}).get(name, 1e6)} for name in sums])
    if seconds:
        costs["timed_seconds_per_step"] = costs["run"].map(seconds)
    chosen = choice(evaluation["task"].iloc[0], baseline, weights, **changed)
    return TaskTables(chosen, evaluation, sums, analyses or {}, costs, resamples, 0.95, 0)


def found(name, *runs, **options):
    """The statistic of a claim."""
    return CLAIMS[name].find(tables(*runs, **options))


AUTHORS = {"curves": published_curves(), "landscapes": published_landscapes()}


def judged(*runs, weights="raw", resamples=60, each=map, **options):
    """Rows of the table of claims about the task of the runs, by claim, of one kind of weights."""
    evidence = tables(*runs, weights=weights, resamples=resamples, **options)
    table = judge(
        evidence.evaluation, evidence.clusters, evidence.analyses, evidence.costs,
        {evidence.choice.task: evidence.choice}, **AUTHORS,
        resamples=evidence.resamples, each=each,
    )  # fmt: skip
    return table[table["weights"] == weights].set_index("claim")
