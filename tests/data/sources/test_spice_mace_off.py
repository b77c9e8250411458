"""SPICE: exact numbers through the whole chain, the traps of the files, restart, and memory."""

import gzip
import io
import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hostile_tars import FORMATS, hostile_tar
from standins.spice import pool, write_archive, write_xyz_archives, xyz_frames

import equidyn
from equidyn.data import preparation
from equidyn.data.preparation import Portion
from equidyn.data.sources.spice_mace_off import build as module
from equidyn.data.sources.spice_mace_off.build import ARCHIVES, TEST_FILE, TRAIN_FILE, build_store
from equidyn.data.sources.spice_mace_off.card import SpiceMaceOff
from equidyn.data.spice import FIELDS, REFERENCE_EV
from equidyn.data.store import MANIFEST, SPLIT, Store, StoreError
from equidyn.data.subsets import published_split
from equidyn.tasks.force_field.task import ForceField

TESTS = Path(__file__).parents[2]


def build(folder, files, name="store", recipe=None, **options):
    places = {"files": files, "scratch": folder / f"{name}-scratch"}
    path = build_store(folder / name, recipe or SpiceMaceOff(), **places, progress=False, **options)
    assert not (folder / f"{name}-scratch").exists()
    return Store(path)


def archives(folder, train, test=None):
    """Both archives with these texts; the test archive holds one frame of water if nothing is said."""
    texts = {TRAIN_FILE: train, TEST_FILE: water(0) if test is None else test}
    return {
        name: write_archive(folder / name, {"frames.xyz": text if isinstance(text, bytes) else text.encode()})
        for name, text in texts.items()
    }


HEADER = (
    "Properties=species:S:1:pos:R:3:forces:R:3:MACE_forces:R:3 smiles={smiles} total_charge=0 energy={energy} "
    'config_type="DES370K Monomers" MACE_energy=-1.5 pbc="F F F"'
)
ROWS = """\
O        0.00000000       0.00000000       0.00000000       0.50000000      -1.25000000       0.12500000 9 9 9
H        0.75000000       0.00000000      -1.50000000      -0.25000000       2.50000000       0.00000000 9 9 9
H       -1.50000000       0.75000000       0.00000000      -0.25000000      -1.25000000      -0.12500000 9 9 9
"""
SMILES = '"[O:1]([H:2])[H:3]"'


def water(number, header=HEADER, rows=ROWS, smiles=SMILES):
    """A frame of water that is known by its energy."""
    return f"3\n{header.format(energy=-2080.5 - number, smiles=smiles)}\n{rows}"


def waters(*numbers):
    """Energies in a store of the frames of water with these numbers."""
    reference = REFERENCE_EV["O"] + 2 * REFERENCE_EV["H"]
    return pytest.approx([-2080.5 - number - reference for number in numbers], abs=1e-9)


def training(store):
    """Examples from the training archive; the test archive of `archives` adds one."""
    return np.flatnonzero(store.scalar("split") == 0)


def rejects(store, name=TRAIN_FILE):
    return store.provenance["files"][name]["rejects"]


# Numbers


def test_known_numbers_come_through_exactly(tmp_path):
    store = build(tmp_path, archives(tmp_path, water(0)))
    found = store[0]
    # The mean is (-0.25, 0.25, -0.5); all numbers are exact in binary.
    expected = [[0.25, -0.25, 0.5], [1.0, -0.25, -1.0], [-1.25, 0.5, 0.5]]
    assert found["positions"].tolist() == expected
    assert found["forces"].tolist() == [[0.5, -1.25, 0.125], [-0.25, 2.5, 0.0], [-0.25, -1.25, -0.125]]
    assert found["atomic_numbers"].tolist() == [8, 1, 1]
    assert found["energy"] == pytest.approx(-2080.5 + 2043.933693071156 + 2 * 13.571964772646918, abs=1e-9)
    assert store.scalar("split").tolist() == [0, 1]
    assert store.scalar("cluster").tolist() == [0, 0]
    assert store.fields == FIELDS | {"split": SPLIT}


