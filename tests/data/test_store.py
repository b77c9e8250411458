"""The store: round trips, bounded and atomic writing, and errors that say what to do."""

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from equidyn.data import store as store_module
from equidyn.data.store import MANIFEST, Field, Store, StoreError, StoreWriter, in_blocks

FIELDS = {
    "positions": Field("float32", (3,), "angstrom", "coordinates"),
    "numbers": Field("uint8", (), "", "atomic number"),
    "energy": Field("float64", (), "eV", "energy", ragged=False),
    "cell": Field("int16", (2, 2), "", "a matrix per example", ragged=False),
    "name": Field("str", meaning="a text per example"),
}


def example(length, number=0):
    rng = np.random.default_rng(number)
    return {
        "positions": rng.standard_normal((length, 3)).astype(np.float32),
        "numbers": rng.integers(1, 50, length).astype(np.uint8),
        "energy": float(number),
        "cell": np.full((2, 2), number, np.int16),
        "name": f"Ångström {number}",
    }


def write(path, examples, **provenance):
    with StoreWriter(path, FIELDS) as writer:
        for one in examples:
            writer.append(**one)
        return writer.finish(**provenance)


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small", [example(n, n) for n in (3, 1, 4)], source="test")


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, str):
            assert found[name] == value
        else:
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == np.dtype(FIELDS[name].dtype)


def ragged_examples():
    def of_length(length):
        floats = st.floats(-1e6, 1e6, width=32)
        return st.fixed_dictionaries(
            {
                "positions": hnp.arrays(np.float32, (length, 3), elements=floats),
                "numbers": hnp.arrays(np.uint8, (length,)),
                "energy": st.floats(-1e9, 1e9),
                "cell": hnp.arrays(np.int16, (2, 2)),
                "name": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            }
        )

    return st.lists(st.integers(1, 6).flatmap(of_length), min_size=1, max_size=8)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(ragged_examples())
def test_round_trip(tmp_path_factory, examples):
    path = write(tmp_path_factory.mktemp("round") / "store", examples)
    store = Store(path)
    store.verify()
    assert len(store) == len(examples)
    for found, expected in zip(store, examples, strict=True):
        assert_same(found, expected)
    lengths = [len(one["numbers"]) for one in examples]
    assert store.lengths.tolist() == lengths
    assert store.offsets.tolist() == [0, *np.cumsum(lengths)]
    np.testing.assert_array_equal(store.ragged("positions"), np.concatenate([one["positions"] for one in examples]))
    assert store.scalar("energy").tolist() == [one["energy"] for one in examples]
    assert store.text("name") == [one["name"] for one in examples]


def test_flushing_midway_changes_nothing(tmp_path, monkeypatch):
    examples = [example(1 + n % 5, n) for n in range(50)]
    whole = write(tmp_path / "whole", examples)
    monkeypatch.setattr(store_module, "_BUFFER_BYTES", 64)
    pieces = write(tmp_path / "pieces", examples)
    for file in sorted(whole.iterdir()):
        assert file.read_bytes() == (pieces / file.name).read_bytes(), file.name


def test_files_are_plain_numpy_arrays(small):
    for name in Store(small).manifest["files"]:
        np.load(small / name, allow_pickle=False)


def test_manifest_states_units_counts_and_source(small):
    store = Store(small)
    assert store.manifest["examples"] == 3
    assert store.manifest["ragged_rows"] == 8
    assert store.fields == FIELDS
    assert store.manifest["fields"]["positions"]["unit"] == "angstrom"
    assert store.provenance == {"source": "test"}


def test_the_caller_may_reuse_its_buffer(tmp_path):
    rows = np.zeros((2, 3), np.float32)
    with StoreWriter(tmp_path / "s", {"x": Field("float32", (3,))}) as writer:
        for value in (1, 2):
            rows[:] = value
            writer.append(x=rows)
        writer.finish()
    assert Store(tmp_path / "s").ragged("x")[:, 0].tolist() == [1, 1, 2, 2]


def test_examples_are_copies_and_columns_are_read_only(small):
    store = Store(small)
    store[0]["positions"][:] = 0
    assert store[0]["positions"].any()
    with pytest.raises(ValueError, match="read-only"):
        store.ragged("positions")[:] = 0


def test_indices(small):
    store = Store(small)
    assert_same(store[-1], store[2])
    assert_same(store[np.int64(1)], example(1, 1))
    with pytest.raises(IndexError, match="example 3 of 3"):
        store[3]
    with pytest.raises(TypeError):
        store[0:2]
    with pytest.raises(KeyError, match="no scalar field 'positions'"):
        store.scalar("positions")


