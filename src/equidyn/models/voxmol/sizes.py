"""Sizes of VoxMol's U-Net."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

SCORES = 2**19
"""Scores of attention that are kept for each example at once."""


@dataclass(frozen=True)
class VoxMolConfig:
    """Sizes of a VoxMol; the defaults are the published network's ("111M").

    Raises:
        ValueError: If `attention` and `multipliers` differ in length, `groups` does not divide a level's width, or a
            size is not positive.
    """

    channels: int = 8  # one per element
    width: int = 32  # channels of the first convolution
    multipliers: Sequence[int] = (1, 2, 2, 4)  # width of each level relative to the one before
    attention: Sequence[bool] = (False, False, True, True)  # at each level
    blocks: int = 2  # per level, on the way down; one more on the way up
    groups: int = 16  # groups of the norms
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
