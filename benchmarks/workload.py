"""What benchmarks share: random examples of realistic sizes, in stores of the library's format, and times in turns."""

import time

import numpy as np

from equidyn.data.store import Field, Store, StoreWriter

BOND, CONTACT, STEP = (1.1, 1.5), 1.0, 3.8  # Å
CANDIDATES = 16  # places that are tried for each atom
ELEMENTS, SHARES = (1, 6, 7, 8), (0.47, 0.37, 0.08, 0.08)

_POINTS = {"positions": Field("float32", (3,)), "cluster": Field("int32", ragged=False)}
_ATOMS = _POINTS | {"atomic_numbers": Field("uint8")}
_FIELDS = {
    "force_field": _ATOMS | {"forces": Field("float32", (3,)), "energy": Field("float64", ragged=False)},
    "flow_matching": _POINTS | {"residue_index": Field("int32"), "chain_break": Field("bool"), "name": Field("str")},
    "voxel_denoising": _ATOMS,
}


def molecules(count, atoms, rng):
    """(count, atoms, 3) positions in Å: each atom a bond's length from an earlier one, and 1 Å from all if it can."""
    positions = np.zeros((count, atoms, 3), np.float32)
    every = np.arange(count)
    for number in range(1, atoms):
        parent = positions[every[:, None], rng.integers(number, size=(count, CANDIDATES))]
        places = parent + directions(count, CANDIDATES, rng) * rng.uniform(*BOND, (count, CANDIDATES, 1))
        apart = np.linalg.norm(places[:, :, None] - positions[:, None, :number], axis=-1).min(-1)
        positions[:, number] = places[every, np.minimum(apart, CONTACT).argmax(1)]
    return positions


def chains(count, residues, rng):
    """(count, residues, 3) positions in Å: random walks of the distance between neighbouring Cα."""
    return STEP * directions(count, residues, rng).cumsum(1)


def directions(count, each, rng):
    """(count, each, 3) random unit vectors."""
    vectors = rng.standard_normal((count, each, 3), np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def make_store(path, task, examples, rows, seed=0):
    """A store of a task's examples, each of `rows` atoms or residues, drawn between these two, in clusters of one."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(rows[0], rows[1] + 1, examples)
    total, points = lengths.sum(), chains if task == "flow_matching" else molecules
    places = points(examples, rows[1], rng)[np.arange(rows[1]) < lengths[:, None]]
    columns = {
        "positions": places.astype(np.float32),
        "cluster": np.arange(examples, dtype=np.int32),
        "atomic_numbers": rng.choice(ELEMENTS, total, p=SHARES).astype(np.uint8),
        "forces": rng.standard_normal((total, 3), np.float32),
        "energy": rng.standard_normal(examples),
        "residue_index": np.concatenate([np.arange(1, length + 1) for length in lengths]).astype(np.int32),
        "chain_break": np.zeros(total, bool),
        "name": [f"chain {number}" for number in range(examples)],
    }
    fields = _FIELDS[task]
    with StoreWriter(path, fields) as writer:
        writer.extend(lengths, **{name: columns[name] for name in fields})
        writer.finish(source="random, for benchmarks", seed=seed)
    return Store(path)


def least_seconds(functions, repeats):
    """Least processor and elapsed seconds of each function, by name; in turns, after one call that warms up."""
    least = {}
    for round_ in range(repeats + 1):
        for name, function in functions.items():
            before = time.process_time(), time.perf_counter()
            function()
            spent = time.process_time() - before[0], time.perf_counter() - before[1]
            if round_:
                least[name] = tuple(map(min, spent, least.get(name, spent)))
    return least
