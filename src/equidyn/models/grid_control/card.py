"""The card of the exactly equivariant network of grids."""

from equidyn.models.card import CONTROL, Architecture

CARD = Architecture(
    name="grid_control",
    order=6,
    task="voxel_denoising",
    network="equidyn.models.grid_control.network:GridControl",
    costs="equidyn.models.grid_control.costs:costs",
    variant=CONTROL,
)
