"""GEOM-drugs: the conformers of lowest energy of about 300,000 drug-like molecules, from files to a store.

Shared by the sources of GEOM-drugs. VoxMol, and after it the study, takes up to five conformers of each molecule from
three pickles that the MiDi project made from GEOM's raw archive. The same conformers in the same split come by two
routes: from arrays that were made of those pickles and cleaned up (`equidyn.data.sources.geom_arrays`), and from the
raw archive by MiDi's own rules (`equidyn.data.sources.geom_dataverse`).

Molecules with elements for which the voxel task has no channel are dropped; VoxMol would first turn silicon into
sulphur. There is no limit on size (VoxMol's removes nothing), so atoms may lie beyond the grid; the manifest counts
such conformers.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from equidyn.core.files import replacing
from equidyn.core.seeding import seed_for
from equidyn.data.geometries import (
    AS_IN_SOURCE,
    ATOMIC_NUMBERS,
    CHANNELS,
    POSITIONS,
    Description,
    cluster_field,
    symbol,
)
from equidyn.data.preparation import Portion
from equidyn.data.store import SPLIT, Field, StoreWriter

log = logging.getLogger(__name__)

SPLITS = ("training", "validation", "test")
"""The sides that the numbers of the field `split` stand for."""

FIELDS = {
    "positions": POSITIONS,
    "atomic_numbers": ATOMIC_NUMBERS,
    "smiles": Field("str", (), "", "as the source has it; atoms come in another order than the positions"),
    "cluster": cluster_field("molecule, numbered in the order of the store"),
    "split": SPLIT,
}

EXPECTED = {
    "training": {"examples": 1_100_000, "molecules": 243_500},
    "validation": {"examples": 146_000, "molecules": 30_400},
    "test": {"examples": 146_000, "molecules": 30_400},
}
"""The size of MiDi's split, rounded: examples as VoxMol states them, molecules before any are dropped."""

HALF_BOX = 8.0
"""Å from the centre to the faces of VoxMol's box of 64 voxels of 0.25 Å."""

PORTION = 1000
"""Molecules that are read at a time."""

REFETCH = "delete the file and download it again"
"""The remedy that errors name for a wrong file."""

_ORIENTED_SHARE = 0.05  # share of the examples whose orientation is measured
_BYTES = 1 << 20  # read at once


