"""Seconds of a training step, of several networks in turns.

Times of trainings themselves say little of their networks: others ran beside them, and on another day the machine was
slower. Here the same loop trains each network for some steps, one after the other, several times.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from equidyn.run.distributed import World
from equidyn.run.recipe import Recipe, compiles
from equidyn.run.training import train
from equidyn.tasks.contract import TrainableTask

WARM_UP = 3
"""Steps of each turn that are not counted: memory is taken and code chosen in them."""


@dataclass(frozen=True)
class _Clock(World):
    """A process that trains alone and notes when each step's sums are asked for, which is once a step."""

    times: list[float] = field(default_factory=list)

    def sum(self, *values: Tensor | float) -> Tensor:
        self.times.append(time.perf_counter())
        return super().sum(*values)


@dataclass(frozen=True)
class Timed:
    """A network to time.

    Attributes:
        task: Its task, bound to a store.
        indices: (n,) training examples.
        recipe: Settings of its training; its number of steps decides only whether the network is compiled.
        microbatch: See `equidyn.run.training.train`.
        threads: Threads of numeric libraries.
    """

    task: TrainableTask
    indices: np.ndarray
    recipe: Recipe
    microbatch: int | None = None
    threads: int = 1


def time_steps(
    networks: Mapping[str, Timed], *, rounds: int, steps: int, device: str = "cpu", progress: bool = True
) -> pd.DataFrame:
    """Time training steps of networks in turns.

    Args:
        networks: What to train, by name.
        rounds: Turns of each.
        steps: Steps of each turn that are counted.
        device: Type of the device to train on.
        progress: Show a progress bar on stderr.

    Returns:
        One row per network: ``name``, ``seconds_per_step``, the median over turns of the median over a turn's steps;
        ``least`` and ``most``, the range over turns; ``threads``, ``rounds``, ``steps``, ``device``, ``torch``.
    """
    found: dict[str, list[float]] = {name: [] for name in networks}
    with tqdm(total=rounds * len(networks), desc="time steps", disable=not progress, mininterval=5) as bar:
        for _ in range(rounds):
            for name, network in networks.items():
                found[name].append(_turn(network, steps, device))
                bar.update()
    description: dict[str, Any] = {
        "rounds": rounds,
        "steps": steps,
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
    }
    return pd.DataFrame(
        {
            "name": name,
            "seconds_per_step": np.median(turns),
            "least": min(turns),
            "most": max(turns),
            "threads": networks[name].threads,
            **description,
        }
        for name, turns in found.items()
    )


def _turn(network: Timed, steps: int, device: str) -> float:
    """Median seconds of a step."""
    compiled = compiles(network.recipe.compile, network.recipe.steps, on_gpu=device == "cuda")
    recipe = network.recipe.model_copy(update={"steps": WARM_UP + steps + 1, "compile": compiled})
    clock = _Clock(device=torch.device(device))
    torch.set_num_threads(network.threads)
    with tempfile.TemporaryDirectory() as folder:
        train(
            network.task,
            network.indices,
            recipe,
            [recipe.steps],
            output=Path(folder, "output"),
            state=Path(folder, "state"),
            state_every=recipe.steps + 1,
            microbatch=network.microbatch,
            world=clock,
            progress=False,
        )
    return float(np.median(np.diff(clock.times)[WARM_UP:]))
