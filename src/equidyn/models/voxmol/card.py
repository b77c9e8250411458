"""The card of VoxMol."""

from equidyn.models.card import Architecture

CARD = Architecture(
    name="voxmol",
    order=5,
    task="voxel_denoising",
    network="equidyn.models.voxmol.network:VoxMol",
    costs="equidyn.models.voxmol.costs:costs",
    anatomy="equidyn.models.voxmol.anatomy:anatomy",
)
