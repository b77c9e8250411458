"""Offline force-field data: labels are forces, bytes depend on the seed alone, failures are counted."""

import hashlib
import itertools
import json

import numpy as np
import pytest

from equidyn.data.geometries import HARTREE_EV
from equidyn.data.sources.offline_molecules import build as module
from equidyn.data.sources.offline_molecules import molecules as lists
from equidyn.data.sources.offline_molecules.build import FIELDS, atomic_references, build_store
from equidyn.data.sources.offline_molecules.card import AVAILABLE, CARD, SIZES, OfflineMolecules
from equidyn.data.sources.offline_molecules.molecules import (
    COMPOUND_ATOMS,
    FAMILIES,
    RESIDUES,
    Molecule,
    capped_peptide,
    force_field_molecules,
)
from equidyn.data.store import MANIFEST, Store

Chem = pytest.importorskip("rdkit.Chem")
pytest.importorskip("tblite")

UNEMBEDDABLE = "C1=CC2=CC1=C2"  # a cage with double bonds at its corners
MOLECULES = [
    Molecule("O", "monomer"),
    Molecule(UNEMBEDDABLE, "fragment"),
    Molecule("CBr", "monomer"),
    Molecule("C[NH3+]", "monomer"),
    Molecule(capped_peptide("ALA"), "amino acid"),
    Molecule("COP(O)(O)=O", "monomer"),
    Molecule("C1(", "fragment"),
    Molecule("FC(F)(F)c1ccc(Cl)cc1S", "fragment"),
]


def recipe(**settings):
    """A recipe in which only some settings are said."""
    usual = {"molecules": "all", "conformers": 3, "displacement": (0.01, 0.035), "orientation": "generator"}
    return OfflineMolecules(**(usual | settings))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("offline") / "store"
    return build_store(path, recipe(seed=5), molecules=MOLECULES, progress=False)


@pytest.fixture(scope="module")
def store(built):
    return Store(built)


# What is made


@pytest.fixture(scope="module")
def everything():
    return force_field_molecules()[0]


@pytest.fixture(scope="module")
def parsed(everything):
    return [Chem.AddHs(Chem.MolFromSmiles(molecule.smiles)) for molecule in everything]


def test_all_families_residues_and_dipeptides_are_listed(everything):
    assert len(everything) == AVAILABLE >= 1_000
    assert {molecule.family for molecule in everything} == set(FAMILIES)
    listed = {molecule.smiles for molecule in everything}
    assert len(RESIDUES) == 20
    assert {capped_peptide(name) for name in RESIDUES} <= listed
    assert {capped_peptide(*pair) for pair in itertools.product(RESIDUES, repeat=2)} <= listed


def test_molecules_are_distinct_neutral_and_of_closed_shell(parsed):
    assert len({Chem.MolToSmiles(mol, isomericSmiles=False) for mol in parsed}) == len(parsed)
    elements = {atom.GetSymbol() for mol in parsed for atom in mol.GetAtoms()}
    assert elements == {"H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"}
    for mol in parsed:
        assert Chem.GetFormalCharge(mol) == 0
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
        assert sum(atom.GetAtomicNum() for atom in mol.GetAtoms()) % 2 == 0
        assert len(Chem.GetMolFrags(mol)) == 1


def test_the_first_molecules_are_as_they_were(everything):
    """Studies name these by their number, and their stores must not change."""
    first = [molecule.smiles for molecule in everything[:206]]
    assert hashlib.sha256("\n".join(first).encode()).hexdigest()[:16] == "72aa510b646270b0"
    assert "compound" not in {molecule.family for molecule in everything[:206]}


def test_others_follow_by_size(everything, parsed):
    sizes = [mol.GetNumAtoms() for mol in parsed]
    assert sizes[206:] == sorted(sizes[206:])
    assert max(sizes[:206]) == 40
    compounds = [size for size, molecule in zip(sizes, everything, strict=True) if molecule.family == "compound"]
    assert max(compounds) == COMPOUND_ATOMS


def test_plans_know_the_sizes(parsed):
    sizes = np.array([mol.GetNumAtoms() for mol in parsed])
    for number in SIZES:
        typical = CARD.typical.asked({"molecules": number, "conformers": 3})
        assert typical.examples == 3 * number
        assert typical.mean == pytest.approx(sizes[:number].mean(), abs=0.06)
        assert typical.largest == sizes[:number].max()
    assert CARD.typical.asked({"molecules": "all", "conformers": 3}) == typical
    assert CARD.typical.asked({"molecules": 207, "conformers": 1}).mean == SIZES[400][0]


def test_what_is_taken_of_a_list(monkeypatch, everything):
    compounds = ["CC(N)(F)I", "C[C@](N)(F)I", "FC(I)(N)C", capped_peptide("GLY", "GLY"), "CCO", "CC[O-]", "CO.CO"]
    compounds += ["C[Se]C", "C" * 12, "C[2H]"]
    monkeypatch.setattr(lists, "listed_molecules", lambda: (compounds, "a list"))
    molecules, _ = force_field_molecules()
    assert [molecule.smiles for molecule in molecules if molecule.family == "compound"] == ["CC(N)(F)I"]
    assert molecules[:206] == everything[:206]


