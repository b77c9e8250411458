"""Train one network: a loop that reads from top to bottom.

The batch of a step is cut into portions, which the processes of a `World` share out; losses and gradients of the
portions add up to those of the batch. Every random draw of a step comes from streams named by (seed, purpose, step),
and by the example's place in the batch where it is an example's own. Networks without dropout therefore learn the same
on any number of devices, but for the order of summation; those with dropout do so for the same largest portion. And a
run that was killed and resumed is the run that was not, bit for bit, on one machine with the same devices and threads.
"""

import json
import logging
import math
import resource
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from equidyn.core import process
from equidyn.core.files import publish
from equidyn.core.plugins import load
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import symmetry
from equidyn.models.building import build
from equidyn.run.checkpoints import checkpoint_name, load_state, save_checkpoint, save_state
from equidyn.run.distributed import World
from equidyn.run.recipe import Recipe, portion_count
from equidyn.tasks.contract import Draws, TrainableTask

log = logging.getLogger(__name__)

PRECISIONS = {"fp32": None, "tf32": None, "bf16": torch.bfloat16}
"""The type that autocast computes in, by the name of the precision."""


class TrainingError(RuntimeError):
    """Training cannot continue: a loss is not finite, or settings cannot be met."""


class Terminated(SystemExit):
    """SIGTERM was received, and the state is saved; left alone, this ends the process with exit code 143."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def train(
    task: TrainableTask,
    indices: np.ndarray,
    recipe: Recipe,
    checkpoint_steps: Sequence[int],
    *,
    output: str | Path,
    state: str | Path,
    state_every: int = 500,
    microbatch: int | None = None,
    world: World = World(),  # noqa: B008 (immutable)
    title: str = "train",
    progress: bool = True,
) -> None:
    """Train a network and keep its weights at known steps.

    The output folder appears only when the run is complete: ``raw/`` and ``ema/`` with one checkpoint per step,
    ``metrics.parquet`` with one row per step (loss, gradient norm before clipping, learning rate), ``run.json`` with
    the recipe, and ``throughput.json`` with times and peak memory. Until then everything is kept in `state`, from
    where an interrupted run resumes.

    Args:
        task: The task, bound to its store.
        indices: (n,) training examples.
        recipe: Settings that decide the run.
        checkpoint_steps: Steps to keep, ascending, 0 for the initial weights; none beyond the recipe's steps.
        output: Folder to make.
        state: Folder for the unfinished run; must be used for this very run only.
        state_every: Steps between saves of the resumable state.
        microbatch: Largest number of examples in memory at once, on each device; without it, an equal share of the
            batch. A state saved with one number may be resumed with another.
        world: The processes that train together, all of which call this with equal arguments. Only the first writes.
        title: Name of the run in the progress bar and log messages.
        progress: Show a progress bar on stderr.

    Raises:
        TrainingError: The loss or the gradient is not finite; the message names step and batch. The last state is
            kept.
        ValueError: The task refuses the data, the network cannot be built or has another number of parameters than
            the recipe says, or the checkpoint steps or the microbatch do not fit.
        Terminated: After the step in which one of the processes received SIGTERM, with its state saved.
    """
    steps_to_keep, recipe = _checked_steps(checkpoint_steps, recipe.steps), with_network(recipe)
    if microbatch is not None and microbatch < 1:
        raise ValueError(f"microbatch must be at least 1, found {microbatch}")
    output, state = Path(output), Path(state)
    unfinished = state / "output"

    process.allow_tf32(recipe.precision != "fp32")
    torch.manual_seed(seed_for(recipe.seed, "initialisation"))
    model = build(recipe.network, recipe.sizes, recipe.parameters).to(world.device)
    task.check(model, indices)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    averaged.update_parameters(model)  # the first update copies: the average starts at the initial weights
    optimiser = _optimiser(model, recipe)
    order = _Order(indices, _families(task, indices, recipe), recipe.batch_size, recipe.seed)
    metrics: dict[str, list[float]] = {"loss": [], "gradient_norm": [], "lr": []}
    start, seconds = 0, 0.0

    # A state without its checkpoints is the rest of a run that was published and then interrupted.
    if unfinished.is_dir() and (saved := load_state(state / "state.pt")) is not None:
        model.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimiser.load_state_dict(saved["optimiser"])
        metrics, start, seconds = saved["metrics"], saved["step"], saved["seconds"]
        log.info("%s: resuming at step %d of %d", title, start, recipe.steps)
    world.barrier()  # all have read the state before the first one writes
    if recipe.compile:
        model.compile(dynamic=None if task.has_fixed_shapes else True)
    shared = world.share(model)

    def keep_checkpoint(step: int) -> None:
        if not world.is_first:
            return
        metadata = {"step": step, "recipe": recipe.model_dump(), "task": task.name, "task_state": task.state()}
        for folder, network in (("raw", model), ("ema", averaged.module)):
            save_checkpoint(unfinished / folder / checkpoint_name(step), network.state_dict(), metadata)

    def keep_state(step: int) -> None:
        if not world.is_first:
            return
        save_state(
            state / "state.pt",
            {
                "model": model.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "metrics": metrics,
                "step": step,
                "seconds": seconds + time.perf_counter() - began,
            },
        )

    began = time.perf_counter()
    if start == 0 and 0 in steps_to_keep:
        keep_checkpoint(0)
    model.train()
    progress = progress and world.is_first
    with (
        process.termination_noted() as termination,
        tqdm(total=recipe.steps, initial=start, desc=title, disable=not progress, mininterval=5) as bar,
    ):
        for step in range(start, recipe.steps):
            chosen = order.batch(step)
            share = _accumulate_gradient(task, shared, chosen, recipe, step, microbatch, world)
            loss, terminate = world.sum(share, termination.is_set())
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            values = {"loss": loss, "gradient_norm": float(norm), "lr": recipe.lr * recipe.factor(step)}
            if not all(map(math.isfinite, values.values())):
                raise TrainingError(
                    f"step {step}: loss {values['loss']}, gradient norm {values['gradient_norm']} on "
                    f"{task.describe_batch(chosen)}; lower the learning rate or look at these examples "
                    f"(the last good state is in {state})"
                )
            for group in optimiser.param_groups:
                group["lr"] = values["lr"]
            optimiser.step()
            optimiser.zero_grad()
            averaged.update_parameters(model)
            for name, value in values.items():
                metrics[name].append(value)
            bar.update()
            if step + 1 in steps_to_keep:
                keep_checkpoint(step + 1)
                bar.set_postfix(loss=f"{values['loss']:.3g}", refresh=False)
            terminate = terminate and step + 1 < recipe.steps  # a finished run is published instead
            if terminate or (step + 1) % state_every == 0:
                keep_state(step + 1)
            if terminate:
                world.barrier()  # a process that left earlier would take the first one down
                log.warning("%s: terminated; the next start resumes at step %d of %d", title, step + 1, recipe.steps)
                raise Terminated

    if not world.is_first:
        return
    seconds += time.perf_counter() - began
    table = pd.DataFrame({"step": np.arange(1, recipe.steps + 1), **metrics})
    table.to_parquet(unfinished / "metrics.parquet", index=False)
    _write_json(unfinished / "run.json", recipe.model_dump())
    _write_json(unfinished / "throughput.json", _throughput(recipe, world, seconds))
    publish(unfinished, output)
    shutil.rmtree(state)


def with_network(recipe: Recipe) -> Recipe:
    """The recipe with class and sizes of its network; if it gives none, those of the model that it names.

    Raises:
        ValueError: The recipe gives none, and no model of this package has the name.
    """
    if recipe.network:
        return recipe
    # Not imported, and so in no digest: the workflow's recipes say what their networks are.
    configuration = load("equidyn.models.registry:configuration")
    return recipe.model_copy(update=configuration(recipe.model).built_from)


def augmentation(recipe: Recipe, step: int, examples: int) -> torch.Tensor | None:
    """Group elements (examples, ...) of a step's batch: random with the recipe's probability, else the identity.

    None for a recipe without augmentation.
    """
    if not recipe.augmentation:
        return None
    group, generator = symmetry(recipe.group), _generator(recipe, "augmentation", step)
    elements = group.sample(examples, generator=generator)
    unmoved = torch.rand(examples, generator=generator) >= recipe.augmentation
    elements[unmoved] = group.identity()
    return elements


def draws(recipe: Recipe, step: int, places: Sequence[int]) -> Draws:
    """The random numbers that belong to some places of a step's batch."""
    each = [_generator(recipe, "noise", step, place) for place in places]
    return Draws(_generator(recipe, "shared", step), each)


