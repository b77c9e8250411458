"""Offline drug-like conformers: relaxed, distinct, one stereoisomer each; bytes depend on the seed alone."""

import itertools
from collections import Counter

import numpy as np
import pytest

from equidyn.data.screening import listed_molecules
from equidyn.data.sources.offline_conformers import build as module
from equidyn.data.sources.offline_conformers.build import DISTINCT, FIELDS, build_store, objection
from equidyn.data.sources.offline_conformers.card import OfflineConformers
from equidyn.data.store import Store, StoreError

Chem = pytest.importorskip("rdkit.Chem")
RDConfig = pytest.importorskip("rdkit.RDConfig")
force_fields = pytest.importorskip("rdkit.Chem.rdForceFieldHelpers")
alignment = pytest.importorskip("rdkit.Chem.rdMolAlign")

UNEMBEDDABLE = "C1=CC2=CC1=C2"  # a cage with double bonds at its corners
OPEN = "CC(O)C(F)Cl"  # two stereocentres left open
FLEXIBLE = "OCCCCN"
MADE = ["c1ccccc1", OPEN, FLEXIBLE, "C[C@H](N)C(=O)NC", "BrC=CC1CCS1"]
MOLECULES = [*MADE, "NCCCCO", UNEMBEDDABLE, "C[NH3+]", "C1("]


def recipe(**settings):
    """A recipe in which only some settings are said."""
    return OfflineConformers(**({"molecules": "all", "conformers": 5, "heavy_atoms": (1, 40), "seed": 5} | settings))


def build(path, listed=MOLECULES, processes=1, **settings):
    return build_store(path, recipe(**settings), molecules=listed, processes=processes, progress=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("conformers") / "store")


@pytest.fixture(scope="module")
def store(built):
    return Store(built)


