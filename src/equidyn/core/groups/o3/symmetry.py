"""O(3): rotations, and their products with the inversion x ↦ −x."""

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from equidyn.core.groups.o3.card import CARD
from equidyn.core.rotations import haar
from equidyn.core.symmetry import MatrixGroup


class RotationsAndReflections(MatrixGroup):
    """The isometries that fix the origin.

    The closed form holds as for SO(3): even functions of a matrix do not depend on its sign.
    """

    card = CARD
    has_closed_form = True

    def sample(self, count: int, *, generator: Generator) -> Float64[Tensor, "n ..."]:
        """(count, 3, 3) independent Haar rotations, each inverted with probability one half."""
        R = haar(count, generator=generator)
        inverted = torch.randint(2, (count, 1, 1), generator=generator)
        return R * (1 - 2 * inverted)


ROTATIONS_AND_REFLECTIONS = RotationsAndReflections()
