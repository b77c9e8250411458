"""SPICE's own releases: units and signs, what is left out, damaged files."""

import fcntl
import math
from itertools import pairwise

import h5py
import numpy as np
import pytest
from standins.spice import write_group, write_hdf5

from equidyn.data.sources.spice import build as module
from equidyn.data.sources.spice.build import build_store
from equidyn.data.sources.spice.card import Spice
from equidyn.data.spice import ELEMENTS, FIELDS, REFERENCE_EV
from equidyn.data.store import Store, StoreError


def build(folder, file, settings=None, **options):
    places = {"files": {file.name: file}, "scratch": folder / "scratch"}
    recipe = Spice(release="2.0.1", **(settings or {}))
    return Store(build_store(folder / "store", recipe, **places, progress=False, **options))


HARTREE_EV, BOHR_ANGSTROM, HARTREE_PER_BOHR = 27.211386246, 0.529177211, 51.42206747


@pytest.fixture
def one(tmp_path):
    """A file with one group of two conformations of water, in atomic units, and the function that changes it."""
    path = tmp_path / "SPICE.hdf5"
    positions = np.arange(18, dtype=np.float64).reshape(2, 3, 3) ** 1.5 / 10
    forces = np.arange(18, dtype=np.float64).reshape(2, 3, 3) - 8
    with h5py.File(path, "w") as file:
        write_group(
            file.create_group("water"), "OHH", [-2080.5, -2081.5], positions, forces, "[O:1]([H:2])[H:3]", "Dimers"
        )
    return path


def change(path, name, **changes):
    """Replace data sets of a group; `None` removes one."""
    with h5py.File(path, "a") as file:
        group = file.require_group(name)
        for key, value in changes.items():
            if key in group:
                del group[key]
            if isinstance(value, str):
                group.create_dataset(key, data=[value], dtype=h5py.string_dtype())
            elif value is not None:
                group[key] = value


def copy_group(path, name, **changes):
    with h5py.File(path, "a") as file:
        file.copy(file["water"], name)
    change(path, name, **changes)


