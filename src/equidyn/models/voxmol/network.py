"""VoxMol's 3D U-Net, which removes the noise from stacks of density grids.

A U-Net of residual blocks: convolutions of 3³ voxels, half the resolution from level to level, attention among all
voxels on the coarse levels, and every result on the way down given to a block on the way up. A convolution must learn
for each direction separately. Those of stride 2 keep the voxels 0, 2, 4, …, so not even symmetric kernels would make
the network equivariant under the 24 rotations that permute voxels.

Source: VoxMol (Pinheiro et al. 2023, arXiv 2306.07473), as trained by Shen et al. 2025 (arXiv 2512.02303).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from equidyn.models.grids import check_grids
from equidyn.models.voxmol.convolution import Conv3d, in_fastest_layout, with_channels_last
from equidyn.models.voxmol.sizes import SCORES, VoxMolConfig


class ResidualBlock(nn.Module):
    """Two convolutions, each after a norm and an activation, and a shortcut around both."""

    def __init__(self, width_in: int, width_out: int, config: VoxMolConfig):
        super().__init__()
        self.norm_in = nn.GroupNorm(config.groups, width_in)
        self.conv_in = Conv3d(width_in, width_out)
        self.norm_out = nn.GroupNorm(config.groups, width_out)
        self.dropout = nn.Dropout(config.dropout)
        self.conv_out = Conv3d(width_out, width_out)
        self.shortcut = nn.Identity() if width_in == width_out else nn.Conv3d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, G, G, G) -> (B, out, G, G, G)."""
        hidden = self.conv_in(F.silu(self.norm_in(x)))
        hidden = self.conv_out(self.dropout(F.silu(self.norm_out(hidden))))
        return hidden + self.shortcut(x)


class Attention(nn.Module):
    """Attention of every voxel to every other, with one head and without positions."""

    def __init__(self, width: int, config: VoxMolConfig):
        super().__init__()
        # The published network has this norm and never applies it. It is kept for the published sizes and weights, and
        # gets no gradient.
        self.norm = nn.GroupNorm(config.groups, width)
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, G, G, G) -> (B, C, G, G, G)."""
        q, k, v = self.project_in(x.flatten(2).mT).chunk(3, -1)
        q = q * q.shape[-1] ** -0.5
        rows = max(1, SCORES // k.shape[1])
        if rows >= q.shape[1]:
            mixed = _attend(q, k, v)
        else:  # scores of many voxels are not kept, but recomputed identically in the backward pass
            again: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
            mixed = torch.cat([checkpoint(_attend, part, k, v, **again) for part in q.split(rows, 1)], 1)
        return x + self.project_out(mixed).mT.unflatten(2, x.shape[2:])


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, n, C) scaled queries, (B, N, C) keys and values -> (B, n, C).

    Queries and keys are not normalised, and scores reach 1e10 in training. PyTorch's fused kernel for CPUs recomputes
    them in the backward pass, but in another order: rounding errors of such scores, in an exponent, led to gradients of
    1e17.
    """
    return (q @ k.mT).softmax(-1) @ v


class Block(nn.Module):
    """A residual block, then attention at the levels that have it."""

    def __init__(self, width_in: int, width_out: int, attention: bool, config: VoxMolConfig):
        super().__init__()
        self.residual = ResidualBlock(width_in, width_out, config)
        self.attention = Attention(width_out, config) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, G, G, G) -> (B, out, G, G, G)."""
        return self.attention(self.residual(x))


class VoxMol(nn.Module):
    """The U-Net: noisy grids in, clean grids out.

    Steps down are blocks and, between levels, convolutions that halve the resolution; steps up are blocks and
    transposed convolutions that double it. The results of all steps down, the first convolution included, lie on a
    stack, from which each block on the way up takes one.
    """

    Config = VoxMolConfig

    def __init__(self, config: VoxMolConfig):
        super().__init__()
        self.config = config
        levels = list(zip(config.widths, config.multipliers, config.attention, strict=True))
        self.first = Conv3d(config.channels, config.width)
        down: list[nn.Module] = []
        width_in = config.width
        for place, (width, _, attention) in enumerate(levels):
            if place:
                down.append(nn.Conv3d(width_in, width_in, 3, stride=2, padding=1))
            down.append(Block(width_in, width, attention, config))
            down += [Block(width, width, attention, config) for _ in range(config.blocks - 1)]
            width_in = width
        self.down = nn.ModuleList(down)
        self.middle = nn.Sequential(Block(width_in, width_in, True, config), ResidualBlock(width_in, width_in, config))
        up: list[nn.Module] = []
        for place, (width, multiplier, attention) in reversed(list(enumerate(levels))):
            narrow = width // multiplier
            up += [Block(2 * width, width, attention, config) for _ in range(config.blocks)]
            up.append(Block(width + narrow, narrow, attention, config))
            if place:
                up.append(nn.ConvTranspose3d(narrow, narrow, 4, stride=2, padding=1))
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(config.groups, config.width)
        self.last = Conv3d(config.width, config.channels)

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay: as published, none is."""
        return False

    def forward(self, grids: Tensor) -> Tensor:
        """Clean grids (B, C, G, G, G) from noisy ones of the same shape.

        Raises:
            ValueError: The number of channels is wrong, or G is not divisible by two for each change of level.
        """
        check_grids(grids, self.config.channels, 2 ** (len(self.config.multipliers) - 1))
        if not (self.training and self.config.dropout):  # what is dropped follows the order in memory
            grids = in_fastest_layout(grids, self.config.width)
        x = self.first(grids)
        stack = [x]
        for step in self.down:
            x = step(x) if isinstance(step, Block) else with_channels_last(step, x)
            stack.append(x)
        x = self.middle(x)
        for step in self.up:
            x = step(torch.cat([x, stack.pop()], 1)) if isinstance(step, Block) else with_channels_last(step, x)
        return self.last(F.silu(self.norm(x)))
