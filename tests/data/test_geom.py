"""GEOM-drugs by its two routes: the same conformers, exactly; traps of each source; preparation that goes on."""

import json
import logging
import pickle
import struct
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rdkit")

import torch
from rdkit import Chem
from standins import geom

from equidyn.data import geom as module
from equidyn.data import preparation
from equidyn.data.geom import FIELDS, SPLITS
from equidyn.data.geometries import CHANNELS
from equidyn.data.pickles import ConfinementError, CrashError, run_confined
from equidyn.data.preparation import Portion
from equidyn.data.sources.geom_arrays import build as arrays
from equidyn.data.sources.geom_arrays.card import GeomArrays
from equidyn.data.sources.geom_dataverse import build as dataverse
from equidyn.data.sources.geom_dataverse.build import midi_splits, unpickle_members
from equidyn.data.sources.geom_dataverse.card import GeomDataverse
from equidyn.data.store import Store, StoreError
from equidyn.tasks.voxel_denoising.task import VoxelDenoising

ROUTES = {
    "arrays": (geom.write_arrays, GeomArrays),
    "dataverse": (geom.write_dataverse, GeomDataverse),
}
DROPPED = "other elements than H, C, N, O, F, S, Cl, Br"
SILICA = 2  # of the stand-in's molecules


@pytest.fixture(scope="module", autouse=True)
def confined():
    """Skips where the system refuses namespaces to users."""
    try:
        run_confined(dict, memory_gb=4)
    except ConfinementError as error:
        pytest.skip(str(error))


def written(write, folder, **settings):
    """Files of a stand-in, as a download leaves them."""
    files = write(folder, **settings)
    for path in files.values():
        geom.write_receipt(path)
    return files


def built(recipe, folder, files, conformers=5, **options):
    build = {GeomArrays: arrays, GeomDataverse: dataverse}[recipe].build_store
    places = {"files": files, "scratch": folder / "scratch"}
    return Store(build(folder / "store", recipe(conformers=conformers), **places, progress=False, **options))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    return {name: written(write, folder) for name, (write, _) in ROUTES.items()}


@pytest.fixture(scope="module")
def stores(tmp_path_factory, sources):
    return {name: built(recipe, tmp_path_factory.mktemp(name), sources[name]) for name, (_, recipe) in ROUTES.items()}


@pytest.fixture(params=ROUTES)
def route(request):
    return request.param


@pytest.fixture
def store(stores, route):
    return stores[route]


@pytest.fixture
def few(tmp_path):
    """The archive of arrays of twelve molecules, as a function of the members that are changed in it, or left out."""

    def change(changes):
        path = geom.write_arrays(tmp_path / "mirror", geom.molecules()[:12])["geom_drugs_processed.zip"]
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
        geom.write_zip(path, {name: content for name, content in (contents | changes).items() if content is not None})
        return {path.name: path}

    return change


def arrays_of_split(split, count=12):
    made = geom.molecules()[:count]
    return geom.arrays_of([one for one, of in zip(made, geom.split_of(count), strict=True) if of == split])


def by_molecule(store):
    """(split, positions of each conformer, atomic numbers) by molecule, in the order of the store."""
    cluster = store.scalar("cluster")
    for number in range(cluster.max() + 1):
        examples = [store[index] for index in np.flatnonzero(cluster == number)]
        assert len({int(example["split"]) for example in examples}) == 1
        yield (
            int(examples[0]["split"]),
            [example["positions"] for example in examples],
            [example["atomic_numbers"] for example in examples],
            examples[0]["smiles"],
        )


def without_silicon():
    """Number, split and molecule of what can be kept, in the order of the summary."""
    labels = {"train": 0, "val": 1, "test": 2}
    made = geom.molecules()
    return [
        (labels[split], one)
        for one, split in zip(made, geom.split_of(len(made)), strict=True)
        if "Si" not in one.smiles
    ]


# What all routes give


def test_positions_and_elements_are_those_of_the_source(store, route):
    expected = without_silicon()
    if route != "dataverse":
        expected.sort(key=lambda pair: pair[0])  # split by split
    found = list(by_molecule(store))
    assert len(found) == len(expected)
    for (split, positions, numbers, _), (label, one) in zip(found, expected, strict=True):
        assert split == label
        assert len(positions) == 5
        for place, mol in enumerate(one.conformers[:5]):
            coordinates = mol.GetConformer().GetPositions()
            np.testing.assert_array_equal(positions[place], (coordinates - coordinates.mean(0)).astype(np.float32))
            np.testing.assert_array_equal(numbers[place], [atom.GetAtomicNum() for atom in mol.GetAtoms()])