def read_plainly(path):
    """Frames of an archive, line by line: symbols, positions, forces, energy, SMILES, subset."""
    with tarfile.open(fileobj=gzip.open(path)) as archive:
        (member,) = [member for member in archive if member.isfile() and "._" not in member.name]
        lines = iter(archive.extractfile(member).read().decode().splitlines())
    for count in lines:
        header = next(lines)
        rows = [next(lines).split() for _ in range(int(count))]
        smiles = re.search(r' smiles="(\S+)" ', header)
        yield (
            [row[0] for row in rows],
            [[float(number) for number in row[1:4]] for row in rows],
            [[float(number) for number in row[4:7]] for row in rows],
            float(re.search(r" energy=(\S+) ", header)[1]),
            smiles and smiles[1],
            re.search(r' config_type="?(.+?)"? MACE_energy', header)[1],
        )


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Archives of 600 and 200 frames, and a store of them."""
    folder = tmp_path_factory.mktemp("usual")
    files = write_xyz_archives(folder, train=600, test=200, seed=3)
    return files, build(folder, files)


def test_every_number_agrees_with_an_independent_reading(usual):
    files, store = usual
    store.verify()
    number, names, subsets = 0, [], Counter()
    numbers = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F", 15: "P", 16: "S", 17: "Cl", 35: "Br", 53: "I"}
    for split, name in enumerate((TRAIN_FILE, TEST_FILE)):
        for symbols, positions, forces, energy, smiles, subset in read_plainly(files[name]):
            example = store[number]
            assert [numbers[z] for z in example["atomic_numbers"]] == symbols
            centred = np.array(positions) - [math.fsum(axis) / len(symbols) for axis in zip(*positions, strict=True)]
            np.testing.assert_allclose(example["positions"], centred, rtol=1.2e-7, atol=1e-12)
            np.testing.assert_array_equal(example["forces"], np.array(forces, np.float32))
            reference = math.fsum(REFERENCE_EV[symbol] for symbol in symbols)
            assert example["energy"] == pytest.approx(energy - reference, abs=1e-9)
            assert example["split"] == split
            names.append(smiles or tuple(sorted(symbols)))
            subsets[name, subset] += 1
            number += 1
    assert number == len(store) == 800
    first_seen = {name: place for place, name in enumerate(dict.fromkeys(names))}
    assert store.scalar("cluster").tolist() == [first_seen[name] for name in names]
    assert sum(isinstance(name, tuple) for name in names) == 4
    for name in ARCHIVES:
        found = store.provenance["files"][name]["examples_by_subset"]
        assert found == {subset: count for (file, subset), count in subsets.items() if file == name}


def test_the_stand_ins_are_of_realistic_size(usual):
    statistics = usual[1].provenance["statistics"]
    assert statistics["force_rms_ev_per_angstrom"] == pytest.approx(1.0758, rel=0.1)
    assert statistics["atoms_mean"] == pytest.approx(30, abs=3)
    assert list(statistics["elements_atoms"]) == ["H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"]


def test_statistics_are_those_of_the_stored_arrays(usual):
    store = usual[1]
    statistics = store.provenance["statistics"]
    forces = store.ragged("forces").astype(np.float64)
    assert statistics["force_rms_ev_per_angstrom"] == pytest.approx(np.sqrt(np.mean(forces**2)), rel=1e-12)
    assert statistics["force_rms_published_ev_per_angstrom"] == 1.0758
    assert statistics["examples"] == len(store)
    assert statistics["molecules"] == len(np.unique(store.scalar("cluster")))
    assert statistics["atoms_max"] == store.lengths.max()
    assert statistics["atoms_mean"] == pytest.approx(store.lengths.mean())
    _, counts = np.unique(store.ragged("atomic_numbers"), return_counts=True)
    assert list(statistics["elements_atoms"].values()) == counts.tolist()
    assert 0 < statistics["orientation_measured_on"] < 40
    assert sum(statistics["orientation_of_longest_axis"]) == pytest.approx(1)
    assert (store.path / MANIFEST).stat().st_size < 10_000


def test_the_task_takes_the_examples(usual):
    store = usual[1]
    train, validation = published_split(store)
    assert (len(train), len(validation)) == (600, 200)
    task = ForceField.fit(store, train)
    batch = task.batch(train[[5, 3]])
    assert batch.forces.numpy().tolist() == [*store[5]["forces"].tolist(), *store[3]["forces"].tolist()]


def same_bytes(first, second):
    names = sorted(path.name for path in first.path.iterdir())
    assert names == sorted(path.name for path in second.path.iterdir())
    return all((first.path / name).read_bytes() == (second.path / name).read_bytes() for name in names)


def test_the_number_of_processes_does_not_change_a_byte(usual, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 500_000)
    one = build(tmp_path, usual[0], name="one")
    two = build(tmp_path, usual[0], name="two", processes=2)
    assert same_bytes(one, two)


@pytest.mark.parametrize("size", [7_000, 100_000])
def test_where_the_text_is_cut_does_not_matter(usual, tmp_path, monkeypatch, size):
    monkeypatch.setattr(module, "BLOCK_BYTES", size)
    cut = build(tmp_path, usual[0])
    for name, entry in usual[1].manifest["files"].items():
        assert cut.manifest["files"][name] == entry


# Traps of extended XYZ


def test_columns_are_read_from_the_properties(tmp_path):
    header = HEADER.replace(
        "species:S:1:pos:R:3:forces:R:3:MACE_forces:R:3", "MACE_forces:R:3:charge:R:1:forces:R:3:species:S:1:pos:R:3"
    )
    columns = [row.split() for row in ROWS.splitlines()]
    rows = "".join(" ".join([*row[7:], "5", *row[4:7], row[0], *row[1:4]]) + "\n" for row in columns)
    store = build(tmp_path, archives(tmp_path, water(0, header, rows), water(0)))
    for name in ("positions", "forces", "atomic_numbers", "energy"):
        np.testing.assert_array_equal(store[0][name], store[1][name])


def test_renamed_keys_are_accepted_where_the_usual_ones_are_absent(tmp_path):
    renamed = HEADER.replace(":forces", ":REF_forces").replace(" energy", " REF_energy")
    both = HEADER.replace(":MACE_forces", ":REF_forces").replace(" MACE_energy", " REF_energy")
    store = build(tmp_path, archives(tmp_path, water(0, renamed) + water(0, both), water(0)))
    for number in range(2):
        for name in ("positions", "forces", "energy"):
            np.testing.assert_array_equal(store[number][name], store[2][name])


def test_predictions_of_a_model_are_never_taken_for_labels(tmp_path):
    leading = "MACE_energy=-1.5 " + HEADER.replace("MACE_energy=-1.5 ", "")
    without = HEADER.replace(" energy={energy}", "")
    forceless = HEADER.replace(":forces:R:3", ":velocities:R:3")
    text = water(1, leading) + water(2, without) + water(3, forceless) + water(4)
    store = build(tmp_path, archives(tmp_path, text))
    assert store.scalar("energy")[training(store)].tolist() == waters(1, 4)
    assert rejects(store) == {"unreadable": 2}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("config_type=water energy=-1.5", {"config_type": "water", "energy": "-1.5"}),
        ('config_type="DES370K Dimers" energy=-1.5', {"config_type": "DES370K Dimers", "energy": "-1.5"}),
        ('smiles="[C:1]=[O:2] energy=7" energy=-1.5', {"smiles": "[C:1]=[O:2] energy=7", "energy": "-1.5"}),
        ("note='before energy=7 eV' energy=-1.5", {"note": "before energy=7 eV", "energy": "-1.5"}),
        ("energy=-1.5 note='before energy=7 eV'", {"note": "before energy=7 eV", "energy": "-1.5"}),
        ("note={a energy=7} energy=-1.5", {"note": "a energy=7", "energy": "-1.5"}),
        ("note=[a energy=7] energy=-1.5", {"note": "a energy=7", "energy": "-1.5"}),
        ("""note="it's {energy=7" energy=-1.5""", {"note": "it's {energy=7", "energy": "-1.5"}),
        ("""note='a "b" energy=7' energy=-1.5""", {"note": 'a "b" energy=7', "energy": "-1.5"}),
        ("note=it's energy=-1.5", {"note": "its energy=-1.5"}),
        ('a"b c"d=1 energy=-1.5', {"ab cd": "1", "energy": "-1.5"}),
        (r'smiles="F/C=C\F" energy=-1.5', {"smiles": "F/C=CF", "energy": "-1.5"}),
        (r'note="a \" b energy=7" energy=-1.5', {"note": 'a " b energy=7', "energy": "-1.5"}),
        (r"note=a\ energy=7 energy=-1.5", {"note": "a energy=7", "energy": "-1.5"}),
        ("smiles=[C:1]=[O:2] energy=-1.5", {"smiles": "C:1=O:2", "energy": "-1.5"}),
        ("smiles=C=O energy=-1.5", {"smiles": "C=O", "energy": "-1.5"}),
        ("flag energy=-1.5\r", {"flag": "T", "energy": "-1.5"}),
        ("energy = -1.5 config_type= water", {"energy": "-1.5", "config_type": "water"}),
        ("energy=7 energy=-1.5", {"energy": "-1.5"}),
        ("energy={-1.5}", {"energy": "-1.5"}),
        ('smiles="" energy=-1.5', {"smiles": "energy=-1.5"}),
        ('energy=-1.5 note="never closed', {"energy": "-1.5", "note": "never closed"}),
        ("energy=-1.5 note=\\", {"energy": "-1.5", "note": ""}),
    ],
)
def test_headers_are_read_as_ase_does(line, expected):
    """The expected values are those of ASE's own function."""
    found = module.read_header(line)
    assert {key: value for key, value in found.items() if key} == expected


