"""Costs of training: counted operations, measured times, and losses at equal compute.

Operations (FLOP) are those of `equidyn.study.planning`: matrix products and convolutions, from closed formulas, for
examples of typical size. They are the same on every machine; measured times are not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

MEASURED = ("seconds", "seconds_per_step", "peak_host_bytes", "device", "devices", "threads", "torch")
"""The keys that `with_measured` takes from ``throughput.json``."""


def with_measured(costs: pd.DataFrame, measured: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Costs, with the measurements of each training.

    Args:
        costs: The rows of `equidyn.study.planning.run_costs`, as a table.
        measured: By run name, the content of ``throughput.json`` beside its checkpoints; None stands for a number that
            is not known of a run that was trained elsewhere.

    Returns:
        The same rows with the columns `MEASURED`. ``seconds`` is the time of all starts of a run together, without the
        work that a killed one did after it last saved its state; ``peak_host_bytes`` is that of the last start, and of
        the first process if several trained together.

    Raises:
        ValueError: A run, or one of its measurements, is missing.
    """
    for run in costs["run"]:
        if missing := [name for name in MEASURED if name not in measured.get(run, {})]:
            raise ValueError(
                f"run {run!r}: no measured {', '.join(missing)}; give the throughput.json of its finished training"
            )
    return costs.assign(**{name: [measured[run][name] for run in costs["run"]] for name in MEASURED})


def with_timings(costs: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """Costs, with the seconds of a step that was timed in turns with others.

    Args:
        costs: The table of `with_measured`.
        timings: The table of `equidyn.run.timing.time_steps`, whose names are those of runs: one for each network and
            size of batch.

    Returns:
        The same rows with the columns ``timed_seconds_per_step``, ``timed_least`` and ``timed_most``.
    """
    key = ["task", "model", "batch_size"]
    columns = {"seconds_per_step": "timed_seconds_per_step", "least": "timed_least", "most": "timed_most"}
    timed = timings.rename(columns={"name": "run"} | columns)[["run", *columns.values()]]
    timed = timed.merge(costs[["run", *key]], on="run", validate="one_to_one").drop(columns="run")
    return costs.merge(timed, on=key, how="left", validate="many_to_one")


COSTS = {"FLOP": "step_flops", "s": "timed_seconds_per_step"}
"""Columns of what a step costs, by unit: operations, and seconds of steps that were timed in turns with others."""


def spent(costs: pd.DataFrame, runs: ArrayLike, steps: ArrayLike, unit: str) -> np.ndarray:
    """What trainings cost until some steps, the axis on which they are compared at equal cost.

    Args:
        costs: One row per run, with the column of `COSTS` if it is known.
        runs: (n,) their names, or one for all.
        steps: (n,) the steps.
        unit: One of `COSTS`.

    Returns:
        (n,) costs; NaN where those of a step are not known.
    """
    known = costs.set_index("run").reindex(columns=[COSTS[unit]])[COSTS[unit]]
    return known.reindex(np.atleast_1d(runs)).to_numpy(dtype=float) * np.asarray(steps)


def losses_by_compute(evaluation: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Losses, with the training compute spent until then.

    Args:
        evaluation: Evaluation table.
        costs: The table of `run_costs` or `with_measured`, one row per run.

    Returns:
        The rows of the evaluation with the further columns of the costs, and what is `spent`: ``training_flops`` and
        ``training_seconds``.

    Raises:
        ValueError: A run has no costs, or has them twice.
    """
    if unknown := sorted(set(evaluation["run"]) - set(costs["run"])):
        raise ValueError(f"no costs of run(s) {', '.join(unknown)}: take both tables from the same study")
    added = [name for name in costs if name == "run" or name not in evaluation]
    rows = evaluation.merge(costs[added], on="run", how="left", validate="many_to_one")
    axes = {"training_flops": "FLOP", "training_seconds": "s"}
    return rows.assign(**{name: spent(costs, rows["run"], rows["step"], unit) for name, unit in axes.items()})