def test_smiles_are_of_the_molecules(store):
    for (_, _, numbers, smiles), (_, one) in zip(
        sorted(by_molecule(store), key=lambda molecule: molecule[0]),
        sorted(without_silicon(), key=lambda pair: pair[0]),
        strict=True,
    ):
        assert Chem.CanonSmiles(smiles) == Chem.CanonSmiles(one.smiles)
        assert Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms() == len(numbers[0])


def test_routes_agree_on_the_same_molecules(stores):
    raw = {Chem.CanonSmiles(smiles): rest for *rest, smiles in by_molecule(stores["dataverse"])}
    for split, positions, numbers, smiles in by_molecule(stores["arrays"]):
        other_split, other_positions, other_numbers = raw.pop(Chem.CanonSmiles(smiles))
        assert split == other_split
        np.testing.assert_array_equal(positions, other_positions)
        np.testing.assert_array_equal(numbers, other_numbers)
    assert not raw


def test_examples_are_centred(store):
    for example in store:
        np.testing.assert_allclose(example["positions"].mean(axis=0, dtype=np.float64), 0, atol=1e-6)


def test_fields_and_manifest(store, route, sources):
    assert store.fields == FIELDS
    store.verify()
    made = store.provenance
    molecules = len(geom.molecules()) - SILICA
    assert made["statistics"]["molecules"] == molecules
    assert made["statistics"]["examples"] == len(store) == 5 * molecules
    assert made["statistics"]["molecules_by_conformers"] == {"5": molecules}
    assert made["rejects"][DROPPED] == SILICA
    assert {entry["name"] for entry in made["files"]} == set(sources[route])
    for entry in made["files"]:
        receipt = sources[route][entry["name"]].with_name(f"{entry['name']}.json")
        assert entry["sha256"] == json.loads(receipt.read_text())["sha256"]
    assert set(made["versions"]) == {"rdkit", "numpy"}
    assert made["expected"]["training"]["examples"] == 1_100_000


def test_counts_by_split_are_those_of_the_store(store):
    split, cluster = store.scalar("split"), store.scalar("cluster")
    for number, name in enumerate(SPLITS):
        counts = store.provenance["statistics"]["splits"][name]
        assert counts["examples"] == (split == number).sum() > 0
        assert counts["molecules"] == len(np.unique(cluster[split == number]))


def test_molecules_beyond_the_box_are_kept_and_counted(store):
    farthest = [np.abs(example["positions"]).max() for example in store]
    radii = [np.linalg.norm(example["positions"], axis=1).max() for example in store]
    beyond = store.provenance["statistics"]["examples_beyond_box"]
    assert beyond["along_an_axis"] == sum(value > 8 for value in farthest) > 0
    assert beyond["by_radius"] == sum(value > 8 for value in radii)
    assert store.provenance["statistics"]["radius_max_angstrom"] == pytest.approx(max(radii), rel=1e-6)


def test_the_box_has_two_faces_along_each_axis_and_corners():
    gathered = module.Molecules()
    for positions in ([[-9, 0, 0], [4.5, 0, 0], [4.5, 0, 0]], [[0, 6, 6], [0, -6, -6]], [[0, 0, 7], [0, 0, -7]]):
        gathered.add([module.Conformer("C", np.full(len(positions), 6), np.array(positions))], 0)
    summary = module._Summary(0)
    summary.add(gathered.portion())
    beyond = summary.statistics()["examples_beyond_box"]
    assert (beyond["along_an_axis"], beyond["by_radius"]) == (1, 2)


def test_voxel_task_takes_the_store(store):
    task = VoxelDenoising.fit(store, np.arange(len(store)), side=16, spacing=0.5)
    task.check(torch.nn.Identity(), np.arange(len(store)))
    assert set(np.unique(store.ragged("atomic_numbers"))) == set(CHANNELS)


def test_nothing_unfinished_is_left(stores):
    for store in stores.values():
        assert [path.name for path in store.path.parent.iterdir()] == ["store"]


def test_fewer_conformers_are_the_lowest_of_more(route, sources, stores, tmp_path):
    store = built(ROUTES[route][1], tmp_path, sources[route], conformers=2)
    assert len(store) == 2 * (len(geom.molecules()) - SILICA)
    for fewer, more in zip(by_molecule(store), by_molecule(stores[route]), strict=True):
        np.testing.assert_array_equal(fewer[1], more[1][:2])


