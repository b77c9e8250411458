"""The store: round trips, bounded and atomic writing, and errors that say what to do."""

import json
import multiprocessing
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from equidyn.data import store as store_module
from equidyn.data.store import MANIFEST, Field, Store, StoreError, StoreWriter

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
    monkeypatch.setattr(store_module, "_FLUSH_BYTES", 64)
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
