"""Structures of ASE turn with all that has a direction, and nothing else of them changes."""

import sys

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from equidyn import measure
from equidyn.core.symmetry import symmetry
from equidyn.measuring.elements import Element
from equidyn.measuring.examples import Arrays, MeasureError, examples_of
from equidyn.measuring.structures import Structures, full_tensor, six_components

rng = np.random.default_rng(0)
STRESS = rng.normal(size=(3, 3))
STRESS = STRESS + STRESS.T


def structure():
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_momenta(rng.normal(size=(4, 3)))
    atoms.set_initial_magnetic_moments(rng.normal(size=(4, 3)))
    atoms.set_initial_charges(np.arange(4))
    atoms.arrays["stresses"] = rng.normal(size=(4, 3, 3))
    atoms.info |= {"field": np.array([0, 0, 1]), "stress": STRESS, "virial": six_components(STRESS), "energy": 2.0}
    atoms.info |= {"notes": [1, 2], "label": "a", "director": np.ones(3)}
    atoms.set_constraint(FixAtoms([0]))
    atoms.calc = EMT()
    return atoms


def element(group, matrix):
    return Element.of(symmetry(group), torch.as_tensor(matrix, dtype=torch.float64)[None])


ROTATION = np.array([[0, -1, 0], [0.6, 0, -0.8], [0.8, 0, 0.6]])


def test_everything_with_a_direction_turns():
    atoms = structure()
    examples = examples_of([atoms], kinds={"stresses": "tensors", "director": "vectors"})
    assert isinstance(examples, Structures)
    assert examples.turned == (
        "cell", "director", "field", "initial_magmoms", "momenta", "positions", "stress", "stresses", "virial"
    )  # fmt: skip
    R = ROTATION
    found = examples.turn(atoms, element("SO(3)", R))
    for name in ("positions", "momenta", "initial_magmoms"):
        np.testing.assert_allclose(found.arrays[name], atoms.arrays[name] @ R.T, atol=1e-14)
    np.testing.assert_allclose(found.cell, atoms.cell.array @ R.T, atol=1e-14)
    np.testing.assert_allclose(found.arrays["stresses"], R @ atoms.arrays["stresses"] @ R.T, atol=1e-14)
    np.testing.assert_allclose(found.info["field"], R[:, 2], atol=1e-14)
    np.testing.assert_allclose(found.info["director"], R.sum(1), atol=1e-14)
    np.testing.assert_allclose(found.info["stress"], R @ STRESS @ R.T, atol=1e-14)
    np.testing.assert_allclose(found.info["virial"], full_3x3_to_voigt_6_stress(R @ STRESS @ R.T), atol=1e-14)
    np.testing.assert_allclose(found.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-12)
    assert found.calc is None
    assert not found.constraints
    assert found.pbc.all()
    assert (found.get_initial_charges() == np.arange(4)).all()
    assert found.info["energy"] == 2
    assert found.origin is atoms


def test_the_structure_stays_as_it_is():
    atoms = structure()
    before = atoms.copy()
    found = Structures([atoms]).turn(atoms, element("SO(3)", ROTATION))
    found.info["notes"].append(3)
    found.positions += 1
    assert atoms == before
    assert atoms.info["notes"] == [1, 2]
    assert atoms.info["field"].tolist() == [0, 0, 1]
    assert len(atoms.constraints) == 1
    assert atoms.calc is not None


def test_an_inversion_keeps_moments_and_the_lattice():
    atoms = structure()
    found = Structures([atoms]).turn(atoms, element("O(3)", -np.eye(3)))
    np.testing.assert_array_equal(found.positions, -atoms.positions)
    np.testing.assert_array_equal(found.get_momenta(), -atoms.get_momenta())
    np.testing.assert_array_equal(found.arrays["initial_magmoms"], atoms.arrays["initial_magmoms"])
    np.testing.assert_array_equal(found.info["stress"], STRESS)
    assert found.cell.handedness == 1
    np.testing.assert_allclose(found.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-12)


def test_translations_move_positions_alone():
    atoms = structure()
    found = Structures([atoms]).turn(atoms, element("translations", [1.0, 2, 3]))
    np.testing.assert_allclose(found.positions, atoms.positions + np.array([1, 2, 3]))
    np.testing.assert_array_equal(found.cell, atoms.cell)
    np.testing.assert_array_equal(found.get_momenta(), atoms.get_momenta())


def test_collinear_moments_of_three_atoms_are_numbers():
    atoms = molecule("H2O")
    atoms.set_initial_magnetic_moments([1, 2, 3])
    examples = Structures([atoms])
    assert examples.turned == ("positions",)
    found = examples.turn(atoms, element("O(3)", -ROTATION))
    assert found.get_initial_magnetic_moments().tolist() == [1, 2, 3]


def test_what_looks_like_vectors_is_noted():
    atoms = structure()
    atoms.arrays["spins"] = rng.normal(size=(4, 3))
    found = measure(lambda many: [one.positions for one in many], [atoms], ranks=1)
    for name in ("spins", "director"):
        assert any(f"kinds={{{name!r}: 'vectors'}}" in text for text in found.warnings)
    assert len([text for text in found.warnings if "kinds=" in text]) == 3  # stresses too


def test_the_cell_can_stay_or_go():
    atoms = structure()
    examples = Structures([atoms, molecule("H2O")])
    kept = examples.turn_but_cell(atoms, element("SO(3)", ROTATION))
    np.testing.assert_array_equal(kept.cell, atoms.cell)
    np.testing.assert_allclose(kept.positions, atoms.positions @ ROTATION.T, atol=1e-14)
    bare = examples.without_cell(atoms)
    assert not bare.cell.any()
    assert not bare.pbc.any()
    assert atoms.pbc.all()
    assert examples.turn_but_cell(molecule("H2O"), element("SO(3)", ROTATION)) is None
    assert examples.without_cell(molecule("H2O")) is None
    assert examples.species(atoms) == ["Cu"] * 4


@pytest.mark.parametrize("group", ["SO(3)", "O(3)", "cube", "translations"])
def test_turning_obeys_the_law_of_the_group(group):
    items = [structure() for _ in range(3)]
    found = measure(lambda many: [one.get_momenta() for one in many], items, group=group, ranks=1)
    assert found["prediction"].relative_error < 1e-14


def test_components_of_tensors_are_in_the_order_of_ase():
    six = rng.normal(size=(5, 6))
    for one, full in zip(six, full_tensor(six), strict=True):
        np.testing.assert_array_equal(full, voigt_6_to_full_3x3_stress(one))
    np.testing.assert_array_equal(six_components(full_tensor(six)), six)


@pytest.mark.parametrize(
    ("items", "kinds", "message"),
    [
        ([molecule("H2O"), "H2O"], None, "example 1 is of type str; expected ase.Atoms"),
        ([molecule("H2O"), Atoms()], None, "structure 1 has no atoms"),
        ([molecule("H2O")], {"spin": "vectors"}, "no structure has an array or an info of the name 'spin'"),
        ([molecule("H2O")], {"numbers": "vectors"}, r"'numbers' has shape \(3,\), which is not that of vectors"),
    ],
)
def test_bad_structures_are_refused(items, kinds, message):
    with pytest.raises(MeasureError, match=message):
        examples_of(items, kinds=kinds)


def test_ase_is_not_needed_for_others(monkeypatch):
    monkeypatch.setitem(sys.modules, "ase", None)
    assert isinstance(examples_of([rng.normal(size=(4, 3))]), Arrays)