def portions(examples: int, microbatch: int | None, world: World) -> list[np.ndarray]:
    """Places of a batch, in the smallest number of portions of about equal size (`equidyn.run.recipe.portion_count`).

    Portion p belongs to process p modulo the number of processes.
    """
    return np.array_split(np.arange(examples), portion_count(examples, microbatch, world.size))


class _Order:
    """Which examples each step sees: every epoch one member of each family in random order, cut into batches."""

    def __init__(self, indices: np.ndarray, family: np.ndarray, batch_size: int, seed: int):
        self.members = indices[np.argsort(family, kind="stable")]
        self.sizes = np.unique(family, return_counts=True)[1]
        self.batch_size, self.seed = batch_size, seed
        self.per_epoch = math.ceil(len(self.sizes) / batch_size)
        self.epoch = -1

    def batch(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = np.random.default_rng(seed_for(self.seed, "order", epoch))
            chosen = np.cumsum(self.sizes) - self.sizes + generator.integers(self.sizes)
            self.epoch, self.visits = epoch, generator.permutation(self.members[chosen])
        return self.visits[place * self.batch_size : (place + 1) * self.batch_size]


def _accumulate_gradient(
    task: TrainableTask,
    shared: torch.nn.Module,
    chosen: np.ndarray,
    recipe: Recipe,
    step: int,
    microbatch: int | None,
    world: World,
) -> float:
    """Leave the gradient of a step's loss in the parameters of all processes; return this one's share of the loss."""
    whole, elements = task.whole(chosen), augmentation(recipe, step, len(chosen))
    autocast = PRECISIONS[recipe.precision]
    mine = list(enumerate(portions(len(chosen), microbatch, world)))[world.rank :: world.size]
    weight = world.size  # gradients are means over processes, and must be sums
    if not mine:  # the others wait for this process, which has nothing to add
        mine, weight = [(0, np.arange(1))], 0
    total: float | torch.Tensor = 0.0
    for number, places in mine:
        torch.manual_seed(seed_for(recipe.seed, "dropout", step, number))
        batch = task.batch(chosen[places], world.device)
        if elements is not None:
            batch = task.act(batch, elements[places], symmetry(recipe.group))
        is_last = number == mine[-1][0]
        with nullcontext() if is_last else world.apart(shared):
            with torch.autocast(world.device.type, autocast) if autocast else nullcontext():
                share = task.loss(shared, batch, draws(recipe, step, places.tolist()), whole)
            (weight * share).backward()
        total = total + weight / world.size * share.detach()
    return float(total)


def _families(task: TrainableTask, indices: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(n,) label of the family of each example; an epoch visits each family once."""
    return np.arange(len(indices)) if recipe.sampling == "examples" else task.cluster(indices)


def _generator(recipe: Recipe, *purpose: Any) -> torch.Generator:
    """An independent stream of random numbers, on the CPU whatever the device."""
    return torch.Generator().manual_seed(seed_for(recipe.seed, *purpose))


def _optimiser(model: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.lr)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), recipe.lr, recipe.betas, recipe.eps, fused=True)
    no_decay = getattr(model, "no_decay", lambda name: False)
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in model.named_parameters() if no_decay(name) == exempt]} for exempt in (False, True)
    ]
    groups[0]["weight_decay"], groups[1]["weight_decay"] = recipe.weight_decay, 0.0
    return torch.optim.AdamW(groups, recipe.lr, recipe.betas, recipe.eps, fused=True)


def _checked_steps(checkpoint_steps: Sequence[int], last: int) -> set[int]:
    steps = list(checkpoint_steps)
    if steps != sorted(set(steps)) or not steps or steps[0] < 0 or steps[-1] > last:
        raise ValueError(f"checkpoint steps must increase from 0 or more to at most {last}, found {steps}")
    return set(steps)


def _throughput(recipe: Recipe, world: World, seconds: float) -> dict[str, Any]:
    """Times and the first process's peak memory; kept apart from the tables, which are equal for equal runs."""
    device = world.device
    return {
        "seconds": seconds,
        "seconds_per_step": seconds / recipe.steps,
        "examples_per_second": recipe.steps * recipe.batch_size / seconds,
        "peak_host_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "devices": world.size,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
