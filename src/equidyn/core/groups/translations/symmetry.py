"""Translations of space."""

from typing import NoReturn

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from equidyn.core.groups.translations.card import CARD
from equidyn.core.symmetry import Symmetry


class Translations(Symmetry):
    """Displacements (n, 3) of everything at once.

    Space is infinite, so there is no uniform distribution of translations; they are drawn from a normal distribution
    about zero. The average over it is not a projection on invariant functions, but the variance of twisted predictions
    over it vanishes for equivariant models alone.

    Args:
        scale: Standard deviation along each axis, in the unit of the positions.
    """

    card = CARD

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def sample(self, count: int, *, generator: Generator) -> Float64[Tensor, "n ..."]:
        """(count, 3) independent displacements."""
        return self.scale * torch.randn(count, 3, generator=generator, dtype=torch.float64, device=generator.device)

    def identity(self, count: int = 1) -> Float64[Tensor, "count ..."]:
        """(count, 3) zeros."""
        return torch.zeros(count, 3, dtype=torch.float64)

    def inverse(self, elements: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """The opposite displacements."""
        return -elements

    def compose(self, second: Float64[Tensor, "n ..."], first: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """Sums of displacements."""
        return first + second

    def act_on_points(
        self,
        points: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Points displaced, those at padding included.

        Raises:
            ValueError: Points lie end to end, and `example` is missing.
        """
        if points.ndim == 3:
            return points + elements.to(points)[:, None]
        if example is None:
            raise ValueError("one displacement per example needs `example`, the example of each point")
        return points + elements.to(points)[example]

    def act_on_vectors(
        self,
        vectors: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Vectors, unchanged: a translation does not change differences of points."""
        return vectors

    def act_on_pseudovectors(
        self, vectors: Float[Tensor, "N 3"], elements: Float[Tensor, "B ..."], example: Int64[Tensor, " N"]
    ) -> Float[Tensor, "N 3"]:
        """Pseudovectors, unchanged."""
        return vectors

    def act_on_grids(
        self, grids: Float[Tensor, "B C G G G"], elements: Float[Tensor, "B ..."], origin: float, order: int
    ) -> NoReturn:
        """Grids cannot be translated.

        Raises:
            ValueError: Always, as values would leave the grid.
        """
        raise ValueError("translations move values out of a grid: use a group that leaves the origin fixed")


TRANSLATIONS = Translations()
