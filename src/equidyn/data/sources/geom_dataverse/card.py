"""The card of GEOM-drugs as its authors published it."""

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical


class GeomDataverse(Settings):
    """Settings of the conformers that are taken, and of the memory that reading them may need."""

    conformers: int = Field(ge=1, description="Most conformers of each molecule, those of lowest energy.")
    seed: Seed = 0
    memory_gb: float = Field(4.0, gt=0, description="Most memory of each process that reads pickles, 2³⁰ bytes.")


CARD = SourceCard(
    task="voxel_denoising",
    source="geom-dataverse",
    text="GEOM-drugs from its raw archive of pickles, in MiDi's split, the paper's.",
    build="equidyn.data.sources.geom_dataverse.build:build_store",
    recipe=GeomDataverse,
    typical=Typical(1_250_000, 146_000),
    dataset="geom_drugs",
    has_split=True,
)