def test_a_header_that_ase_cannot_read_is_an_error():
    with pytest.raises(ValueError, match="without a key"):
        module.read_header("=-1.5 energy=-1.5")


ONE_LEVEL = "Properties=species:S:1:pos:R:3:forces:R:3:MACE_forces:R:3 energy={energy}"


@pytest.mark.parametrize(
    "said",
    [
        'Lattice="9 0 0 0 9 0 0 0 9"',
        'Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T"',
        'pbc="F F T"',
        "pbc=T",
        "pbc=[F, T, F]",
        'pbc="0 0 1"',
        'pbc="True True True"',
    ],
)
def test_periodic_frames_are_no_free_molecules(tmp_path, said):
    store = build(tmp_path, archives(tmp_path, water(1) + water(2, f"{said} {ONE_LEVEL}") + water(3)))
    assert rejects(store) == {"periodic": 1}
    assert store.scalar("energy")[training(store)].tolist() == waters(1, 3)


@pytest.mark.parametrize("said", ['Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F"', "pbc=F", 'pbc="0 0 0"', "charge=0", ""])
def test_boxes_without_periods_and_charges_of_zero_do_not_matter(tmp_path, said):
    store = build(tmp_path, archives(tmp_path, water(1, f"{said} {ONE_LEVEL}")))
    assert store.scalar("energy")[training(store)].tolist() == waters(1)


