"""Checks of the stacks of grids that networks of voxels read."""

from torch import Tensor


def check_grids(grids: Tensor, channels: int, divisor: int) -> None:
    """Refuse grids that a network cannot take.

    Args:
        grids: Grids of any shape.
        channels: Number of channels in the required shape (B, channels, G, G, G).
        divisor: Number that G must be a multiple of.

    Raises:
        ValueError: The number of channels differs, or G is not a multiple of the divisor.
    """
    side = grids.shape[-1]
    if grids.ndim != 5 or grids.shape[1] != channels or set(grids.shape[2:]) != {side}:
        raise ValueError(f"grids have shape {tuple(grids.shape)}; expected (B, {channels}, G, G, G)")
    if side % divisor:
        raise ValueError(
            f"grids of side {side} cannot be halved down to the coarsest level: use a multiple of {divisor}"
        )
