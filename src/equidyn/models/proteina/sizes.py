"""Sizes of Proteína."""

from collections.abc import Sequence
from dataclasses import dataclass

DISTOGRAM_CLASSES = 64
"""Classes of distances that the distogram tells apart."""

TRIANGLE_WIDTH = 196
"""Channels of a triangle product, at most."""


@dataclass(frozen=True)
class ProteinaConfig:
    """Sizes of a Proteína; the defaults are those of the paper's 60M network without pair updates.

    Raises:
        ValueError: If `width` is not a multiple of `heads`, an embedding's width is odd, or a size is not positive.
    """

    layers: int = 10
    width: int = 512
    heads: int = 8
    conditioning: int = 512
    time_embedding: int = 256
    index_embedding: int = 128
    fold_embedding: int = 256  # width for each of three levels
    fold_classes: Sequence[int] = (5, 43, 1336)  # known class, architecture, topology; a row for "none" is added
    pair: int = 256
    separation_classes: int = 127
    distance_classes: int = 64
    sc_distance_classes: int = 128  # classes of the self-conditioning's distances
    registers: int = 10
    update_every: int = 0  # layers between updates of the pair representation; 0 for no updates and no distogram

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width={self.width} is not a multiple of heads={self.heads}")
        for name in self.__dataclass_fields__.keys() - {"fold_classes", "update_every"}:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.update_every < 0:
            raise ValueError(f"update_every must not be negative, found {self.update_every}")
        for name in ("time_embedding", "index_embedding"):
            if getattr(self, name) % 2 or getattr(self, name) < 4:
                raise ValueError(f"{name} must be even and at least 4, found {getattr(self, name)}")
        for name in ("distance_classes", "sc_distance_classes"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, found {getattr(self, name)}")
        if not self.separation_classes % 2:
            raise ValueError(f"separation_classes must be odd, found {self.separation_classes}")

    @property
    def updated_after(self) -> list[int]:
        """Layers that an update of the pair representation follows; never the last."""
        return list(range(0, self.layers - 1, self.update_every)) if self.update_every else []