@pytest.mark.parametrize("said", ["charge=1", "charge=-1.0", "total_charge=+1", "Charge=2", "net_charge=1"])
def test_charged_frames_are_no_neutral_molecules(tmp_path, said):
    store = build(tmp_path, archives(tmp_path, water(1) + water(2, f"{said} {ONE_LEVEL}")))
    assert rejects(store) == {"charged": 1}


@pytest.mark.parametrize("said", ["charge=unknown", "charge='0 0'", "pbc=maybe", "Lattice='9 0 0' pbc=F", "virial=1"])
def test_boxes_and_charges_that_cannot_be_read_are_unreadable(tmp_path, said):
    store = build(tmp_path, archives(tmp_path, water(1) + water(2, f"{ONE_LEVEL} {said}")))
    assert rejects(store) == {"unreadable": 1}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Properties=species:S:1:pos:R:3:REF_forces:R:3:forces:R:3 energy=-1 REF_energy={energy}", -1),
        ("Properties=species:S:1:pos:R:3:REF_forces:R:3:other:R:3 energy=-1 REF_energy={energy}", -2082.5),
        ("Properties=species:S:1:pos:R:3:forces:R:3:other:R:3 energy={energy} REF_energy=-1", -2082.5),
        ("Properties=species:S:1:pos:R:3:REF_forces:R:3:other:R:3 energy={energy}", None),
        ("Properties=species:S:1:pos:R:3:forces:R:3:other:R:3 REF_energy={energy}", None),
    ],
)
def test_energies_and_forces_are_of_one_level_of_theory(tmp_path, header, expected):
    store = build(tmp_path, archives(tmp_path, water(1) + water(2, header)))
    found = store.scalar("energy")[training(store)].tolist()
    if expected is None:
        assert rejects(store) == {"energy and forces of different levels of theory": 1}
        assert found == waters(1)
    else:
        assert found == waters(1, -2080.5 - expected)
        first = ROWS.split()[7:10] if expected == -1 else ROWS.split()[4:7]
        assert store[1]["forces"][0].tolist() == [float(number) for number in first]