def first_energy(store):
    return float(store[1]["energy"])


def test_store_travels_to_other_processes(small):
    store = Store(small)
    assert len(pickle.dumps(store)) < 10_000
    store.ragged("positions")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(first_energy, (store,)) == 1.0


def test_without_ragged_fields(tmp_path):
    with StoreWriter(tmp_path / "s", {"x": Field("bool", ragged=False)}) as writer:
        writer.append(x=True)
        writer.finish()
    store = Store(tmp_path / "s")
    assert store[0]["x"]
    with pytest.raises(KeyError, match="no ragged field"):
        _ = store.offsets


# Many examples at once


def columns(examples):
    """The arguments of `extend` for some examples."""
    values = {name: [one[name] for one in examples] for name in FIELDS}
    joined = {name: np.concatenate(values[name]) for name in ("positions", "numbers")}
    stacked = {"energy": np.array(values["energy"], np.float64), "cell": np.array(values["cell"], np.int16)}
    return {"lengths": np.array([len(one["numbers"]) for one in examples]), "name": values["name"], **joined, **stacked}


def test_many_examples_at_once_are_the_same_as_one_by_one(tmp_path):
    examples = [example(1 + n % 5, n) for n in range(20)]
    single = write(tmp_path / "single", examples)
    with StoreWriter(tmp_path / "mixed", FIELDS) as writer:
        writer.extend(**columns(examples[:7]))
        assert len(writer) == 7
        writer.append(**examples[7])
        writer.extend(**columns(examples[8:9]))
        writer.extend(**columns(examples[9:]))
        writer.finish()
    for file in sorted(single.iterdir()):
        assert file.read_bytes() == (tmp_path / "mixed" / file.name).read_bytes(), file.name


def test_no_examples_at_once_change_nothing(tmp_path):
    empty = {
        "positions": np.zeros((0, 3), np.float32),
        "numbers": np.zeros(0, np.uint8),
        "energy": np.zeros(0),
        "cell": np.zeros((0, 2, 2), np.int16),
        "name": [],
    }
    with StoreWriter(tmp_path / "s", FIELDS) as writer:
        writer.extend(np.zeros(0, np.int64), **empty)
        assert len(writer) == 0
        writer.append(**example(2))
        writer.finish()
    assert len(Store(tmp_path / "s")) == 1


def test_many_examples_without_ragged_fields(tmp_path):
    with StoreWriter(tmp_path / "s", {"x": Field("int8", ragged=False)}) as writer:
        writer.extend(np.ones(3, np.int64), x=np.array([1, 2, 3], np.int8))
        writer.finish()
    assert Store(tmp_path / "s").scalar("x").tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": np.array([2, 4])}, r"examples from 1, field 'positions': found 5 rows, expected 6"),
        ({"lengths": np.array([5, 0])}, "at least 1"),
        ({"lengths": np.array([2.0, 3.0])}, "whole"),
        ({"lengths": np.array([[2, 3]])}, "one-dimensional"),
        ({"lengths": np.array([5])}, r"field 'energy': found 2 rows, expected 1"),
        ({"positions": np.full((5, 3), np.inf, np.float32)}, "15 of 15 values are NaN or infinite"),
        ({"positions": np.zeros((5, 3))}, "found dtype float64, expected float32"),
        ({"positions": np.zeros((5, 2), np.float32)}, r"shape \(5, 2\), expected \('rows', 3\)"),
        ({"energy": np.zeros((2, 1))}, r"field 'energy': found shape \(2, 1\), expected \('rows',\)"),
        ({"energy": 1.0}, r"field 'energy': found shape \(\)"),
        ({"cell": np.zeros((2, 2), np.int16)}, r"field 'cell': found shape \(2, 2\), expected \('rows', 2, 2\)"),
        ({"name": ["one", b"two"]}, "field 'name': found bytes, expected str"),
        ({"name": ["one"]}, r"field 'name': found 1 rows, expected 2"),
        ({"extra": np.zeros(2)}, "found fields"),
    ],
)
def test_bad_examples_at_once_are_refused_together_and_writing_goes_on(tmp_path, change, message):
    with StoreWriter(tmp_path / "s", FIELDS) as writer:
        writer.append(**example(2, 1))
        with pytest.raises(ValueError, match=message):
            writer.extend(**{**columns([example(2, 7), example(3, 8)]), **change})
        writer.extend(**columns([example(3, 3)]))
        writer.finish()
    store = Store(tmp_path / "s")
    store.verify()
    assert store.scalar("energy").tolist() == [1.0, 3.0]
    assert store.lengths.tolist() == [2, 3]
    assert store.text("name") == ["Ångström 1", "Ångström 3"]


