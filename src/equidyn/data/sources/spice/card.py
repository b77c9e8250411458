"""The card of SPICE as its authors release it."""

from typing import Literal

from pydantic import Field

from equidyn.data.card import Seed, SourceCard, Typical
from equidyn.data.force_limits import ForceLimits


class Spice(ForceLimits):
    """The release from which the store is made, and limits on forces."""

    release: Literal["1.1.4", "2.0.1"] = Field(description="Version of SPICE in the registry of downloads.")
    seed: Seed = 0
    max_force: float | None = Field(
        51.42,
        gt=0,
        description="Geometries with a larger force on any atom (eV/Å) are left out; null for no limit. The default is "
        "1 hartree/bohr, the cut that SPICE's authors make for their releases and models.",
    )


CARD = SourceCard(
    task="force_field",
    source="spice",
    text="A release of SPICE in HDF5.",
    build="equidyn.data.sources.spice.build:build_store",
    recipe=Spice,
    typical=Typical(1_000_000, mean=30, largest=90),
    dataset="spice",
)
