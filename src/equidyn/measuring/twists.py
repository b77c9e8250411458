"""Twisted predictions h_g(x) = g⁻¹ f(g x) of every example, by property."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from equidyn.measuring.design import Design
from equidyn.measuring.elements import Elements
from equidyn.measuring.examples import MeasureError
from equidyn.measuring.model import Model, Values
from equidyn.measuring.outputs import KINDS, Ranks, precision, rows_of

ENERGY = "energy"
"""Name of a property that is also measured per atom."""

ENERGY_PER_ATOM = "energy per atom"


@dataclass(frozen=True)
class Twists:
    """Twisted predictions of one property.

    Attributes:
        name: Name of the property.
        rank: 0 for scalars, 1 for vectors, 2 for tensors.
        values: For each example (K, rows, 3, …) with `rank` threes, turned back; one row for a value of the example.
        precision: Distance from 1 to the next number of the type of predictions.
    """

    name: str
    rank: int
    values: list[np.ndarray]
    precision: float

    @property
    def per(self) -> str:
        """What has a value each: "structure" or "atom"."""
        return "structure" if all(values.shape[1] == 1 for values in self.values) else "atom"

    def per_atom(self, counts: Sequence[int]) -> "Twists":
        """The same, divided by the number of atoms of each example."""
        values = [values / count for values, count in zip(self.values, counts, strict=True)]
        return replace(self, name=ENERGY_PER_ATOM, values=values)


@dataclass(frozen=True)
class Twisted:
    """What a model predicts for turned examples, turned back.

    Attributes:
        properties: Twisted predictions by property.
        elements: For each example the K elements.
    """

    properties: dict[str, Twists]
    elements: list[Elements]


def twisted(model: Model, design: Design, ranks: Ranks, examples: Sequence[int], *, progress: bool = False) -> Twisted:
    """Twisted predictions of examples, which are given by number.

    Raises:
        MeasureError: Predictions do not fit the examples or their ranks, change their shape, or are not finite.
    """
    count, found, elements = design.count, Values(), list[Elements]()
    with tqdm(total=len(examples) * count, desc="measure", disable=not progress) as bar:
        for start in range(0, len(examples), model.batch_size):
            numbers = examples[start : start + model.batch_size]
            several = design.elements(numbers)
            each = [number for number in numbers for _ in range(count)]
            for place in range(0, len(each), model.batch_size):
                chosen = range(place, min(place + model.batch_size, len(each)))
                some = model.of_turned([each[one] for one in chosen], [several[one] for one in chosen])
                if found and some.keys() != found.keys():
                    raise MeasureError(f"predict: it gave {sorted(found)} before, and now {sorted(some)}")
                for name, arrays in some.items():
                    found.setdefault(name, []).extend(arrays)
                bar.update(len(chosen))
            elements += [several.select(range(i * count, (i + 1) * count)) for i in range(len(numbers))]
    counts = [model.examples.atoms(model.examples.items[number]) for number in examples]
    properties = {}
    for name, arrays in found.items():
        rank = ranks.learn(name, arrays[::count], counts)
        values = [
            turned_back(name, rank, arrays[number * count : (number + 1) * count], one)
            for number, one in enumerate(elements)
        ]
        properties[name] = Twists(name, rank, values, precision(arrays[0]))
    energy = properties.get(ENERGY)
    if energy is not None and energy.per == "structure" and max(counts) > 1:
        properties[ENERGY_PER_ATOM] = energy.per_atom(counts)
    return Twisted(properties, elements)


def turned_back(name: str, rank: int, arrays: Sequence[np.ndarray], elements: Elements) -> np.ndarray:
    """(n, rows, 3, …) predictions of a property for an example that was turned by n elements, turned back.

    Raises:
        MeasureError: Predictions do not fit the rank, change their shape, or are not finite.
    """
    rows = [rows_of(array, rank, f"predict: {name!r}") for array in arrays]
    if len({one.shape for one in rows}) > 1:
        raise MeasureError(f"predict: {name!r} changes its shape with the orientation of an example")
    return elements.inverse.act(KINDS[rank], np.stack(rows))


def each_turned_back(name: str, rank: int, arrays: Sequence[np.ndarray], elements: Elements) -> list[np.ndarray]:
    """For examples that were turned by one element each, (1, rows, 3, …) predictions of a property, turned back.

    Raises:
        MeasureError: Predictions do not fit the rank, or are not finite.
    """
    return [turned_back(name, rank, [array], elements.select([place])) for place, array in enumerate(arrays)]