def test_units_signs_and_references_of_hdf5(tmp_path, one):
    change(
        one,
        "water",
        conformations=np.array([[[0, 0, 0], [0, 0, 3], [3, 0, 0]], [[0, 0, 0], [0, 0, 6], [6, 0, 0]]], np.float32),
        dft_total_gradient=np.array([[[0.5, 0, 0], [0, -0.25, 0], [0, 0, 0]]] * 2, np.float32),
        dft_total_energy=np.array([-76.5, -76.25]),
    )
    store = build(tmp_path, one)
    assert store.fields == FIELDS
    found = store[0]
    expected = BOHR_ANGSTROM * np.array([[-1, 0, -1], [-1, 0, 2], [2, 0, -1]])
    np.testing.assert_allclose(found["positions"], expected, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(store[1]["positions"], 2 * expected, rtol=1e-7, atol=1e-12)
    expected = HARTREE_PER_BOHR * np.array([[-0.5, 0, 0], [0, 0.25, 0], [0, 0, 0]])
    np.testing.assert_allclose(found["forces"], expected, rtol=1e-7)
    reference = REFERENCE_EV["O"] + 2 * REFERENCE_EV["H"]
    expected = [energy * HARTREE_EV - reference for energy in (-76.5, -76.25)]
    assert store.scalar("energy").tolist() == pytest.approx(expected, abs=1e-7)
    assert found["atomic_numbers"].tolist() == [8, 1, 1]


def test_every_number_of_hdf5_agrees_with_an_independent_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CONFORMATIONS", 16)
    path = write_hdf5(tmp_path / "SPICE-2.0.1.hdf5", molecules=8, conformers=40)
    store = build(tmp_path, path, processes=2)
    number, clusters = 0, []
    by_number = {ELEMENTS[symbol]: energy for symbol, energy in REFERENCE_EV.items()}
    with h5py.File(path) as file:
        for name in sorted(file):
            if not name.isdigit():
                continue
            group = file[name]
            clusters += [len(set(clusters))] * 40
            positions = group["conformations"][()].astype(float)
            positions = (positions - positions.mean(axis=1, keepdims=True)) * BOHR_ANGSTROM
            for conformation in range(40):
                found = store[number]
                assert found["atomic_numbers"].tolist() == group["atomic_numbers"][()].tolist()
                np.testing.assert_allclose(found["positions"], positions[conformation], rtol=2e-7, atol=1e-7)
                gradient = group["dft_total_gradient"][conformation].astype(float)
                np.testing.assert_allclose(found["forces"], -gradient * HARTREE_PER_BOHR, rtol=2e-7)
                reference = math.fsum(by_number[z] for z in group["atomic_numbers"][()].tolist())
                expected = group["dft_total_energy"][conformation] * 27.211386245988 - reference
                assert found["energy"] == pytest.approx(expected, abs=1e-8)
                number += 1
    assert number == len(store) == 320
    assert store.scalar("cluster").tolist() == clusters
    file = store.provenance["files"]["SPICE-2.0.1.hdf5"]
    assert file["rejects"] == {"charged": 1, "group without conformations": 1, "ion pairs": 1}
    assert file["frames"] == 322
    assert sum(file["examples_by_subset"].values()) == 320
    assert store.provenance["release"] == "2.0.1"
    assert set(store.provenance["versions"]) == {"h5py", "numpy", "rdkit"}
    assert store.provenance["warnings"] == []


@pytest.mark.parametrize(
    ("changes", "rejected"),
    [
        ({"smiles": "[O-:1]([H:2])[H:3]"}, {"charged": 2}),
        ({"smiles": "[O-:1][H:2].[H+:3]"}, {}),
        ({"smiles": "[Ca++:1].[Cl-:2]"}, {"charged": 2}),
        ({"smiles": "no-molecule"}, {"charge unknown, no readable SMILES": 2}),
        ({"smiles": None}, {"charge unknown, no readable SMILES": 2}),
        ({"subset": "SPICE Ion Pairs Single Points Dataset v1.1"}, {"ion pairs": 2}),
        ({"subset": None}, {}),
        ({"atomic_numbers": np.array([11, 1, 1], np.int16)}, {"element without reference energy": 2}),
        ({"atomic_numbers": np.array([8, 1], np.int16)}, {"labels missing or of another shape": 2}),
        ({"dft_total_gradient": None}, {"labels missing or of another shape": 2}),
        ({"dft_total_gradient": np.zeros((1, 3, 3), np.float32)}, {"labels missing or of another shape": 2}),
        ({"dft_total_energy": np.array([np.nan, -76.0])}, {"not finite": 1}),
        ({"dft_total_gradient": np.array([np.zeros((3, 3)), np.full((3, 3), np.inf)], np.float32)}, {"not finite": 1}),
        ({"conformations": None}, {"group without conformations": 1}),
        ({"conformations": np.zeros(0, np.float32)}, {"group without conformations": 1}),
        ({"conformations": np.zeros((0, 3, 3), np.float32)}, {"group without conformations": 1}),
    ],
)
def test_what_cannot_be_an_example_of_hdf5_is_counted(tmp_path, one, changes, rejected):
    copy_group(one, "z!", **changes)
    store = build(tmp_path, one)
    assert store.provenance["files"][one.name]["rejects"] == rejected
    whole_group_lost = "group without conformations" in rejected
    assert len(store) == 4 - (2 if whole_group_lost else sum(rejected.values()))
    assert store.provenance["files"][one.name]["frames"] == (2 if whole_group_lost else 4)


@pytest.fixture
def spoilt(tmp_path):
    """A file of 200 conformations: in one 100 eV/Å on two atoms, in one 5 eV/Å on all, in one direction."""
    path = write_hdf5(tmp_path / "spoilt.hdf5", molecules=10, conformers=20)
    pull = np.array([100, 0, 0]) / HARTREE_PER_BOHR
    with h5py.File(path, "r+") as file:
        gradient = file["100000009/dft_total_gradient"]
        gradient[7, 0] -= pull
        gradient[7, 1] += pull
        gradient[8] -= pull / 20
    return path


def test_forces_beyond_the_limits_are_left_out_and_counted(tmp_path, spoilt):
    store = build(tmp_path, spoilt, {"max_net_force": 1.0})
    assert store.provenance["limits"] == {"max_force": 51.42, "max_net_force": 1.0}
    rejects = store.provenance["files"][spoilt.name]["rejects"]
    assert (rejects["force above limit"], rejects["net force above limit"]) == (1, 1)
    assert len(store) == 198
    assert store.provenance["warnings"] == []
    assert np.linalg.norm(store.ragged("forces"), axis=1).max() < 20


def test_maxima_of_what_is_kept_are_in_the_manifest_with_a_warning(tmp_path, spoilt, caplog):
    store = build(tmp_path, spoilt, {"max_force": None})
    forces = np.split(store.ragged("forces").astype(float), store.offsets[1:-1])
    largest = np.array([np.linalg.norm(each, axis=1).max() for each in forces])
    net = np.array([np.linalg.norm(each.sum(axis=0)) for each in forces])
    squares = np.sort([np.square(each).sum() for each in forces])
    statistics = store.provenance["statistics"]
    assert statistics["force_max_ev_per_angstrom"] == pytest.approx(largest.max()) == pytest.approx(100, abs=10)
    assert statistics["force_max_example"] == largest.argmax() == 187
    assert statistics["net_force_max_ev_per_angstrom"] == pytest.approx(net.max())
    assert statistics["net_force_max_example"] == net.argmax() == 188
    share = statistics["share_of_squared_forces_in_outermost_percent"]
    assert share == pytest.approx(squares[-2:].sum() / squares.sum())
    assert share > 0.4
    force, net_force = store.provenance["warnings"]
    assert force.startswith("largest force 100 eV/Å")
    assert "(example 187)" in force
    assert "1 of 200 examples" in force
    assert force.endswith("max_force leaves them out")
    assert "(example 188)" in net_force
    assert net_force.endswith("max_net_force leaves them out")
    assert force in caplog.text
    assert net_force in caplog.text


def test_no_limit_is_the_default_for_the_net_force_alone():
    assert Spice(release="2.0.1").max_force == pytest.approx(HARTREE_PER_BOHR, abs=0.01)
    assert Spice(release="2.0.1").max_net_force is None


def test_single_atoms_of_hdf5_are_left_out(tmp_path, one):
    numbers, zeros = np.array([8], np.int16), np.zeros((2, 1, 3), np.float32)
    copy_group(one, "atom", smiles="[O:1]", atomic_numbers=numbers, conformations=zeros, dft_total_gradient=zeros)
    assert build(tmp_path, one).provenance["files"][one.name]["rejects"] == {"single atom": 2}


def test_groups_of_equal_smiles_are_one_molecule(tmp_path, one):
    copy_group(one, "again")
    copy_group(one, "CO", smiles=None)
    copy_group(one, "other", smiles="[O:1].[H:2][H:3]")
    store = build(tmp_path, one)
    # In the order of the names: CO, again, other, water.
    assert store.scalar("cluster").tolist() == [0, 0, 1, 1, 2, 2, 1, 1]


def test_pieces_of_hdf5_are_bounded_and_complete(tmp_path, one, monkeypatch):
    monkeypatch.setattr(module, "CONFORMATIONS", 5)
    change(one, "big", conformations=np.zeros((23, 2, 3), np.float32))
    for number in range(12):
        change(one, f"empty {number:02d}", conformations=np.zeros(0, np.float32))
    pieces = list(module.hdf5_ranges(one))
    assert all(sum(part.stop - part.start for part in piece) < 10 and len(piece) <= 5 for piece in pieces)
    parts = [part for piece in pieces for part in piece]
    assert [part.group for part in parts] == ["big"] * 5 + [f"empty {number:02d}" for number in range(12)] + ["water"]
    big = [part for part in parts if part.group == "big"]
    assert (big[0].start, big[-1].stop) == (0, 23)
    assert all(before.stop == after.start for before, after in pairwise(big))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"<html>502 Bad gateway</html>",
    ],
)
def test_a_damaged_hdf5_file_is_a_clear_error_and_leaves_nothing(tmp_path, one, damage):
    one.write_bytes(damage(one.read_bytes()))
    with pytest.raises(StoreError, match=r"SPICE\.hdf5: found a file that cannot be read.*download it again"):
        build(tmp_path, one)
    assert [path.name for path in tmp_path.iterdir()] == [one.name]


def test_a_locked_hdf5_file_can_be_read(tmp_path, one):
    with one.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="unable to lock file"):
            h5py.File(one, "r", locking=True)
        assert len(build(tmp_path, one)) == 2


def test_one_hdf5_file_is_taken(tmp_path, one):
    with pytest.raises(ValueError, match=r"expected one HDF5 file"):
        build_store(
            tmp_path / "store", Spice(release="2.0.1"), files={"a": one, "b": one}, scratch=tmp_path / "scratch"
        )
