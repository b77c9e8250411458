"""What networks of the force-field task read, for counting what a pass costs."""

import math

import torch

from equidyn.core.batch import MoleculeBatch


def inputs(size: int) -> MoleculeBatch:
    """A molecule of so many carbon atoms, 1.5 Å apart, on PyTorch's default device."""
    axis = 1.5 * torch.arange(math.ceil(size ** (1 / 3)))
    positions = torch.cartesian_prod(axis, axis, axis)[:size]
    return MoleculeBatch(positions, torch.full((size,), 6), torch.tensor([size]))
