"""Sizes of EScAIP."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EScAIPConfig:
    """Sizes of an EScAIP; the defaults are the public SPICE configuration's (the "6M" model).

    Raises:
        ValueError: If `hidden` is not a multiple of `heads`, or a size is not positive.
    """

    layers: int = 6
    hidden: int = 128
    heads: int = 8
    max_neighbors: int = 20
    max_radius: float = 12.0  # Å
    elements: int = 110  # rows of the element tables: atomic numbers below this are known
    atom_embedding: int = 128
    distance_expansion: int = 600
    distance_embedding: int = 512
    order_expansion: int = 10  # degrees l = 0 .. 9 of the bond-orientational order
    order_embedding: int = 64
    ffn_multiplier: int = 2
    readout_multiplier: int = 2
    output_multiplier: int = 2
    mlp_dropout: float = 0.05
    attention_dropout: float = 0.1
    energy: bool = True

    def __post_init__(self):
        if self.hidden % self.heads:
            raise ValueError(f"hidden={self.hidden} is not a multiple of heads={self.heads}")
        for name in ("layers", "hidden", "heads", "max_neighbors", "max_radius", "order_expansion"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        for name in ("mlp_dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, found {getattr(self, name)}")
        if self.distance_expansion < 2:
            raise ValueError("distance_expansion needs at least two Gaussians")