def test_frames_beyond_the_limits_are_left_out_where_there_are_any(tmp_path):
    strong = water(2, rows=ROWS.replace(" 2.50000000", "99.50000000").replace("-1.25000000 ", "-98.2500000 ", 1))
    files = archives(tmp_path, water(1) + strong + water(3))
    whole, limited = build(tmp_path, files, "whole"), build(tmp_path, files, "limited", SpiceMaceOff(max_force=50))
    assert rejects(whole) == {}
    assert whole.provenance["limits"] == {"max_force": None, "max_net_force": None}
    assert rejects(limited) == {"force above limit": 1}
    assert limited.provenance["limits"] == {"max_force": 50, "max_net_force": None}
    assert limited.scalar("energy")[training(limited)].tolist() == waters(1, 3)


def test_symbols_in_capitals_or_small_letters_are_elements(tmp_path):
    store = build(tmp_path, archives(tmp_path, water(1, rows=ROWS.replace("O ", "o ").replace("H ", "h "))))
    assert store[0]["atomic_numbers"].tolist() == [8, 1, 1]


def test_subsets_are_counted_quoted_or_bare(tmp_path):
    bare = HEADER.replace('"DES370K Monomers"', "water")
    store = build(tmp_path, archives(tmp_path, water(0) + water(1, bare) + water(2)))
    assert store.provenance["files"][TRAIN_FILE]["examples_by_subset"] == {"DES370K Monomers": 2, "water": 1}


@pytest.mark.parametrize("absent", ["", '""', "None", "nan"])
def test_frames_without_smiles_are_grouped_by_composition(tmp_path, absent):
    header = HEADER if absent else HEADER.replace(" smiles={smiles}", "")
    hydrogen = "H 0 0 0 0 0 0 0 0 0\nH 0 0 0.75 0 0 0 0 0 0\n"
    two = f"2\n{header.format(energy=-30, smiles=absent)}\n{hydrogen}"
    text = water(0) + water(1, header, smiles=absent) + two + water(2)
    test = water(3, header, ROWS.splitlines()[2] + "\n" + "".join(ROWS.splitlines(keepends=True)[:2]), absent)
    store = build(tmp_path, archives(tmp_path, text, test))
    assert store.scalar("cluster").tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: text + "\n  \n",
        lambda text: text.replace(" 9 9 9\n", " 9\t9 9  \n"),
    ],
)
def test_line_ends_and_spaces_do_not_matter(tmp_path, change):
    store = build(tmp_path, archives(tmp_path, change(water(0) + water(1))))
    assert store.scalar("energy").tolist() == waters(0, 1, 0)
    np.testing.assert_array_equal(store[0]["forces"], store[2]["forces"])


def test_only_visible_files_of_an_archive_are_read(tmp_path):
    files = archives(tmp_path, water(0))
    members = {f"data/{name}": b"\x00\x05 no frames" for name in ("._frames.xyz", ".DS_Store")}
    members |= {"data/a.xyz": water(1).encode(), "b.xyz": water(2).encode()}
    write_archive(files[TRAIN_FILE], members)
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as archive:
        archive.add(TESTS / "data", "folder", recursive=False)
        link = tarfile.TarInfo("link.xyz")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        with tarfile.open(files[TRAIN_FILE]) as other:
            for member in other:
                archive.addfile(member, other.extractfile(member))
    store = build(tmp_path, files | {TRAIN_FILE: tmp_path / "more.tar.gz"})
    assert store.scalar("energy").tolist() == waters(1, 2, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": ROWS.replace("O ", "Na", 1)}, "element without reference energy"),
        ({"rows": ROWS.replace("0.75000000", "nan")}, "not finite"),
        ({"rows": ROWS.replace("2.50000000", "-inf")}, "not finite"),
        ({"rows": ROWS.replace("2.50000000", "1e39")}, "not finite"),
        ({"header": HEADER.replace("{energy}", "nan")}, "not finite"),
        ({"header": HEADER.replace("total_charge=0", "total_charge=-1")}, "charged"),
        ({"header": HEADER.replace("{energy}", "-20,5")}, "unreadable"),
        ({"header": HEADER.replace("Properties", "properties")}, "unreadable"),
        ({"header": HEADER.replace(":pos:R:3", ":pos:R")}, "unreadable"),
        ({"header": HEADER.replace(":pos:R:3", ":pos:R:2:charge:R:1")}, "unreadable"),
        ({"header": HEADER.replace("pos", "places")}, "unreadable"),
        ({"header": ""}, "unreadable"),
        ({"rows": ROWS.replace("0.75000000", "0.7500000O")}, "unreadable"),
        ({"rows": ROWS.replace(" 9 9 9\n", " 9 9\n", 1)}, "unreadable"),
        ({"rows": ROWS.replace(" 9 9 9\n", " 9 9\n", 1).replace(" 9 9 9\n", " 9 9 9 9\n", 1)}, "unreadable"),
        ({"rows": ROWS.replace("0.75000000", "")}, "unreadable"),
    ],
)
def test_what_cannot_be_an_example_is_counted_and_its_neighbours_stay(tmp_path, change, reason):
    store = build(tmp_path, archives(tmp_path, water(1) + water(2, **change) + water(3)))
    assert rejects(store) == {reason: 1}
    assert store.scalar("energy")[training(store)].tolist() == waters(1, 3)
    assert store.provenance["files"][TRAIN_FILE]["frames"] == 3


