"""The card of the analysis by the angle of rotation."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from equidyn.analysis.card import AnalysisCard, AnalysisSettings
from equidyn.core.settings import Distinct
from equidyn.models.work import Work


class AngleSettings(AnalysisSettings):
    """Equivariance error by the angle of rotation, and its local limit."""

    angles: Distinct[Annotated[float, Field(gt=0, le=180)]] = Field(description="Angles of rotation, degrees.")
    local: bool = Field(
        description="Measure the local error too; predictions must be differentiable in the rotation, which noise on "
        "voxels is not."
    )


def operations(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """One pass for each angle, and about two for the local error."""
    return (len(told["angles"]) + 2 * told["local"]) * how["rotations"] * example.forward


CARD = AnalysisCard(
    name="angles",
    order=5,
    measure="equidyn.analysis.angles.measure:measure",
    settings=AngleSettings,
    operations=operations,
    cannot={"voxels": "rotations that permute voxels have no continuous angle"},
    needs="has_angles",
)
