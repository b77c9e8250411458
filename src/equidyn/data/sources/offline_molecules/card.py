"""The card of the molecules that are made on this machine."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from equidyn.data.card import Seed, SourceCard, Typical
from equidyn.data.force_limits import ForceLimits
from equidyn.data.typical import TypicalBySettings

SIZES = {206: (17.5, 40), 400: (18.4, 40), 600: (19.8, 40), 800: (20.9, 40), 1000: (23.0, 42), 1270: (28.3, 60)}
"""Atoms of the first molecules of the list, on average and of the largest, by their number."""

AVAILABLE = max(SIZES)
"""Number of molecules in the list."""


class OfflineMolecules(ForceLimits):
    """Settings by which the geometries of all molecules of a store are made and labelled."""

    molecules: Literal["all"] | Annotated[int, Field(ge=2, le=AVAILABLE)] = Field(
        description="Distinct molecules to make, the first of a list: 206 small ones, then by rising number of atoms "
        "compounds that RDKit ships and all other dipeptides; `all` are 1,270."
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


def _typical(data: Mapping[str, Any]) -> Typical:
    """The number of geometries that are tried, nearly all of which are labelled, and their sizes."""
    molecules = AVAILABLE if data["molecules"] == "all" else data["molecules"]
    mean, largest = next(sizes for number, sizes in SIZES.items() if molecules <= number)
    return Typical(molecules * data["conformers"], mean=mean, largest=largest)


CARD = SourceCard(
    task="force_field",
    source="offline",
    text="Molecules that are made on this machine and labelled with GFN2-xTB.",
    build="equidyn.data.sources.offline_molecules.build:build_store",
    recipe=OfflineMolecules,
    typical=TypicalBySettings(50_000, mean=28.3, largest=60, asked=_typical),
)