# Reading some of many


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """200,000 examples of one to three rows."""
    lengths = np.arange(200_000) % 3 + 1
    rows, fields = int(lengths.sum()), {name: FIELDS[name] for name in ("positions", "energy")}
    positions = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    path = tmp_path_factory.mktemp("large") / "store"
    with StoreWriter(path, fields) as writer:
        writer.extend(lengths, positions=positions, energy=np.arange(len(lengths), dtype=np.float64))
        writer.finish()
    return Store(path)


def test_rows_and_lengths_of_some_examples(large):
    chosen = np.array([199_999, 0, 4, 4])
    assert large.lengths_of(chosen).tolist() == large.lengths[chosen].tolist() == [2, 1, 2, 2]
    expected = [large.offsets[number] + row for number in chosen for row in range(large.lengths[number])]
    assert large.rows(chosen).tolist() == expected
    found = large.ragged("positions")[large.rows(chosen)]
    np.testing.assert_array_equal(found, np.concatenate([large[number]["positions"] for number in chosen]))


def test_reading_some_examples_takes_no_memory_for_the_others(large):
    chosen = np.arange(64) * 3_000

    def read():
        rows = large.rows(chosen)
        large.lengths_of(chosen)
        large.ragged("positions")[rows]
        large.scalar("energy")[chosen]
        for number in chosen:
            large[number]

    read()  # opens the files
    tracemalloc.start()
    try:
        read()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(large) / 4, "bytes; one for every example would be too much"


# Writing what should not be written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.full((2, 3), np.nan, np.float32)}, "6 of 6 values are NaN"),
        ({"energy": float("inf")}, "1 of 1 values are NaN or infinite"),
        ({"positions": np.zeros((2, 3))}, "found dtype float64, expected float32"),
        ({"positions": np.zeros((2, 2), np.float32)}, r"shape \(2, 2\), expected \('rows', 3\)"),
        ({"positions": np.zeros((4, 3), np.float32)}, "differ in length"),
        ({"numbers": np.uint8(3)}, "found shape"),
        ({"positions": np.zeros((0, 3), np.float32)}, "no rows"),
        ({"energy": np.zeros(2)}, r"found shape \(2,\)"),
        ({"name": b"bytes"}, "expected str"),
        ({"extra": 1}, "found fields"),
    ],
)
def test_bad_examples_are_refused_and_writing_goes_on(tmp_path, change, message):
    with StoreWriter(tmp_path / "s", FIELDS) as writer:
        writer.append(**example(2, 1))
        with pytest.raises(ValueError, match=message):
            writer.append(**{**example(2, 2), **change})
        writer.append(**example(2, 3))
        writer.finish()
    store = Store(tmp_path / "s")
    assert store.scalar("energy").tolist() == [1.0, 3.0]
    assert store.text("name") == ["Ångström 1", "Ångström 3"]


def test_numbers_that_do_not_fit(tmp_path):
    with StoreWriter(tmp_path / "s", {"x": Field("uint8", ragged=False)}) as writer:
        with pytest.raises(ValueError, match="300 does not fit into uint8"):
            writer.append(x=300)
        with pytest.raises(ValueError, match=r"float 1\.5"):
            writer.append(x=1.5)
        writer.append(x=255)
        writer.finish()


@pytest.mark.parametrize("name", ["offsets", "name_offsets", "a/b", "manifest.json"])
def test_reserved_names(tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a field"):
        StoreWriter(tmp_path / "s", {name: Field("int8")})
    assert not list(tmp_path.iterdir())


def test_dtypes_that_need_pickle_are_refused():
    with pytest.raises(ValueError, match="cannot be stored"):
        Field("object")


def test_an_exception_leaves_nothing(tmp_path):
    def examples():
        yield example(2)
        assert len(list(tmp_path.iterdir())) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "s", examples())
    assert not list(tmp_path.iterdir())


def test_a_forgotten_finish_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="call finish"),
        StoreWriter(tmp_path / "s", FIELDS) as writer,
    ):
        writer.append(**example(2))
    assert not list(tmp_path.iterdir())


def test_an_unwritable_manifest_leaves_nothing(tmp_path):
    with pytest.raises(TypeError, match="provenance holds a set"):
        write(tmp_path / "s", [example(2)], tags={1})
    assert not list(tmp_path.iterdir())


