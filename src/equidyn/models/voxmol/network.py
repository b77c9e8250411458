"""VoxMol's 3D U-Net, which takes the noise out of stacks of density grids, and an equivariant network for this task.

A U-Net of residual blocks: convolutions of 3³ voxels, half the resolution from level to level, attention among all
voxels on the coarse levels, and every result on the way down given to a block of the way up. What a convolution learns
for one direction it has to learn for every other. Those of stride 2 keep the voxels 0, 2, 4, …, so not even symmetric
kernels would make the network equivariant under the 24 rotations that permute voxels.

Source: VoxMol (Pinheiro et al. 2023, arXiv 2306.07473), as trained by Shen et al. 2025 (arXiv 2512.02303).

`GridControl` is equivariant under those 24 rotations: its kernels are alike in all directions, and it pools by
averages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class VoxMolConfig:
    """Sizes of a VoxMol; the defaults are the published network's ("111M").

    Raises:
        ValueError: If `attention` and `multipliers` differ in length, `groups` does not divide a level's width, or a
            size is not positive.
    """

    channels: int = 8  # one per element
    width: int = 32  # of the first convolution
    multipliers: Sequence[int] = (1, 2, 2, 4)  # width of each level in terms of the one before
    attention: Sequence[bool] = (False, False, True, True)  # at each level
    blocks: int = 2  # per level, on the way down; one more on the way up
    groups: int = 16  # of the norms
    dropout: float = 0.1

    def __post_init__(self):
        for name in ("channels", "width", "blocks", "groups"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if not self.multipliers or min(self.multipliers) <= 0:
            raise ValueError(f"multipliers must be positive, found {list(self.multipliers)}")
        if len(self.attention) != len(self.multipliers):
            raise ValueError(f"attention has {len(self.attention)} levels, multipliers {len(self.multipliers)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, found {self.dropout}")
        for width in (self.width, *self.widths):
            if width % self.groups:
                raise ValueError(f"a width of {width} is not a multiple of groups={self.groups}")

    @property
    def widths(self) -> list[int]:
        """Channels at each level."""
        return [self.width * factor for factor in accumulate(self.multipliers, mul)]


class ResidualBlock(nn.Module):
    """Two convolutions, each after a norm and an activation, and a shortcut around both."""

    def __init__(self, width_in: int, width_out: int, config: VoxMolConfig):
        super().__init__()
        self.norm_in = nn.GroupNorm(config.groups, width_in)
        self.conv_in = _conv(width_in, width_out)
        self.norm_out = nn.GroupNorm(config.groups, width_out)
        self.dropout = nn.Dropout(config.dropout)
        self.conv_out = _conv(width_out, width_out)
        self.shortcut = nn.Identity() if width_in == width_out else nn.Conv3d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, G, G, G) -> (B, out, G, G, G)."""
        hidden = self.conv_in(F.silu(self.norm_in(x)))
        hidden = self.conv_out(self.dropout(F.silu(self.norm_out(hidden))))
        return hidden + self.shortcut(x)


