"""Sizes of MACE."""

from dataclasses import dataclass

# H, C, N, O, F, P, S, Cl, Br, I: those of organic molecules, and of MACE's own models of these.
ORGANIC = (1, 6, 7, 8, 9, 15, 16, 17, 35, 53)


@dataclass(frozen=True)
class MACEConfig:
    """Sizes of MACE; the defaults are those of its package, but for the elements.

    Attributes:
        layers: Number of interactions.
        channels: Features of each atom, of each degree.
        degrees: Number of degrees of the features between layers: 1 for scalars, 2 for scalars and vectors.
        harmonics: Largest degree of the spherical harmonics of edges.
        correlation: Number of neighbours that a message depends on at once.
        bessel: Number of radial functions.
        cutoff_power: Power of the polynomial with which edges fade out.
        radial: Width of the three layers that make weights of radial functions.
        readout: Hidden width of the last layer's energy.
        max_radius: Å; atoms farther away are no neighbours.
        neighbors: Usual number of neighbours of an atom, which sums over neighbours are divided by.
        atomic_numbers: The elements that are known.
    """

    layers: int = 2
    channels: int = 128
    degrees: int = 2
    harmonics: int = 3
    correlation: int = 3
    bessel: int = 8
    cutoff_power: int = 5
    radial: int = 64
    readout: int = 16
    max_radius: float = 5.0
    neighbors: float = 15.0
    atomic_numbers: tuple[int, ...] = ORGANIC

    def __post_init__(self):
        numbers = self.atomic_numbers
        if sorted(set(numbers)) != list(numbers) or not numbers or numbers[0] < 1:
            raise ValueError(f"atomic_numbers must be positive and ascend, found {numbers}")
        for name, value in vars(self).items():
            if name != "atomic_numbers" and value <= 0:
                raise ValueError(f"{name} must be positive, found {value}")
