"""The card of O(3)."""

from equidyn.core.groups.card import GroupCard

CARD = GroupCard(
    name="O(3)",
    symmetry="equidyn.core.groups.o3.symmetry:ROTATIONS_AND_REFLECTIONS",
    text="all rotations, Haar distributed, half of them followed by an inversion",
    order=2,
)
