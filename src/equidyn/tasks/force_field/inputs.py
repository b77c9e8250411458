"""Inputs of networks of the force-field task, for counting the costs of a pass."""

import math

import torch

from equidyn.core.batch import MoleculeBatch


def inputs(size: int) -> MoleculeBatch:
    """A molecule with the given number of carbon atoms, 1.5 Å apart, on PyTorch's default device."""
    axis = 1.5 * torch.arange(math.ceil(size ** (1 / 3)))
    positions = torch.cartesian_prod(axis, axis, axis)[:size]
    return MoleculeBatch(positions, torch.full((size,), 6), torch.tensor([size]))
