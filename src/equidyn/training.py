"""Train one network: a loop that reads from top to bottom.

Every random draw of a step comes from streams named by (seed, purpose, step). A run that was killed and resumed is
therefore the run that was not, bit for bit, on one machine with the same threads.
"""

import hashlib
import json
import logging
import math
import resource
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from equidyn.checkpoints import checkpoint_name, load_state, save_checkpoint, save_state
from equidyn.data.store import Store
from equidyn.models.registry import build
from equidyn.rotations import haar
from equidyn.seeding import seed_for

log = logging.getLogger(__name__)

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16}


class TrainingError(RuntimeError):
    """Training cannot go on: a loss that is not finite, or settings that cannot be met."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, apart from data and library code.

    Attributes:
        model: Name of a configuration of the registry.
        steps: Optimiser steps.
        batch_size: Examples per step; the last batch of an epoch may be smaller.
        optimiser: "adamw", "adam" or "sgd".
        lr: Peak learning rate.
        betas: Decay rates of Adam's averages of the gradient and of its square.
        eps: What Adam adds to the root of the latter.
        weight_decay: Decoupled, for the parameters that the model does not exempt; AdamW only.
        warmup_steps: Linear warm-up from `warmup_start` x lr.
        warmup_start: First factor of the learning rate.
        final_factor: Last factor of the learning rate, reached along a cosine.
        clip: Largest global gradient norm.
        ema: Decay of the exponential moving average of the weights.
        augmentation: Probability that an example is rotated by a Haar rotation.
        sampling: What an epoch goes through in random order: all "examples", or the "clusters" (molecules, sequence
            families), of each of which it sees one member, drawn at random.
        precision: "fp32" or "bf16" (autocast).
        seed: Of initialisation, order, augmentation, noise and dropout.
    """

    model: str
    steps: int
    batch_size: int
    optimiser: str
    lr: float
    augmentation: float
    seed: int
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    warmup_steps: int = 100
    warmup_start: float = 0.2
    final_factor: float = 0.5
    clip: float = 10.0
    ema: float = 0.999
    precision: str = "fp32"
    sampling: str = "examples"

    def __post_init__(self):
        object.__setattr__(self, "betas", tuple(self.betas))  # a list, if it comes from a file

    def factor(self, step: int) -> float:
        """Learning-rate factor of the update that leads from `step` to `step + 1`."""
        if step < self.warmup_steps:
            return self.warmup_start + (1 - self.warmup_start) * step / self.warmup_steps
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.final_factor + (1 - self.final_factor) * cosine


def train(
    task: Any,
    indices: np.ndarray,
    recipe: Recipe,
    checkpoint_steps: Sequence[int],
    *,
    output: str | Path,
    state: str | Path,
    state_every: int = 500,
    device: torch.device | str = "cpu",
    title: str = "train",
    progress: bool = True,
) -> None:
    """Train a network and keep its weights at known steps.

    The output folder appears only when the run is complete: ``raw/`` and ``ema/`` with one checkpoint per step,
    ``metrics.parquet`` with one row per step (loss, gradient norm before clipping, learning rate), ``run.json`` with
    the recipe, and ``throughput.json`` with times and peak memory. Until then everything is kept in `state`, from
    where an interrupted run goes on.

    Args:
        task: The task (see `equidyn.tasks.contract.Task`), bound to its store.
        indices: (n,) training examples.
        recipe: How to train.
        checkpoint_steps: Steps to keep, ascending, 0 for the initial weights; none beyond the recipe's steps.
        output: Folder to make.
        state: Folder for the unfinished run; must be used for this very run only.
        state_every: Steps between saves of the resumable state.
        device: Where to train.
        title: What the progress bar and log messages call the run.
        progress: Show a progress bar on stderr.

    Raises:
        TrainingError: The loss or the gradient is not finite; the message names step and batch. The last state is
            kept.
        ValueError: The task refuses the data, or the checkpoint steps do not fit.
    """
    steps_to_keep = _checked_steps(checkpoint_steps, recipe.steps)
    output, state, device = Path(output), Path(state), torch.device(device)
    unfinished = state / "output"

    torch.manual_seed(seed_for(recipe.seed, "initialisation"))
    model = build(recipe.model).to(device)
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

    def keep_checkpoint(step: int) -> None:
        metadata = {"step": step, "recipe": asdict(recipe), "task": task.name, "task_state": task.state()}
        for folder, network in (("raw", model), ("ema", averaged.module)):
            save_checkpoint(unfinished / folder / checkpoint_name(step), network.state_dict(), metadata)

    def keep_state(step: int) -> None:
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
    autocast = PRECISIONS[recipe.precision]
    bar = tqdm(total=recipe.steps, initial=start, desc=title, disable=not progress, mininterval=5)
    for step in range(start, recipe.steps):
        torch.manual_seed(seed_for(recipe.seed, "dropout", step))
        chosen = order.batch(step)
        batch = augment(task, task.batch(chosen, device), len(chosen), recipe, step)
        with torch.autocast(device.type, autocast) if autocast else nullcontext():
            loss = task.loss(model, batch, _generator(recipe, "noise", step))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        values = {"loss": float(loss.detach()), "gradient_norm": float(norm), "lr": recipe.lr * recipe.factor(step)}
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
        if (step + 1) % state_every == 0:
            keep_state(step + 1)
    bar.close()

    seconds += time.perf_counter() - began
    table = pd.DataFrame({"step": np.arange(1, recipe.steps + 1), **metrics})
    table.to_parquet(unfinished / "metrics.parquet", index=False)
    _write_json(unfinished / "run.json", asdict(recipe))
    _write_json(unfinished / "throughput.json", _throughput(recipe, device, seconds))
    publish(unfinished, output)
    shutil.rmtree(state)


