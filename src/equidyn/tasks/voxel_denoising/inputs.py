"""What networks of the voxel-denoising task read, for counting what a pass costs."""

import torch
from torch import Tensor

from equidyn.tasks.voxel_denoising.task import CHANNELS


def inputs(size: int) -> Tensor:
    """A stack of blank grids of so many voxels along an edge, on PyTorch's default device."""
    return torch.zeros(1, CHANNELS, size, size, size)
