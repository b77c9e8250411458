"""Analyse a run: its checkpoints in, one table out."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import equidyn
from equidyn.analysis.steps import kept_in
from equidyn.core.plugins import load
from equidyn.data.store import Store
from equidyn.run.batches import Fitting, largest_first
from equidyn.run.checkpoints import checkpoint_name, fingerprint
from equidyn.run.evaluation import compared, identity, restore, thinned
from equidyn.run.findings import findings
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.tasks.contract import TrainableTask


def analyse_run(
    measure: Callable[..., list[dict[str, Any]]],
    task_class: type[TrainableTask],
    store: Store,
    indices: np.ndarray,
    checkpoints: str | Path,
    steps: Sequence[int],
    protocol: EvaluationSettings,
    settings: dict[str, Any],
    *,
    state: str | Path,
    labels: dict[str, Any],
    anatomy: str = "",
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Analyse checkpoints of a training run, in double precision.

    Args:
        measure: Function of (task, model, examples, protocol, condition, **settings) that returns the rows of a
            checkpoint; see `equidyn.analysis.card.AnalysisCard`.
        task_class: The run's task; it is restored from each checkpoint.
        store: Data.
        indices: (n,) held-out examples.
        checkpoints: The folder that `equidyn.run.training.train` made.
        steps: Steps to analyse.
        protocol: Settings, the same as for an evaluation.
        settings: Settings of the analysis.
        state: Folder for the rows of each checkpoint, see `equidyn.run.findings.findings`, and until these are known
            for the steps to them, see `equidyn.analysis.steps`; its name must say all that decides them besides the
            checkpoints.
        labels: Columns that identify the run, put in front of each row.
        anatomy: Function that returns the anatomy of the network, as ``"module:function"``, for a network that has none
            itself and belongs to no architecture of this package.
        device: Device to compute on.

    Returns:
        The rows of all steps, weights and conditions, each with what identifies it, and ``decay`` (of an average of the
        weights; NaN for raw ones).

    Raises:
        CheckpointError: Checkpoints are missing or damaged, or give no numbers; all others have been analysed.
    """
    indices = thinned(indices, protocol.examples)
    indices = indices[largest_first(store, indices)]
    fitting = Fitting(protocol, len(indices))

    unfinished = Path(state, "steps")

    @lru_cache(maxsize=1)
    def restored(step: int, weights: str) -> tuple[Recipe, TrainableTask, nn.Module]:
        return restore(task_class, store, checkpoints, step, weights)

    def find(step: int, weights: str) -> pd.DataFrame:
        _, task, model = restored(step, weights)
        model = model.double().to(device)
        if anatomy and not hasattr(model, "anatomy"):
            model.anatomy = load(anatomy)(model)
        evidence = {
            "examples": len(indices),
            "clusters": len(np.unique(task.cluster(indices))),
            "package_version": equidyn.__version__,
        }
        mine = unfinished / fingerprint(Path(checkpoints, weights, checkpoint_name(step)))
        for other in unfinished.glob("*"):
            if other != mine:
                shutil.rmtree(other)
        return pd.DataFrame(
            [
                {**compared(task, condition), **evidence, **row}
                for number, condition in enumerate(protocol.conditions)
                for row in fitting(
                    partial(_measured, measure, task, model, indices, condition, settings, mine / str(number))
                )
            ]
        )

    found = findings(find, checkpoints, steps, protocol.weights, state, title=str(labels.get("run", "analyse")))
    shutil.rmtree(unfinished, ignore_errors=True)
    recipe, _, model = restored(steps[-1], protocol.weights[-1])
    run = identity(labels, recipe.model, model)
    tables = [
        pd.DataFrame(
            {**run, "step": step, "weights": weights, "decay": recipe.decays.get(weights, math.nan), **rows},
            index=rows.index,
        )
        for step, weights, rows in found
    ]
    return pd.concat(tables, ignore_index=True)


def _measured(
    measure: Callable[..., list[dict[str, Any]]],
    task: TrainableTask,
    model: nn.Module,
    indices: np.ndarray,
    condition: Mapping[str, Any],
    settings: Mapping[str, Any],
    steps: Path,
    protocol: EvaluationSettings,
) -> list[dict[str, Any]]:
    """The rows of one checkpoint under one condition."""
    with kept_in(steps):
        return measure(task, model, indices, protocol, condition, **settings)
