"""SO(3): all rotations, Haar distributed."""

from jaxtyping import Float64
from torch import Generator, Tensor

from equidyn.core.groups.so3.card import CARD
from equidyn.core.rotations import haar
from equidyn.core.symmetry import MatrixGroup


class Rotations(MatrixGroup):
    """The rotations about the origin."""

    card = CARD
    has_closed_form = True

    def sample(self, count: int, *, generator: Generator) -> Float64[Tensor, "n ..."]:
        """(count, 3, 3) independent Haar rotations, those of `equidyn.core.rotations.haar`."""
        return haar(count, generator=generator)


ROTATIONS = Rotations()