def test_an_empty_store_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="no example"),
        StoreWriter(tmp_path / "s", FIELDS) as writer,
    ):
        writer.finish()
    assert not list(tmp_path.iterdir())


def test_existing_folders_are_kept_unless_told(small):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        StoreWriter(small, FIELDS)
    with StoreWriter(small, FIELDS, overwrite=True) as writer:
        writer.append(**example(5))
        assert len(Store(small)) == 3
        writer.finish()
    assert Store(small).lengths.tolist() == [5]
    assert [path.name for path in small.parent.iterdir()] == ["small"]


# Reading what is damaged


def edit_manifest(path, change):
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def test_missing_store_and_manifest(small):
    with pytest.raises(StoreError, match=r"nowhere: found no folder.*To repair: run"):
        Store(small / "nowhere")
    (small / MANIFEST).unlink()
    with pytest.raises(StoreError, match=r"manifest\.json: found no such file"):
        Store(small)


@pytest.mark.parametrize("name", ["positions.npy", "offsets.npy", "energy.npy", "name.npy"])
def test_truncated_files(small, name):
    size = (small / name).stat().st_size
    with (small / name).open("r+b") as stream:
        stream.truncate(size - 1)
    with pytest.raises(StoreError) as error:
        Store(small)
    for part in (name, f"{size - 1} bytes (truncated)", f"{size} bytes", "To repair"):
        assert part in str(error.value)


def test_missing_array(small):
    (small / "numbers.npy").unlink()
    with pytest.raises(StoreError, match=r"numbers\.npy: found no such file"):
        Store(small)


def test_a_wrong_byte_is_found_by_verify(small):
    path = small / "positions.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"positions\.npy: found SHA-256"):
        Store(small).verify()


def test_a_damaged_header(small):
    path = small / "positions.npy"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(StoreError, match=r"no \.npy header"):
        Store(small)


def test_another_dtype_of_the_same_size(small):
    path = small / "positions.npy"
    path.write_bytes(path.read_bytes().replace(b"<f4", b"<i4"))
    with pytest.raises(StoreError, match=r"'int32'.*expected.*'float32'"):
        Store(small)


@pytest.mark.parametrize("values", [[0, 5, 4, 8], [0, 3, 4, 7], [1, 3, 4, 8]])
def test_damaged_offsets(small, values):
    path = small / "offsets.npy"
    header = path.read_bytes()[:-32]
    path.write_bytes(header + np.array(values, "<i8").tobytes())
    with pytest.raises(StoreError, match=r"offsets\.npy"):
        Store(small)


def test_another_format_version(small):
    edit_manifest(small, lambda manifest: manifest.update(version=99))
    with pytest.raises(StoreError, match="found format version 99; expected version 1"):
        Store(small)