def test_single_atoms_are_left_out(tmp_path):
    single = f"1\n{HEADER.format(energy=-13, smiles=SMILES)}\n{ROWS.splitlines()[1]}\n"
    store = build(tmp_path, archives(tmp_path, single + water(1)))
    assert rejects(store) == {"single atom": 1}
    assert store.scalar("energy")[training(store)].tolist() == waters(1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (water(2).replace("3\n", "4\n", 1), r"'Properties=.* where frame 3 \(from 0\) should begin"),
        (water(2).replace("3\n", "2\n", 1), r"'H .* where frame 3 \(from 0\) should begin"),
        (water(2).replace("3\n", "three\n", 1), r"b'three\\n' where frame 2 \(from 0\) should begin"),
        (water(2).replace("3\n", "0\n", 1), r"b'0\\n' where frame 2 \(from 0\)"),
        (water(2).replace("3\n", "300000\n", 1), r"b'300000\\n' where frame 2 \(from 0\)"),
        (water(2).replace("3\n", "\n3\n", 1), r"b'\\n' where frame 2 \(from 0\)"),
        ("<html>502 Bad gateway</html>\n", r"b'<html>.* where frame 2 \(from 0\)"),
        (water(2).replace("3\n", "30\n", 1), r"the end of the file within frame 2"),
    ],
)
def test_where_the_ends_of_frames_are_lost_the_frame_is_named(tmp_path, bad, message):
    files = archives(tmp_path, water(0) + water(1) + bad + water(3) + water(4))
    with pytest.raises(StoreError, match=message) as error:
        build(tmp_path, files)
    assert f"{files[TRAIN_FILE]}, frames.xyz" in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == set(ARCHIVES)


def test_frames_are_numbered_through_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 1_000)
    files = archives(tmp_path, "".join(map(water, range(20))) + "none\n")
    with pytest.raises(StoreError, match=r"'none\\n' where frame 20 \(from 0\)"):
        build(tmp_path, files)


# Whole and damaged archives


def test_missing_and_unknown_files(tmp_path):
    files = archives(tmp_path, water(0))
    with pytest.raises(ValueError, match=r"files: found \['train_large.*expected \['test_large"):
        build(tmp_path, {TRAIN_FILE: files[TRAIN_FILE]})
    files[TEST_FILE].unlink()
    with pytest.raises(StoreError, match=r"test_large_neut_all\.tar\.gz: found no such file"):
        build(tmp_path, files)


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("/outside.xyz", tarfile.REGTYPE, ""),
        ("../outside.xyz", tarfile.REGTYPE, ""),
        ("link.xyz", tarfile.SYMTYPE, "/etc/passwd"),
        ("link.xyz", tarfile.LNKTYPE, "/etc/passwd"),
        ("link.xyz", tarfile.LNKTYPE, "frames.xyz"),
        ("device.xyz", tarfile.CHRTYPE, ""),
        ("pipe.xyz", tarfile.FIFOTYPE, ""),
    ],
)
def test_hostile_members_of_archives_write_nothing_and_are_not_followed(tmp_path, name, kind, target):
    files = archives(tmp_path, water(0))
    with tarfile.open(files[TRAIN_FILE], "w:gz") as archive:
        for number, member in enumerate((tarfile.TarInfo(name), tarfile.TarInfo("frames.xyz"))):
            content = water(number).encode()
            member.type, member.linkname = (kind, target) if number == 0 else (tarfile.REGTYPE, "")
            member.size = len(content) if member.type == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content))
    store = build(tmp_path, files)
    expected = (0, 1) if kind == tarfile.REGTYPE else (1,)
    assert store.scalar("energy")[training(store)].tolist() == waters(*expected)
    assert {path.name for path in tmp_path.iterdir()} == {*ARCHIVES, "store"}
    assert not Path("/outside.xyz").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_headers_that_ask_for_memory_are_refused(tmp_path, kind):
    files = archives(tmp_path, water(0))
    hostile_tar(files[TRAIN_FILE], kind, water(0).encode())
    with pytest.raises(StoreError, match=r"train_large\S+: found an archive .* \((a header of|.*a sparse file)"):
        build(tmp_path, files)
    assert {path.name for path in tmp_path.iterdir()} == set(ARCHIVES)


