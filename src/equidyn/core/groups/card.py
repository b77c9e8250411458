"""Cards of groups, which can be read without PyTorch."""

from dataclasses import dataclass

from equidyn.core.rooms import cards

USUAL_GROUP = "SO(3)"
"""The group where none is named."""


@dataclass(frozen=True)
class GroupCard:
    """A group of transformations that predictions should commute with.

    Attributes:
        name: Name in configurations and in the column ``group`` of tables.
        symmetry: Its `equidyn.core.symmetry.Symmetry`, as ``"module:name"``.
        text: Description of its elements and of their distribution, for captions.
        has_angles: Whether its elements are all rotations, so that errors can be measured by the angle between two.
        permutes_voxels: Whether every element maps a cubic grid onto itself, so that nothing is interpolated.
        leaves_origin: Whether no element moves the origin, so that values on a grid about it stay on the grid.
        order: Place among the groups, in lists.
    """

    name: str
    symmetry: str
    text: str
    has_angles: bool = False
    permutes_voxels: bool = False
    leaves_origin: bool = True
    order: int = 0

    @property
    def module(self) -> str:
        """Module of the symmetry, for digests of code."""
        return self.symmetry.partition(":")[0]


def group_card(name: str) -> GroupCard:
    """The card of the group of that name.

    Raises:
        ValueError: No group has this name; the message lists the known ones.
    """
    known: dict[str, GroupCard] = cards("equidyn.core.groups")
    if name not in known:
        raise ValueError(f"unknown group {name!r}; known groups: {', '.join(known)}")
    return known[name]
