"""The parts of VoxMol. Features of its finest level turn as grids do; coarser ones lie half a voxel off the middle."""

from typing import Any

import torch
from torch import Tensor

from equidyn.models.anatomy import Anatomy


def anatomy(model: Any) -> Anatomy:
    """The parts of a VoxMol of any size."""
    blocks, up = model.config.blocks, len(model.up)
    finest = {"down": range(blocks), "up": range(up - blocks - 1, up)}
    names = [rf"{way}\.{place}" for way, places in finest.items() for place in places]
    return Anatomy(
        groups={"embedding": ["first"], "blocks": ["down", "middle", "up"], "head": ["norm", "last"]},
        head="last.weight",
        symmetric_head=symmetric_kernel,
        features={"|".join(["first", *names]): "grid"},
    )


def symmetric_kernel(kernel: Tensor) -> Tensor:
    """The nearest kernel (out, in, 3, 3, 3) that the rotations of a cube leave as it is.

    They permute the 6 faces, the 12 edges and the 8 corners among each other, so each kind gets its mean.
    """
    away = (torch.arange(3, device=kernel.device) - 1).abs()
    kind = (away[:, None, None] + away[:, None] + away).flatten()
    sums = kernel.new_zeros(*kernel.shape[:2], 4).index_add(2, kind, kernel.flatten(2))
    return (sums / kind.bincount())[..., kind].view_as(kernel)