def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "LEAST_LIMIT", 1 << 20)
    files = archives(tmp_path, water(0) * 20_000)
    assert files[TRAIN_FILE].stat().st_size < 80_000
    with pytest.raises(StoreError, match=r"train_large\S+: found a packed file that unpacks to more than [\d,]+ bytes"):
        build(tmp_path, files)
    assert {path.name for path in tmp_path.iterdir()} == set(ARCHIVES)


def test_a_frame_without_an_end_does_not_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_FRAME", 100_000)
    monkeypatch.setattr(module, "BLOCK_BYTES", 10_000)
    files = archives(tmp_path, water(0) + "3\n" + 10_000_000 * "x")
    with pytest.raises(StoreError, match=r"no end of frame 1 \(from 0\) in 1\d\d,\d\d\d bytes"):
        build(tmp_path, files)


def half(content):
    return content[: len(content) // 2]


def flip(content):
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def unpacked_tail_lost(content):
    """The tar cut short, but packed again as a whole."""
    return gzip.compress(half(gzip.decompress(content)), mtime=0)


def wrong_checksum(content):
    return content[:-8] + bytes(4) + content[-4:]


@pytest.mark.parametrize(
    ("damage", "processes"),
    [
        (half, 1),
        (half, 2),
        (lambda content: content[:-1], 1),
        (flip, 1),
        (unpacked_tail_lost, 1),
        (wrong_checksum, 1),
        (lambda content: b"", 1),
        (lambda content: b"<html>502 Bad gateway</html>", 1),
        (lambda content: gzip.compress(b"no tar" * 1000), 1),
    ],
)
def test_a_damaged_archive_is_a_clear_error_and_leaves_nothing(tmp_path, monkeypatch, damage, processes):
    monkeypatch.setattr(module, "BLOCK_BYTES", 20_000)
    rng = np.random.default_rng(0)
    files = archives(tmp_path, "".join(xyz_frames(pool(3), 30, rng)))
    path = files[TRAIN_FILE]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=r"train_large_neut_no_bad_clean\.tar\.gz.*download it again"):
        build(tmp_path, files, processes=processes)
    assert {path.name for path in tmp_path.iterdir()} == set(ARCHIVES)


def test_an_archive_without_frames_is_refused(tmp_path):
    files = archives(tmp_path, water(0))
    write_archive(files[TRAIN_FILE], {"._a.xyz": b"", "a.xyz": b"\n"})
    with pytest.raises(StoreError, match="found no frame"):
        build(tmp_path, files)


def test_a_source_without_any_example_is_refused(tmp_path):
    charged = water(0, HEADER.replace("total_charge=0", "total_charge=1"))
    with pytest.raises(ValueError, match=r"no geometry is left.*'charged': 1"):
        build(tmp_path, archives(tmp_path, charged, charged))


def test_the_manifest_says_where_the_data_are_from(tmp_path):
    files = archives(tmp_path, water(0))
    receipt = {"sha256": "as received", "bytes": files[TRAIN_FILE].stat().st_size}
    files[TRAIN_FILE].with_name(f"{TRAIN_FILE}.json").write_text(json.dumps(receipt))
    provenance = build(tmp_path, files).provenance
    assert provenance["files"][TRAIN_FILE]["sha256"] == "as received"
    assert re.fullmatch("[0-9a-f]{64}", provenance["files"][TEST_FILE]["sha256"])
    assert provenance["reference_energies_ev"] == REFERENCE_EV
    assert provenance["level_of_theory"].startswith("ωB97M-D3(BJ)/def2-TZVPPD")
    assert provenance["versions"] == {"numpy": np.__version__}


def test_another_number_of_frames_than_published_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(ARCHIVES, TEST_FILE, module.Archive(split=1, frames=1))
    with caplog.at_level(logging.WARNING):
        store = build(tmp_path, archives(tmp_path, water(0) + water(1)))
    expected = f"{TRAIN_FILE}: found 2 frames, 951,005 were published"
    assert store.provenance["warnings"] == caplog.messages == [expected]


