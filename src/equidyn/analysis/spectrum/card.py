"""The card of the analysis by angular momentum."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from equidyn.analysis.card import AnalysisCard, AnalysisSettings
from equidyn.models.work import Work

COSET = {1: 24, 3: 60, 5: 208, 7: 380}
"""Rotations in the smallest set that is exact up to `BEYOND` more than a degree."""

BEYOND = 2
"""Degrees up to that which the largest part of the error has leave no noise in those that are told apart."""

AT_ONCE = 12
"""Most copies of an example that go through a network at once."""


class SpectrumSettings(AnalysisSettings):
    """Equivariance error by degree of its dependence on the rotation."""

    degrees: Literal[1, 3, 5, 7] = Field(
        description="Largest degree to tell apart; `rotations` is two or more times "
        + ", ".join(f"{count} (degree {degree})" for degree, count in COSET.items())
        + "."
    )

    @model_validator(mode="after")
    def _forms_cosets(self) -> Self:
        size = COSET[self.degrees]
        if self.rotations % size or self.rotations < 2 * size:
            raise ValueError(
                f"rotations: {self.rotations} do not form cosets of {size}, which degree {self.degrees} needs, and two "
                f"at least: give {2 * size} or another multiple, or a smaller degree"
            )
        return self


def activations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Numbers of a forward pass of a batch, a few rotations at a time."""
    return how["batch_size"] * min(copies, AT_ONCE) * example.peak


CARD = AnalysisCard(
    name="spectrum",
    order=5,
    measure="equidyn.analysis.spectrum.measure:measure",
    settings=SpectrumSettings,
    activations=activations,
    cannot={"voxels": "rotations that permute voxels are a finite group, which has no degrees"},
    needs="has_angles",
)
