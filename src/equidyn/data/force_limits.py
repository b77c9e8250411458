"""Settings of the sources of force-field data: how large forces of an example may be.

Imports nothing heavy, as the cards of the sources use it.
"""

from pydantic import Field

from equidyn.core.settings import Settings


class ForceLimits(Settings):
    """Limits on the forces of the examples that are taken; null for none."""

    max_force: float | None = Field(
        None, gt=0, description="Geometries with a larger force on any atom (eV/Å) are left out; null for no limit."
    )
    max_net_force: float | None = Field(
        None,
        gt=0,
        description="Geometries whose forces sum to a vector longer than this (eV/Å) are left out; null for no limit. "
        "The exact sum is zero, and what is left measures the error of the labels.",
    )
