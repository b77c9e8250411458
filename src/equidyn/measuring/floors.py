"""Floors: by how much predictions differ where only rounding and chance can matter."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.core.rotations import about_axis, haar
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry
from equidyn.measuring.elements import Elements
from equidyn.measuring.model import Model
from equidyn.measuring.outputs import KINDS
from equidyn.measuring.twists import ENERGY, ENERGY_PER_ATOM, Twisted, each_turned_back

EXAMPLES = 8
"""Most examples that floors are measured with, those with the largest errors: rounding is not the same in all."""

SMALL = 5e-7
"""An angle (radian) of some units in the last place of single precision."""

TINY = 5e-11
"""An angle (radian) far below single precision, and far above double precision."""

LARGE = 1e-3
"""Differences above this share of the prediction are no rounding."""

LARGE_IF_TINY = 5e-5
"""Differences above this share are no rounding if a turn by `TINY` causes them, which single precision cannot see."""

REPEATED = 1e-5
"""Differences above this share, for the same input, are no rounding of single precision."""

AMPLIFIED = 1e3
"""A property may differ by so many times the rounding of the model's best one, as where large terms cancel."""

UNITS = 3.0
"""A floor is at least so many times the rounding of the model's best property, as a few examples may show less."""

LAST_PLACES = 8
"""Units in the last place of double precision by which sums of many numbers differ, though a few of them do not."""


@dataclass(frozen=True)
class Floor:
    """Root mean squares per component, in the unit of the property.

    Attributes:
        size: Of the prediction itself; where it is zero but for rounding, as forces are that a crystal's symmetry
            cancels, of the largest other one, as of terms that it could be made of.
        repeat: Of differences between predictions for the same input.
        turned: Of differences for inputs turned by so small an angle that they are rounded and no more.
        turned_less: The same for an angle that only double precision can tell.
        turning: Of what turning predictions and turning them back rounds, and of the last place of their type.
        precision: Distance from 1 to the next number of the type of predictions.
        unit: The share of a prediction that the model rounds, at most that of single precision: the least by which any
            of its predictions differs, as types do not tell (a stress in double precision is made of forces in single).
    """

    size: float
    repeat: float
    turned: float
    turned_less: float
    turning: float
    precision: float
    unit: float = 0.0

    def divided(self, count: float) -> "Floor":
        """The floor of a property that is divided by a number."""
        names = ("size", "repeat", "turned", "turned_less", "turning")
        return replace(self, **{name: getattr(self, name) / count for name in names})

    @property
    def noise(self) -> float:
        """The largest of the differences."""
        return max(self.repeat, self.turned, self.turned_less)

    @property
    def value(self) -> float:
        """The floor."""
        seen = self.repeat if self.at_once else self.noise
        seen = np.hypot(self.turning, seen / np.sqrt(2))  # both predictions are off
        return float(max(seen, UNITS * self.unit * self.size))

    @property
    def at_once(self) -> bool:
        """Whether predictions jump as soon as the input is turned, by more than rounding can explain."""
        if self.turned <= 3 * self.repeat:
            return False
        large = min(AMPLIFIED * self.unit, LARGE_IF_TINY) * self.size
        in_double = self.turned_less > max(large, 0.1 * self.turned)
        return self.turned > LARGE * self.size or in_double

    @property
    def repeats(self) -> bool:
        """Whether the same input gives the same prediction, up to rounding."""
        return self.repeat <= max(REPEATED, LAST_PLACES * self.precision) * self.size


def floors(model: Model, twisted: Twisted, symmetry: Symmetry, seed: int) -> dict[str, Floor]:
    """The floor of each property."""
    numbers = worst(twisted, EXAMPLES)
    generator = torch.Generator().manual_seed(seed_for(seed, "floor"))
    # Anywhere, as numbers that lie on the grid of a type already are rounded less.
    start = symmetry.sample(len(numbers), generator=generator)
    anywhere = Elements(symmetry, start)
    turns = [anywhere, anywhere, *(_further(symmetry, start, size, generator) for size in (SMALL, TINY))]
    rounds = [model.of_turned(numbers, [turn[place] for place in range(len(numbers))]) for turn in turns]
    found = {}
    for name in rounds[0]:
        one = twisted.properties[name]
        first, *others = (
            each_turned_back(name, one.rank, values[name], turn) for values, turn in zip(rounds, turns, strict=True)
        )
        back = [
            anywhere.select([place]).inverse.act(KINDS[one.rank], anywhere.select([place]).act(KINDS[one.rank], rows))
            for place, rows in enumerate(first)
        ]
        size = rms(one.values)
        last_place = max(one.precision / np.sqrt(12), LAST_PLACES * np.finfo(np.float64).eps) * size
        turning = max(rms(first, back), last_place)
        repeat, turned, turned_less = (rms(first, other) for other in others)
        found[name] = Floor(size, repeat, turned, turned_less, turning, one.precision)
    if ENERGY_PER_ATOM in twisted.properties:
        atoms = np.mean([model.examples.atoms(item) for item in model.examples.items])
        found[ENERGY_PER_ATOM] = found[ENERGY].divided(float(atoms))
    return _of_one_model(found)


