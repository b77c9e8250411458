"""What broken symmetry does to those who use a calculator of ASE: dynamics and minima, with and without averaging."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.integrations.ase import Symmetrised, calculator_of, single_point
from equidyn.measuring.design import Design
from equidyn.measuring.elements import Element
from equidyn.measuring.structures import Structures


@dataclass(frozen=True)
class Dynamics:
    """What a run at constant energy has found.

    Attributes:
        drift: Slope of the total energy per atom (eV/ps); forces that are no gradient cause it, and long time steps.
        fluctuation: Root mean square of the total energy per atom about this line (eV).
        torque: Root mean square of the torque on the whole structure, per atom (eV); an energy that depends on the
            orientation causes it. NaN for periodic structures, which have none of their own.
        deviation: The relative equivariance error of the forces along the run, from the rotations that are averaged;
            NaN for a calculator that averages none.
    """

    drift: float
    fluctuation: float
    torque: float
    deviation: float

    def __str__(self) -> str:
        torque = "" if np.isnan(self.torque) else f", torque {self.torque:.2g} eV per atom"
        deviation = "" if np.isnan(self.deviation) else f"; rotations change forces by {100 * self.deviation:.2g} %"
        return (
            f"drift {self.drift:.2g} eV/ps per atom, fluctuation {self.fluctuation:.2g} eV per atom{torque}{deviation}"
        )


@dataclass(frozen=True)
class Minimum:
    """What turning a relaxed structure has changed; root mean squares over rotations.

    Attributes:
        energy: Deviation of the energy per atom (eV).
        second_derivatives: Deviation of the second derivatives of the energy, as a share of them.
        frequencies: Deviation of the frequencies (meV), all but those of displacements of the whole.
    """

    energy: float
    second_derivatives: float
    frequencies: float

    def __str__(self) -> str:
        return (
            f"energy ± {self.energy:.2g} eV per atom, second derivatives ± {100 * self.second_derivatives:.2g} %, "
            f"frequencies ± {self.frequencies:.2g} meV"
        )


@dataclass(frozen=True)
class Consequences:
    """Dynamics and a minimum, of a calculator as it is and averaged.

    Attributes:
        dynamics: Of the calculator.
        dynamics_averaged: Of its average.
        minimum: Of the calculator.
        minimum_averaged: Of its average, relaxed anew.
        rotations: Number of rotations that the average takes.
    """

    dynamics: Dynamics
    dynamics_averaged: Dynamics
    minimum: Minimum
    minimum_averaged: Minimum
    rotations: int

    def __str__(self) -> str:
        return "\n".join([
            f"dynamics: {self.dynamics}",
            f"averaged over {self.rotations} rotations: {self.dynamics_averaged}",
            f"turned minimum: {self.minimum}",
            f"averaged over {self.rotations} rotations: {self.minimum_averaged}",
        ])  # fmt: skip


def consequences(
    calculator: BaseCalculator | Callable[[], BaseCalculator],
    atoms: Atoms,
    *,
    exact: int = 3,
    steps: int = 500,
    timestep: float = 1.0,
    temperature: float = 300.0,
    rotations: int = 4,
    seed: int = 0,
) -> Consequences:
    """Run the dynamics of a structure, and turn its minimum, with a calculator and with its average.

    The average costs as many times as it takes rotations, and a minimum 6 calculations for each atom and rotation: take
    a small structure, of ten atoms or so.

    Args:
        calculator: A calculator of ASE, or a class or function that makes one.
        atoms: The structure; a copy of it is used, with its constraints left out.
        exact: Degree of the average, see `equidyn.integrations.ase.Symmetrised`.
        steps: Steps of a run.
        timestep: Of a step (fs).
        temperature: Of the velocities at the start (K).
        rotations: Orientations of the minimum.
        seed: Seed of velocities and of orientations.
    """
    one = calculator_of(calculator)
    averaged = Symmetrised(one, exact=exact)
    settings = (steps, timestep, temperature, seed)
    return Consequences(
        constant_energy(one, atoms, *settings),
        constant_energy(averaged, atoms, *settings),
        turned_minimum(one, atoms, rotations, seed=seed),
        turned_minimum(averaged, atoms, rotations, seed=seed),
        len(averaged.weights),
    )


def constant_energy(
    calculator: BaseCalculator,
    atoms: Atoms,
    steps: int = 500,
    timestep: float = 1.0,
    temperature: float = 300.0,
    seed: int = 0,
) -> Dynamics:
    """Run the dynamics of a structure at constant energy, see `consequences`."""
    found = _free(atoms, calculator)
    masses = found.get_masses()[:, None]
    velocities = np.random.default_rng(seed).normal(size=(len(found), 3)) * np.sqrt(units.kB * temperature / masses)
    found.set_velocities(velocities - (masses * velocities).sum(0) / masses.sum())
    energies, torques, forces, deviations = [], [], [], []

    def look() -> None:
        energies.append(found.get_total_energy() / len(found))
        forces.append(found.get_forces())
        torques.append(np.cross(found.positions - found.get_center_of_mass(), forces[-1]).sum(0) / len(found))
        deviations.append(calculator.results.get("forces_std", np.nan))

    run = VelocityVerlet(found, timestep * units.fs)
    run.attach(look)
    run.run(steps)
    time = np.arange(len(energies)) * timestep / 1000
    slope, start = np.polyfit(time, energies, 1)
    fluctuation = np.std(energies - slope * time - start)
    torque = np.nan if found.pbc.any() else np.sqrt(np.square(torques).sum(1).mean())
    deviation = np.sqrt(np.square(deviations).sum() / (np.square(deviations).sum() + np.square(forces).sum()))
    return Dynamics(float(slope), float(fluctuation), float(torque), float(deviation))


def turned_minimum(
    calculator: BaseCalculator,
    atoms: Atoms,
    rotations: int = 4,
    *,
    largest_force: float = 1e-3,
    displacement: float = 1e-2,
    seed: int = 0,
) -> Minimum:
    """Relax a structure, turn it, and compare energies and second derivatives, see `consequences`.

    Args:
        calculator: The calculator.
        atoms: The structure; positions alone are relaxed.
        rotations: Number of orientations, random ones, from 2.
        largest_force: Largest force (eV/Å) of a relaxed structure, which has 500 steps to become one.
        displacement: Displacements (Å) by which forces are differentiated.
        seed: Seed of the orientations.
    """
    found = _free(atoms, calculator)
    BFGS(found, logfile=None).run(fmax=largest_force, steps=500)
    structures, elements = Structures([found]), Design.of(USUAL_GROUP, rotations, None, seed).elements([0])
    energies, hessians = [], []
    for number in range(rotations):
        turned = structures.turn(found, elements[number])
        energies.append(single_point(calculator, turned, ["energy"])["energy"] / len(found))
        hessians.append(_second_derivatives(calculator, structures, elements[number], displacement))
    mean = np.mean(hessians, 0)
    every = np.stack([frequencies(one, found.get_masses()) for one in hessians])
    whole = 3 if found.pbc.any() else 6
    inner = every[:, np.argsort(np.abs(every.mean(0)))[whole:]]
    return Minimum(
        float(np.std(energies, ddof=1)),
        float(np.sqrt(np.square(hessians - mean).sum((1, 2)).sum() / (rotations - 1) / np.square(mean).sum())),
        float(np.sqrt(inner.var(0, ddof=1).mean())) if inner.size else 0.0,
    )


def frequencies(second_derivatives: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """(3n,) energies of the vibrations (meV), from the lowest; those of unstable directions are negative.

    Args:
        second_derivatives: (3n, 3n) of the energy (eV/Å²).
        masses: (n,) of the atoms (amu).
    """
    scale = np.sqrt(np.repeat(masses, 3))
    squares = np.linalg.eigvalsh(second_derivatives / np.outer(scale, scale))
    to_mev = 1e3 * 1e10 * units._hbar / np.sqrt(units._e * units._amu)
    return np.asarray(to_mev * np.sign(squares) * np.sqrt(np.abs(squares)))


def _free(atoms: Atoms, calculator: BaseCalculator) -> Atoms:
    found = atoms.copy()
    found.set_constraint()
    found.calc = calculator
    return found


def _second_derivatives(
    calculator: BaseCalculator, structures: Structures, element: Element, displacement: float
) -> np.ndarray:
    """(3n, 3n) second derivatives of the energy (eV/Å²) of a turned structure, turned back.

    Atoms are displaced before the turn, so that differences are as inexact in each orientation.
    """
    (atoms,) = structures.items
    found = np.empty((len(atoms), 3, len(atoms), 3))
    for atom in range(len(atoms)):
        for axis in range(3):
            forces = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * displacement
                there = single_point(calculator, structures.turn(moved, element), ["forces"])["forces"]
                forces.append(element.inverse.act("vectors", there))
            found[atom, axis] = (forces[1] - forces[0]) / (2 * displacement)
    flat = found.reshape(3 * len(atoms), -1)
    return np.asarray(flat + flat.T) / 2