@pytest.mark.parametrize("name", sorted(RESIDUES))
def test_residues_have_the_natural_configuration(name):
    mol = Chem.MolFromSmiles(capped_peptide(name))
    centres = sorted(code for _, code in Chem.FindMolChiralCenters(mol, useLegacyImplementation=0))
    special = {"GLY": [], "CYS": ["R"], "THR": ["R", "S"], "ILE": ["S", "S"]}
    assert centres == special.get(name, ["S"])


def test_peptides_are_named_from_the_amino_end():
    assert capped_peptide("GLY", "ALA") == "CC(=O)NCC(=O)N[C@@H](C)C(=O)NC"


@pytest.fixture
def short_list(monkeypatch):
    """A list of a few compounds in place of the long one."""
    monkeypatch.setattr(lists, "listed_molecules", lambda: (["CCBr", "CCCBr", "CCCCBr"], "a list"))


@pytest.mark.usefixtures("short_list")
def test_molecule_lists_are_prefixes_with_all_families():
    everything, source = force_field_molecules(seed=3)
    assert force_field_molecules(300, seed=3) == (everything[:300], source) == (everything[:300], "a list")
    few, source = force_field_molecules(20, seed=3)
    assert few == everything[:20]
    assert {molecule.family for molecule in few} == set(FAMILIES) - {"compound"}
    assert not source


@pytest.mark.usefixtures("short_list")
def test_a_seed_chooses_the_order_alone():
    one, other = (force_field_molecules(seed=seed)[0] for seed in (3, 4))
    assert one[:20] != other[:20]
    assert set(one) == set(other)


# Labels


def test_forces_are_minus_the_energy_gradient(store):
    frame = store[-1]
    numbers, forces = frame["atomic_numbers"].astype(int), frame["forces"]
    positions = frame["positions"].astype(np.float64)
    step = 1e-3
    for atom, axis in [(0, 0), (4, 1), (len(numbers) - 1, 2)]:
        shift = np.zeros_like(positions)
        shift[atom, axis] = step
        above, below = (module._single_point(numbers, positions + sign * shift, recipe())[0] for sign in (1, -1))
        assert -(above - below) / (2 * step) == pytest.approx(forces[atom, axis], abs=2e-4)


