"""Sizes of the exactly equivariant network of chains."""

from dataclasses import dataclass

from equidyn.models.sizes import PositiveSizes


@dataclass(frozen=True)
class ChainControlConfig(PositiveSizes):
    """Sizes of the flow-matching control."""

    layers: int = 3
    hidden: int = 32
    kernels: int = 6  # functions by which residues weight each other
    radial: int = 16
    max_distance: float = 3.0  # nm; longer ones look alike
    separation: int = 8  # residues; pairs farther apart along the chain look alike
    waves: int = 8  # frequencies of the flow time
