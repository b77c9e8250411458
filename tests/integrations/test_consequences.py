"""Consequences of broken symmetry: absent for an exact calculator, and gone where averaging takes the error away."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import all_changes
from ase.constraints import FixAtoms
from ase.vibrations import Vibrations
from calculators import LabAxis, Pairs, crystals

from equidyn.integrations.ase import Symmetrised, measure_calculator
from equidyn.integrations.consequences import consequences, constant_energy, frequencies, turned_minimum


class Whirl(Pairs):
    """Pushes atoms around the z axis, so that forces are no gradient; the average over rotations does not."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, forces and stress."""
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] += 0.1 * np.cross([0, 0, 1], atoms.positions - atoms.positions.mean(0))


def cluster():
    """Four atoms that are not periodic."""
    atoms = Atoms("Cu4", crystals(1)[0].positions)
    atoms.set_constraint(FixAtoms([0]))
    return atoms


@pytest.fixture(scope="module")
def of_whirl():
    return consequences(Whirl, cluster(), exact=2, steps=40, timestep=5, rotations=2)


def test_drift_is_of_forces_that_are_no_gradient(of_whirl):
    exact = constant_energy(Pairs(), cluster(), 40, 5)
    assert abs(exact.drift) < 1e-4
    assert abs(of_whirl.dynamics.drift) > 100 * abs(exact.drift)
    assert of_whirl.dynamics_averaged.drift == pytest.approx(exact.drift, rel=1e-6)
    assert of_whirl.rotations == 12


def test_forces_of_a_run_deviate_as_they_are_measured_to(of_whirl):
    assert np.isnan(of_whirl.dynamics.deviation)
    found = measure_calculator(Whirl, [cluster()], exact=2, floors=False)["forces"]
    assert of_whirl.dynamics_averaged.deviation == pytest.approx(found.relative_error, rel=0.1)
    assert "rotations change forces by" in str(of_whirl)
    assert str(of_whirl).count("drift") == str(of_whirl).count("second derivatives") == 2


def test_atoms_move_by_the_temperature():
    atoms = crystals(1, rattle=0)[0]
    cold, warm, hot = (constant_energy(Pairs(), atoms, 40, 5, temperature=one).fluctuation for one in (0, 10, 40))
    assert cold < 1e-15
    assert hot / warm == pytest.approx(4, rel=0.2)


def test_torque_is_of_energies_that_depend_on_the_orientation():
    assert constant_energy(Pairs(), cluster(), 5).torque < 1e-15
    assert constant_energy(LabAxis(), cluster(), 5).torque > 1e-4
    assert constant_energy(Symmetrised(LabAxis, exact=2), cluster(), 5).torque < 1e-15
    assert np.isnan(constant_energy(Pairs(), crystals(1)[0], 5).torque)


def test_a_minimum_is_the_same_in_all_orientations_but_for_the_error():
    exact = turned_minimum(Pairs(), crystals(1)[0], 2)
    broken = turned_minimum(LabAxis(), crystals(1)[0], 2)
    averaged = turned_minimum(Symmetrised(LabAxis, exact=2), crystals(1)[0], 2)
    for name, least in {"energy": 1e-10, "second_derivatives": 1e-3, "frequencies": 1e-3}.items():
        assert getattr(exact, name) < 1e-12
        assert getattr(averaged, name) < 1e-12
        assert getattr(broken, name) > least


def test_frequencies_are_those_of_ase(tmp_path):
    atoms = crystals(1)[0]
    atoms.calc = Pairs()
    vibrations = Vibrations(atoms, name=str(tmp_path / "modes"))
    vibrations.run()
    expected = 1000 * vibrations.get_energies()
    found = frequencies(vibrations.get_vibrations().get_hessian_2d(), atoms.get_masses())
    signed = np.where(np.abs(expected.imag) > np.abs(expected.real), -np.abs(expected.imag), expected.real)
    assert found == pytest.approx(np.sort(signed), rel=1e-6, abs=1e-6)
