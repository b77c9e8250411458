"""Evaluate a run: its checkpoints in, one table of rows and one of per-example sums out."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

import equidyn
from equidyn.core import process
from equidyn.core.actions import inverse
from equidyn.core.decomposition import (
    ESTIMATOR_VERSION,
    Decomposition,
    concatenate,
    decompose,
    decompose_exact,
    summarise,
)
from equidyn.core.seeding import seed_for
from equidyn.models.building import build
from equidyn.run.checkpoints import checkpoint_name, load_checkpoint
from equidyn.run.protocol import FLOOR_EXAMPLES, EvaluationSettings


def twisted_predictions(task: Any, model: nn.Module, batch: Any, R: Tensor, *, perfect: bool = False) -> Tensor:
    """Predictions for rotated inputs, rotated back: h_k(x) = R_kᵀ f(R_k x), all in one forward pass.

    Args:
        task: See `equidyn.tasks.contract.Task`.
        model: In evaluation mode.
        batch: B examples as the model sees them, N rows of prediction.
        R: (K, B, 3, 3), a rotation per copy and example.
        perfect: Predict the target in place of the model: what is left is the error of rotating predictions.

    Returns:
        (K, N, C).
    """
    copies, turns = task.repeat(batch, len(R)), R.flatten(0, 1)
    turned = task.rotate(copies, turns)
    predictions = task.target(turned) if perfect else task.predict(model, turned)
    return task.rotate_prediction(predictions, inverse(turns), copies).unflatten(0, (len(R), -1))


def in_batches(indices: np.ndarray, protocol: EvaluationSettings) -> Iterator[np.ndarray]:
    """Examples, as many at a time as go through a network in one forward pass."""
    for start in range(0, len(indices), protocol.batch_size):
        yield indices[start : start + protocol.batch_size]


def draw_rotations(
    task: Any, examples: np.ndarray, count: int, condition: Mapping[str, Any] | None, seed: int
) -> Tensor:
    """(K, B, 3, 3) rotations to twist examples with, those of each example from a stream of its own."""

    def of_one(example: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_for(seed, "evaluation", example))
        return task.rotations(count, condition or {}, generator)

    return torch.stack([of_one(int(example)) for example in examples], 1)


@torch.no_grad()
def decompose_task(
    task: Any,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any] | None = None,
    *,
    identical: bool = False,
    perfect: bool = False,
) -> Decomposition:
    """The decomposition over held-out examples by sampled rotations, one entry per example.

    Args:
        task: See `equidyn.tasks.contract.Task`.
        model: Any network the task can ask for predictions.
        indices: (n,) examples.
        protocol: Number of rotations, batch size, seed.
        condition: See `Task.inputs`.
        identical: Use one rotation K times over: what is left is numeric noise.
        perfect: See `twisted_predictions`.
    """
    model.eval()
    parts = []
    for chosen, batch in _batches(task, model, indices, protocol, condition):
        R = draw_rotations(task, chosen, protocol.rotations, condition, protocol.seed)
        if identical:
            R = R[:1].expand_as(R)
        predictions = twisted_predictions(task, model, batch, R, perfect=perfect)
        parts.append(
            decompose(predictions, task.target(batch), task.example(batch), len(chosen), null=task.null(batch))
        )
    return concatenate(parts)


def decompose_task_exactly(
    task: Any,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any] | None = None,
) -> Decomposition | None:
    """The decomposition in closed form, from one forward pass; None for a model that has none."""
    model.eval()
    parts = []
    for chosen, batch in _batches(task, model, indices, protocol, condition):
        with torch.no_grad():
            tensor = task.head_tensor(model, batch)
        if tensor is None:
            return None
        parts.append(
            decompose_exact(tensor, task.target(batch), task.example(batch), len(chosen), null=task.null(batch))
        )
    return concatenate(parts)


def evaluate_run(
    task_class: type,
    store: Any,
    indices: np.ndarray,
    checkpoints: str | Path,
    steps: Sequence[int],
    protocol: EvaluationSettings,
    *,
    labels: dict[str, Any],
    control: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluate checkpoints of a training run.

    Args:
        task_class: The run's task; it is restored from each checkpoint.
        store: Data.
        indices: (n,) held-out examples.
        checkpoints: The folder that `equidyn.run.training.train` made.
        steps: Which steps to evaluate.
        protocol: How.
        labels: Columns that say which run this is (study, run, subset, seed, …), put in front of each row.
        control: Arguments of `equidyn.models.building.build` for an exactly equivariant network of the task; its floor
            is missing (NaN) without.
        device: Where to evaluate.
        progress: Show a progress bar on stderr.

    Returns:
        One row per step, weights, condition and estimator, with the columns of `decomposition.summarise`, provenance,
        and floors: the percent of the exactly equivariant control, and of one rotation repeated, and the errors of a
        perfect prediction, which are those of rotating predictions themselves, on a grid for instance; and one row
        per example besides, with the sums from which any other ratio, interval or subset follows.

    Raises:
        CheckpointError: A checkpoint is missing or damaged.
    """
    process.allow_tf32(False)  # rounding would pass for equivariance error
    rows, examples = [], []
    indices = thinned(indices, protocol.examples)
    floors: list[dict[str, float]] = []
    pairs = [(step, weights) for step in steps for weights in protocol.weights]
    for step, weights in tqdm(pairs, desc=str(labels.get("run", "evaluate")), disable=not progress, mininterval=5):
        name, task, model = restore(task_class, store, checkpoints, step, weights)
        model.to(device)
        floors = floors or [_floor(task, model, control, indices, protocol, one) for one in protocol.conditions]
        cluster = task.cluster(indices)
        run = {**labels, "action": task.action, "model": name, "parameters": sum(p.numel() for p in model.parameters())}
        for condition, floor in zip(protocol.conditions, floors, strict=True):
            for estimator, decomposition in _estimates(task, model, indices, protocol, condition).items():
                place = {"step": step, "weights": weights, **condition, "estimator": estimator}
                summary = summarise(
                    decomposition,
                    cluster,
                    level=protocol.confidence,
                    resamples=protocol.resamples,
                    seed=seed_for(protocol.seed, "bootstrap"),
                )
                provenance = {
                    "rotations": protocol.rotations if estimator == "sampled" else 0,
                    "unit": task.unit,
                    "estimator_version": ESTIMATOR_VERSION,
                    "package_version": equidyn.__version__,
                }
                rows.append({**run, **place, **summary, **floor, **provenance})
                keys = {key: labels[key] for key in ("study", "run") if key in labels} | place
                examples.append(_example_table(decomposition, indices, cluster, keys))
    return pd.DataFrame(rows), pd.concat(examples, ignore_index=True)


