"""A disk that is full or read-only: a clear error, nothing under a final name, and no need to begin again."""

from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
import torch
from disk import mounted
from registry_rows import published_file
from standins import server as standin

from equidyn.data.download import DownloadError, download_entries, download_file, write_entries
from equidyn.data.preparation import Portion
from equidyn.data.store import Field, Store, StoreWriter
from equidyn.data.subsets import write_index
from equidyn.run.checkpoints import save_checkpoint, save_state
from equidyn.study.tables import write_table

SIZE = 1 << 20  # bytes of the disk
NAME = "set/1/numbers.txt"
BODY = "".join(f"{number:07d}\n" for number in range(75_000)).encode()  # more than half of it
BIG = 2 * BODY


@pytest.fixture
def disk(tmp_path):
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted(tmp_path / "disk", SIZE))
        except OSError as error:
            pytest.skip(str(error))
        yield disk


@pytest.fixture
def server():
    with standin.serve({NAME: BODY, "big.txt": BIG, **{f"{n}abc.txt": BODY[:100_000] for n in range(9)}}) as running:
        yield running


@pytest.fixture
def entry(server):
    return published_file("set", "1", "numbers.txt", (f"{server.url}/{NAME}",), None, "", "CC0-1.0", "2026-11")


def fetch(entry, path, **settings):
    return download_file(entry, path, attempts=2, timeout=5.0, progress=False, **settings)


class TestDownload:
    """Files from elsewhere."""

    def test_of_more_than_there_is_space_for_does_not_begin(self, disk, server, entry):
        big = published_file("set", "1", "big.txt", (f"{server.url}/big.txt",), None, "", "CC0-1.0", "2026-11")
        with pytest.raises(
            DownloadError, match=rf"{disk.path}: the disk is full: big\.txt needs {len(BIG)} bytes.*free"
        ):
            fetch(big, disk.path / "big.txt")
        assert not (disk.path / "big.txt").exists()
        assert len(server.requests) == 1

    def test_into_a_disk_that_fills_up_goes_on_when_there_is_space(self, disk, server, entry):
        def fill_meanwhile(exchange, resource):
            body = exchange.send(resource)
            exchange.wfile.write(body[:200_000])
            while not (part.exists() and part.stat().st_size >= 131_072):
                exchange.standin.closing.wait(0.005)
            disk.fill()
            exchange.wfile.write(body[200_000:])

        path = disk.path / "numbers.txt"
        part = disk.path / "numbers.txt.part"
        server.on(NAME, fill_meanwhile, times=1)
        with pytest.raises(
            DownloadError, match=rf"the disk is full: numbers\.txt needs {len(BODY)} bytes, of which \d+"
        ):
            fetch(entry, path)
        assert not path.exists()
        kept = part.stat().st_size
        assert 131_072 <= kept < len(BODY)
        with pytest.raises(DownloadError, match=f"of which {kept} are there; 0 are free"):
            fetch(entry, path)
        disk.empty()
        fetch(entry, path)
        assert path.read_bytes() == BODY
        assert disk.names() == ["numbers.txt", "numbers.txt.json"]
        assert server.ranges() == [None, f"bytes={kept}-", f"bytes={kept}-"]

    def test_of_unknown_size_into_a_full_disk(self, disk, server, entry):
        server.on(NAME, standin.lengthless)
        disk.fill(leave=200_000)
        with pytest.raises(DownloadError, match=r"the disk is full: numbers\.txt needs an unknown number of bytes"):
            fetch(entry, disk.path / "numbers.txt")
        assert not (disk.path / "numbers.txt").exists()
        disk.empty()
        fetch(entry, disk.path / "numbers.txt")
        assert (disk.path / "numbers.txt").read_bytes() == BODY

    def test_to_a_disk_without_any_space(self, disk, entry):
        disk.fill()
        with pytest.raises(DownloadError, match="the disk is full"):
            fetch(entry, disk.path / "numbers.txt")
        assert not (disk.path / "numbers.txt").exists()

    def test_from_a_folder_to_a_full_disk(self, disk, entry, tmp_path):
        source = tmp_path / "mirror" / NAME
        source.parent.mkdir(parents=True)
        source.write_bytes(BODY)
        disk.fill(leave=100_000)
        with pytest.raises(DownloadError, match=f"the disk is full: .* needs {len(BODY)} bytes"):
            fetch(entry, disk.path / "numbers.txt", mirror=tmp_path / "mirror")
        assert disk.names() == []

    def test_to_a_read_only_disk(self, disk, entry):
        disk.remount("ro")
        with pytest.raises(DownloadError, match=rf"{disk.path}: the disk is read-only: numbers\.txt needs"):
            fetch(entry, disk.path / "numbers.txt")
        with pytest.raises(DownloadError, match="the disk is read-only"):
            fetch(entry, disk.path / "folder" / "numbers.txt")
        disk.remount("rw")
        fetch(entry, disk.path / "numbers.txt")
        assert (disk.path / "numbers.txt").read_bytes() == BODY

    def test_that_is_there_may_lie_on_a_read_only_disk(self, disk, server, entry):
        receipt = fetch(entry, disk.path / "numbers.txt")
        disk.remount("ro")
        assert fetch(entry, disk.path / "numbers.txt") == receipt
        assert len(server.requests) == 1

    def test_of_many_files_keeps_what_is_finished(self, disk, server, entry):
        template = published_file("set", "1", "{id}.txt", (f"{server.url}/{{id}}.txt",), None, "", "CC0-1.0", "2026-11")
        ids = [f"{n}abc" for n in range(9)]
        settings = {"attempts": 2, "progress": False, "connections": 2}
        disk.fill(leave=450_000)
        with pytest.raises(DownloadError, match=r"the disk is full: \dabc\.txt needs 100000 bytes"):
            download_entries(template, ids, disk.path, **settings)
        finished = [file for file in disk.path.rglob("*abc.txt") if not file.name.startswith(".")]
        assert len(finished) >= 2
        assert all(file.read_bytes() == BODY[:100_000] for file in finished)
        disk.empty()
        asked = len(server.requests)
        rows = download_entries(template, ids, disk.path, **settings)
        assert [row.status for row in rows] == ["ok"] * 9
        assert len(server.requests) == asked + 9 - len(finished)


