"""The card of GEOM-drugs as arrays."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical


class GeomArrays(Settings):
    """Settings of the conformers that are taken."""

    conformers: int = Field(ge=1, description="Most conformers of each molecule, those of lowest energy.")
    seed: Seed = 0


CARD = SourceCard(
    task="voxel_denoising",
    source="geom-arrays",
    text="GEOM-drugs in MiDi's split as arrays, cleaned up and so a little smaller than the paper's, without pickles.",
    build="equidyn.data.sources.geom_arrays.build:build_store",
    recipe=GeomArrays,
    typical=Typical(1_250_000, 146_000),
    dataset="geom_drugs_arrays",
    has_split=True,
)
