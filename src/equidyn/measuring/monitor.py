"""A model measured while it trains, at steps that are evenly spaced on a logarithmic axis."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from math import isnan, log10
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn

from equidyn.core.decomposition import Decomposition, concatenate
from equidyn.measuring.model import Predict, evaluating
from equidyn.measuring.plan import Plan
from equidyn.measuring.twists import twisted

PER_DECADE = 6
"""Steps in each decade of the logarithmic schedule."""

ROTATIONS = 4
"""Rotations of each example unless another number is asked for: two cosets of the half turns about z."""

REPORTED = ("percent", "percent_low", "percent_high", "skill", "total", "twirled", "equivariance")
"""Numbers of `equidyn.core.decomposition.summarise` that are reported, beside the relative error."""

Schedule = str | int | Collection[int] | Callable[[int], bool]


class Monitor:
    """Measures a model while it trains, and leaves the training as it would be without.

    Call it after each step. At steps of its schedule it measures the model with held-out examples, which are the same
    each time, as are the rotations; at all others it does nothing. The model is put into evaluation mode meanwhile, and
    the states of random generators are put back.

    In a process group of `torch.distributed` all processes must call it at the same steps; each measures a share of the
    examples, and all get the same numbers.

    Attributes:
        history: What was found at each step.
    """

    def __init__(
        self,
        predict: Predict | Mapping[str, Predict],
        inputs: Any,
        targets: Any = None,
        *,
        rotations: int = ROTATIONS,
        max_examples: int = 256,
        schedule: Schedule = "log",
        log: Callable[[dict[str, float]], Any] | None = None,
        **settings: Any,
    ):
        """Check what is given, and choose the examples.

        Args:
            predict: The model, see `equidyn.measure`; or several by name, such as raw and averaged weights, names of
                which then stand before those of numbers.
            inputs: Held-out examples, see `equidyn.measure`.
            targets: True values; without them the equivariance error alone is found.
            rotations: Rotations of each example.
            max_examples: Most examples, spread evenly over those given.
            schedule: "log", which is step 0 and six steps a decade; a number, for every so many steps; the steps
                themselves; or a function that tells of a step whether it is due.
            log: Called with what was found, by the first process alone.
            settings: Further arguments of `equidyn.measure`: `rotate`, `kinds`, `ranks`, `null`, `clusters`, `exact`,
                `group`, `batch_size`, `seed`, `level`, `resamples` and `check`.

        Raises:
            MeasureError: What was given does not fit together.
            ValueError: The schedule is not known.
        """
        self.models = dict(predict) if isinstance(predict, Mapping) else {"": predict}
        self.plan = Plan.of(inputs, targets, rotations=rotations, **settings)
        count = len(self.plan.examples)
        self.examples = [count * place // min(count, max_examples) for place in range(min(count, max_examples))]
        self.is_due, self.log = _due(schedule), log
        self.history: list[dict[str, float]] = []

    def __call__(self, step: int) -> dict[str, float] | None:
        """Measure the model if this step is due and was not measured before.

        Args:
            step: Optimiser steps that were made.

        Returns:
            Numbers by name, ``step`` among them, or None. Names are those of `REPORTED` and ``relative_error``, after
            the name of the property if there are several, and that of the model if there are several.
        """
        if not self.is_due(step) or any(found["step"] == step for found in self.history[-1:]):
            return None
        found: dict[str, float] = {"step": step}
        with _undisturbed():
            for name, predict in self.models.items():
                found |= {f"{name}/{key}" if name else key: value for key, value in self._measure(predict).items()}
        self.history.append(found)
        if self.log is not None and rank_and_processes()[0] == 0:
            self.log(found)
        return found

    def _measure(self, predict: Predict) -> dict[str, float]:
        predict = predict.module if isinstance(predict, nn.parallel.DistributedDataParallel) else predict
        rank, processes = rank_and_processes()
        own, summary = self.examples[rank::processes], self.plan.summary
        splits: dict[str, tuple[int, Decomposition]] = {}
        if own:
            with evaluating(predict):
                twists = twisted(self.plan.model(predict), self.plan.design, self.plan.ranks, own).properties
            splits = {name: (one.rank, summary.rows(one, own).split(self.plan.design)) for name, one in twists.items()}
        everywhere = _gathered(splits)
        shares = [self.examples[first::processes] for first in range(processes)]
        order = np.argsort(np.concatenate([share for share in shares if share]), kind="stable")
        found = {}
        for name in everywhere[0]:
            split = concatenate([one[name][1] for one in everywhere if one]).select(order)
            numbers = summary.numbers(name, everywhere[0][name][0], split, summary.clusters[self.examples])
            numbers["relative_error"] = float(np.sqrt(max(numbers["relative_equivariance"], 0)))
            prefix = f"{name}/" if len(everywhere[0]) > 1 else ""
            for key in (*REPORTED, "relative_error"):
                if not isnan(numbers[key]):
                    found[prefix + key] = float(numbers[key])
        return found

    def table(self) -> pd.DataFrame:
        """What was found, a row for each step."""
        return pd.DataFrame(self.history)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold, so that `history` goes on after it."""
        return {"history": [dict(found) for found in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = [dict(found) for found in state["history"]]


def _due(schedule: Schedule) -> Callable[[int], bool]:
    if schedule == "log":
        return lambda step: step == 0 or round(10 ** (round(PER_DECADE * log10(step)) / PER_DECADE)) == step
    if isinstance(schedule, str):
        raise ValueError(f"schedule: {schedule!r} is not known; give 'log', a number, steps, or a function")
    if isinstance(schedule, int):
        if schedule < 1:
            raise ValueError(f"schedule: {schedule} is no number of steps; give 1 or more")
        return lambda step: step % schedule == 0
    if callable(schedule):
        return schedule
    steps = frozenset(schedule)
    return lambda step: step in steps


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put the states of all random generators back after the block."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(list(devices)):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def rank_and_processes() -> tuple[int, int]:
    """Number of this process in its process group, and of all in it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _gathered(splits: dict[str, tuple[int, Decomposition]]) -> list[dict[str, tuple[int, Decomposition]]]:
    """The splits of all processes, first those of the first."""
    _, processes = rank_and_processes()
    if processes == 1:
        return [splits]
    plain = {
        name: (rank, [getattr(split, one.name) for one in fields(split)]) for name, (rank, split) in splits.items()
    }
    everywhere: Sequence[Any] = [None] * processes
    distributed.all_gather_object(everywhere, plain)
    return [{name: (rank, Decomposition(*parts)) for name, (rank, parts) in one.items()} for one in everywhere]
