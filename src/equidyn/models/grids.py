"""Stacks of grids, as networks of voxels read them."""

from torch import Tensor


def check_grids(grids: Tensor, channels: int, divisor: int) -> None:
    """Refuse grids that a network cannot take.

    Args:
        grids: Of any shape.
        channels: What (B, channels, G, G, G) must have.
        divisor: What G must be a multiple of.

    Raises:
        ValueError: If the number of channels is another, or G no multiple.
    """
    side = grids.shape[-1]
    if grids.ndim != 5 or grids.shape[1] != channels or set(grids.shape[2:]) != {side}:
        raise ValueError(f"grids have shape {tuple(grids.shape)}; expected (B, {channels}, G, G, G)")
    if side % divisor:
        raise ValueError(
            f"grids of side {side} cannot be halved down to the coarsest level: use a multiple of {divisor}"
        )
