"""What averaging the weights alone does: every average of one training, evaluated like the raw weights beside it.

An average with decay β remembers about 1 / (1 − β) steps, so it follows what the network does only later.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from equidyn.analysis.losses import sampled
from equidyn.core import process
from equidyn.core.decomposition import ESTIMATOR_VERSION, summarise
from equidyn.core.seeding import seed_for
from equidyn.run.evaluation import decompose_task, decompose_task_exactly
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


def measure(
    task: Task, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The row that `equidyn.run.evaluation.evaluate_run` finds of these weights and examples, but for the floors.

    Args:
        task: The task, which makes batches and compares predictions.
        model: The network; it is evaluated in single precision.
        indices: (n,) examples.
        protocol: Number of sampled group elements, batch size, seed, level of the interval.
        condition: See `Task.symmetry` and `Task.inputs`.

    Returns:
        One row: the columns of `equidyn.core.decomposition.summarise`, with ``unit`` and the estimator, "exact" where
        the network has a closed form.
    """
    process.allow_tf32(False)
    process.use_onednn(task.has_fixed_shapes)
    model = copy.deepcopy(model).float()
    estimator: dict[str, Any] = {"estimator": "exact", "rotations": 0}
    found = decompose_task_exactly(task, model, indices, protocol, condition)
    if found is None:
        estimator, found = sampled(protocol), decompose_task(task, model, indices, protocol, condition)
    summary = summarise(
        found,
        task.cluster(indices),
        level=protocol.confidence,
        resamples=protocol.resamples,
        seed=seed_for(protocol.seed, "bootstrap"),
    )
    return [{**estimator, **summary, "unit": task.unit, "estimator_version": ESTIMATOR_VERSION}]