# Restart and memory


def run(folder, text, *arguments):
    """Start a Python program in a process group of its own."""
    script = folder / "script.py"
    script.write_text(text)
    path = os.pathsep.join([str(Path(equidyn.__file__).parents[1]), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


SLOW = """
import sys, time
from pathlib import Path
from equidyn.data.sources.spice_mace_off import build as module
from equidyn.data.sources.spice_mace_off.card import SpiceMaceOff

made = module.portion_of_xyz

def slowly(block, limits):
    time.sleep(0.1)
    return made(block, limits)

module.portion_of_xyz, module.BLOCK_BYTES = slowly, 200_000
archives, folder = map(Path, sys.argv[1:])
files = {name: archives / name for name in module.ARCHIVES}
module.build_store(folder / "store", SpiceMaceOff(), files=files, scratch=folder / "scratch", progress=False)
"""


def test_a_killed_preparation_goes_on_where_it_was(usual, tmp_path, monkeypatch):
    files, scratch = usual[0], tmp_path / "scratch"
    program = run(tmp_path, SLOW, files[TRAIN_FILE].parent, tmp_path)
    while len(list(scratch.glob("0/[0-9]*.npz"))) < 4:
        assert program.poll() is None
        time.sleep(0.02)
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    assert not (tmp_path / "store").exists()
    kept = sorted(scratch.glob("0/[0-9]*.npz"))
    before = [path.stat().st_mtime_ns for path in kept]

    monkeypatch.setattr(module, "BLOCK_BYTES", 200_000)
    whole = build(tmp_path, files, name="whole")
    blocks = [sum(1 for _ in module.xyz_blocks(path)) for path in files.values()]
    made, made_from, load = module.portion_of_xyz, [], Portion.load

    def counted(block, limits):
        made_from.append(block.first)
        return made(block, limits)

    def loaded(path):
        if path in kept:
            assert path.stat().st_mtime_ns == before[kept.index(path)]
        return load(path)

    monkeypatch.setattr(module, "portion_of_xyz", counted)
    monkeypatch.setattr(Portion, "load", loaded)
    build_store(tmp_path / "store", SpiceMaceOff(), files=files, scratch=scratch, progress=False)
    assert len(made_from) == sum(blocks) - len(kept)
    assert 0 not in made_from[: blocks[0] - len(kept)]
    assert same_bytes(whole, Store(tmp_path / "store"))
    assert not scratch.exists()


MEASURED = """
import multiprocessing, re, sys, threading, time
from pathlib import Path
from equidyn.data.sources.spice_mace_off import build as module
from equidyn.data.sources.spice_mace_off.card import SpiceMaceOff

def peak(process):
    status = Path(f"/proc/{process}/status")
    return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])

def watch(peaks):
    while True:
        for worker in multiprocessing.active_children():
            try:
                peaks[worker.pid] = peak(worker.pid)
            except (OSError, TypeError):  # it has ended
                pass
        time.sleep(0.05)

module.BLOCK_BYTES = 1 << 19  # a varying number of blocks waits, which must be little beside the program itself
if __name__ == "__main__":
    peaks, folder = {}, Path(sys.argv[1])
    threading.Thread(target=watch, args=[peaks], daemon=True).start()
    files = {name: folder / name for name in module.ARCHIVES}
    places = {"files": files, "scratch": folder / "scratch"}
    module.build_store(folder / "store", SpiceMaceOff(), **places, processes=2, progress=False)
    print(peak("self"), max(peaks.values()))
"""
"""Prints the peak memory in kB of a preparation and of the largest of its worker processes."""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_source(tmp_path):
    peaks = []
    for frames in (20_000, 200_000):
        folder = tmp_path / str(frames)
        write_xyz_archives(folder, train=frames, test=200, distinct=10_000, heavy=(3, 5))
        program = run(tmp_path, MEASURED, folder)
        output, _ = program.communicate()
        assert program.returncode == 0
        peaks.append([int(number) for number in output.split()])
        assert len(Store(folder / "store")) == frames + 200
    (parent, worker), (later_parent, later_worker) = peaks
    # Sizes, radii and forces of 180,000 more geometries are kept, some 30 bytes each, and once more when joined.
    assert later_parent < parent + 20_000, f"kB of this and of the largest worker process: {peaks}"
    assert later_worker < 1.15 * worker, f"kB of this and of the largest worker process: {peaks}"
    assert max(peaks[1]) < 300_000