def test_no_net_force_or_torque(store):
    for frame in store:
        positions, forces = (frame[key].astype(np.float64) for key in ("positions", "forces"))
        np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(np.cross(positions, forces).sum(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(positions.mean(axis=0), 0, atol=1e-5)
        assert np.linalg.norm(forces, axis=1).max() < 15


def test_units_by_water():
    """The GFN2-xTB minimum of water lies at -5.0705 hartree, with O-H near 0.96 angstrom."""
    angle = np.deg2rad(107.0)
    direction = np.array([[1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    curve = {}
    for length in (0.90, 0.96, 1.05):
        positions = np.vstack([np.zeros(3), length * direction])
        energy, forces = module._single_point(np.array([8, 1, 1]), positions, recipe())
        curve[length] = energy, forces[1] @ direction[0]
    assert curve[0.96][0] / HARTREE_EV == pytest.approx(-5.0705, abs=2e-4)
    assert curve[0.90][1] > 2  # pushed apart
    assert curve[1.05][1] < -2  # pulled together


def test_reference_energies_are_removed(store):
    references = atomic_references([1, 8], recipe())
    assert references[1] == pytest.approx(-10.707, abs=1e-3)
    assert store.provenance["reference_energies_ev"]["H"] == references[1]
    frame = store[0]
    total, _ = module._single_point(frame["atomic_numbers"].astype(int), frame["positions"].astype(float), recipe())
    assert frame["energy"] == pytest.approx(total - references[8] - 2 * references[1], abs=1e-9)
    assert -16 < frame["energy"] < -8  # two O-H bonds


def test_geometries_differ_and_stay_whole(store):
    cluster = store.scalar("cluster")
    water = [store[i]["positions"] for i in np.flatnonzero(cluster == 0)]
    for a, b in itertools.combinations(water, 2):
        assert np.abs(a - b).max() > 1e-3
    for positions in water:
        for hydrogen in positions[1:]:
            assert 0.7 < np.linalg.norm(hydrogen - positions[0]) < 1.2


# The store


def test_store_fields_and_manifest(store):
    assert store.fields == FIELDS
    store.verify()
    made = store.provenance
    assert set(made["versions"]) == {"rdkit", "tblite", "numpy"}
    assert "GFN2-xTB" in made["level_of_theory"]
    assert made["recipe"]["seed"] == 5
    assert [entry["smiles"] for entry in made["molecules"]] == [m.smiles for m in MOLECULES]
    assert [entry["cluster"] for entry in made["molecules"]] == list(range(len(MOLECULES)))
    counts = np.bincount(store.scalar("cluster"), minlength=len(MOLECULES))
    assert [entry["conformers"] for entry in made["molecules"]] == counts.tolist()


def test_failures_are_counted_not_raised(store):
    assert store.provenance["rejects"]["molecules"] == {
        "SMILES not readable": 1,
        "embedding failed": 1,
        "not neutral and closed-shell": 1,
    }
    failed = {entry["smiles"] for entry in store.provenance["molecules"] if entry["failure"]}
    assert failed == {UNEMBEDDABLE, "C[NH3+]", "C1("}


def test_statistics_describe_the_store(store):
    statistics = store.provenance["statistics"]
    forces = store.ragged("forces").astype(np.float64)
    assert statistics["examples"] == len(store) == 15
    assert statistics["molecules"] == 5
    assert statistics["force_rms_ev_per_angstrom"] == pytest.approx(np.sqrt((forces**2).mean()))
    assert statistics["atoms_mean"] == pytest.approx(store.lengths.mean())
    assert statistics["elements_atoms"]["Br"] == 3
    assert sum(statistics["orientation_of_longest_axis"]) == pytest.approx(1)


def test_bytes_do_not_depend_on_processes(built, tmp_path):
    again = build_store(tmp_path / "again", recipe(seed=5), molecules=MOLECULES, processes=2, progress=False)
    names = sorted(file.name for file in built.iterdir())
    assert sorted(file.name for file in again.iterdir()) == names
    for name in names:
        assert (again / name).read_bytes() == (built / name).read_bytes(), name
    assert json.loads((built / MANIFEST).read_text())["examples"] == 15


def frames_of(smiles, **settings):
    references = atomic_references([1, 6, 8], recipe())
    return module._label(Molecule(smiles, "monomer"), recipe(conformers=2, **settings), references)


def test_seed_and_orientation_change_the_geometries():
    first, again, other, turned = (
        frames_of("CO", **settings) for settings in ({}, {}, {"seed": 1}, {"orientation": "random"})
    )
    np.testing.assert_array_equal(first.frames[0]["forces"], again.frames[0]["forces"])
    assert np.abs(first.frames[0]["positions"] - other.frames[0]["positions"]).max() > 1e-3
    distances = [np.linalg.norm(np.diff(one.frames[0]["positions"], axis=0), axis=1) for one in (first, turned)]
    np.testing.assert_allclose(*distances, atol=1e-5)
    for one, same in zip(first.frames, turned.frames, strict=True):
        assert one["energy"] == pytest.approx(same["energy"], abs=1e-4)
    assert np.abs(first.frames[0]["positions"] - turned.frames[0]["positions"]).max() > 0.1


def test_rejected_geometries_are_counted():
    unconverged = frames_of("CO", scf_iterations=1)
    assert unconverged.rejects == {"SCF failed": 2}
    assert unconverged.failure == "all geometries rejected"
    assert frames_of("CO", max_force=1e-3).rejects == {"force above limit": 2}


def test_usual_geometries_are_within_the_limits_and_inconspicuous(store):
    assert store.provenance["rejects"]["geometries"] == {}
    assert store.provenance["warnings"] == []
    statistics = store.provenance["statistics"]
    largest = np.linalg.norm(store.ragged("forces").astype(float), axis=1).max()
    assert statistics["force_max_ev_per_angstrom"] == pytest.approx(largest)
    assert statistics["net_force_max_ev_per_angstrom"] < 1e-3


# What a caller may get wrong


@pytest.mark.parametrize(
    ("molecules", "message"),
    [
        ([Molecule("O", "monomer"), Molecule("[H]O[H]", "fragment")], "the same molecule as O"),
        ([Molecule("C[Se]C", "monomer")], "no GFN2-xTB reference energy for Se: drop"),
    ],
)
def test_impossible_lists(tmp_path, molecules, message):
    with pytest.raises(ValueError, match=message):
        build_store(tmp_path / "s", recipe(), molecules=molecules, progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("short_list")
def test_more_molecules_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="700 molecules asked, 579 available"):
        build_store(tmp_path / "s", recipe(molecules=700), progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "settings",
    [{"conformers": 0}, {"displacement": (0.2, 0.1)}, {"orientation": "upright"}, {"molecules": AVAILABLE + 1}],
)
def test_impossible_recipes(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        recipe(**settings)


def test_references_name_an_unknown_element():
    with pytest.raises(ValueError, match="reference energy for Na"):
        atomic_references([11], recipe())


def test_references_that_do_not_converge():
    with pytest.raises(ValueError, match=r"isolated H atom.*raise scf_iterations"):
        atomic_references([1], recipe(scf_iterations=1))


def test_nothing_labelled_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no geometry could be labelled"):
        build_store(tmp_path / "s", recipe(), molecules=[Molecule("C[NH3+]", "monomer")], progress=False)
    assert not list(tmp_path.iterdir())
