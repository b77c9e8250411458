"""By how much predictions change when atoms of one element change places."""

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.measuring.elements import Elements
from equidyn.measuring.floors import rms
from equidyn.measuring.model import Model
from equidyn.measuring.twists import Twisted, turned_back

EXAMPLES = 4
"""Most examples that are tried."""


def permuted(model: Model, twisted: Twisted, seed: int) -> dict[str, float]:
    """By property, the root mean square per component of the change; empty if elements are not known.

    Values for each atom are put back in the order in which they were.
    """
    examples, symmetry = model.examples, next(iter(twisted.elements)).symmetry
    rng = np.random.default_rng(seed_for(seed, "permutations"))
    before, after, orders = [], [], []
    for number in range(0, len(examples), -(-len(examples) // EXAMPLES)):
        item = examples.items[number]
        species = examples.species(item)
        order = None if species is None else _order(np.asarray(species), rng)
        other = None if order is None else examples.permuted(item, order)
        if order is not None and other is not None:
            before.append(item)
            after.append(other)
            orders.append(order)
    if not before:
        return {}
    still = Elements(symmetry, symmetry.identity(1))
    first, second = (
        model.of_items(lambda place, items=items: examples.turn(items[place], still[0]), len(items))  # type: ignore[misc]
        for items in (before, after)
    )
    found = {}
    for name, one in first.items():
        rank = twisted.properties[name].rank
        rows, others = (
            [turned_back(name, rank, [array], still)[0] for array in values] for values in (one, second[name])
        )
        back = [
            other[np.argsort(order)] if len(other) == len(order) else other
            for other, order in zip(others, orders, strict=True)
        ]
        found[name] = rms(rows, back)
    return found


def _order(species: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A random order that keeps the element at each place; None if no two atoms are of one element."""
    order = np.arange(len(species))
    for element in np.unique(species):
        places = np.flatnonzero(species == element)
        order[places] = rng.permutation(places)
    return None if (order == np.arange(len(species))).all() else order
