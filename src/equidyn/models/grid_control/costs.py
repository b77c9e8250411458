"""Costs of a pass through the exactly equivariant network of grids."""

from typing import Any

from equidyn.models.grid_control.sizes import GridControlConfig
from equidyn.models.work import Work, convolution, kept


def costs(side: int, **sizes: Any) -> Work:
    """Work of a pass for one grid."""
    c = GridControlConfig(**sizes)
    total = convolution(side**3, c.channels, c.width, constant=True)
    total += kept(side**3 * c.width) + convolution(side**3, c.width, c.channels)
    for level in range(c.levels):
        voxels = (side >> level) ** 3
        # Two convolutions in each block, on the way down and up, each after an activation; pooling keeps its input.
        normed = kept(voxels * c.width) + convolution(voxels, c.width, c.width)
        total += 2 * c.blocks * (2 * normed).beside(0)
        total += kept(voxels * c.width if level + 1 < c.levels else 0)
    return total
