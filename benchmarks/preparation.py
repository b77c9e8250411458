"""Costs of preparing SPICE and of reading its store: examples a second, memory, and the time for all frames.

    python benchmarks/preparation.py

Everything is done on stand-ins of the published archives, made in a temporary folder. Rates of one process are by its
processor time, the best of some repeats, so that other programs disturb them little; "plain" is the usual reader, line
by line. Reads are those of a loop over examples and of a training step's batches.
"""

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from equidyn.data.sources.spice_mace_off import build as spice
from equidyn.data.sources.spice_mace_off.card import SpiceMaceOff
from equidyn.data.spice import FIELDS
from equidyn.data.store import Store, StoreWriter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from standins.spice import write_xyz_archives

PUBLISHED = spice.ARCHIVES[spice.TRAIN_FILE].frames
BATCH = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_xyz_archives(folder, train=options.frames, test=200)
        time_reading(files[spice.TRAIN_FILE], options.frames)
        time_preparation(folder, files, options.frames, options.processes)
        time_store(folder, options.sizes)


def time_reading(archive, frames):
    """Unpacking and cutting, then parsing, in one process."""
    blocks = list(spice.xyz_blocks(archive))
    size = sum(len(block.text) for block in blocks)
    print(f"{frames:,} frames of {size / frames:,.0f} bytes of text, one process")
    print(f"{'':38}{'frames/s':>12}{'MB/s':>8}{'ratio':>8}{'minutes for ' + format(PUBLISHED, ','):>24}")
    some = blocks[:3]
    in_some = sum(1 for block in some for _ in plain_frames(block.text))
    seconds = {
        "unpack and cut": best(lambda: sum(1 for _ in spice.xyz_blocks(archive)), 2) / frames,
        "parse": best(lambda: [spice.portion_of_xyz(block) for block in some]) / in_some,
        "parse, plain": best(lambda: [list(plain_frames(block.text)) for block in some]) / in_some,
    }
    for name, each in seconds.items():
        ratio = f"{each / seconds['parse']:8.2f}" if name.startswith("parse") else f"{'':8}"
        print(f"{name:38}{1 / each:12,.0f}{size / frames / each / 1e6:8.0f}{ratio}{PUBLISHED * each / 60:24.1f}")
    print()


def plain_frames(text):
    """Symbols, columns and header of each frame, line by line; nothing is checked."""
    lines = iter(text.decode().splitlines())
    for count in lines:
        header = spice.read_header(next(lines))
        rows = [next(lines).split() for _ in range(int(count))]
        yield [row[0] for row in rows], np.array([[float(number) for number in row[1:]] for row in rows]), header


def time_preparation(folder, files, frames, processes):
    """Time the preparation from archives to store, each time in a new process, with a peak memory of its own."""
    title = "whole preparation, processes"
    print(f"{title:38}{'frames/s':>12}{'per core':>12}{'peak MB':>12}{'minutes for ' + format(PUBLISHED, ','):>24}")
    for count in processes:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds, used, peak = pool.submit(prepare, folder, files, count).result()
        print(
            f"{count:<38}{frames / seconds:12,.0f}{frames / used:12,.0f}{peak:12,.0f}"
            f"{PUBLISHED * seconds / frames / 60:24.1f}"
        )
    print()


def prepare(folder, files, processes):
    """Seconds, those of all processors together, and the peak memory of the process that writes, MB."""
    start = time.perf_counter()
    spice.build_store(
        folder / "prepared",
        SpiceMaceOff(),
        files=files,
        scratch=folder / "scratch",
        processes=processes,
        progress=False,
        overwrite=True,
    )
    seconds = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return seconds, used, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1000


def time_store(folder, sizes):
    """Examples a second in order, at random, and in batches, at several sizes of the store."""
    rates = []
    for size in sizes:
        store = Store(write_store(folder / f"store-{size}", size))
        rng = np.random.default_rng(1)
        chosen = rng.integers(size, size=min(size, 20_000) // BATCH * BATCH)
        ways = {
            "in order": partial(read_in_order, store, len(chosen)),
            "at random": partial(read_each, store, chosen),
            f"at random, batches of {BATCH}": partial(read_batches, store, chosen),
        }
        rates.append({name: len(chosen) / best(way) for name, way in ways.items()})
    print(f"{'examples/s from a store of':38}" + "".join(f"{size:12,d}" for size in sizes) + f"{'ratio':>8}")
    for name in rates[0]:
        found = [rate[name] for rate in rates]
        print(f"{name:38}" + "".join(f"{rate:12,.0f}" for rate in found) + f"{found[-1] / found[0]:8.2f}")


def write_store(path, size):
    rng = np.random.default_rng(0)
    with StoreWriter(path, FIELDS) as writer:
        for start in range(0, size, 1000):
            lengths = rng.integers(10, 50, min(1000, size - start))
            rows = int(lengths.sum())
            writer.extend(
                lengths,
                positions=rng.standard_normal((rows, 3)).astype(np.float32),
                forces=rng.standard_normal((rows, 3)).astype(np.float32),
                atomic_numbers=rng.integers(1, 9, rows).astype(np.uint8),
                energy=rng.standard_normal(len(lengths)),
                cluster=rng.integers(0, 100, len(lengths)).astype(np.int32),
            )
        return writer.finish()


def read_in_order(store, count):
    for _ in zip(range(count), store, strict=False):
        pass


def read_each(store, chosen):
    for number in chosen:
        store[number]


def read_batches(store, chosen):
    """What `ForceField.batch` reads."""
    for indices in chosen.reshape(-1, BATCH):
        rows = store.rows(indices)
        store.lengths_of(indices)
        for name in ("positions", "atomic_numbers", "forces"):
            store.ragged(name)[rows]
        store.scalar("energy")[indices]


def best(way, repeats=4):
    """Processor seconds of the fastest of some repeats."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        way()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
