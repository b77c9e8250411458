"""The recipe of a training run: its row of the run table, and the settings that runs of a task share.

Imports nothing heavy: the configuration is checked by these classes, and its documentation follows from them.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.core.settings import Settings

Precision = Annotated[
    Literal["fp32", "tf32", "bf16"],
    Field(description="Single; single with products of TF32 on GPUs; autocast to bfloat16."),
]
Compile = Annotated[
    Literal["auto"] | bool,
    Field(
        description="Let PyTorch compile networks; `auto`: runs of 5000 steps or more on GPUs. Results then agree to "
        "rounding only, between runs that were and were not resumed, too."
    ),
]
Deterministic = Annotated[
    bool,
    Field(
        description="Let GPUs sum in a fixed order, so that equal runs have the same weights to the bit, resumed ones "
        "too, as they always have on CPUs. Slower.",
    ),
]
Decay = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


COMPILE_AFTER = 5000
"""Steps from which on compiling a network saves time on a GPU. Measured for EScAIP-6M on an H200: compiling takes some
100 s, and saves 50 ms of each step."""


class Learned(Settings):
    """Columns of the run table that decide, together with the data, what a run learns."""

    model: str = Field(description="A configuration that `equidyn models` lists.")
    batch_size: int = Field(ge=1, description="Examples per step; the last batch of an epoch may be smaller.")
    steps: int = Field(ge=1, description="Optimiser steps.")
    optimiser: Literal["adamw", "adam", "sgd"] = Field(description="How weights are updated.")
    lr: float = Field(gt=0, description="Peak learning rate.")
    augmentation: Fraction = Field(
        description="Probability that a training example is transformed at random, rotated for instance."
    )
    seed: int = Field(ge=0, description="Seed of initialisation, order, augmentation, noise and dropout.")


class _Place(Settings):
    name: str = Field(
        pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Unique name of the run, in file names and legends."
    )
    task: str = Field(description="What is learned: a task with data in the configuration.")
    train_subset: str = Field(description="A name in `data.<task>.subsets`.")


class Run(Learned, _Place):
    """One row of the run table."""


class Schedule(Settings):
    """The rule by which weights are updated, which the runs of a task share."""

    sampling: Literal["examples", "clusters"] = Field(
        "examples",
        description="What an epoch goes through in random order: all examples, or the clusters (molecules, sequence "
        "families), of each of which it sees one member, drawn at random.",
    )
    group: str = Field(USUAL_GROUP, description="Group whose random elements augmentation applies to examples.")
    betas: tuple[Decay, Decay] = Field(
        (0.9, 0.999), description="Decay rates of Adam's averages of the gradient and of its square."
    )
    eps: float = Field(1e-8, gt=0, description="What Adam adds to the root of the latter; tiny for a published 0.")
    weight_decay: float = Field(
        0.01, ge=0, description="Decoupled, for the parameters that the model does not exempt; AdamW only."
    )
    warmup_steps: int = Field(100, ge=0, description="Steps of linear warm-up from `warmup_start` x lr.")
    warmup_start: Fraction = Field(0.2, description="First factor of the learning rate.")
    final_factor: Fraction = Field(0.5, description="Last factor of the learning rate, reached along a cosine.")
    clip: float = Field(10.0, gt=0, description="Largest global gradient norm; .inf for none.")
    ema: Decay = Field(0.999, description="Decay of the exponential moving average of the weights.")
    averages: tuple[Decay, ...] = Field(
        (), description="Decays of further averages of the weights to keep; that of 0.999 is named `ema-0.999`."
    )

    @property
    def decays(self) -> dict[str, float]:
        """Decay of each average of the weights that is kept, by its name."""
        return {"ema": self.ema} | {average_name(decay): decay for decay in self.averages}


class Recipe(Learned, Schedule):
    """Everything that decides a training run, apart from data and library code."""

    network: str = Field("", description="Class of the network as package.module:name; that of the model if empty.")
    sizes: dict[str, Any] = Field({}, description="Sizes of the network, if its class is given.")
    parameters: int | None = Field(None, description="Parameters that the network must have, if its class is given.")
    precision: Precision = "fp32"
    compile: Compile = "auto"
    deterministic: Deterministic = False

    def factor(self, step: int) -> float:
        """Learning-rate factor of the update that leads from `step` to `step + 1`."""
        if step < self.warmup_steps:
            return self.warmup_start + (1 - self.warmup_start) * step / self.warmup_steps
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        return self.final_factor + (1 - self.final_factor) * cosine


IDENTITY = tuple(name for name in Run.model_fields if name not in ("name", "model", "steps"))
"""Columns of the run table that are in the tables of a run besides its name; the model follows from checkpoints."""

DESIGN = tuple(name for name in Run.model_fields if name not in ("name", "steps", "seed"))
"""Columns that runs are compared by, apart from the seed."""


def average_name(decay: float) -> str:
    """Name of an average of the weights besides the usual one, which is "ema"."""
    return f"ema-{decay}"


def compiles(choice: str | bool, steps: int, *, on_gpu: bool) -> bool:
    """Whether a network is compiled: as the recipe says, or, by ``auto``, for long runs on GPUs."""
    return on_gpu and steps >= COMPILE_AFTER if isinstance(choice, str) else choice


def portion_count(examples: int, microbatch: int | None, processes: int) -> int:
    """The smallest number of portions of about equal size that a batch is cut into.

    Args:
        examples: Number of examples in the batch.
        microbatch: Largest number of examples in a portion; without it, each process gets one portion if there are
            enough examples.
        processes: Number of processes that train together.
    """
    return math.ceil(examples / microbatch) if microbatch else min(examples, processes)
