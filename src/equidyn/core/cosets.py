"""How many rotations form cosets of the groups inside the group of a cube; free of PyTorch, as planning asks it."""

SIZES = (1, 2, 4, 12, 24)
"""Numbers of rotations in groups of which each holds the one before, up to those of a cube."""


def coset_size(count: int) -> int:
    """Rotations in each of two or more cosets that so many rotations can form: the most of `SIZES`, or one."""
    return max(size for size in SIZES if size == 1 or (count % size == 0 and count >= 2 * size))


def nested(size: int) -> list[int]:
    """Rotations in the groups up to one of them, rising."""
    return [smaller for smaller in SIZES if smaller <= size]
