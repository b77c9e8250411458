"""Geometries of molecules: their fields in stores, and their description in manifests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from equidyn.data.force_limits import ForceLimits
from equidyn.data.store import Field

BOHR_ANGSTROM = 0.529177210903  # CODATA 2018
HARTREE_EV = 27.211386245988  # CODATA 2018

POSITIONS = Field("float32", (3,), "angstrom", "Cartesian coordinates, centred on their mean")
ATOMIC_NUMBERS = Field("uint8", (), "", "atomic number Z")
FORCES = Field("float32", (3,), "eV/angstrom", "minus the gradient of the energy")
ENERGY = Field("float64", (), "eV", "total energy minus those of the isolated atoms", ragged=False)


def cluster_field(meaning: str) -> Field:
    """The field that numbers the molecule of each example."""
    return Field("int32", (), "", meaning, ragged=False)


FORCE_FIELD = {"positions": POSITIONS, "atomic_numbers": ATOMIC_NUMBERS, "forces": FORCES, "energy": ENERGY}
"""Fields of every force-field store, but for the cluster."""

CHANNELS = (1, 6, 7, 8, 9, 16, 17, 35)
"""Atomic numbers that have a channel in VoxMol's grids."""

AS_IN_SOURCE = "as the source has it, centred on the mean position"
"""Entry of manifests about the orientation of geometries that are not rotated."""


OUTLYING = 10.0
"""Multiple of what nine examples of ten stay below, beyond which the largest force is conspicuous: of a million values
with exponential tails the largest is expected at 6 times that."""

NET_FORCE_NOTED = 0.05
"""Largest net force that is never conspicuous, eV/Å: the noise of usual integration grids and of rounded labels."""


