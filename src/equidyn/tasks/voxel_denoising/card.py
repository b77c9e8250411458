"""The card of the voxel-denoising task."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from equidyn.core.settings import Settings
from equidyn.tasks.card import Comparison, Sizes, TaskCard, Typical, Words


def sizes(data: Mapping[str, Any], settings: Mapping[str, Any], typical: Typical, count: int) -> Sizes:
    """Numbers of voxels along an edge of a grid, the same for all molecules."""
    return Sizes((settings["side"],), settings["side"], "every grid alike")


class GridSettings(Settings):
    """The grid of voxels, and the noise on it."""

    side: int = Field(ge=8, description="Voxels along each edge.")
    spacing: float = Field(gt=0, description="Å between voxels.")
    centre: Literal["symmetric", "upstream"] = Field(
        "symmetric", description="The molecule's origin lies in the middle, or where VoxMol's library puts it."
    )
    radius: float = Field(0.5, gt=0, description="Radius of every atom, Å.")
    noise: float = Field(0.9, gt=0, description="Standard deviation of the noise on each voxel.")


CARD = TaskCard(
    name="voxel_denoising",
    order=3,
    task="equidyn.tasks.voxel_denoising.task:VoxelDenoising",
    unit="density²",
    words=Words(
        title="Voxel denoising",
        examples="conformers",
        clusters="molecules",
        null="a blank grid",
        remark="which predicts no atom anywhere",
        trivial="a blank grid",
        error="Mean squared error per component",
    ),
    size="voxels along an edge",
    sizes=sizes,
    inputs="equidyn.tasks.voxel_denoising.inputs:inputs",
    comparisons={
        "voxels": Comparison(
            "of a cube",
            "the 24 of a cube alone, which permute voxels, so that nothing is interpolated",
            needs="permutes_voxels",
            exact=True,
        ),
        "trilinear": Comparison(
            "all, trilinear",
            "about any axis, by any angle, the predicted grid being turned back by trilinear interpolation between "
            "voxels",
            needs="leaves_origin",
        ),
        "cubic": Comparison(
            "all, cubic splines",
            "about any axis, by any angle, the predicted grid being turned back by cubic splines",
            needs="leaves_origin",
        ),
        "atoms": Comparison(
            "all, at the atoms",
            "about any axis, by any angle, no grid being turned back: compared is the overlap of the predicted density "
            "with that of each atom, so that the loss is one per atom",
            needs="leaves_origin",
        ),
    },
    comparison="trilinear",  # nearest to what the paper can have done
    control="control-voxels",
    settings=GridSettings,
    quantities="equidyn.data.describe:conformer_quantities",
)