def test_bytes_depend_neither_on_processes_nor_on_a_restart(route, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "PORTION", 8)
    monkeypatch.setattr(dataverse, "PORTION", 8)
    _, recipe = ROUTES[route]
    whole = built(recipe, tmp_path / "whole", sources[route])

    seen = []

    def fail(self, portion, add=module._Summary.add):
        seen.append(len(portion))
        if len(seen) == 3:
            raise RuntimeError("interrupted")
        add(self, portion)

    with monkeypatch.context() as context:
        context.setattr(module._Summary, "add", fail)
        with pytest.raises(RuntimeError, match="interrupted"):
            built(recipe, tmp_path / "again", sources[route], processes=2)
    assert not (tmp_path / "again" / "store").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "again" / "scratch").rglob("*.npz")}
    assert len(kept) >= 2

    def check(self, portion, add=module._Summary.add):
        for path, time in kept.items():
            assert path.stat().st_mtime_ns == time, "made again"
        add(self, portion)

    monkeypatch.setattr(module._Summary, "add", check)
    again = built(recipe, tmp_path / "again", sources[route], processes=2)
    for path in whole.path.iterdir():
        assert (again.path / path.name).read_bytes() == path.read_bytes(), path.name


def test_impossible_settings(route, sources, tmp_path):
    _, recipe = ROUTES[route]
    with pytest.raises(ValueError, match=r"conformers\n.*greater than or equal to 1"):
        built(recipe, tmp_path, sources[route], conformers=0)
    with pytest.raises(ValueError, match=r"files: found \[\], expected \w+"):
        built(recipe, tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_a_store_that_exists_is_not_replaced_unasked(route, sources, tmp_path):
    (tmp_path / "store").mkdir()
    with pytest.raises(FileExistsError, match="overwrite"):
        built(ROUTES[route][1], tmp_path, sources[route])
    assert len(built(ROUTES[route][1], tmp_path, sources[route], overwrite=True)) > 0


def test_sources_of_dropped_molecules_only(route, tmp_path):
    silicon = [geom.molecule(geom.SILICON, 1)] * 10
    files = written(ROUTES[route][0], tmp_path / "mirror", made=silicon)
    with pytest.raises(ValueError, match=r"no molecule is left.*other elements than .*: (10|1)\b"):
        built(ROUTES[route][1], tmp_path, files)
    assert not (tmp_path / "store").exists()


# Which file it is


def test_pickles_need_a_checksum_and_are_compared_with_it(tmp_path, monkeypatch):
    build = partial(built, GeomDataverse)
    files = geom.write_dataverse(tmp_path / "mirror", geom.molecules()[:10])
    monkeypatch.setattr(dataverse, "run_confined", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(StoreError, match=r"no SHA-256 is known, as there is no receipt \S+\.json"):
        build(tmp_path, files)
    for path in files.values():
        geom.write_receipt(path)
    changed = list(files.values())[-1]
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(StoreError, match=rf"{changed.name}: found SHA-256 \w+; expected \w+, as {changed.name}\.json"):
        build(tmp_path, files)
    changed.unlink()
    with pytest.raises(StoreError, match="no such file"):
        build(tmp_path, files)


# Arrays


def test_the_sixth_conformer_takes_the_place_of_one_that_is_not_there(tmp_path):
    made = [geom.Molecule(one.smiles, one.conformers[:2] + one.conformers[3:]) for one in geom.molecules()[:12]]
    store = built(GeomArrays, tmp_path, geom.write_arrays(tmp_path / "mirror", made, manifest=False))
    lengths = {len(positions) for _, positions, _, _ in by_molecule(store)}
    assert lengths == {5}


def test_molecules_with_few_conformers_have_few(tmp_path):
    made = [geom.Molecule(one.smiles, one.conformers[: 1 + place % 7]) for place, one in enumerate(geom.molecules())]
    store = built(GeomArrays, tmp_path, geom.write_arrays(tmp_path / "mirror", made))
    kept = [min(5, 1 + place % 7) for place, one in enumerate(geom.molecules()) if "Si" not in one.smiles]
    assert sorted(np.bincount(store.scalar("cluster")).tolist()) == sorted(kept)


def test_members_must_have_the_checksums_of_the_manifest(tmp_path):
    files = geom.write_arrays(tmp_path / "mirror", geom.molecules()[:12])
    with zipfile.ZipFile(files["geom_drugs_processed.zip"]) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents["val_n_atoms.npy"] = contents["val_n_atoms.npy"][:-1] + b"\x01"
    geom.write_zip(files["geom_drugs_processed.zip"], contents, manifest=False)  # with the old manifest
    with pytest.raises(StoreError, match=r"val_n_atoms\.npy: found SHA-256 .* as manifest\.json says"):
        built(GeomArrays, tmp_path, files)


def swapped(array):
    return np.concatenate([array[1:], array[:1]])


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("n_atoms", lambda array: array[:-1], "train_offsets.npy: found int64"),
        ("n_atoms", swapped, "train_n_atoms.npy: found other numbers"),
        ("offsets", swapped, "train_offsets.npy: found other numbers"),
        ("offsets", lambda array: array + 1, "train_offsets.npy: found other numbers"),
        ("mol_indices", swapped, "train_mol_indices.npy: found indices that fall"),
        (
            "positions",
            lambda array: array.astype(np.float64),
            r"train_positions.npy: found float64 .* expected float32",
        ),
        ("positions", lambda array: array[:, :2], "train_positions.npy: found float32"),
        ("positions", lambda array: array[:-1], "train_species.npy: found int32"),
        ("species", lambda array: array + 14, "species .* 0 to 15"),
        ("species", lambda array: array - 1, "species -1 to"),
        ("species", lambda array: array[::-1], "found atoms H.*expected H"),
        ("species", lambda array: array.astype(object), "no arrays of plain numbers"),
        ("smiles", lambda texts: texts[:-1], "fewer than"),
        ("smiles", lambda texts: [*texts, "C"], "more than"),
        ("smiles", lambda texts: swapped(texts[::7]).repeat(7).tolist(), "found atoms .*expected"),
    ],
)
def test_arrays_that_do_not_fit(few, tmp_path, part, change, message):
    name, content = geom.member(f"train_{part}", change(arrays_of_split("train")[part]))
    with pytest.raises(StoreError, match=message):
        built(GeomArrays, tmp_path, few({name: content}))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'["C", 5]', "5]"), (b'["C" "C"]', "C"), (b"{}", "in place of the next text"), (b'["C', "in place of")],
)
def test_smiles_that_are_no_list(few, tmp_path, content, message):
    with pytest.raises(StoreError, match=rf"train_smiles\.json: found .*{message}"):
        built(GeomArrays, tmp_path, few({"train_smiles.json": content}))


