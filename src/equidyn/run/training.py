"""Train one network: a loop that reads from top to bottom.

Losses and gradients of a batch's portions add up to those of the batch. Networks without dropout therefore learn the
same on any number of devices, but for the order of summation; those with dropout do so for the same largest portion.
On a CPU, a run that was killed and resumed is the run that was not, bit for bit, on one machine with the same devices
and threads. GPUs sum in no fixed order: there this holds for recipes that ask for it by ``deterministic``, and up to
rounding for others.

Nothing is read back from the device between a batch and the optimiser's step, which would have to wait for it. Whether
a loss was finite is therefore known one step late, but before anything of that step is written.
"""

import json
import logging
import math
import resource
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from equidyn.core import process
from equidyn.core.files import publish, replacing
from equidyn.core.plugins import load
from equidyn.core.seeding import seed_for
from equidyn.core.transfer import to_device
from equidyn.models.building import build
from equidyn.run.checkpoints import checkpoint_name, load_state, save_checkpoint, save_state
from equidyn.run.distributed import World
from equidyn.run.loader import StepInput, Steps, inputs_of_steps
from equidyn.run.recipe import Recipe, compiles
from equidyn.tasks.contract import TrainableTask

log = logging.getLogger(__name__)

PRECISIONS = {"fp32": None, "tf32": None, "bf16": torch.bfloat16}
"""The type that autocast computes in, by the name of the precision."""


