"""The 24 rotations that map a cube onto itself."""

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from equidyn.core.groups.cube.card import CARD
from equidyn.core.rotations import octahedral_group
from equidyn.core.symmetry import MatrixGroup


class CubeRotations(MatrixGroup):
    """A finite subgroup of SO(3), whose averages are those of SO(3) up to degree 3 only."""

    card = CARD

    def sample(self, count: int, *, generator: Generator) -> Float64[Tensor, "n ..."]:
        """(count, 3, 3) independent rotations, all entries −1, 0 or 1."""
        group = octahedral_group()
        return group[torch.randint(len(group), (count,), generator=generator)]


CUBE = CubeRotations()