def test_smiles_that_rdkit_cannot_read_are_left_out_and_counted(few, tmp_path, caplog):
    texts = arrays_of_split("train")["smiles"]
    name, content = geom.member("train_smiles", ["C(C" if text == texts[0] else text for text in texts])
    store = built(GeomArrays, tmp_path, few({name: content}))
    rejects = store.provenance["rejects"]
    assert rejects["RDKit cannot read it"] == 1
    assert store.provenance["statistics"]["molecules"] + sum(rejects.values()) == 12
    assert "left out a molecule whose SMILES 'C(C' RDKit cannot read" in caplog.text


def test_smiles_of_which_rdkit_can_read_hardly_any_are_another_file(few, tmp_path):
    texts = ["C(C"] * len(arrays_of_split("train")["smiles"])
    with pytest.raises(StoreError, match=r"train_species\.npy: found \d+ of \d+ SMILES that RDKit cannot read"):
        built(GeomArrays, tmp_path, few(dict([geom.member("train_smiles", texts)])))


def test_texts_are_read_piece_by_piece(tmp_path, monkeypatch):
    texts = ["C", 'a "quoted" \\ text', "", "é", "[]", ",", "\\", '\\"'] * 3
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(texts))
    for size in (1, 2, 3, 7, 1000):
        monkeypatch.setattr(module, "_BYTES", size)
        with path.open() as stream:
            assert list(arrays._texts(stream)) == texts


def test_missing_members_and_other_files(few, tmp_path):
    with pytest.raises(StoreError, match=r"no archive that can be read.*test_offsets\.npy"):
        built(GeomArrays, tmp_path, few({"test_offsets.npy": None}))
    path = tmp_path / "page.zip"
    path.write_text("<html>503</html>")
    with pytest.raises(StoreError, match="no archive that can be read"):
        built(GeomArrays, tmp_path, {"geom_drugs_processed.zip": path})


