"""Sizes of the exactly equivariant network of molecules."""

from dataclasses import dataclass

from equidyn.models.sizes import PositiveSizes


@dataclass(frozen=True)
class ControlConfig(PositiveSizes):
    """Sizes of the force-field control."""

    layers: int = 3
    hidden: int = 64
    radial: int = 20
    max_neighbors: int = 20
    max_radius: float = 6.0  # Å
    elements: int = 110