_LAST = "throughput.json"
"""The file of an output that is written last."""


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
    workers: int | None = None,
    title: str = "train",
    progress: bool = True,
) -> None:
    """Train a network and keep its weights at known steps.

    The output folder appears only when the run is complete: ``raw/``, and a folder for each average of
    the weights (`Recipe.decays`), with one checkpoint per step, ``metrics.parquet`` with one row per step (loss,
    gradient norm before clipping, learning rate), ``run.json`` with the recipe, and ``throughput.json`` with times and
    peak memory. Until then everything is kept in `state`, from where an interrupted run resumes. A finished run stays
    there, too, without using space twice where the file system has links: if its output is lost, the next call with
    the same state publishes it again. Whoever uses the output may remove the state
    (`equidyn.core.files.discard_states`).

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
        workers: Processes that prepare batches ahead of their step, see `equidyn.run.loader.inputs_of_steps`.
        title: Name of the run in the progress bar and log messages.
        progress: Show a progress bar on stderr.

    Raises:
        TrainingError: The loss or the gradient is not finite; the message names step and batch. No checkpoint and no
            state is written from then on; the last state is kept.
        ValueError: The task refuses the data, the network cannot be built or has another number of parameters than
            the recipe says, or the checkpoint steps or the microbatch do not fit.
        Terminated: After the step in which the process received SIGTERM, or the next one if there are several
            processes, with its state saved.
    """
    steps_to_keep, recipe = _checked_steps(checkpoint_steps, recipe.steps), with_network(recipe)
    if microbatch is not None and microbatch < 1:
        raise ValueError(f"microbatch must be at least 1, found {microbatch}")
    output, state = Path(output), Path(state)
    unfinished = state / "output"

    if (unfinished / _LAST).exists():
        log.info("%s: already finished; its output is published again", title)
        if world.is_first:
            _publish(state, output)
        return

    process.allow_tf32(recipe.precision != "fp32")
    process.fix_order_of_sums(recipe.deterministic)
    process.use_onednn(task.has_fixed_shapes or recipe.precision == "bf16")
    torch.manual_seed(seed_for(recipe.seed, "initialisation"))
    model = build(recipe.network, recipe.sizes, recipe.parameters).to(world.device)
    task.check(model, indices)
    parameters, buffers = list(model.parameters()), list(model.buffers())
    averages = {name: deepcopy(model).requires_grad_(False) for name in recipe.decays}
    followers = [
        (get_ema_multi_avg_fn(decay), list(averages[name].parameters()), list(averages[name].buffers()))
        for name, decay in recipe.decays.items()
    ]
    optimiser = _optimiser(model, recipe)
    metrics = _Metrics()
    start, seconds = 0, 0.0

    if (saved := load_state(state / "state.pt")) is not None:
        model.load_state_dict(saved["model"])
        for name, averaged in averages.items():
            averaged.load_state_dict(saved["averages"][name])
        optimiser.load_state_dict(saved["optimiser"])
        metrics.columns, start, seconds = saved["metrics"], saved["step"], saved["seconds"]
        log.info("%s: resuming at step %d of %d", title, start, recipe.steps)
    world.barrier()  # all have read the state before the first one writes
    compiled = compiles(recipe.compile, recipe.steps, on_gpu=world.device.type == "cuda")
    if compiled:
        model.compile(dynamic=None if task.has_fixed_shapes else True)
    shared = world.share(model)
    steps = Steps(task, model, indices, recipe, microbatch, world, few_shapes=compiled)

    def keep_checkpoint(step: int) -> None:
        metrics.settle()
        if not world.is_first:
            return
        metadata = {"step": step, "recipe": recipe.model_dump(), "task": task.name, "task_state": task.state()}
        for folder, network in {"raw": model, **averages}.items():
            save_checkpoint(unfinished / folder / checkpoint_name(step), network.state_dict(), metadata)

    def keep_state(step: int) -> None:
        metrics.settle()
        if not world.is_first:
            return
        save_state(
            state / "state.pt",
            {
                "model": model.state_dict(),
                "averages": {name: averaged.state_dict() for name, averaged in averages.items()},
                "optimiser": optimiser.state_dict(),
                "metrics": metrics.columns,
                "step": step,
                "seconds": seconds + time.perf_counter() - began,
            },
        )

    def not_finite(step: int, examples: np.ndarray, loss: float, norm: float) -> TrainingError:
        return TrainingError(
            f"step {step}: loss {loss}, gradient norm {norm} on {task.describe_batch(examples)}; lower the learning "
            f"rate or look at these examples (the last good state is in {state})"
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
        for step, inputs in enumerate(inputs_of_steps(steps, start, world.device, workers), start):
            loss = _accumulate_gradient(task, shared, inputs, recipe, step, world)
            norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
            lr = recipe.lr * recipe.factor(step)
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
            optimiser.zero_grad()
            for average, weights, copies in followers:
                average(weights, parameters, None)
                for copy, buffer in zip(copies, buffers, strict=True):
                    copy.copy_(buffer)
            metrics.settle()
            metrics.add(world.sum(loss, termination.is_set()), norm, lr, partial(not_finite, step, inputs.examples))
            bar.update()
            if step + 1 in steps_to_keep:
                keep_checkpoint(step + 1)
                bar.set_postfix(loss=f"{metrics.columns['loss'][-1]:.3g}", refresh=False)
            terminate = termination.is_set() if world.size == 1 else metrics.terminated
            terminate = terminate and step + 1 < recipe.steps  # a finished run is published instead
            if terminate or (step + 1) % state_every == 0:
                keep_state(step + 1)
            if terminate:
                world.barrier()  # a process that left earlier would take the first one down
                log.warning("%s: terminated; the next start resumes at step %d of %d", title, step + 1, recipe.steps)
                raise Terminated
        metrics.settle()

    if not world.is_first:
        return
    seconds += time.perf_counter() - began
    table = pd.DataFrame({"step": np.arange(1, recipe.steps + 1), **metrics.columns})
    with replacing(unfinished / "metrics.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    _write_json(unfinished / "run.json", recipe.model_dump())
    _write_json(unfinished / _LAST, _throughput(recipe, world, seconds, compiled))
    _publish(state, output)


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


class _Metrics:
    """Loss, gradient norm and learning rate of each step, read from the device when the next step is under way.

    Attributes:
        columns: One number per settled step in each.
        terminated: Whether any process had received SIGTERM in a settled step.
    """

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {"loss": [], "gradient_norm": [], "lr": []}
        self.terminated = False
        self._unread: tuple[Tensor, torch.cuda.Event | None, float, Callable[[float, float], Exception]] | None = None

    def add(self, sums: Tensor, norm: Tensor, lr: float, error: Callable[[float, float], Exception]) -> None:
        """Note a step whose numbers may still be in the making.

        Args:
            sums: (2,) over all processes: the loss, and how many of them received SIGTERM.
            norm: Norm of the gradient.
            lr: Learning rate.
            error: Makes the exception for a loss or norm that is not finite.
        """
        values = torch.cat([sums, norm.detach().double()[None]]).to("cpu", non_blocking=True)
        event = None
        if sums.device.type == "cuda":
            event = torch.cuda.Event()
            event.record()
        self._unread = values, event, lr, error

    def settle(self) -> None:
        """Read the last step's numbers; after this, all that the optimiser has done so far is known to be finite.

        Raises:
            Exception: The one that `add` was given, if they are not finite.
        """
        if self._unread is None:
            return
        values, event, lr, error = self._unread
        self._unread = None
        if event is not None:
            event.synchronize()
        loss, terminated, norm = values.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise error(loss, norm)
        self.terminated |= terminated > 0
        for column, value in zip(self.columns.values(), (loss, norm, lr), strict=True):
            column.append(value)


def _accumulate_gradient(
    task: TrainableTask, shared: nn.Module, inputs: StepInput, recipe: Recipe, step: int, world: World
) -> Tensor:
    """Leave the gradient of a step's loss in the parameters of all processes; return this one's share of the loss."""
    autocast = PRECISIONS[recipe.precision]
    weight = world.size * inputs.weight  # gradients are means over processes, and must be sums
    total = torch.zeros((), device=world.device)
    for place, (number, batch) in enumerate(inputs.portions, start=1):
        _seed(seed_for(recipe.seed, "dropout", step, number), world.device)
        batch = to_device(batch, world.device)
        with nullcontext() if place == len(inputs.portions) else world.apart(shared):
            with torch.autocast(world.device.type, autocast) if autocast else nullcontext():
                share = task.loss(shared, batch, inputs.whole)
            (weight * share).backward()
        total = total + inputs.weight * share.detach()
    return total


def _seed(seed: int, device: torch.device) -> None:
    """Seed the random numbers of the CPU and, if one trains, of GPUs; `torch.manual_seed` asks for all kinds."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)


def _optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
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


def _throughput(recipe: Recipe, world: World, seconds: float, compiled: bool) -> dict[str, Any]:
    """Times and the first process's peak memory; kept apart from the tables, which are equal for equal runs."""
    device = world.device
    return {
        "seconds": seconds,
        "seconds_per_step": seconds / recipe.steps,
        "peak_host_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "devices": world.size,
        "threads": torch.get_num_threads(),
        "compiled": compiled,
        "torch": torch.__version__,
    }


def _publish(state: Path, output: Path) -> None:
    """Give a finished run its name, and keep it among the states for the case that this output is lost."""
    publish(state / "output", output)
    (state / "state.pt").unlink(missing_ok=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
