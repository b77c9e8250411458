"""The model as a function of examples and of elements that turn them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

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

    def of_turned(self, numbers: Sequence[int], elements: Sequence[Element]) -> Values:
        """Predictions for examples by number, each turned by its element."""
        return self.of_items(
            lambda place: self.examples.turn(self.examples.items[numbers[place]], elements[place]), len(numbers)
        )

    def of_items(self, item: Callable[[int], Any], count: int) -> Values:
        """Predictions for items, which are made as they are needed."""
        found: Values = {}
        for start in range(0, count, self.batch_size):
            items = [item(place) for place in range(start, min(start + self.batch_size, count))]
            atoms = [self.examples.atoms(one) for one in items]
            for name, values in by_example(self.predict(self.examples.join(items)), atoms, "predict").items():
                found.setdefault(name, []).extend(values)
        return found


@contextmanager
def evaluating(predict: Predict) -> Iterator[None]:
    """Put a module into evaluation mode for the time of the block."""
    modules = [module for module in predict.modules() if module.training] if isinstance(predict, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True
