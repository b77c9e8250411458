"""The anatomy of VoxMol: features of its finest level rotate like grids; coarser ones are half a voxel off-centre."""

from typing import Any

import torch
from torch import Tensor

from equidyn.models.anatomy import Anatomy


def anatomy(model: Any) -> Anatomy:
    """The anatomy of a VoxMol of any size."""
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
    """The nearest kernel (out, in, 3, 3, 3) that is invariant under the rotations of a cube.

    They permute the 6 faces, the 12 edges and the 8 corners among each other, so each kind gets its mean.
    """
    away = (torch.arange(3, device=kernel.device) - 1).abs()
    kind = (away[:, None, None] + away[:, None] + away).flatten()
    sums = kernel.new_zeros(*kernel.shape[:2], 4).index_add(2, kind, kernel.flatten(2))
    return (sums / kind.bincount())[..., kind].view_as(kernel)