FIELDS = {"positions": Field("float32", (3,)), "energy": Field("float64", ragged=False), "name": Field("str")}


def write_store(path, atoms):
    with StoreWriter(path, FIELDS) as writer:
        for number in range(1, atoms // 100 + 1):
            positions = np.full((100, 3), number, np.float32)
            writer.append(positions=positions, energy=float(number), name=f"example {number}")
        writer.finish(source="made up")


def make_store(path):
    write_store(path, 50_000)
    assert len(Store(path)) == 500


WRITERS = {
    "store": make_store,
    "portion.npz": lambda path: Portion(np.ones(20_000, np.int64), {"x": np.ones((20_000, 3))}).save(path),
    "index.npy": lambda path: write_index(path, np.arange(100_000)),
    "table.parquet": lambda path: write_table(
        pd.DataFrame({"x": np.random.default_rng(0).standard_normal(100_000)}), path
    ),
    "table.csv": lambda path: write_table(pd.DataFrame({"x": np.arange(120_000)}), path),
    "step.safetensors": lambda path: save_checkpoint(path, {"w": torch.zeros(150_000)}, {"step": 1}),
    "state.pt": lambda path: save_state(path, {"w": torch.zeros(150_000)}),
    "entries.tsv": lambda path: write_entries([], path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_half_written_is_left_on_a_full_disk(disk, name):
    disk.fill(leave=0 if name == "entries.tsv" else 200_000)
    # NumPy and PyTorch have words of their own for a full disk.
    reason = r"\(.*(No space left|requested and \d+ written|unexpected pos).*\)"
    file = r"\.store\.new/\w+\.npy" if name == "store" else name
    with pytest.raises(OSError, match=rf"could not be written {reason}; its disk has 0 MB left: '{disk.path}/{file}'"):
        WRITERS[name](disk.path / name)
    assert not (disk.path / name).exists()
    disk.empty()
    WRITERS[name](disk.path / name)
    assert (disk.path / name).exists()


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "store"])
def test_a_finished_file_outlives_an_attempt_to_replace_it_on_a_full_disk(disk, name):
    (disk.path / name).write_bytes(b"finished before")
    disk.fill()
    with pytest.raises(OSError, match=name):
        WRITERS[name](disk.path / name)
    assert (disk.path / name).read_bytes() == b"finished before"


@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_disk_is_named(disk, name):
    disk.remount("ro")
    with pytest.raises(OSError, match="Read-only file system"):
        WRITERS[name](disk.path / name)
    assert disk.names() == []