def molecule_of(smiles, *positions):
    """The molecule with these conformers, atoms in the order of the SMILES."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    for coordinates in positions:
        conformer = Chem.Conformer(mol.GetNumAtoms())
        conformer.SetPositions(np.asarray(coordinates, np.float64))
        mol.AddConformer(conformer, assignId=True)
    return mol


def by_molecule(store):
    """The molecules of a store with their conformers, in its order."""
    for _, examples in itertools.groupby(store, key=lambda example: int(example["cluster"])):
        examples = list(examples)
        yield molecule_of(examples[0]["smiles"], *(example["positions"] for example in examples))


def force_field(mol, conformer):
    properties = force_fields.MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94s")
    return force_fields.MMFFGetMoleculeForceField(mol, properties, confId=conformer)


# Which molecules


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1(", "SMILES not readable"),
        ("CC[NH3+]", "not neutral and closed-shell"),
        ("C[CH]C", "not neutral and closed-shell"),
        ("CCO.CCO", "more than one fragment"),
        ("OB(O)C", "other elements than H, C, N, O, F, S, Cl, Br"),
        ("CC([2H])O", "isotope labels"),
        ("CO", "fewer than 3 heavy atoms"),
        ("CCCCCCC", "more than 6 heavy atoms"),
        ("CCCCC", "more than 16 atoms"),
        ("C[N+](=O)[O-]", ""),
        ("CCCC", ""),
        ("CCC", ""),
        ("FC(F)(Br)SCl", ""),
    ],
)
def test_selection(smiles, reason):
    assert objection(smiles, recipe(heavy_atoms=(3, 6), max_atoms=16)) == reason


def test_listed_molecules_are_drug_like():
    listed, source = listed_molecules()
    assert len(set(listed)) == 10_000
    assert "SHA-256" in source
    objections = Counter(objection(smiles, recipe(heavy_atoms=(10, 40))) for smiles in listed[::25])
    assert objections[""] > 0.95 * sum(objections.values())


def test_missing_list(monkeypatch, tmp_path):
    monkeypatch.setattr(RDConfig, "RDDataDir", str(tmp_path))
    with pytest.raises(StoreError, match=r"wehi_mols\.csv: found no such file.*install RDKit from PyPI"):
        listed_molecules()


def test_others_take_the_place_of_failed_molecules(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "listed_molecules", lambda: (MOLECULES, "a list"))
    few, more = (Store(build(tmp_path / str(count), None, molecules=count, conformers=1)) for count in (2, len(MADE)))
    assert [len(few), len(more)] == [2, len(MADE)]
    assert [example["smiles"] for example in few] == [more[i]["smiles"] for i in range(2)]
    with pytest.raises(ValueError, match=r"5 of the 6 molecules asked could be made.*'embedding failed': 1"):
        build(tmp_path / "many", None, molecules=6)
    with pytest.raises(ValueError, match="9 molecules asked, 7 of a list pass the selection"):
        build(tmp_path / "many", None, molecules=9)
    assert not (tmp_path / "many").exists()


# Conformers


def test_conformers_are_whole_and_relaxed(store):
    tables = Chem.GetPeriodicTable()
    for mol in by_molecule(store):
        bonds = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()])
        radii = np.array([tables.GetRcovalent(atom.GetAtomicNum()) for atom in mol.GetAtoms()])
        for conformer in mol.GetConformers():
            positions = conformer.GetPositions()
            length = np.linalg.norm(positions[bonds[:, 0]] - positions[bonds[:, 1]], axis=1)
            np.testing.assert_allclose(length / radii[bonds].sum(axis=1), 1, atol=0.2)
            gradient = np.array(force_field(mol, conformer.GetId()).CalcGrad())
            assert np.abs(gradient).max() < 0.1  # kcal/mol/Å; about 50 before relaxation


def test_conformers_come_by_rising_energy(store):
    several = 0
    for mol in by_molecule(store):
        energies = [force_field(mol, conformer.GetId()).CalcEnergy() for conformer in mol.GetConformers()]
        assert (np.diff(energies) > -1e-3).all()
        several += len(energies) > 1
    assert several >= 3


def test_conformers_are_distinct_and_at_most_five(store):
    counts = []
    for mol in by_molecule(store):
        heavy = Chem.RemoveHs(mol)
        ids = [conformer.GetId() for conformer in heavy.GetConformers()]
        for first, second in itertools.combinations(ids, 2):
            assert alignment.GetBestRMS(heavy, heavy, first, second) > 0.99 * DISTINCT
        counts.append(len(ids))
    assert max(counts) == 5
    assert min(counts) == 1  # benzene


def test_equal_conformers_count_once():
    butane = "CCCC"
    trans = [[0, 0, 0], [1.2, 0.9, 0], [2.4, 0, 0], [3.6, 0.9, 0]]
    cis = [[0, 0, 0], [1.2, 0.9, 0], [2.4, 0.9, 0], [3.6, 0, 0]]
    hydrogens = np.random.default_rng(0).normal(size=(4, 10, 3))
    shapes = [trans, cis, np.array(trans)[:, [1, 2, 0]] + 4, trans[::-1]]  # moved; its ends exchanged
    mol = molecule_of(butane, *(np.vstack(pair) for pair in zip(shapes, hydrogens, strict=True)))
    assert module._lowest(mol, np.array([3.0, 2.0, 1.0, 4.0]), 5) == [2, 1]
    assert module._lowest(mol, np.array([3.0, 2.0, 1.0, 4.0]), 1) == [2]
    assert module._lowest(molecule_of(butane, np.vstack([trans, hydrogens[0]])), np.zeros(1), 5) == [0]


def test_fewer_conformers_are_the_lowest_of_more():
    more, fewer = (module._make(FLEXIBLE, recipe(conformers=count, seed=0)) for count in (5, 2))
    assert len(more.positions) == 5
    np.testing.assert_array_equal(fewer.positions, more.positions[:2])


def test_all_conformers_are_the_stereoisomer_of_the_smiles(store):
    for mol in by_molecule(store):
        smiles = Chem.MolToSmiles(Chem.RemoveHs(mol))
        for conformer in mol.GetConformers():
            seen = Chem.Mol(mol)
            Chem.RemoveStereochemistry(seen)
            Chem.AssignStereochemistryFrom3D(seen, conformer.GetId())
            assert Chem.MolToSmiles(Chem.RemoveHs(seen)) == smiles


def test_given_stereochemistry_stays_and_open_is_drawn(store):
    rows = {row["listed_smiles"]: row["smiles"] for row in store.provenance["molecules"]}
    kept = MADE[3]
    assert Chem.MolToSmiles(Chem.MolFromSmiles(kept)) == rows[kept]
    assert len(Chem.FindMolChiralCenters(Chem.MolFromSmiles(rows[OPEN]))) == 2
    assert "/" in rows[MADE[4]]
    assert len({module._stereoisomer(OPEN, seed) for seed in range(8)}) > 1


def test_orientation_is_random_by_default():
    turned, embedded = (module._make(FLEXIBLE, recipe(orientation=name)) for name in ("random", "generator"))
    assert turned.smiles == embedded.smiles
    turns = []
    for one, other in zip(turned.positions, embedded.positions, strict=True):
        u, _, vt = np.linalg.svd(other.astype(np.float64).T @ one)
        turns.append(vt.T @ u.T)
        assert np.linalg.det(turns[-1]) == pytest.approx(1)
        np.testing.assert_allclose(other @ turns[-1].T, one, atol=1e-4)
        np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-5)
    for first, second in itertools.combinations([np.eye(3), *turns], 2):
        assert np.abs(first - second).max() > 0.1


def test_embedding_lays_molecules_along_its_axes_and_turning_undoes_it(tmp_path):
    chains = ["C" * count + end for count in range(4, 9) for end in ("F", "Cl", "Br", "O", "S")]
    spread = {}
    for orientation in ("generator", "random"):
        path = build(tmp_path / orientation, chains, orientation=orientation)
        spread[orientation] = Store(path).provenance["statistics"]["orientation_of_longest_axis"]
    assert max(spread["generator"]) > 0.9
    np.testing.assert_allclose(spread["random"], 1 / 3, atol=0.12)


# The store


def test_store_fields_and_manifest(store):
    assert store.fields == FIELDS
    store.verify()
    made = store.provenance
    assert set(made["versions"]) == {"rdkit", "numpy"}
    assert "not GEOM" in made["source"]
    assert made["recipe"]["seed"] == 5
    rows = made["molecules"]
    assert [row["cluster"] for row in rows] == list(range(len(MADE)))
    assert [row["conformers"] for row in rows] == np.bincount(store.scalar("cluster")).tolist()
    for example in store:
        row = rows[int(example["cluster"])]
        numbers = [atom.GetAtomicNum() for atom in molecule_of(row["smiles"]).GetAtoms()]
        assert example["atomic_numbers"].tolist() == numbers
        assert example["smiles"] == row["smiles"]
        assert row["atoms"] == len(numbers)
        assert row["heavy_atoms"] == sum(number > 1 for number in numbers)


def test_failures_and_repeated_molecules_are_counted(store):
    assert store.provenance["rejects"] == {
        "SMILES not readable": 1,
        "embedding failed": 1,
        "not neutral and closed-shell": 1,
        "same as another, or its stereoisomer": 1,
    }


def test_statistics_describe_the_store(store):
    statistics = store.provenance["statistics"]
    radius = np.linalg.norm(store.ragged("positions"), axis=1)
    assert statistics["examples"] == len(store)
    assert statistics["molecules"] == len(MADE)
    assert sum(statistics["molecules_by_conformers"].values()) == len(MADE)
    assert statistics["atoms_mean"] == pytest.approx(store.lengths.mean())
    assert statistics["radius_max_angstrom"] == pytest.approx(radius.max(), rel=1e-5)
    assert statistics["elements_atoms"]["H"] == (store.ragged("atomic_numbers") == 1).sum()


def test_molecules_beyond_the_radius_are_left_out(tmp_path, store):
    rows = store.provenance["molecules"]
    limit = sorted(row["radius"] for row in rows)[2] + 1e-4
    near = Store(build(tmp_path / "near", max_radius=limit))
    assert near.provenance["rejects"][f"reaches beyond {limit:g} Å"] >= 2
    assert near.provenance["statistics"]["radius_max_angstrom"] <= limit
    assert [row["smiles"] for row in near.provenance["molecules"]] == [
        row["smiles"] for row in rows if row["radius"] <= limit
    ]
    with pytest.raises(ValueError, match=r"0 of the 7 molecules asked could be made.*widen max_radius"):
        build(tmp_path / "none", max_radius=0.5)


def test_bytes_do_not_depend_on_processes(built, tmp_path):
    again = build(tmp_path / "again", processes=2)
    names = sorted(file.name for file in built.iterdir())
    assert sorted(file.name for file in again.iterdir()) == names
    for name in names:
        assert (again / name).read_bytes() == (built / name).read_bytes(), name


def test_seed_changes_order_and_conformers():
    assert not np.array_equal(*(module._make(FLEXIBLE, recipe(seed=seed)).positions[0] for seed in (0, 1)))


@pytest.mark.parametrize(
    "settings",
    [
        {"conformers": 0},
        {"conformers": 5, "embeddings": 4},
        {"max_radius": 0.0},
        {"orientation": "upright"},
        {"heavy_atoms": (9, 8)},
    ],
)
def test_impossible_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        recipe(**settings)


def test_empty_list(tmp_path):
    with pytest.raises(ValueError, match="0 molecules asked, 0 of 0 molecules of the user's own"):
        build(tmp_path / "s", [])
