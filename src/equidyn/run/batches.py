"""Batches of held-out examples, for evaluations and analyses: as many at once as memory holds, alike ones together."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from equidyn.data.store import Store
from equidyn.run.protocol import KEPT_GB, EvaluationSettings

log = logging.getLogger(__name__)

T = TypeVar("T")


def in_batches(indices: np.ndarray, protocol: EvaluationSettings) -> Iterator[np.ndarray]:
    """Yield the examples in batches of as many as go through a network in one forward pass."""
    for start in range(0, len(indices), protocol.batch_size):
        yield indices[start : start + protocol.batch_size]


def largest_first(store: Store, indices: np.ndarray) -> np.ndarray:
    """(n,) places of the examples by falling length, so that little is padded, and what does not fit fails at once."""
    try:
        lengths = store.lengths_of(indices)
    except KeyError:  # without ragged rows, all examples are alike
        return np.arange(len(indices))
    return np.argsort(-lengths, kind="stable")


class Fitting:
    """Work on batches that fit into memory: where one does not, batches are halved, for all that is still to come.

    Args:
        protocol: Its batch size is the number of examples to begin with.
        examples: Number of examples that there are.

    Attributes:
        protocol: The protocol with the number of examples that fits.
        kept: What is kept of batches, which gives way when memory does not suffice.
    """

    def __init__(self, protocol: EvaluationSettings, examples: int):
        self.protocol = protocol.model_copy(update={"batch_size": min(protocol.batch_size, examples)})
        self.kept = Kept()

    def __call__(self, work: Callable[[EvaluationSettings], T]) -> T:
        """The result of the work under the protocol, which is repeated with smaller batches as long as memory fails.

        Raises:
            MemoryError: A single example does not fit.
        """
        begun = self.protocol.batch_size
        while True:
            try:
                done = work(self.protocol)
            except torch.OutOfMemoryError as error:
                said = str(error)  # the error itself holds on to what was in memory
            else:
                break
            if self.protocol.batch_size == 1:
                raise MemoryError(
                    f"one example at a time, with {self.protocol.rotations} rotations, does not fit into memory: take "
                    f"fewer rotations or a device with more memory ({said})"
                )
            self.protocol = self.protocol.model_copy(update={"batch_size": self.protocol.batch_size // 2})
            self.kept.clear()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if self.protocol.batch_size < begun:
            log.warning("memory holds %d of %d examples at a time", self.protocol.batch_size, begun)
        return done


class Kept:
    """What was made of batches and no weights decide, for the next checkpoint: the first things, up to a limit.

    Args:
        limit: Most bytes of tensors that are kept.
    """

    def __init__(self, limit: float = 1e9 * KEPT_GB):
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.things: dict[Any, Any] = {}
        self.bytes = 0

    @contextmanager
    def lent(self, key: Any, make: Callable[[], T], keeps: Callable[[T], bool]) -> Iterator[T]:
        """The thing of that key, made if there is none; kept after its use if it may be, and fits."""
        if key in self.things:
            yield self.things[key]
            return
        thing = make()
        yield thing
        size = sum(tensor.nbytes for tensor in _tensors(thing))
        if keeps(thing) and self.bytes + size <= self.limit:
            self.things[key], self.bytes = thing, self.bytes + size


def _tensors(thing: Any) -> Iterator[Tensor]:
    """The tensors in dataclasses, in what they have computed and kept, and in tuples, lists and dictionaries."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, dict | tuple | list):
        for part in thing.values() if isinstance(thing, dict) else thing:
            yield from _tensors(part)
    elif is_dataclass(thing):
        yield from _tensors(vars(thing))