def restore(
    task_class: type, store: Any, checkpoints: str | Path, step: int, weights: str
) -> tuple[str, Any, nn.Module]:
    """Name of the model, task and network of a checkpoint.

    Args:
        task_class: The run's task.
        store: Data.
        checkpoints: The folder that `equidyn.run.training.train` made.
        step: One of its steps.
        weights: "raw" or "ema".

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
    """
    state, metadata = load_checkpoint(Path(checkpoints) / weights / checkpoint_name(step))
    recipe = metadata["recipe"]
    model = build(recipe["network"], recipe["sizes"])
    model.load_state_dict(state)
    return recipe["model"], task_class.restore(store, metadata["task_state"]), model


def _estimates(
    task: Any, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> dict[str, Decomposition]:
    """The decomposition by each estimator that applies."""
    estimates = {}
    exact = decompose_task_exactly(task, model, indices, protocol, condition)
    if exact is not None:
        estimates["exact"] = exact
    if protocol.sampled or exact is None:
        estimates["sampled"] = decompose_task(task, model, indices, protocol, condition)
    return estimates


def _example_table(decomposition: Decomposition, indices: np.ndarray, cluster: np.ndarray, keys: dict) -> pd.DataFrame:
    columns = {name: getattr(decomposition, name) for name in decomposition.__dataclass_fields__}
    return pd.DataFrame({**keys, "example": indices, "cluster": cluster, **columns})


def _floor(
    task: Any,
    model: nn.Module,
    control: Mapping[str, Any] | None,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
) -> dict[str, float]:
    """What is measured of networks without equivariance error, and of perfect predictions.

    Measured once per call and condition on a few examples; the repeated rotation with the first weights evaluated.
    """
    some = thinned(indices, FLOOR_EXAMPLES)
    torch.manual_seed(seed_for(protocol.seed, "control"))
    measured = {"floor_repeated": decompose_task(task, model, some, protocol, condition, identical=True)}
    if control:
        exact = build(**control).to(_device(model))
        measured = {"floor_control": decompose_task(task, exact, some, protocol, condition)} | measured
    percents = {name: 100 * float(d.equivariance.sum() / d.total.sum()) for name, d in measured.items()}
    percents = {"floor_control": math.nan} | percents
    perfect = decompose_task(task, model, some, protocol, condition, perfect=True)
    errors = {name: float(getattr(perfect, name).sum() / perfect.weight.sum()) for name in ("total", "equivariance")}
    return percents | {f"floor_action_{name}": error for name, error in errors.items()}


def thinned(indices: np.ndarray, examples: int | str) -> np.ndarray:
    """That many examples, or "all" of them, evenly spaced.

    Neighbours in a store belong to one cluster, so each cluster keeps its share.
    """
    if examples == "all" or examples >= len(indices):
        return indices
    return indices[np.linspace(0, len(indices) - 1, examples).round().astype(np.int64)]


def _batches(
    task: Any, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any] | None
) -> Iterator[tuple[np.ndarray, Any]]:
    for chosen in in_batches(indices, protocol):
        yield chosen, task.inputs(model, task.batch(chosen, _device(model)), condition or {}, protocol.seed)


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