class Attention(nn.Module):
    """Every voxel attends to every other, with one head and blind to where they are."""

    SCORES = 2**19  # of each example at once

    def __init__(self, width: int, config: VoxMolConfig):
        super().__init__()
        # The published network has this norm and never applies it. It is kept for the sake of the published sizes and
        # weights; it gets no gradient.
        self.norm = nn.GroupNorm(config.groups, width)
        self.project_in = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, G, G, G) -> (B, C, G, G, G)."""
        q, k, v = self.project_in(x.flatten(2).mT).chunk(3, -1)
        q = q * q.shape[-1] ** -0.5
        rows = max(1, self.SCORES // k.shape[1])
        if rows >= q.shape[1]:
            mixed = _attend(q, k, v)
        else:  # scores of many voxels are not kept, but computed anew, as they were, on the way back
            again = {"use_reentrant": False, "preserve_rng_state": False}
            mixed = torch.cat([checkpoint(_attend, part, k, v, **again) for part in q.split(rows, 1)], 1)
        return x + self.project_out(mixed).mT.unflatten(2, x.shape[2:])


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, n, C) scaled queries, (B, N, C) keys and values -> (B, n, C).

    Nothing norms what is attended to, and scores reach 1e10 in training. PyTorch's fused kernel for CPUs computes them
    anew on the way back, but in another order: rounding errors of such scores, in an exponent, made gradients of 1e17.
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
        self.first = _conv(config.channels, config.width)
        down, width_in = [], config.width
        for place, (width, _, attention) in enumerate(levels):
            if place:
                down.append(nn.Conv3d(width_in, width_in, 3, stride=2, padding=1))
            down.append(Block(width_in, width, attention, config))
            down += [Block(width, width, attention, config) for _ in range(config.blocks - 1)]
            width_in = width
        self.down = nn.ModuleList(down)
        self.middle = nn.Sequential(Block(width_in, width_in, True, config), ResidualBlock(width_in, width_in, config))
        up = []
        for place, (width, multiplier, attention) in reversed(list(enumerate(levels))):
            narrow = width // multiplier
            up += [Block(2 * width, width, attention, config) for _ in range(config.blocks)]
            up.append(Block(width + narrow, narrow, attention, config))
            if place:
                up.append(nn.ConvTranspose3d(narrow, narrow, 4, stride=2, padding=1))
        self.up = nn.ModuleList(up)
        self.norm = nn.GroupNorm(config.groups, config.width)
        self.last = _conv(config.width, config.channels)

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay: as published, none is."""
        return False

    def forward(self, grids: Tensor) -> Tensor:
        """Clean grids (B, C, G, G, G) from noisy ones of the same shape.

        Raises:
            ValueError: If the number of channels is another, or G is not divisible by two for each change of level.
        """
        _check(grids, self.config.channels, 2 ** (len(self.config.multipliers) - 1))
        x = self.first(grids.contiguous(memory_format=self.memory_format(grids)))
        stack = [x]
        for step in self.down:
            x = step(x)
            stack.append(x)
        x = self.middle(x)
        for step in self.up:
            x = step(torch.cat([x, stack.pop()], 1) if isinstance(step, Block) else x)
        return self.last(F.silu(self.norm(x)))

    def memory_format(self, grids: Tensor) -> torch.memory_format:
        """The layout of all features in memory: what was measured to be fastest on CPUs, the usual one elsewhere.

        In single precision, convolutions of few channels take two thirds of the time with channels last; wider ones,
        and norms in bfloat16, take longer.
        """
        few = self.config.width <= 8
        single = not torch.is_autocast_enabled(grids.device.type)
        return torch.channels_last_3d if few and single and grids.device.type == "cpu" else torch.contiguous_format


@dataclass(frozen=True)
class GridControlConfig:
    """Sizes of the control.

    Raises:
        ValueError: If a size is not positive.
    """

    channels: int = 8
    width: int = 16
    levels: int = 2
    blocks: int = 1  # per level, on either way

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")


class SymmetricConv3d(nn.Module):
    """A convolution of 3³ voxels whose kernel the rotations and reflections of a cube leave as it is.

    Of the 27 voxels the middle, the 6 faces, the 12 edges and the 8 corners have one weight each.
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
    """A denoiser of grids that is exactly equivariant under the 24 rotations of a cube; same interface as `VoxMol`.

    Blocks of symmetric convolutions on ever coarser grids, made by averages over 2³ voxels, and back again by copies.
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
        """Whether a parameter is exempt from weight decay: none is, as in `VoxMol`."""
        return False

    def forward(self, grids: Tensor) -> Tensor:
        """Clean grids (B, C, G, G, G) from noisy ones of the same shape.

        Raises:
            ValueError: If the number of channels is another, or G is not divisible by two for each change of level.
        """
        _check(grids, self.config.channels, 2 ** (self.config.levels - 1))
        x, stack = self.first(grids), []
        for place, level in enumerate(self.down):
            if place:
                stack.append(x)
                x = F.avg_pool3d(x, 2)
            x = level(x)
        for level in self.up:
            x = level(x)
            if stack:
                x = stack.pop() + F.interpolate(x, scale_factor=2.0)
        return self.last(F.silu(x))


class _SymmetricBlock(nn.Module):
    """Two symmetric convolutions, each after an activation, and a way around both."""

    def __init__(self, width: int):
        super().__init__()
        self.conv_in = SymmetricConv3d(width, width)
        self.conv_out = SymmetricConv3d(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_out(F.silu(self.conv_in(F.silu(x))))


def _conv(width_in: int, width_out: int) -> nn.Conv3d:
    return nn.Conv3d(width_in, width_out, 3, padding=1)


def _check(grids: Tensor, channels: int, divisor: int) -> None:
    side = grids.shape[-1]
    if grids.ndim != 5 or grids.shape[1] != channels or set(grids.shape[2:]) != {side}:
        raise ValueError(f"grids have shape {tuple(grids.shape)}; expected (B, {channels}, G, G, G)")
    if side % divisor:
        raise ValueError(
            f"grids of side {side} cannot be halved down to the coarsest level: use a multiple of {divisor}"
        )
