"""Small calculators of ASE, exact and each wrong in one way, and structures for them."""

import numpy as np
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress

CUTOFF = 4.0


def crystals(count, *, rattle=0.1):
    """Crystals of four atoms of ten formulas, each oriented at random, whose atoms are displaced by so much (Å)."""
    metals = ("Cu", "Ag", "Au", "Al", "Ni", "Pd", "Pt", "Pb", "Ca", "Sr")
    found = []
    for number in range(count):
        atoms = bulk(metals[number % len(metals)], "fcc", a=4.0, cubic=True)
        atoms.rattle(rattle, seed=number)
        atoms.rotate(37 * number, (1, 2, number), rotate_cell=True)
        found.append(atoms)
    return found


class Pairs(Calculator):
    """Energies ½ Σ (1 − r / CUTOFF)⁴ of pairs of atoms, with their forces and stress; exact up to rounding.

    Args:
        dtype: Type of all numbers from the distances on.
    """

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, dtype=np.float64):
        super().__init__()
        self.dtype = dtype

    def neighbours(self, atoms):
        """Indices of first and second atoms of pairs (P,), and vectors from first to second (P, 3)."""
        return neighbor_list("ijD", atoms, CUTOFF)

    def anisotropy(self, directions):
        """Factor of the energy of each pair, and its derivative by the unit vector between them."""
        return np.ones(len(directions), self.dtype), np.zeros_like(directions)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        first, second, vectors = self.neighbours(atoms)
        vectors = vectors.astype(self.dtype)
        length = np.linalg.norm(vectors, axis=1)
        unit = vectors / length[:, None]
        radial, slope = (1 - length / CUTOFF) ** 4 / 2, -2 * (1 - length / CUTOFF) ** 3 / CUTOFF
        factor, by_direction = self.anisotropy(unit)
        across = by_direction - (by_direction * unit).sum(1, keepdims=True) * unit
        gradient = (slope * factor)[:, None] * unit + (radial / length)[:, None] * across
        forces = np.zeros((len(atoms), 3), self.dtype)
        np.add.at(forces, first, gradient)
        np.add.at(forces, second, -gradient)
        self.results = {"energy": (radial * factor).sum(), "forces": forces}
        if atoms.cell.rank == 3:
            virial = vectors.T @ gradient / atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(virial)


class ForgottenCell(Pairs):
    """Takes the vectors of the cell to lie along x, y and z, as they do in no turned copy."""

    def neighbours(self, atoms):
        """Pairs in the wrong cell."""
        wrong = atoms.copy()
        wrong.set_cell(atoms.cell.lengths())
        return super().neighbours(wrong)


class FewNeighbours(Pairs):
    """Takes the six nearest neighbours of each atom; which of several at one distance, rounding decides."""

    def neighbours(self, atoms):
        """The pairs that are kept."""
        first, second, vectors = super().neighbours(atoms)
        order = np.lexsort((np.linalg.norm(vectors, axis=1), first))
        rank = np.arange(len(first)) - np.searchsorted(first[order], first[order])
        kept = order[rank < 6]
        return first[kept], second[kept], vectors[kept]


class LabAxis(Pairs):
    """Pairs along z have more energy: smooth, but tied to an axis of the laboratory."""

    def anisotropy(self, directions):
        """1 + z² / 10."""
        by_direction = np.zeros_like(directions)
        by_direction[:, 2] = directions[:, 2] / 5
        return 1 + directions[:, 2] ** 2 / 10, by_direction


class Spring(Calculator):
    """Forces −x Aᵀ that pull atoms to the origin, and the energy ½ Σ x·A x, with a symmetric (3, 3) matrix A."""

    implemented_properties = ("energy", "forces")

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy and forces."""
        super().calculate(atoms, properties, system_changes)
        forces = -atoms.positions @ self.matrix.T
        self.results = {"energy": -(forces * atoms.positions).sum() / 2, "forces": forces}