def force_sizes(forces: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure the forces of geometries that lie end to end.

    Args:
        forces: (n, 3) eV/Å.
        starts: (m,) first atom of each geometry.

    Returns:
        Three (m,) float64 arrays: the largest force on an atom (eV/Å), the length of the sum of all (eV/Å), and the
        sum of their squares (eV²/Å²).
    """
    forces = forces.astype(np.float64)
    squares = np.square(forces).sum(axis=1)
    net = np.linalg.norm(np.add.reduceat(forces, starts), axis=1)
    return np.sqrt(np.maximum.reduceat(squares, starts)), net, np.add.reduceat(squares, starts)


def force_objections(limits: ForceLimits, forces: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Return (m,) which geometries exceed each of the limits, by reason; see `force_sizes`."""
    largest, net, _ = force_sizes(forces, starts)
    return {
        f"{name} above limit": sizes > limit
        for name, sizes, limit in (("force", largest, limits.max_force), ("net force", net, limits.max_net_force))
        if limit is not None
    }


class Description:
    """A collector of a manifest's description of the geometries of a store.

    Args:
        share: Share of the geometries whose orientation is measured.
        rng: Chooses them; may be left out if all are measured.
    """

    def __init__(self, share: float = 1.0, rng: np.random.Generator | None = None) -> None:
        self._share, self._rng = share, rng or np.random.default_rng(0)
        self._elements = np.zeros(256, np.int64)
        self._lengths: list[np.ndarray] = []
        self._radii: list[np.ndarray] = []
        self._force_squares = 0.0
        self._forces: dict[str, list[np.ndarray]] = {"largest": [], "net": [], "squares": []}
        self._moment = np.zeros((3, 3))
        self._oriented = 0
        self.measured = 0
        """Geometries that were chosen for their orientation."""

    def add(
        self,
        lengths: np.ndarray | Sequence[int],
        positions: np.ndarray,
        atomic_numbers: np.ndarray,
        forces: np.ndarray | None = None,
        **_: Any,
    ) -> None:
        """Take in geometries that lie end to end; other columns of a portion are ignored.

        Args:
            lengths: (m,) atoms of each geometry, n in all.
            positions: (n, 3) Å, each geometry centred.
            atomic_numbers: (n,).
            forces: (n, 3) eV/Å, if the store has them.
        """
        lengths = np.asarray(lengths, np.int64)
        if not len(lengths):
            return
        ends = np.cumsum(lengths)
        starts = ends - lengths
        self._lengths.append(lengths)
        self._elements += np.bincount(atomic_numbers, minlength=256)
        self._radii.append(np.maximum.reduceat(np.linalg.norm(positions, axis=1), starts).astype(np.float64))
        if forces is not None:
            self._force_squares += float(np.square(forces, dtype=np.float64).sum())
            for kept, sizes in zip(self._forces.values(), force_sizes(forces, starts), strict=True):
                kept.append(sizes.astype(np.float32))  # not in double precision, as a million geometries are kept
        for index in np.flatnonzero(self._rng.random(len(lengths)) < self._share):
            self._measure(positions[starts[index] : ends[index]])

    def _measure(self, positions: np.ndarray) -> None:
        """Add the longest axis of a geometry (atoms, 3); one of two atoms or fewer has none."""
        self.measured += 1
        if len(positions) > 2:
            positions = positions.astype(np.float64)
            longest = np.linalg.eigh(positions.T @ positions)[1][:, -1]
            self._moment += np.outer(longest, longest)
            self._oriented += 1

    @property
    def lengths(self) -> np.ndarray:
        """(m,) atoms of each geometry."""
        return np.concatenate([np.empty(0, np.int64), *self._lengths])

    @property
    def radii(self) -> np.ndarray:
        """(m,) distance of the farthest atom from the mean position of each geometry, Å."""
        return np.concatenate([np.empty(0), *self._radii])

    def sizes(self) -> dict[str, Any]:
        """Atoms of each element, and of a geometry on average and at most."""
        elements = {symbol(z): int(self._elements[z]) for z in np.flatnonzero(self._elements).tolist()}
        lengths = self.lengths
        return {
            "elements_atoms": elements,
            "atoms_mean": float(lengths.mean()),
            "atoms_max": int(lengths.max()),
        }

    def force_rms(self) -> dict[str, float]:
        """Root mean square of the components of all forces, the convention of SPICE's 1.0758 eV/Å."""
        return {"force_rms_ev_per_angstrom": (self._force_squares / (3 * int(self._elements.sum()))) ** 0.5}

    def force_maxima(self) -> dict[str, Any]:
        """Largest force and net force with the number of their example, and what the outermost examples weigh.

        The weight is the share of the sum of all squared forces that lies in the 1 % of the examples (at least one)
        with the largest sums.
        """
        largest, net, squares = (self._force_sizes(name) for name in self._forces)
        outermost = -(-len(squares) // 100)
        inner = len(squares) - outermost
        carried = np.partition(squares, inner)[inner:].sum(dtype=np.float64) if inner else self._force_squares
        return {
            "force_max_ev_per_angstrom": float(largest.max()),
            "force_max_example": int(largest.argmax()),
            "net_force_max_ev_per_angstrom": float(net.max()),
            "net_force_max_example": int(net.argmax()),
            "share_of_squared_forces_in_outermost_percent": float(carried / self._force_squares)
            if self._force_squares
            else 0.0,
        }

    def force_warnings(self) -> list[str]:
        """Say whether the largest force or net force is far from those of most examples, see `OUTLYING`."""
        found = []
        largest, net = self._force_sizes("largest"), self._force_sizes("net")
        for name, key, sizes, least in (
            ("force", "max_force", largest, 0.0),
            ("net force", "max_net_force", net, NET_FORCE_NOTED),
        ):
            usual = float(np.quantile(sizes, 0.9))
            conspicuous = max(OUTLYING * usual, least)
            beyond = int(np.count_nonzero(sizes > conspicuous))
            if beyond:
                found.append(
                    f"largest {name} {sizes.max():.3g} eV/Å (example {sizes.argmax()}), where 90 % of examples have "
                    f"at most {usual:.2g}: {beyond:,} of {len(sizes):,} examples have more than {conspicuous:.2g} and "
                    f"may outweigh the others; {key} leaves them out"
                )
        return found

    def _force_sizes(self, name: str) -> np.ndarray:
        """(m,) float32, what `force_sizes` says of all geometries."""
        self._forces[name] = [np.concatenate(self._forces[name])]
        return self._forces[name][0]

    def reach(self) -> dict[str, Any]:
        """Largest distance of an atom from the centre, and its quantiles over the geometries."""
        radii = self.radii
        return {
            "radius_max_angstrom": float(radii.max()),
            "radius_quantiles_angstrom": quantiles(radii, (0.05, 0.25, 0.5, 0.75, 0.95)),
        }

    def orientation(self) -> dict[str, list[float]]:
        """Mean square of x, y and z over the unit vectors of the longest axes: all 1/3 if they lie at random."""
        return {"orientation_of_longest_axis": np.diag(self._moment / max(self._oriented, 1)).tolist()}


def quantiles(values: np.ndarray, shares: Sequence[float]) -> dict[str, float]:
    """Quantiles of (m,) values by their names, such as "5 %"."""
    return {
        f"{100 * share:g} %": float(value) for share, value in zip(shares, np.quantile(values, shares), strict=True)
    }


def symbol(number: int) -> str:
    """Return the symbol of the element with this atomic number."""
    from rdkit import Chem

    return Chem.GetPeriodicTable().GetElementSymbol(number)