def test_the_pickle_among_the_arrays_is_not_unpacked(few, tmp_path, monkeypatch):
    unpacked = []

    def unpack(archive, name, *rest, unpack=arrays._unpack_member):
        unpacked.append(name)
        unpack(archive, name, *rest)

    monkeypatch.setattr(arrays, "_unpack_member", unpack)
    built(GeomArrays, tmp_path, few({f"{split}_atom_type_lookup.npy": b"hostile" for split in geom.SPLITS}))
    assert len(unpacked) == 18
    assert not any("lookup" in name for name in unpacked)


def test_molecules_without_conformers_are_counted():
    gathered = module.Molecules()
    gathered.add([], 0)
    assert gathered.portion().rejects == {"no conformers": 1}


def test_coordinates_that_are_not_finite_are_counted():
    gathered = module.Molecules()
    positions = np.zeros((2, 3))
    gathered.add([module.Conformer("C", np.array([6, 1]), positions)], 0)
    gathered.add([module.Conformer("C", np.array([6, 1]), positions * np.nan)], 0)
    portion = gathered.portion()
    assert len(portion) == 1
    assert portion.rejects == {"coordinates not finite": 1}


# The raw archive


def test_split_is_midi_s():
    labels = [SPLITS[number] for number in midi_splits(20)]
    # RandomState(0).permutation(20) has 0, 1 at places 17, 1 and 2, 3 at places 9, 16.
    assert [place for place, label in enumerate(labels) if label == "test"] == [1, 17]
    assert [place for place, label in enumerate(labels) if label == "validation"] == [9, 16]
    assert labels.count("training") == 16
    counts = np.bincount(midi_splits(304_466)).tolist()
    assert counts == [304_466 - 2 * 30_446, 30_446, 30_446]


def test_members_that_are_not_read_are_counted(stores):
    rejects = stores["dataverse"].provenance["rejects"]
    assert rejects == {"no pickle_path in the summary": 1, "not in the summary": 1, DROPPED: SILICA}


def test_compressed_archive_gives_the_same_store(tmp_path, stores):
    files = written(geom.write_dataverse, tmp_path / "mirror", compressed=True)
    assert next(iter(files.values())).read_bytes()[:2] == b"\x1f\x8b"
    store = built(GeomDataverse, tmp_path, files)
    np.testing.assert_array_equal(store.ragged("positions"), stores["dataverse"].ragged("positions"))
    path = files["rdkit_folder.tar.gz"]
    path.write_bytes(path.read_bytes()[:-2000])
    geom.write_receipt(path)
    with pytest.raises(StoreError, match="gzip that cannot be read"):
        built(GeomDataverse, tmp_path / "cut", files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>" * 200, "a tar archive that cannot be read"),
        (bytes(10240), r"no rdkit_folder/summary_drugs\.json"),
    ],
)
def test_other_files_are_no_archive(tmp_path, content, message):
    path = tmp_path / "rdkit_folder.tar.gz"
    path.write_bytes(content)
    geom.write_receipt(path)
    with pytest.raises(StoreError, match=message):
        built(GeomDataverse, tmp_path, {path.name: path})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "another object"),
        ({"smiles": "CO"}, "another object"),
        ({"conformers": [{"rd_mol": None}]}, "another object.*totalenergy"),
        ({"conformers": [{"rd_mol": None, "totalenergy": 1.0}]}, "a NoneType for CO"),
    ],
)
def test_members_that_hold_something_else(tmp_path, record, message):
    content = pickle.dumps(record, 3)
    path = tmp_path / "some.tar"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=rf"pickle of CO at byte 0: .*{message}"):
        unpickle_members(str(path), [["CO", 0, 0, len(content)]], 5, str(tmp_path / "portion.npz"))
    assert not (tmp_path / "portion.npz").exists()


def test_conformers_without_energy_are_counted(tmp_path):
    path = tmp_path / "some.tar"
    content = pickle.dumps({"conformers": [{"rd_mol": None, "totalenergy": None}]}, 3)
    path.write_bytes(content)
    unpickle_members(str(path), [["CO", 0, 0, len(content)]], 5, str(tmp_path / "portion.npz"))
    assert Portion.load(tmp_path / "portion.npz").rejects == {"conformer without energy": 1}


