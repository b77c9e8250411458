"""Preparation in pieces: order, restart, errors that name their piece, and how far ahead pieces are read."""

import hashlib
import json
import os
import time
from collections import Counter
from functools import partial

import numpy as np
import pytest

from equidyn.data.preparation import Portion, portions, source_sha256
from equidyn.data.store import StoreError


def portion(number):
    """`number` examples of 1, 2, ... rows."""
    lengths = np.arange(1, number + 1)
    columns = {
        "x": np.repeat(np.float32(number), lengths.sum()),
        "y": np.full((number, 2), number, np.int16),
        "name": [f"Å {number}"] * number,
    }
    return Portion(lengths, columns, Counter({"left out": number}) if number else Counter())


def logged(folder, number):
    """Make a portion, and note in `folder` that it was made; the earlier a piece, the longer it takes."""
    time.sleep(0.02 * (6 - number))
    with (folder / f"{number}").open("a") as stream:
        stream.write("made\n")
    return portion(number)


def failing(number):
    if number == 3:
        raise StoreError("archive.tar", "a hole", "none")
    return portion(number)


def dying(number):
    os._exit(1)


def assert_same(found, expected):
    np.testing.assert_array_equal(found.lengths, expected.lengths)
    assert found.columns.keys() == expected.columns.keys()
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
        assert type(found.columns[name]) is type(values)
        if isinstance(values, np.ndarray):
            assert found.columns[name].dtype == values.dtype
    assert found.rejects == expected.rejects


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_portion_survives_the_disk(tmp_path, number):
    portion(number).save(tmp_path / "one.npz")
    assert_same(Portion.load(tmp_path / "one.npz"), portion(number))
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


def test_a_portion_that_cannot_be_written_leaves_nothing(tmp_path):
    bad = portion(2)
    bad.rejects["counted wrongly"] = {1}
    with pytest.raises(TypeError):
        bad.save(tmp_path / "one.npz")
    assert not list(tmp_path.iterdir())


def damage_end(content):
    return content[: len(content) // 2]


def damage_values(content):
    at = content.index(np.float32(5).tobytes() * 5)
    return content[:at] + bytes(20) + content[at + 20 :]


@pytest.mark.parametrize("damage", [damage_end, damage_values, lambda content: b"", lambda content: b"PK" + bytes(50)])
def test_a_damaged_portion_is_named(tmp_path, damage):
    path = tmp_path / "one.npz"
    portion(5).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"one\.npz: not a portion"):
        Portion.load(path)


def test_another_archive_is_no_portion(tmp_path):
    np.savez(tmp_path / "one.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npz: not a portion"):
        Portion.load(tmp_path / "one.npz")


@pytest.mark.parametrize("processes", [1, 2])
def test_portions_come_in_the_order_of_the_pieces(tmp_path, processes):
    log = tmp_path / "log"
    log.mkdir()
    made = portions(range(6), partial(logged, log), tmp_path / "scratch", processes=processes, progress=False)
    for number, found in enumerate(made):
        assert_same(found, portion(number))
    assert number == 5


@pytest.mark.parametrize("processes", [1, 2])
def test_finished_portions_are_not_made_again(tmp_path, processes):
    log, scratch = tmp_path / "log", tmp_path / "scratch"
    log.mkdir()
    prepare = partial(portions, range(6), partial(logged, log), scratch, processes=processes, progress=False)
    interrupted = prepare()
    for _ in range(3):
        next(interrupted)
    interrupted.close()
    (scratch / ".000004.new.npz").write_bytes(b"half a portion, whose writer was killed")
    assert [len(found) for found in prepare()] == list(range(6))
    assert {path.name: path.read_text() for path in log.iterdir()} == {str(n): "made\n" for n in range(6)}


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_keeps_its_kind_names_its_piece_and_costs_no_finished_portion(tmp_path, processes):
    prepare = partial(portions, range(6), scratch=tmp_path, processes=processes, progress=False)
    with pytest.raises(StoreError, match=r"archive\.tar: found a hole") as error:
        list(prepare(make=failing))
    assert error.value.__notes__ == ["this was piece 3, counted from 0"]
    assert {f"{number:06d}.npz" for number in range(3)} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "000003.npz").exists()
    assert [len(found) for found in prepare(make=portion)] == list(range(6))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_the_source_passes_through(tmp_path, processes):
    def pieces():
        yield 1
        raise EOFError("the source ends early")

    with pytest.raises(EOFError, match="ends early"):
        list(portions(pieces(), portion, tmp_path, processes=processes, progress=False))


def test_a_dead_worker_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(portions(range(3), dying, tmp_path, processes=2, progress=False))


@pytest.mark.parametrize(("processes", "limit"), [(1, 1), (2, 4)])
def test_few_pieces_are_read_ahead(tmp_path, processes, limit):
    read = 0

    def pieces():
        nonlocal read
        for number in range(20):
            read += 1
            yield number % 3

    ahead = [
        read - number
        for number, _ in enumerate(portions(pieces(), portion, tmp_path, processes=processes, progress=False))
    ]
    assert max(ahead) == limit
    assert read == 20


# Checksums of sources


def receipt(path, **entries):
    path.with_name(f"{path.name}.json").write_text(json.dumps(entries))


def test_the_checksum_of_a_source_is_that_of_its_receipt_or_else_of_its_bytes(tmp_path):
    path = tmp_path / "source.tar"
    path.write_bytes(b"content")
    assert source_sha256(path) == hashlib.sha256(b"content").hexdigest()
    receipt(path, bytes=7, sha256="as received")
    assert source_sha256(path) == "as received"


def test_a_source_that_is_missing_or_shorter_than_its_receipt_says_is_refused(tmp_path):
    path = tmp_path / "source.tar"
    with pytest.raises(StoreError, match=r"source\.tar: found no such file.*downloads it"):
        source_sha256(path)
    path.write_bytes(b"cont")
    receipt(path, bytes=7, sha256="as received")
    with pytest.raises(StoreError, match=r"source\.tar: found 4 bytes; expected 7, as source\.tar\.json says"):
        source_sha256(path)
