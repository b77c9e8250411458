"""Sizes of the exactly equivariant network of grids."""

from dataclasses import dataclass

from equidyn.models.sizes import PositiveSizes


@dataclass(frozen=True)
class GridControlConfig(PositiveSizes):
    """Sizes of the control."""

    channels: int = 8
    width: int = 16
    levels: int = 2
    blocks: int = 1  # per level, on the way down and on the way up