@pytest.mark.parametrize("route", list(ROUTES), indirect=True)
def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch, route):
    monkeypatch.setattr(preparation, "LEAST_LIMIT", 1 << 10)
    monkeypatch.setattr(preparation, "MOST_EXPANSION", 1)
    write, recipe = ROUTES[route]
    settings = {"compressed": True} if route == "dataverse" else {}
    files = written(partial(write, **settings), tmp_path / "files")
    if route == "arrays":
        with zipfile.ZipFile(files[arrays.ARRAYS]) as plain, zipfile.ZipFile(tmp_path / "packed", "w", 8) as packed:
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
        (tmp_path / "packed").rename(files[arrays.ARRAYS])
        geom.write_receipt(files[arrays.ARRAYS])
    with pytest.raises(StoreError, match=r"found a packed file that unpacks to more than [\d,]+ bytes"):
        built(recipe, tmp_path, files)
    assert not (tmp_path / "store").exists()


class Stated:
    """Pickled as a molecule with this binary."""

    def __init__(self, binary):
        self.binary = binary

    def __reduce__(self):
        return Chem.Mol, (self.binary,)


def damaged(mol, kind):
    """A molecule that RDKit cannot read, or dies of: of another version, or cut short."""
    binary = bytearray(mol.ToBinary())
    if isinstance(kind, int):
        binary[8:12] = struct.pack("<i", kind)  # behind the mark and the tag: the major version
    return Stated(bytes(binary[: len(binary) // 2] if kind == "half" else binary))


@pytest.mark.parametrize("processes", [1, 2])
def test_molecules_that_rdkit_cannot_read_or_dies_of_are_left_out_counted_and_named(tmp_path, caplog, processes):
    made = list(geom.molecules())
    kinds = {0: 10, 1: -1, 6: "half"}  # a crash, an error, an error: in RDKit of 2026
    for number, kind in kinds.items():
        first, *others = made[number].conformers
        made[number] = geom.Molecule(made[number].smiles, (damaged(first, kind), *others))
    (tmp_path / "whole").mkdir()
    whole = built(GeomDataverse, tmp_path / "whole", written(geom.write_dataverse, tmp_path / "all"))
    with caplog.at_level(logging.WARNING):
        files = written(partial(geom.write_dataverse, made=made), tmp_path / "some")
        store = built(GeomDataverse, tmp_path, files, processes=processes)
    lost = [made[number].smiles for number in kinds]
    assert set(whole.text("smiles")) - set(store.text("smiles")) == set(lost)
    rejects = store.provenance["rejects"]
    reasons = ("RDKit cannot read it", "RDKit dies of it")
    assert [rejects[reason] for reason in reasons] == [2, 1]
    assert {name: count for name, count in rejects.items() if name not in reasons} == whole.provenance["rejects"]
    named = [record.message for record in caplog.records if "left out, RDKit" in record.message]
    assert len(named) == 3
    for smiles in lost:
        assert any(f"rdkit_folder.tar.gz, pickle of {smiles} at byte" in message for message in named)


def test_molecules_hardly_any_of_which_can_be_read_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(dataverse, "_MOST_FATAL", 2)
    content = pickle.dumps({"conformers": [{"rd_mol": damaged(Chem.MolFromSmiles("CO"), "half"), "totalenergy": 1.0}]})
    path = tmp_path / "some.tar"
    path.write_bytes(content)
    members = 3 * [["CO", 0, 0, len(content)]]
    with pytest.raises(StoreError, match=r"3 of 3 molecules that RDKit .* cannot read.*install a newer RDKit"):
        unpickle_members(str(path), members, 5, str(tmp_path / "portion.npz"))
    unpickle_members(str(path), members[:2], 5, str(tmp_path / "portion.npz"))
    portion = Portion.load(tmp_path / "portion.npz")
    assert (portion.rejects, len(portion.notes)) == ({"RDKit cannot read it": 2}, 2)


def test_crashes_come_to_an_end(tmp_path, monkeypatch):
    """One for every molecule, as of an RDKit that does not fit the system; and one before the first."""
    monkeypatch.setattr(dataverse, "_MOST_FATAL", 3)
    calls = []

    def crash(function, *, members, fatal, current, **_):
        calls.append(list(fatal))
        if members:
            Path(current).write_text(str(len(fatal)))
        raise CrashError("ended with -11")

    monkeypatch.setattr(dataverse, "run_confined", crash)
    options = {"tar": tmp_path / "some.tar", "work": tmp_path, "conformers": 5, "memory_gb": 4}
    with pytest.raises(CrashError, match="ended with -11") as caught:
        dataverse._portion_of_members(9 * [["CO", 0, 0, 1]], **options)
    assert calls == [[], [0], [0, 1], [0, 1, 2]]
    assert "so it did before of 3 of 9 molecules" in caught.value.__notes__[0]
    with pytest.raises(CrashError):
        dataverse._portion_of_members([], **options)
    assert len(calls) == 5
