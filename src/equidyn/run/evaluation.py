"""Evaluate a run: its checkpoints in, one table of rows and one of per-example sums out."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import equidyn
from equidyn.core import process
from equidyn.core.decomposition import (
    ESTIMATOR_VERSION,
    Decomposition,
    concatenate,
    decompose,
    decompose_exact,
    summarise,
)
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry
from equidyn.data.store import Store
from equidyn.models.building import build
from equidyn.run.batches import Fitting, Kept, in_batches, largest_first
from equidyn.run.checkpoints import CheckpointError, checkpoint_name, load_checkpoint
from equidyn.run.findings import findings
from equidyn.run.protocol import FLOOR_EXAMPLES, EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.tasks.contract import Task, TrainableTask

CLOSED_FORM_TOLERANCE = 1e-3
"""Largest difference of the closed form from predictions, relative to these, that is no warning; rounding in single
precision makes differences of some 1e-6."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Copies:
    """Copies of a batch, each transformed by elements of a group.

    Attributes:
        task: The task, which makes batches and compares predictions.
        batch: B examples as the model sees them, N rows of prediction.
        elements: (K, B, ...), an element of the group per copy and example.
        symmetry: The group.
    """

    task: Task
    batch: Any
    elements: Tensor
    symmetry: Symmetry

    @cached_property
    def unmoved(self) -> Any:
        """The batch K times, end to end."""
        return self.task.repeat(self.batch, len(self.elements))

    @cached_property
    def moved(self) -> Any:
        """The copies, transformed."""
        return self.task.act(self.unmoved, self.elements.flatten(0, 1), self.symmetry)

    def predictions(self, model: nn.Module, *, perfect: bool = False) -> Tensor:
        """(K, N, C), see `twisted_predictions`."""
        found = self.task.target(self.moved) if perfect else self.task.predict(model, self.moved)
        inverse = self.symmetry.inverse(self.elements.flatten(0, 1))
        back = self.task.act_on_prediction(found, inverse, self.unmoved, self.symmetry)
        split: Tensor = back.unflatten(0, (len(self.elements), -1))
        return split


def twisted_predictions(
    task: Task, model: nn.Module, batch: Any, elements: Tensor, symmetry: Symmetry, *, perfect: bool = False
) -> Tensor:
    """Predictions for transformed inputs, transformed back: h_k(x) = g_k⁻¹ f(g_k x), all in one forward pass.

    Args:
        task: The task, which makes batches and compares predictions.
        model: The network, in evaluation mode.
        batch: B examples as the model sees them, N rows of prediction.
        elements: (K, B, ...), an element of the group per copy and example.
        symmetry: The group.
        perfect: Use the target in place of the model's prediction, which leaves the error of transforming predictions.

    Returns:
        (K, N, C).
    """
    return Copies(task, batch, elements, symmetry).predictions(model, perfect=perfect)


def draw_elements(symmetry: Symmetry, examples: np.ndarray, count: int, seed: int) -> Tensor:
    """(K, B, ...) group elements to twist examples with; each example has a random stream of its own."""

    def of_one(example: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_for(seed, "evaluation", example))
        return symmetry.sample(count, generator=generator)

    return torch.stack([of_one(int(example)) for example in examples], 1)


