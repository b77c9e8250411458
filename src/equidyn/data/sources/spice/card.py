"""The card of SPICE as its authors release it."""

from typing import Literal

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical


class Spice(Settings):
    """The release from which the store is made."""

    release: Literal["1.1.4", "2.0.1"] = Field(description="Version of SPICE in the registry of downloads.")
    seed: Seed = 0


CARD = SourceCard(
    task="force_field",
    source="spice",
    text="A release of SPICE in HDF5.",
    build="equidyn.data.sources.spice.build:build_store",
    recipe=Spice,
    typical=Typical(1_000_000, mean=30, largest=90),
    dataset="spice",
)
