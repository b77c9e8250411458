"""The elements of a group by which the examples of a measurement are transformed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from equidyn.core.designs import chain, draw_cosets, rule, size_of_cosets
from equidyn.core.rotations import haar
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry, symmetry
from equidyn.measuring.elements import Elements
from equidyn.measuring.examples import MeasureError


@dataclass(frozen=True)
class Design:
    """The elements that each example is transformed by.

    Attributes:
        symmetry: The group.
        rotations: (m, 3, 3) a set of which each example has `cosets` turned copies, or itself alone if it is exact.
        weights: (m,) with sum 1.
        cosets: Number of cosets; 0 for the exact set itself.
        exact: Degree up to which averages over the set are exact; None for cosets.
        seed: Seed of the cosets.
    """

    symmetry: Symmetry
    rotations: Tensor
    weights: Tensor
    cosets: int
    exact: int | None
    seed: int

    @classmethod
    def of(cls, group: str, count: int, exact: int | None, seed: int) -> "Design":
        """So many elements of a group at random, or a set that is exact to a degree.

        Raises:
            MeasureError: There is no such group or set, or one element is too few.
        """
        try:
            chosen = symmetry(group)
        except ValueError as error:
            raise MeasureError(f"group: {error}") from None
        if exact is not None:
            rotations, weights = _exact_set(chosen, exact)
            if not chosen.card.permutes_voxels:
                # Turned once more, after each of the set: a cubic grid would see no turn by the cube's own rotations.
                rotations = haar(1, generator=torch.Generator().manual_seed(seed_for(seed, "exact"))) @ rotations
            return cls(chosen, rotations, weights, 0, exact, seed)
        if count < 2:
            raise MeasureError(f"rotations: {count} show no variance; give 2 or more")
        size = size_of_cosets(chosen, count)
        return cls(
            chosen, chain()[:size], torch.full((size,), 1 / size, dtype=torch.float64), count // size, None, seed
        )

    @property
    def size(self) -> int:
        """m, the elements of the set."""
        return len(self.weights)

    @property
    def count(self) -> int:
        """Elements of each example."""
        return self.size * (self.cosets or 1)

    def drawn(self, numbers: Sequence[int]) -> Tensor:
        """(cosets or 1, m, B, ...) elements of examples."""
        if self.cosets:
            return draw_cosets(self.symmetry, self.rotations, self.cosets, np.asarray(numbers), self.seed)
        return self.rotations[None, :, None].expand(1, -1, len(numbers), 3, 3)

    def elements(self, numbers: Sequence[int]) -> Elements:
        """Those of examples, K for the first, K for the next, and so on."""
        drawn = self.drawn(numbers).flatten(0, 1).movedim(1, 0)
        return Elements(self.symmetry, drawn.flatten(0, 1))


def _exact_set(symmetry: Symmetry, degree: int) -> tuple[Tensor, Tensor]:
    """A fixed set of elements, with weights, whose averages are exact up to a degree, or always for a finite group."""
    if symmetry.name == "cube":
        return rule(3)
    if symmetry.name not in ("SO(3)", "O(3)"):
        raise MeasureError(f"exact: there is no exact set of {symmetry.name}; leave it out to draw elements at random")
    try:
        rotations, weights = rule(degree)
    except ValueError as error:
        raise MeasureError(f"exact: {error}") from None
    if symmetry.name == "SO(3)":
        return rotations, weights
    return torch.cat([rotations, -rotations]), torch.cat([weights, weights]) / 2