def state_folder(root: str | Path, run: str, *decisive: Any) -> Path:
    """Folder for the state of an unfinished run, named by the run and by everything that decides its result.

    Args:
        root: Parent folder.
        run: Name of the run.
        *decisive: Settings, index arrays, and stores (which count by their files' checksums).

    Returns:
        A folder of which another recipe, data set or code version has none of the same name.
    """
    digest = hashlib.sha256()
    for item in decisive:
        if isinstance(item, Store):
            item = item.manifest["files"]
        digest.update(item.tobytes() if isinstance(item, np.ndarray) else repr(item).encode())
        digest.update(b"\x1f")
    return Path(root) / f"{run}-{digest.hexdigest()[:16]}"


def augment(task: Any, batch: Any, examples: int, recipe: Recipe, step: int) -> Any:
    """Rotate each example of a batch with the recipe's probability, inputs and targets alike."""
    if not recipe.augmentation:
        return batch
    generator = _generator(recipe, "augmentation", step)
    R = haar(examples, generator=generator)
    unturned = torch.rand(examples, generator=generator) >= recipe.augmentation
    R[unturned] = torch.eye(3, dtype=R.dtype)
    return task.rotate(batch, R)


def publish(folder: Path, output: Path) -> None:
    """Give a finished folder its final name; an older one of that name is replaced."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists():
        shutil.rmtree(output)
    folder.rename(output)


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


def _families(task: Any, indices: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(n,) label of what an epoch visits once, for each example."""
    if recipe.sampling == "examples":
        return np.arange(len(indices))
    if recipe.sampling == "clusters":
        return task.cluster(indices)
    raise ValueError(f"unknown sampling {recipe.sampling!r}: use examples or clusters")


def _generator(recipe: Recipe, *purpose: Any) -> torch.Generator:
    """A stream of random numbers of its own, on the CPU whatever the device."""
    return torch.Generator().manual_seed(seed_for(recipe.seed, *purpose))


def _optimiser(model: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), recipe.lr)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(model.parameters(), recipe.lr, recipe.betas, recipe.eps, fused=True)
    if recipe.optimiser == "adamw":
        groups = [
            {"params": [p for name, p in model.named_parameters() if model.no_decay(name) == exempt]}
            for exempt in (False, True)
        ]
        groups[0]["weight_decay"], groups[1]["weight_decay"] = recipe.weight_decay, 0.0
        return torch.optim.AdamW(groups, recipe.lr, recipe.betas, recipe.eps, fused=True)
    raise ValueError(f"unknown optimiser {recipe.optimiser!r}: use adamw, adam or sgd")


def _checked_steps(checkpoint_steps: Sequence[int], last: int) -> set[int]:
    steps = list(checkpoint_steps)
    if steps != sorted(set(steps)) or not steps or steps[0] < 0 or steps[-1] > last:
        raise ValueError(f"checkpoint steps must increase from 0 or more to at most {last}, found {steps}")
    return set(steps)


def _throughput(recipe: Recipe, device: torch.device, seconds: float) -> dict[str, Any]:
    """Times and peak memory; kept apart from the tables, which two equal runs share."""
    return {
        "seconds": seconds,
        "seconds_per_step": seconds / recipe.steps,
        "examples_per_second": recipe.steps * recipe.batch_size / seconds,
        "peak_host_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
