"""The card of translations."""

from equidyn.core.groups.card import GroupCard

CARD = GroupCard(
    name="translations",
    symmetry="equidyn.core.groups.translations.symmetry:TRANSLATIONS",
    text="translations by normal vectors of unit variance per axis, in the unit of the positions",
    leaves_origin=False,
    order=4,
)
