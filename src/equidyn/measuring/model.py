"""The model as a function of examples and of elements that turn them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from equidyn.measuring.asking import module_of, noting
from equidyn.measuring.elements import Element
from equidyn.measuring.examples import Examples
from equidyn.measuring.outputs import by_example

Predict = Callable[[Any], Any]

Values = dict[str, list[np.ndarray]]
"""Predictions by property, an array for each example, as the model gives them: not turned back."""


@dataclass(frozen=True)
class Model:
    """A model and the examples that it is asked about.

    Attributes:
        predict: The function that predicts.
        examples: The examples.
        batch_size: Most examples in one call.
    """

    predict: Predict
    examples: Examples
    batch_size: int

    @cached_property
    def device(self) -> torch.device | None:
        """Where a module has its parameters, to which batches are sent; None for functions."""
        module = module_of(self.predict)
        return None if module is None else next((one.device for one in module.parameters()), None)

    def of_turned(self, numbers: Sequence[int], elements: Sequence[Element]) -> Values:
        """Predictions for examples by number, each turned by its element."""
        with noting(self.predict, self.examples, numbers):
            return self.of_items(
                lambda place: self.examples.turn(self.examples.items[numbers[place]], elements[place]), len(numbers)
            )

    def of_items(self, item: Callable[[int], Any], count: int) -> Values:
        """Predictions for items, which are made as they are needed."""
        found: Values = {}
        for start in range(0, count, self.batch_size):
            items = [item(place) for place in range(start, min(start + self.batch_size, count))]
            atoms = [self.examples.atoms(one) for one in items]
            batch = self.examples.join(items)
            if self.device is not None and hasattr(batch, "to"):
                batch = batch.to(self.device)
            for name, values in by_example(self.predict(batch), atoms, "predict").items():
                found.setdefault(name, []).extend(values)
        return found


class Bound(nn.Module):
    """A module that predicts by a function of itself and of several examples."""

    def __init__(self, module: nn.Module, predict: Callable[[Any, Any], Any]):
        super().__init__()
        self.module, self.predict = module, predict

    @classmethod
    def of(cls, module: nn.Module, predict: Callable[[Any, Any], Any] | None) -> nn.Module:
        """The module itself if there is no function."""
        return module if predict is None else cls(module, predict)

    def forward(self, batch: Any) -> Any:
        """What the function returns."""
        return self.predict(self.module, batch)


@contextmanager
def evaluating(predict: Predict) -> Iterator[None]:
    """Put a module, or that of a method, into evaluation mode for the time of the block; plain functions stay."""
    found = module_of(predict)
    modules = [] if found is None else [module for module in found.modules() if module.training]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True