def test_counts_that_contradict_the_files(small):
    edit_manifest(small, lambda manifest: manifest.update(examples=2))
    with pytest.raises(StoreError, match=r"manifest\.json: found shape"):
        Store(small)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{not json"])
def test_a_manifest_of_another_kind(small, text):
    (small / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        Store(small)


def test_the_error_survives_pickling():
    error = StoreError("file", "this", "that")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_distinct_values_of_some_examples(tmp_path):
    with StoreWriter(tmp_path / "store", {"z": Field("uint8"), "x": Field("float32", ragged=False)}) as writer:
        for numbers in ([6, 1], [8, 1, 1], [7], [6]):
            writer.append(z=np.array(numbers, np.uint8), x=0.0)
        writer.finish()
    store = Store(tmp_path / "store")
    assert store.distinct("z", np.array([1, 0])).tolist() == [1, 6, 8]
    assert store.distinct("z", np.array([3])).tolist() == [6]


def test_blocks_are_the_whole_in_order():
    blocks = list(in_blocks(np.arange(10), 4))
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert np.concatenate(blocks).tolist() == list(range(10))


def test_what_a_killed_writer_left_is_removed(tmp_path):
    fields = {"x": Field("float32", ragged=False)}
    left = tmp_path / ".store.new"
    left.mkdir()
    (left / "x.npy").write_bytes(b"half an array")
    with StoreWriter(tmp_path / "store", fields) as writer:
        writer.append(x=2.0)
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert Store(tmp_path / "store").scalar("x").tolist() == [2.0]


# Reading what changes while it is open


def labelled(path, rows, count, first):
    """A store in which every row of an example is its label."""
    fields = {"x": Field("float32", (3,)), "label": Field("int32", (), ragged=False), "name": Field("str")}
    with StoreWriter(path, fields, overwrite=True) as writer:
        for label in range(first, first + count):
            writer.append(x=np.full((rows, 3), label, np.float32), label=label, name=str(label))
        return writer.finish(source="made up")


def test_a_store_reads_on_in_the_former_folder_when_it_is_replaced(tmp_path):
    path = labelled(tmp_path / "store", 5, 200, 1_000)
    store, touched = Store(path), Store(path)
    touched[7]
    labelled(path, 4, 300, 2_000)
    for one in (store, touched):
        assert len(one) == 200
        for number, example in enumerate(one):
            assert (example["label"], example["name"]) == (1_000 + number, str(1_000 + number))
            assert (example["x"] == 1_000 + number).all()
            assert example["x"].shape == (5, 3)
        one.verify()
    assert Store(path)[0]["label"] == 2_000


def test_a_store_that_was_replaced_does_not_open_as_another_one_elsewhere(tmp_path):
    path = labelled(tmp_path / "store", 5, 200, 1_000)
    sent = pickle.dumps(Store(path))
    assert pickle.loads(sent)[3]["label"] == 1_003
    labelled(path, 5, 200, 1_000)  # the same again
    assert pickle.loads(sent)[3]["label"] == 1_003
    labelled(path, 5, 200, 2_000)
    with pytest.raises(StoreError, match="found another store"):
        pickle.loads(sent)


def test_a_store_that_is_replaced_while_it_is_opened_is_of_one_piece(tmp_path, monkeypatch):
    path = labelled(tmp_path / "store", 5, 20, 1_000)
    read = store_module._read_manifest

    def replaced(*arguments):
        manifest = read(*arguments)
        if manifest["examples"] == 20:
            labelled(path, 4, 30, 2_000)
        return manifest

    monkeypatch.setattr(store_module, "_read_manifest", replaced)
    with pytest.raises(StoreError, match="no such file"):
        Store(path)
    assert Store(path)[0]["label"] == 2_000


CUT = """
import os, sys
from pathlib import Path
from equidyn.data.store import Store, StoreError
path, name, access = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = Store(path)
list(store)
os.truncate(path / name, 300)
try:
    eval(access)
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("name", "access"),
    [
        ("x.npy", "list(store)"),
        ("x.npy", "store.ragged('x').sum()"),
        ("label.npy", "store.scalar('label').sum()"),
        ("label.npy", "store[1999]"),
        ("offsets.npy", "store.lengths"),
        ("name.npy", "store.text('name')"),
        ("name_offsets.npy", "store.text('name')"),
    ],
)
def test_a_file_that_is_cut_short_while_it_is_open_is_an_error_and_no_signal(tmp_path, name, access):
    path = labelled(tmp_path / "store", 5, 2_000, 1_000)
    done = subprocess.run([sys.executable, "-c", CUT, path, name, access], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{path / name}: found 300 bytes" in done.stdout


def test_a_file_that_is_written_anew_in_place_is_read_on_only_if_it_is_the_same(tmp_path):
    path, other = labelled(tmp_path / "store", 5, 20, 1_000), labelled(tmp_path / "other", 5, 20, 2_000)
    store, same = Store(path), (path / "x.npy").read_bytes()
    (path / "x.npy").write_bytes(same)
    os.utime(path / "x.npy", ns=(1, 1))
    assert store[3]["x"][0, 0] == 1_003
    (path / "x.npy").write_bytes((other / "x.npy").read_bytes())
    with pytest.raises(StoreError, match=r"x\.npy: found SHA-256"):
        store[3]
    (path / "x.npy").write_bytes(same)
    assert store[3]["x"][0, 0] == 1_003


def test_files_are_closed_with_the_store(small):
    def opened():
        links = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        return [link for link in links if link.startswith(os.path.realpath(small))]

    assert not opened()
    store = Store(small)
    assert opened()
    del store
    assert not opened()


@pytest.mark.parametrize("name", ["../x.npy", "/etc/passwd", "a/b.npy", ".npy"])
def test_manifests_name_no_files_elsewhere(small, name):
    edit_manifest(small, lambda manifest: manifest["files"].update({name: manifest["files"]["energy.npy"]}))
    with pytest.raises(StoreError, match="found a file"):
        Store(small)


def test_pipes_are_no_arrays(small):
    (small / "energy.npy").unlink()
    os.mkfifo(small / "energy.npy")
    with pytest.raises(StoreError, match=r"energy\.npy: found 0 bytes"):
        Store(small)