def in_double(model: Model, twisted: Twisted, symmetry: Symmetry, seed: int) -> dict[str, float]:
    """By property, the equivariance error of a module in double precision over that of the module as it is.

    Empty if the model is no module of single or lower precision, or cannot be turned to double precision.
    """
    module, examples = model.predict, model.examples
    if not isinstance(module, nn.Module) or all(one.dtype == torch.float64 for one in module.parameters()):
        return {}
    numbers = worst(twisted, EXAMPLES)
    items = [examples.in_double(examples.items[number]) for number in numbers]
    if any(item is None for item in items):
        return {}
    generator = torch.Generator().manual_seed(seed_for(seed, "in double"))
    pair = [Elements(symmetry, symmetry.sample(len(numbers), generator=generator)) for _ in range(2)]

    def error(model: Model, items: Sequence[Any]) -> dict[str, float]:
        def predictions(turn: Elements) -> dict[str, list[np.ndarray]]:
            values = model.of_items(lambda place: examples.turn(items[place], turn[place]), len(items))
            ranks = {name: twisted.properties[name].rank for name in values}
            return {name: each_turned_back(name, ranks[name], values[name], turn) for name in values}

        first, second = map(predictions, pair)
        return {name: rms(first[name], second[name]) for name in first}

    single = error(model, [examples.items[number] for number in numbers])
    try:
        double = error(replace(model, predict=deepcopy(module).double()), items)
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return {}  # a module that is written for single precision
    shares = {name: double[name] / single[name] if single[name] else 0.0 for name in single}
    if ENERGY_PER_ATOM in twisted.properties:
        shares[ENERGY_PER_ATOM] = shares[ENERGY]
    return shares


def worst(twisted: Twisted, count: int) -> list[int]:
    """Numbers of so many examples, those that have the largest parts in the errors of all properties."""
    errors = np.array([[values.var(0).mean() for values in one.values] for one in twisted.properties.values()])
    shares = errors / np.maximum(errors.sum(1, keepdims=True), np.finfo(np.float64).tiny)
    return sorted(np.argsort(-shares.sum(0), kind="stable")[:count].tolist())


def _of_one_model(found: Mapping[str, Floor]) -> dict[str, Floor]:
    """Floors that know of each other, see `Floor.size` and `Floor.unit`."""
    shares = [(floor.turned_less or floor.turned) / floor.size for floor in found.values() if floor.size]
    exact, single = float(np.finfo(np.float64).eps), float(np.finfo(np.float32).eps)
    unit = min([max(share, exact) for share in shares if share] + [single])
    largest = max(floor.size for name, floor in found.items() if name != ENERGY or len(found) == 1)
    return {
        name: replace(floor, unit=unit, size=largest if floor.size <= 3 * floor.noise else floor.size)
        for name, floor in found.items()
    }


def _further(symmetry: Symmetry, start: Tensor, size: float, generator: torch.Generator) -> Elements:
    """Elements (n, ...), each moved on by so small an angle (radian), or by so small a share of another element."""
    if start.shape[1:] == (3, 3):
        axes = haar(len(start), generator=generator)[:, 0]
        return Elements(symmetry, about_axis(axes, size) @ start)
    return Elements(symmetry, start + size * symmetry.sample(len(start), generator=generator))


def rms(first: Sequence[np.ndarray], other: Sequence[np.ndarray] | None = None) -> float:
    """Root mean square of values, or of their differences from others."""
    rows = first if other is None else [two - one for one, two in zip(first, other, strict=True)]
    return float(np.sqrt(sum(np.square(one).sum() for one in rows) / sum(one.size for one in rows)))
