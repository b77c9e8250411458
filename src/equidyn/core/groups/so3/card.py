"""The card of SO(3)."""

from equidyn.core.groups.card import GroupCard

CARD = GroupCard(
    name="SO(3)",
    symmetry="equidyn.core.groups.so3.symmetry:ROTATIONS",
    text="all rotations, Haar distributed",
    has_angles=True,
    order=1,
)
