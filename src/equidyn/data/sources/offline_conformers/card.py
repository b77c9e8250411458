"""The card of the conformers that are made on this machine."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from equidyn.core.settings import Settings
from equidyn.data.card import Seed, SourceCard, Typical, conformers_of_molecules


class OfflineConformers(Settings):
    """The molecules that are made into conformers, and how."""

    molecules: Literal["all"] | Annotated[int, Field(ge=2)] = Field(
        description="Distinct molecules to make, or `all` of the list that RDKit ships."
    )
    heavy_atoms: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = Field(
        (10, 40), description="Fewest and most atoms other than hydrogen."
    )
    max_atoms: int = Field(79, ge=1, description="Most atoms in all.")
    conformers: int = Field(ge=1, description="Most conformers of each molecule.")
    embeddings: int = Field(10, ge=1, description="Embeddings of each molecule that conformers are chosen from.")
    seed: Seed = 0
    max_radius: float | None = Field(
        None,
        gt=0,
        description="A molecule is left out if a conformer has an atom farther (Å) from its mean position; no limit if "
        "not given.",
    )
    orientation: Literal["random", "generator"] = Field(
        "random",
        description="Turn each conformer at random (`random`), or leave it as RDKit embedded it, along its axes "
        "(`generator`).",
    )

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        fewest, most = self.heavy_atoms
        if fewest > most:
            raise ValueError(f"heavy_atoms is {self.heavy_atoms}, expected fewest <= most")
        if self.conformers > self.embeddings:
            raise ValueError(
                f"conformers is {self.conformers}, embeddings {self.embeddings}: expected conformers <= embeddings"
            )
        return self


CARD = SourceCard(
    task="voxel_denoising",
    source="offline",
    text="Conformers of molecules on the list that RDKit ships, relaxed with MMFF94s.",
    build="equidyn.data.sources.offline_conformers.build:build_store",
    recipe=OfflineConformers,
    typical=Typical(50_000),  # of all molecules
    count=conformers_of_molecules,
)