@dataclass(frozen=True)
class _Prepared:
    """Some examples under a condition, and what no weights decide of their decomposition, made when first needed.

    Attributes:
        task: The task.
        chosen: (B,) the examples.
        protocol: Number of group elements, seed.
        condition: See `Task.symmetry` and `Task.inputs`.
        batch: The examples as the model sees them.
        is_of_model: Whether the model was asked for its inputs, which then belong to its weights alone.
    """

    task: Task
    chosen: np.ndarray
    protocol: EvaluationSettings
    condition: Mapping[str, Any]
    batch: Any
    is_of_model: bool

    @classmethod
    def of(
        cls,
        task: Task,
        model: nn.Module,
        chosen: np.ndarray,
        protocol: EvaluationSettings,
        condition: Mapping[str, Any],
    ) -> "_Prepared":
        asked: list[bool] = []
        hook = model.register_forward_pre_hook(lambda *_: asked.append(True))
        try:
            batch = task.inputs(model, task.batch(chosen, _device(model)), condition, protocol.seed)
        finally:
            hook.remove()
        return cls(task, chosen, protocol, condition, batch, bool(asked))

    @cached_property
    def symmetry(self) -> Symmetry:
        return self.task.symmetry(self.condition)

    @cached_property
    def copies(self) -> Copies:
        elements = draw_elements(self.symmetry, self.chosen, self.protocol.rotations, self.protocol.seed)
        return Copies(self.task, self.batch, elements, self.symmetry)

    @cached_property
    def truth(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Target, example of each row, and null prediction."""
        return self.task.target(self.batch), self.task.example(self.batch), self.task.null(self.batch)

    def head_tensor(self, model: nn.Module) -> Tensor | None:
        """See `Task.head_tensor`; None also for a group without a closed form."""
        return self.task.head_tensor(model, self.batch) if self.symmetry.has_closed_form else None

    def exact(self, model: nn.Module) -> Decomposition | None:
        """The decomposition in closed form; None for a model or a group that has none."""
        tensor = self.head_tensor(model)
        if tensor is None:
            return None
        target, example, null = self.truth
        return decompose_exact(tensor, target, example, len(self.chosen), null=null)

    def sampled(self, model: nn.Module, *, identical: bool = False, perfect: bool = False) -> Decomposition:
        """The decomposition by sampled group elements, see `decompose_task`."""
        elements = self.copies.elements
        copies = replace(self.copies, elements=elements[:1].expand_as(elements)) if identical else self.copies
        target, example, null = self.truth
        return decompose(copies.predictions(model, perfect=perfect), target, example, len(self.chosen), null=null)


@torch.no_grad()
def decompose_task(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any] | None = None,
    *,
    identical: bool = False,
    perfect: bool = False,
) -> Decomposition:
    """The decomposition over held-out examples by sampled group elements, one entry per example.

    Args:
        task: The task, which makes batches and compares predictions.
        model: Any network that the task can obtain predictions from.
        indices: (n,) examples.
        protocol: Number of group elements, batch size, seed.
        condition: The group and the task's own conditions, see `Task.symmetry` and `Task.inputs`.
        identical: Use one element K times, which leaves numeric noise alone.
        perfect: See `twisted_predictions`.
    """
    batches = _prepared(task, model, indices, protocol, condition)
    return concatenate([batch.sampled(model, identical=identical, perfect=perfect) for batch in batches])


@torch.no_grad()
def decompose_task_exactly(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any] | None = None,
) -> Decomposition | None:
    """The decomposition in closed form, from one forward pass; None for a model or a group that has none.

    A few examples are tested against two sampled elements, see `closed_form_deviation`.
    """
    closed_form_deviation(task, model, thinned(indices, FLOOR_EXAMPLES), protocol, condition)
    parts = []
    for batch in _prepared(task, model, indices, protocol, condition):
        part = batch.exact(model)
        if part is None:
            return None
        parts.append(part)
    return concatenate(parts)


@torch.no_grad()
def closed_form_deviation(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any] | None = None,
) -> float:
    """How far the closed form is from predictions for two sampled elements of the group; 0 for a model that has none.

    The condition of `equidyn.core.decomposition.decompose_exact` is a promise of the network that gives a head tensor.
    Where it is not kept, what is exact depends on how the examples lie: there is a warning.

    Returns:
        The root of the mean squared difference, relative to that of the predictions.
    """
    difference, size = 0.0, math.ulp(0)
    for batch in _prepared(task, model, indices, protocol.model_copy(update={"rotations": 2}), condition):
        tensor = batch.head_tensor(model)
        if tensor is None:
            return 0.0
        matrices = batch.copies.elements.to(tensor)[:, batch.truth[1]]
        found = batch.copies.predictions(model)
        expected = torch.einsum("nkb,snkb,snka->sna", tensor, matrices, matrices)
        difference += float((found - expected).double().square().sum())
        size += float(found.double().square().sum())
    deviation = math.sqrt(difference / size)
    if not deviation <= CLOSED_FORM_TOLERANCE:
        log.warning(
            "%s: under two sampled elements of %s its predictions differ from the closed form by %.2g of their size "
            "(limit %g): use the estimator `sampled`, not `exact`, until the head of the network alone depends on "
            "orientation, or let it give no head tensor",
            type(model).__name__,
            task.symmetry(condition or {}).name,
            deviation,
            CLOSED_FORM_TOLERANCE,
        )
    return deviation


def evaluate_run(
    task_class: type[TrainableTask],
    store: Store,
    indices: np.ndarray,
    checkpoints: str | Path,
    steps: Sequence[int],
    protocol: EvaluationSettings,
    *,
    state: str | Path,
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
        steps: Steps to evaluate.
        protocol: Settings of the evaluation.
        state: Folder for the sums of each checkpoint, see `equidyn.run.findings.findings`; its name must say all that
            decides them besides the checkpoints.
        labels: Columns that say which run this is (study, run, subset, seed, …), put in front of each row.
        control: Arguments of `equidyn.models.building.build` for an exactly equivariant network of the task; without
            it, the floor is NaN.
        device: Device to evaluate on.
        progress: Show a progress bar on stderr.

    Returns:
        One row per step, weights, condition and estimator, with ``decay`` (of an average of the weights; NaN for raw
        ones), the columns of `decomposition.summarise`, provenance, and floors: the percent of the exactly equivariant
        control, and of one element repeated, and the errors of a perfect prediction, which are those of transforming
        predictions themselves, on a grid for instance; and one row per example besides, with the sums from which any
        other ratio, interval or subset follows.

    Raises:
        CheckpointError: Checkpoints are missing or damaged, or give no numbers; all others have been evaluated.
    """
    process.allow_tf32(False)  # rounding would pass for equivariance error
    process.use_onednn(task_class.has_fixed_shapes)
    indices = thinned(indices, protocol.examples)
    order = largest_first(store, indices)
    places = np.argsort(order)  # of the examples in the order in which they are evaluated
    fitting = Fitting(protocol, len(indices))

    def find(step: int, weights: str) -> pd.DataFrame:
        _, task, model = restore(task_class, store, checkpoints, step, weights)
        model.to(device).eval()
        estimates = fitting(partial(_estimates, task, model, indices[order], fitting.kept))
        cluster = task.cluster(indices)
        tables = [
            _example_table(found.select(places), indices, cluster, {"condition": place, "estimator": estimator})
            for place, of_one in enumerate(estimates)
            for estimator, found in of_one.items()
        ]
        return pd.concat(tables, ignore_index=True)

    title = str(labels.get("run", "evaluate"))
    found = findings(find, checkpoints, steps, protocol.weights, state, title=title, progress=progress)
    recipe, task, model = restore(task_class, store, checkpoints, steps[0], protocol.weights[0])
    model.to(device).eval()
    floors = Fitting(protocol, len(indices))(partial(_floors, task, model, control, indices))
    run = identity(labels, recipe.model, model)
    rows, examples = [], []
    for step, weights, table in found:
        for (number, estimator), part in table.groupby(["condition", "estimator"], sort=False):
            sums = part.drop(columns=["condition", "estimator"])
            condition = compared(task, protocol.conditions[number])
            place = {"step": step, "weights": weights, **condition, "estimator": estimator}
            summary = summarise(
                Decomposition(*(sums[field.name].to_numpy() for field in fields(Decomposition))),
                sums["cluster"].to_numpy(),
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
            decay = {"decay": recipe.decays.get(weights, math.nan)}
            rows.append({**run, **place, **decay, **summary, **floors[number], **provenance})
            keys = {key: labels[key] for key in ("study", "run") if key in labels} | place
            examples.append(pd.DataFrame({**keys, **sums}))
    return pd.DataFrame(rows), pd.concat(examples, ignore_index=True)


def restore(
    task_class: type[TrainableTask], store: Store, checkpoints: str | Path, step: int, weights: str
) -> tuple[Recipe, TrainableTask, nn.Module]:
    """Recipe, task and network of a checkpoint.

    Args:
        task_class: The run's task.
        store: Data.
        checkpoints: The folder that `equidyn.run.training.train` made.
        step: One of its steps.
        weights: "raw", or the name of an average (`Recipe.decays`).

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
    """
    path = Path(checkpoints, weights, checkpoint_name(step))
    state, metadata = load_checkpoint(path)
    recipe = Recipe(**metadata["recipe"])
    model = build(recipe.network, recipe.sizes)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights of another network: train the run again ({error})") from None
    return recipe, task_class.restore(store, metadata["task_state"]), model


def identity(labels: Mapping[str, Any], name: str, model: nn.Module) -> dict[str, Any]:
    """Columns that identify a row's run and network; a ``variant`` among the labels belongs to the network."""
    return {
        **{column: value for column, value in labels.items() if column != "variant"},
        "model": name,
        "variant": labels.get("variant", ""),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def compared(task: Task, condition: Mapping[str, Any]) -> dict[str, Any]:
    """A condition as columns, completed by the task's own group and comparison."""
    return {"group": task.symmetry(condition).name, "comparison": task.comparison, **condition}


@torch.no_grad()
def _estimates(
    task: Task, model: nn.Module, indices: np.ndarray, kept: Kept, protocol: EvaluationSettings
) -> list[dict[str, Decomposition]]:
    """For each condition the decomposition by each estimator that applies."""
    parts: list[dict[str, list[Decomposition]]] = [{} for _ in protocol.conditions]
    with _asked_once(model) if _differ_in_comparison(protocol.conditions) else nullcontext():
        for chosen in in_batches(indices, protocol):
            for place, condition in enumerate(protocol.conditions):
                with kept.lent(
                    (place, int(chosen[0])),
                    partial(_Prepared.of, task, model, chosen, protocol, condition),
                    lambda prepared: not prepared.is_of_model,
                ) as prepared:
                    exact = prepared.exact(model)
                    if exact is not None:
                        parts[place].setdefault("exact", []).append(exact)
                    if protocol.sampled or exact is None:
                        parts[place].setdefault("sampled", []).append(prepared.sampled(model))
    return [{estimator: concatenate(found) for estimator, found in of_one.items()} for of_one in parts]


def _differ_in_comparison(conditions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether conditions follow one another that ask a network the same, and compare its answers differently."""
    asked = [{name: value for name, value in one.items() if name != "comparison"} for one in conditions]
    return any(one == other for one, other in pairwise(asked))


@contextmanager
def _asked_once(model: nn.Module) -> Iterator[None]:
    """Let a network that is given the same tensor twice in a row give its first answer again."""
    forward: Any = model.forward
    last: dict[str, Any] = {}

    def remembering(inputs: Any) -> Any:
        if not isinstance(inputs, Tensor):
            return forward(inputs)
        if not (last and torch.equal(last["inputs"], inputs)):
            last.update(inputs=inputs, answer=forward(inputs))
        return last["answer"]

    model.forward = remembering
    try:
        yield
    finally:
        del model.forward


def _example_table(
    decomposition: Decomposition, indices: np.ndarray, cluster: np.ndarray, estimate: Mapping[str, Any]
) -> pd.DataFrame:
    columns = {field.name: getattr(decomposition, field.name) for field in fields(Decomposition)}
    return pd.DataFrame({**estimate, "example": indices, "cluster": cluster, **columns})


def _floors(
    task: Task, model: nn.Module, control: Mapping[str, Any] | None, indices: np.ndarray, protocol: EvaluationSettings
) -> list[dict[str, float]]:
    """Floors of each condition."""
    return [_floor(task, model, control, indices, protocol, condition) for condition in protocol.conditions]


def _floor(
    task: Task,
    model: nn.Module,
    control: Mapping[str, Any] | None,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
) -> dict[str, float]:
    """Errors measured on networks without equivariance error, and on perfect predictions.

    They are measured once per call and condition, on a few examples; a repeated element with the first weights. So is
    the closed form.
    """
    some = thinned(indices, FLOOR_EXAMPLES)
    closed_form_deviation(task, model, some, protocol, condition)
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
    """The given number of examples, or "all", evenly spaced.

    Neighbours in a store belong to one cluster, so each cluster keeps its share.
    """
    if isinstance(examples, str) or examples >= len(indices):
        return indices
    return indices[np.linspace(0, len(indices) - 1, examples).round().astype(np.int64)]


def _prepared(
    task: Task, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any] | None
) -> Iterator[_Prepared]:
    """The examples in batches, with the model in evaluation mode."""
    model.eval()
    for chosen in in_batches(indices, protocol):
        yield _Prepared.of(task, model, chosen, protocol, condition or {})


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
