"""What each step of a training run sees: its examples, transformed, with noise, ready for the device.

The batch of a step is cut into portions, which the processes of a `World` share out. Every random draw of a step comes
from streams named by (seed, purpose, step), and by the example's place in the batch where it is an example's own.
Therefore a step sees the same on any number of devices, however its batch is cut, and whoever prepares it and when.
"""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from equidyn.core.seeding import seed_for
from equidyn.core.streams import keys_for
from equidyn.core.symmetry import symmetry
from equidyn.core.transfer import map_tensors
from equidyn.run.distributed import World
from equidyn.run.recipe import Recipe, portion_count
from equidyn.tasks.contract import Draws, TrainableTask, Whole

_CPU = torch.device("cpu")
_WORKERS = 7  # most processes that prepare batches for a GPU, each of which is two steps ahead


@dataclass(frozen=True)
class StepInput:
    """What one process sees in one step.

    Attributes:
        examples: The examples of the whole batch.
        whole: Their number, and that of their atoms or residues.
        portions: Number within the step, and prepared batch, of each of this process's portions.
        weight: 1, or 0 for a process that has nothing to add and computes something because the others wait for it.
    """

    examples: np.ndarray
    whole: Whole
    portions: list[tuple[int, Any]]
    weight: int

    def pin_memory(self) -> "StepInput":
        """The same in page-locked memory, from which a GPU copies while the host goes on."""
        pinned: StepInput = map_tensors(Tensor.pin_memory, self)
        return pinned


class Steps(Dataset[StepInput]):
    """The inputs of all steps of one process, by the number of the step.

    Args:
        task: The task, bound to its store.
        model: The network, for what it prepares.
        indices: (n,) training examples.
        recipe: Settings that decide the run.
        microbatch: Largest number of examples in a portion.
        world: The processes that train together.
        few_shapes: Whether batches are padded to few shapes.
    """

    def __init__(
        self,
        task: TrainableTask,
        model: nn.Module,
        indices: np.ndarray,
        recipe: Recipe,
        microbatch: int | None = None,
        world: World = World(),  # noqa: B008 (immutable)
        *,
        few_shapes: bool = False,
    ):
        self.task, self.model, self.recipe = task, model, recipe
        self.microbatch, self.world, self.few_shapes = microbatch, world, few_shapes
        self.order = Order(indices, _families(task, indices, recipe), recipe.batch_size, recipe.seed)

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> StepInput:
        task, recipe = self.task, self.recipe
        examples = self.order.batch(step)
        elements = augmentation(recipe, step, len(examples))
        cut, weight = list(enumerate(portions(len(examples), self.microbatch, self.world))), 1
        mine = cut[self.world.rank :: self.world.size]
        if not mine:
            mine, weight = [(0, np.arange(1))], 0
        prepared = []
        for number, places in mine:
            batch = task.batch(examples[places], _CPU)
            if elements is not None:
                batch = task.act(batch, elements[places], symmetry(recipe.group))
            batch = task.prepare(self.model, batch, draws(recipe, step, places), few_shapes=self.few_shapes)
            prepared.append((number, batch))
        return StepInput(examples, task.whole(examples), prepared, weight)


def inputs_of_steps(steps: Steps, start: int, device: torch.device, workers: int | None = None) -> Iterator[StepInput]:
    """The inputs of the steps from `start` on, in order.

    Args:
        steps: All inputs.
        start: The first step.
        device: The device that trains.
        workers: Number of processes that prepare inputs ahead of their step; 0 to prepare each in this process when
            its turn comes; None beside a GPU for as many as there are CPU cores besides this process's, and none beside
            networks that occupy the CPU.

    Raises:
        RuntimeError: A process that prepares inputs was killed. PyTorch raises it wherever this process is then.
    """
    on_gpu = device.type == "cuda"
    if workers is None:
        workers = min(_WORKERS, max(1, len(os.sched_getaffinity(0)) - 1)) if on_gpu else 0
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(start, len(steps)),
        collate_fn=_unchanged,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        pin_memory=on_gpu,
        generator=torch.Generator(),  # or it would draw from the stream of dropout
    )
    try:
        yield from loader
    except (ConnectionError, EOFError) as error:
        raise RuntimeError(
            "A process that prepares batches has died, perhaps for lack of memory. Run again: the run resumes."
        ) from error


class Order:
    """Which examples each step sees: every epoch one member of each family in random order, cut into batches."""

    def __init__(self, indices: np.ndarray, family: np.ndarray, batch_size: int, seed: int):
        self.members = indices[np.argsort(family, kind="stable")]
        self.sizes = np.unique(family, return_counts=True)[1]
        self.batch_size, self.seed = batch_size, seed
        self.per_epoch = math.ceil(len(self.sizes) / batch_size)
        self.epoch = -1

    def batch(self, step: int) -> np.ndarray:
        """The examples of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = np.random.default_rng(seed_for(self.seed, "order", epoch))
            chosen = np.cumsum(self.sizes) - self.sizes + generator.integers(self.sizes)
            self.epoch, self.visits = epoch, generator.permutation(self.members[chosen])
        return self.visits[place * self.batch_size : (place + 1) * self.batch_size]


def augmentation(recipe: Recipe, step: int, examples: int) -> Tensor | None:
    """Group elements (examples, ...) of a step's batch: random with the recipe's probability, else the identity.

    None for a recipe without augmentation.
    """
    if not recipe.augmentation:
        return None
    group, generator = symmetry(recipe.group), torch.Generator()
    generator.manual_seed(seed_for(recipe.seed, "augmentation", step))
    elements = group.sample(examples, generator=generator)
    unmoved = torch.rand(examples, generator=generator) >= recipe.augmentation
    elements[unmoved] = group.identity()
    return elements


def draws(recipe: Recipe, step: int, places: Sequence[int] | np.ndarray) -> Draws:
    """The random numbers that belong to some places of a step's batch."""
    shared = np.random.default_rng(seed_for(recipe.seed, "shared", step))
    return Draws(shared, keys_for(recipe.seed, "noise", step, examples=np.asarray(places)))


def portions(examples: int, microbatch: int | None, world: World) -> list[np.ndarray]:
    """Places of a batch, in the smallest number of portions of about equal size (`equidyn.run.recipe.portion_count`).

    Portion p belongs to process p modulo the number of processes.
    """
    return np.array_split(np.arange(examples), portion_count(examples, microbatch, world.size))


def _families(task: TrainableTask, indices: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(n,) label of the family of each example; an epoch visits each family once."""
    return np.arange(len(indices)) if recipe.sampling == "examples" else task.cluster(indices)


def _unchanged(value: Any) -> Any:
    return value