def build(
    path: str | Path,
    portions: Iterable[Portion],
    *,
    scratch: Path,
    overwrite: bool,
    seed: int,
    **provenance: Any,
) -> Path:
    """Make the store from portions of molecules.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        portions: Results of `Molecules.portion`, in order; an iterator may make them on demand.
        scratch: Folder from which an interrupted preparation resumes; used by this one only, removed at the end.
        overwrite: Replace a store that is already at `path`.
        seed: Chooses the conformers whose orientation the manifest describes; nothing else is drawn.
        **provenance: Entries of the manifest about the source.

    Returns:
        `path`.

    Raises:
        ValueError: No molecule is left.
    """
    summary = _Summary(seed)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        scratch.mkdir(parents=True, exist_ok=True)
        for portion in portions:
            if len(portion):
                cluster = portion.columns["cluster"] + np.int32(summary.molecules)
                writer.extend(portion.lengths, **{**portion.columns, "cluster": cluster})
            summary.add(portion)
        statistics = summary.statistics()
        writer.finish(
            **provenance,
            level_of_theory="GFN2-xTB minima found by CREST, of each molecule those of lowest energy, by rising energy",
            orientation=AS_IN_SOURCE,
            versions={name: metadata.version(name) for name in ("rdkit", "numpy")},
            rejects=dict(sorted(summary.rejects.items())),
            expected={"about": "MiDi's split, rounded; molecules before any are dropped", **EXPECTED},
            statistics=statistics,
        )
    shutil.rmtree(scratch)
    log.info("%s: %s; left out: %s; expected about %s", path, statistics, dict(summary.rejects), EXPECTED)
    return Path(path)


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of a stream, in blocks that fit into memory."""
    while block := stream.read(_BYTES):
        yield block


def write_blocks(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file, which takes its name once it is completely on disk."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.writelines(blocks)


class Conformer(NamedTuple):
    """One conformer.

    Attributes:
        smiles: SMILES of its molecule.
        numbers: (atoms,) atomic numbers.
        positions: (atoms, 3) Å.
    """

    smiles: str
    numbers: np.ndarray
    positions: np.ndarray


class Molecules:
    """A collector of molecules for a portion."""

    def __init__(self) -> None:
        self._kept: list[Conformer] = []
        self._clusters: list[int] = []
        self._splits: list[int] = []
        self._rejects: Counter[str] = Counter()
        self._notes: list[str] = []

    def reject(self, reason: str, note: str = "") -> None:
        """Count a molecule that is left out; `note` is a line for the log, if it deserves one."""
        self._rejects[reason] += 1
        if note:
            self._notes.append(note)

    def add(self, conformers: Sequence[Conformer], split: int) -> None:
        """Take in the conformers of one molecule, or none of them; `split` numbers `SPLITS`."""
        if reason := _objection(conformers):
            self.reject(reason)
            return
        cluster = self._clusters[-1] + 1 if self._clusters else 0
        for smiles, numbers, positions in conformers:
            centred = np.asarray(positions, np.float64)
            centred = (centred - centred.mean(axis=0)).astype(np.float32)
            self._kept.append(Conformer(smiles, np.asarray(numbers, np.uint8), centred))
            self._clusters.append(cluster)
            self._splits.append(split)

    def portion(self) -> Portion:
        """Return the collected molecules; clusters count from zero."""
        columns: dict[str, Any] = {
            "positions": np.concatenate([np.empty((0, 3), np.float32), *(each.positions for each in self._kept)]),
            "atomic_numbers": np.concatenate([np.empty(0, np.uint8), *(each.numbers for each in self._kept)]),
            "smiles": [each.smiles for each in self._kept],
            "cluster": np.array(self._clusters, np.int32),
            "split": np.array(self._splits, np.uint8),
        }
        lengths = np.array([len(each.numbers) for each in self._kept], np.int64)
        return Portion(lengths, columns, self._rejects, self._notes)


def _objection(conformers: Sequence[Conformer]) -> str:
    """Return the first reason to leave a molecule out; empty if there is none."""
    if not conformers:
        return "no conformers"
    if not all(np.isin(each.numbers, CHANNELS).all() for each in conformers):
        return "other elements than " + ", ".join(map(symbol, CHANNELS))
    if not all(np.isfinite(each.positions).all() for each in conformers):
        return "coordinates not finite"
    return ""


class _Summary:
    """A description of the store's content, collected portion by portion.

    Attributes:
        molecules: Number of molecules in the store so far.
        rejects: Numbers of rejected molecules, by reason.
    """

    def __init__(self, seed: int) -> None:
        self.molecules = 0
        self.rejects: Counter[str] = Counter()
        self._by_conformers: Counter[int] = Counter()
        self._by_split = {name: Counter(examples=0, molecules=0) for name in SPLITS}
        self._beyond_faces = 0
        self._description = Description(_ORIENTED_SHARE, np.random.default_rng(seed_for(seed, "orientation")))

    def add(self, portion: Portion) -> None:
        """Take in a portion."""
        self.rejects += portion.rejects
        if not len(portion):
            return
        split, positions = portion.columns["split"], portion.columns["positions"]
        _, first, conformers = np.unique(portion.columns["cluster"], return_index=True, return_counts=True)
        self.molecules += len(first)
        self._by_conformers.update(conformers.tolist())
        for number, counts in enumerate(self._by_split.values()):
            counts["examples"] += int(np.count_nonzero(split == number))
            counts["molecules"] += int(np.count_nonzero(split[first] == number))
        farthest = np.maximum.reduceat(np.abs(positions).max(axis=1), np.cumsum(portion.lengths) - portion.lengths)
        self._beyond_faces += int((farthest > HALF_BOX).sum())
        self._description.add(portion.lengths, **portion.columns)

    def statistics(self) -> dict[str, Any]:
        """Return the description of the conformers for the manifest."""
        if not self.molecules:
            raise ValueError(f"no molecule is left; left out were {dict(self.rejects)}")
        return {
            "examples": len(self._description.lengths),
            "molecules": self.molecules,
            "splits": self._by_split,
            "molecules_by_conformers": dict(sorted(self._by_conformers.items())),
            **self._description.sizes(),
            **self._description.reach(),
            "examples_beyond_box": {
                "half_box_angstrom": HALF_BOX,
                "along_an_axis": self._beyond_faces,
                "by_radius": int((self._description.radii > HALF_BOX).sum()),
            },
            **self._description.orientation(),
            "orientation_measured_on_share": _ORIENTED_SHARE,
        }
