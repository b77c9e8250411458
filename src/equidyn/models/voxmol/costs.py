"""Costs of a pass through VoxMol."""

from typing import Any

from equidyn.models.voxmol.sizes import SCORES, VoxMolConfig
from equidyn.models.work import BYTE, Work, convolution, kept, linear, product


def costs(side: int, **sizes: Any) -> Work:
    """Work of a pass for one grid."""
    c = VoxMolConfig(**sizes)
    widths = c.widths
    voxels = [(side >> level) ** 3 for level in range(len(widths))]

    def normed_convolution(count: float, width_in: int, width_out: int) -> Work:
        return kept(2 * count * width_in) + convolution(count, width_in, width_out)

    def residual(count: float, width_in: int, width_out: int) -> Work:
        both = normed_convolution(count, width_in, width_out) + normed_convolution(count, width_out, width_out)
        shortcut = product(2 * count * width_in * width_out) if width_in != width_out else Work()
        return both + shortcut + kept(count * width_out * (BYTE if c.dropout else 0.0))

    def attend(count: float, wide: int) -> Work:
        scores = product(4 * count**2 * wide)
        if count**2 > SCORES:  # scores, but not the values, are recomputed in the backward pass
            scores += Work(backward=scores.forward / 2)
        else:
            scores += kept(count**2)
        return linear(count, wide, 3 * wide) + kept(4 * count * wide) + scores + linear(count, wide, wide)

    def block(level: int, width_in: int, width_out: int, attends: bool) -> Work:
        # The results on the way down at this level wait for the way up.
        own = residual(voxels[level], width_in, width_out).beside(c.blocks * voxels[level] * width_out)
        return own + attend(voxels[level], width_out) if attends else own

    total = convolution(voxels[0], c.channels, c.width, constant=True)
    before = c.width
    for level, (wide, multiplier, attends) in enumerate(zip(widths, c.multipliers, c.attention, strict=True)):
        narrow = wide // multiplier
        total += block(level, before, wide, attends) + (c.blocks - 1) * block(level, wide, wide, attends)
        total += c.blocks * block(level, 2 * wide, wide, attends) + block(level, wide + narrow, narrow, attends)
        if level:
            down = product(2 * voxels[level] * 27 * before**2, voxels[level - 1] * before)
            total += down + convolution(voxels[level], narrow, narrow, kernel=64)
        before = wide
    middle = block(len(widths) - 1, before, before, True) + residual(voxels[-1], before, before)
    return total + middle + normed_convolution(voxels[0], c.width, c.channels)
