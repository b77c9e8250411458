"""A network of grids that is exactly equivariant under the 24 rotations of a cube, which permute voxels.

Its kernels are symmetric, and it pools by averages. It gives the numeric floor for other networks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.models.grid_control.sizes import GridControlConfig
from equidyn.models.grids import check_grids


class SymmetricConv3d(nn.Module):
    """A convolution of 3³ voxels with a kernel that is invariant under the rotations and reflections of a cube.

    Of the 27 voxels, the middle, the 6 faces, the 12 edges and the 8 corners share one weight each.
    """

    SIZES = 1, 6, 12, 8

    def __init__(self, width_in: int, width_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in, len(self.SIZES)))
        self.bias = nn.Parameter(torch.empty(width_out))
        bound = (27 * width_in) ** -0.5  # as PyTorch initialises convolutions
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    @property
    def kernel(self) -> Tensor:
        """(out, in, 3, 3, 3)."""
        away = (torch.arange(3, device=self.weight.device) - 1).abs()
        return self.weight[:, :, away[:, None, None] + away[:, None] + away]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, G, G, G) -> (B, out, G, G, G)."""
        return F.conv3d(x, self.kernel, self.bias, padding=1)


class GridControl(nn.Module):
    """A denoiser of grids that is exactly equivariant under the 24 rotations of a cube; same interface as VoxMol.

    Blocks of symmetric convolutions act on ever coarser grids, which are averages over 2³ voxels, and then on ever
    finer ones, which are made by copying voxels.
    """

    Config = GridControlConfig

    def __init__(self, config: GridControlConfig):
        super().__init__()
        self.config = config
        self.first = SymmetricConv3d(config.channels, config.width)
        self.down, self.up = (
            nn.ModuleList(
                nn.Sequential(*(_SymmetricBlock(config.width) for _ in range(config.blocks)))
                for _ in range(config.levels)
            )
            for _ in range(2)
        )
        self.last = SymmetricConv3d(config.width, config.channels)

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay: none is, as in VoxMol."""
        return False

    def forward(self, grids: Tensor) -> Tensor:
        """Clean grids (B, C, G, G, G) from noisy ones of the same shape.

        Raises:
            ValueError: The number of channels is wrong, or G is not divisible by two for each change of level.
        """
        check_grids(grids, self.config.channels, 2 ** (self.config.levels - 1))
        if grids.device.type == "cpu":  # PyTorch's convolutions of so few channels take half the time
            grids = grids.contiguous(memory_format=torch.channels_last_3d)
        x, stack = self.first(grids), []
        for place, level in enumerate(self.down):
            if place:
                stack.append(x)
                x = _halved(x)
            x = level(x)
        for level in self.up:
            x = level(x)
            if stack:
                x = stack.pop() + F.interpolate(x, scale_factor=2.0)
        return self.last(F.silu(x))


class _SymmetricBlock(nn.Module):
    """Two symmetric convolutions, each after an activation, and a shortcut around both."""

    def __init__(self, width: int):
        super().__init__()
        self.conv_in = SymmetricConv3d(width, width)
        self.conv_out = SymmetricConv3d(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_out(F.silu(self.conv_in(F.silu(x))))


def _halved(x: Tensor) -> Tensor:
    """Means (B, C, G/2, G/2, G/2) over 2³ voxels; PyTorch's pooling has no gradient in fixed order on GPUs."""
    for axis in (2, 3, 4):
        even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
        x = even + odd
    return x / 8
