"""A model measured while it trains, at steps that are evenly spaced on a logarithmic axis."""

import random
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import floor, isnan, log10, nan
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn

from equidyn.core.decomposition import Decomposition, concatenate
from equidyn.measuring.asking import module_of
from equidyn.measuring.examples import MeasureError
from equidyn.measuring.model import Predict, evaluating
from equidyn.measuring.outputs import NotFiniteError
from equidyn.measuring.plan import Plan
from equidyn.measuring.twists import twisted

PER_DECADE = 6
"""Steps in each decade of the logarithmic schedule."""

ROTATIONS = 4
"""Rotations of each example unless another number is asked for: two cosets of the half turns about z."""

REPORTED = ("percent", "percent_low", "percent_high", "skill", "total", "twirled", "equivariance")
"""Numbers of `equidyn.core.decomposition.summarise` that are reported, beside the relative error."""

RELATIVE = "relative_error"
"""Name of the relative equivariance error."""

Schedule = str | int | Collection[int] | Callable[[int], bool]

Splits = dict[str, tuple[int, Decomposition]]
"""Rank and decomposition by property."""


class Monitor:
    """Measures a model while it trains, and leaves the training as it would be without.

    Call it after each step. At steps of its schedule it measures the model with held-out examples, which are the same
    each time, as are the rotations; at all others it does nothing. A step that is due counts as measured by the first
    call at or after it, for loops that do not call at each step. What a reader should know of the inputs is warned of
    once, with the first measurement.

    A module, or that of a bound method, is put into evaluation mode meanwhile, gradients of its parameters are put
    back, and so are the global random generators of Python, NumPy and PyTorch. A plain function, such as a lambda,
    cannot be seen through: a model inside it stays in training mode, where dropout draws and averages of batch
    normalisation move. A random generator that the model keeps itself cannot be put back either.

    A model whose predictions are not finite has NaN for its numbers, and the training goes on.

    In a process group of `torch.distributed` all processes must call it at the same steps; each measures a share of the
    examples, and all get the same numbers. If one fails, all do.

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
                themselves; or a function that tells of a step whether it is due, which later steps do not make up for.
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
        if not isinstance(max_examples, int | np.integer) or max_examples < 1:
            raise MeasureError(f"max_examples: {max_examples!r} will not do; give 1 or more, as a whole number")
        self.examples = [count * place // min(count, max_examples) for place in range(min(count, max_examples))]
        self.last_due, self.log = _last_due(schedule), log
        self.history: list[dict[str, float]] = []
        self._warned = False

    def __call__(self, step: int) -> dict[str, float] | None:
        """Measure the model if a step is due, this one or one before, that has not been measured.

        Args:
            step: Optimiser steps that were made.

        Returns:
            Numbers by name, ``step`` among them, or None. Names are those of `REPORTED` and ``relative_error``, after
            the name of the property if there are several, and that of the model if there are several.

        Raises:
            MeasureError: The step is no number of steps, the model does not predict what targets name, or another
                process has failed.
        """
        if step < 0 or step != int(step):
            raise MeasureError(f"step: {step!r} is no number of steps")
        step = int(step)
        last = int(self.history[-1]["step"]) if self.history else -1
        due = self.last_due(step)
        if due is None or (last <= step and due <= last):  # a smaller step than the last begins anew
            return None
        found: dict[str, float] = {"step": step}
        with _undisturbed(self.models.values()):
            for name, predict in self.models.items():
                prefix = f"{name}/" if name else ""
                numbers = self._measure(predict)
                if numbers is None:
                    before = self.history[-1] if self.history else {}
                    keys = [key.removeprefix(prefix) for key in before if key != "step" and key.startswith(prefix)]
                    numbers = dict.fromkeys(keys or (*REPORTED, RELATIVE), nan)
                found |= {prefix + key: value for key, value in numbers.items()}
        self._warn()
        self.history.append(found)
        if self.log is not None and rank_and_processes()[0] == 0:
            self.log(found)
        return found

    def _warn(self) -> None:
        if not self._warned and rank_and_processes()[0] == 0:
            for text in self.plan.warnings(self.examples):
                warnings.warn(text, stacklevel=3)
        self._warned = True

    def _measure(self, predict: Predict) -> dict[str, float] | None:
        """Numbers of one model; None if its predictions are not finite."""
        predict = predict.module if isinstance(predict, nn.parallel.DistributedDataParallel) else predict
        rank, processes = rank_and_processes()
        own = self.examples[rank::processes]
        splits: Splits | None = {}
        with _failing_together():
            splits = self._splits(predict, own) if own else {}
        everywhere = [one for one in _gathered(splits) if one is not None]
        if len(everywhere) < processes:
            return None
        summary = self.plan.summary_of(everywhere[0])
        shares = [self.examples[first::processes] for first in range(processes)]
        order = np.argsort(np.concatenate([share for share in shares if share]), kind="stable")
        found = {}
        for name in everywhere[0]:
            split = concatenate([one[name][1] for one in everywhere if one]).select(order)
            numbers = summary.numbers(name, everywhere[0][name][0], split, summary.clusters[self.examples])
            numbers[RELATIVE] = float(np.sqrt(max(numbers["relative_equivariance"], 0)))
            prefix = f"{name}/" if len(everywhere[0]) > 1 else ""
            for key in (*REPORTED, RELATIVE):
                if not isnan(numbers[key]):
                    found[prefix + key] = float(numbers[key])
        return found

    def _splits(self, predict: Predict, own: Sequence[int]) -> Splits | None:
        """The decompositions of some examples; None if predictions are not finite."""
        plan = self.plan
        try:
            with evaluating(predict):
                twists = twisted(plan.model(predict), plan.design, plan.ranks, own).properties
        except NotFiniteError:
            return None
        summary = plan.summary_of(twists)
        return {name: (one.rank, summary.rows(one, own).split(plan.design)) for name, one in twists.items()}

    def table(self) -> pd.DataFrame:
        """What was found, a row for each step."""
        return pd.DataFrame(self.history)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should hold, so that `history` goes on after it."""
        return {"history": [dict(found) for found in self.history]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = [dict(found) for found in state["history"]]


def _last_due(schedule: Schedule) -> Callable[[int], int | None]:
    """A function that finds the last step that was due, up to a step; None if there was none."""
    if isinstance(schedule, str) and schedule == "log":
        return _last_of_log
    if isinstance(schedule, str):
        raise ValueError(f"schedule: {schedule!r} is not known; give 'log', a number, steps, or a function")
    if isinstance(schedule, int | np.integer):
        every = int(schedule)
        if every < 1:
            raise ValueError(f"schedule: {every} is no number of steps; give 1 or more")
        return lambda step: step - step % every
    if callable(schedule):
        return lambda step: step if schedule(step) else None
    steps = sorted(int(step) for step in schedule)
    return lambda step: max((one for one in steps if one <= step), default=None)


def _last_of_log(step: int) -> int:
    if step == 0:
        return 0
    power = floor(PER_DECADE * log10(step)) + 1  # rounding may take the next one below the step
    return next(due for less in range(3) if (due := round(10 ** ((power - less) / PER_DECADE))) <= step)


@contextmanager
def _undisturbed(models: Iterable[Predict]) -> Iterator[None]:
    """Put the states of global random generators and the gradients of modules back after the block."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    modules = [module for module in map(module_of, models) if module is not None]
    gradients = [(one, one.grad) for module in modules for one in module.parameters()]
    for one, _ in gradients:
        one.grad = None
    try:
        with torch.random.fork_rng(list(devices)):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for one, gradient in gradients:
            one.grad = gradient


def rank_and_processes() -> tuple[int, int]:
    """Number of this process in its process group, and of all in it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


@contextmanager
def _failing_together() -> Iterator[None]:
    """Raise an error in all processes if the block fails in one, so that none waits for it.

    Raises:
        MeasureError: Another process has failed.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    failures = _gathered(None if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    for number, text in enumerate(failures):
        if text is not None:
            raise MeasureError(f"process {number} has failed: {text}")


def _gathered(own: Any) -> list[Any]:
    """What all processes have, first that of the first."""
    _, processes = rank_and_processes()
    if processes == 1:
        return [own]
    everywhere: list[Any] = [None] * processes
    distributed.all_gather_object(everywhere, own)
    return everywhere
