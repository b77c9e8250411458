"""The card of the rotations of a cube."""

from equidyn.core.groups.card import GroupCard

CARD = GroupCard(
    name="cube",
    symmetry="equidyn.core.groups.cube.symmetry:CUBE",
    text="the 24 rotations of a cube, equally likely",
    permutes_voxels=True,
    order=3,
)
