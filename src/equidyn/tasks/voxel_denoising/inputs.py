"""Inputs of networks of the voxel-denoising task, for counting the costs of a pass."""

import torch
from torch import Tensor

from equidyn.tasks.voxel_denoising.task import CHANNELS


def inputs(size: int) -> Tensor:
    """A stack of blank grids with the given number of voxels along an edge, on PyTorch's default device."""
    return torch.zeros(1, CHANNELS, size, size, size)
