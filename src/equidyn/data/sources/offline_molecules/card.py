"""The card of the molecules that are made on this machine."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from equidyn.data.card import Seed, SourceCard, Typical, conformers_of_molecules
from equidyn.data.force_limits import ForceLimits


class OfflineMolecules(ForceLimits):
    """Settings by which the geometries of all molecules of a store are made and labelled."""

    molecules: Literal["all"] | Annotated[int, Field(ge=2)] = Field(
        description="Distinct molecules to make; `all` are 206."
    )
    conformers: int = Field(ge=1, description="Geometries of each molecule.")
    seed: Seed = 0
    displacement: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = Field(
        description="Smallest and largest standard deviation of the displacement of atoms (Å, per coordinate); each "
        "geometry draws its own in between, uniformly."
    )
    base_conformers: int = Field(
        6, ge=1, description="Most relaxed conformers of a molecule that are displaced; a rigid molecule has one."
    )
    max_force: float | None = Field(
        15.0,
        gt=0,
        description="Geometries with a larger force on any atom (eV/Å) are left out; null for no limit.",
    )
    orientation: Literal["random", "generator"] = Field(
        description="Turn each geometry at random (`random`), or leave it as RDKit laid it, along its axes "
        "(`generator`)."
    )
    scf_accuracy: float = Field(
        0.1, gt=0, description="Multiplier of tblite's convergence thresholds; 1 is its own default."
    )
    scf_iterations: int = Field(250, ge=1, description="Iterations after which a geometry counts as not converged.")

    @model_validator(mode="after")
    def _check_displacement(self) -> Self:
        low, high = self.displacement
        if low > high:
            raise ValueError(f"displacement is {self.displacement}, expected smallest <= largest")
        return self


CARD = SourceCard(
    task="force_field",
    source="offline",
    text="Molecules that are made on this machine and labelled with GFN2-xTB.",
    build="equidyn.data.sources.offline_molecules.build:build_store",
    recipe=OfflineMolecules,
    typical=Typical(3_300, mean=17.5, largest=40),
    count=conformers_of_molecules,
)
