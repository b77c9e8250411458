"""SPICE: molecules labelled by density functional theory, from files to a store.

Shared by the sources of SPICE, which have the same level of theory and the same choice of molecules: ten elements,
neutral, no ion pairs. Files are read in pieces by worker processes and never unpacked on disk. Energies stay in double
precision until the references of the elements are subtracted.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.data.force_limits import ForceLimits
from equidyn.data.geometries import AS_IN_SOURCE, FORCE_FIELD, Description, cluster_field, force_objections
from equidyn.data.preparation import Portion, portions, source_sha256
from equidyn.data.store import Field, StoreError, StoreWriter

log = logging.getLogger(__name__)

FIELDS = FORCE_FIELD | {"cluster": cluster_field("molecule, see the manifest's `grouping`; from 0 as they come")}

ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9, "P": 15, "S": 16, "Cl": 17, "Br": 35, "I": 53}
REFERENCE_EV = {
    "H": -13.571964772646918,
    "C": -1030.5671648271828,
    "N": -1486.3750255780376,
    "O": -2043.933693071156,
    "F": -2715.318528602957,
    "P": -9287.407133426237,
    "S": -10834.4844708122,
    "Cl": -12522.649269035726,
    "Br": -70045.28385080204,
    "I": -8102.524593409054,
}
"""Energy of each element that is subtracted, eV: those that EScAIP was trained with, at the level of SPICE."""
LEVEL_OF_THEORY = "ωB97M-D3(BJ)/def2-TZVPPD, total energy and minus its gradient, gas phase, neutral"
PUBLISHED_FORCE_RMS = 1.0758
"""Root mean square of the force components that EScAIP was trained with, eV/Å."""

DAMAGED = "delete the file, and download it again"
"""The remedy that errors name for a file that cannot be read."""

EMPTY_GROUP = "group without conformations"
"""The one reason to leave something out that does not count geometries."""

SYMBOLS = {number: symbol for symbol, number in ELEMENTS.items()}
_ORIENTED_SHARE = 0.01  # share of the geometries whose orientation is measured
_REFERENCES = np.full(256, np.nan)  # by atomic number
_REFERENCES[list(ELEMENTS.values())] = [REFERENCE_EV[symbol] for symbol in ELEMENTS]


@dataclass(frozen=True)
class SourceFile:
    """One file of a data set.

    Attributes:
        name: Name in the manifest.
        path: Path of the file.
        pieces: Function that cuts it into pieces, always the same ones.
        make: Function that turns a piece into a portion; see `Geometries.portion`.
        frames: Published number of geometries, if there is one.
        constant: Scalar fields that are the same for all examples of the file.
    """

    name: str
    path: Path
    pieces: Callable[[Path], Iterator[Any]]
    make: Callable[[Any], Portion]
    frames: int | None = None
    constant: Mapping[str, int] = field(default_factory=dict)


def build(
    path: str | Path,
    fields: Mapping[str, Field],
    sources: Sequence[SourceFile],
    *,
    scratch: str | Path,
    seed: int,
    limits: ForceLimits,
    processes: int,
    progress: bool,
    overwrite: bool,
    versions: Sequence[str],
    **provenance: Any,
) -> Path:
    """Make a store of the examples in some files, in their order.

    Args:
        path: Store folder to make.
        fields: Fields of the store.
        sources: The files.
        scratch: Folder from which an interrupted preparation resumes; used by this one only, removed at the end.
        seed: Chooses the geometries whose orientation the manifest describes.
        limits: Limits on forces, which the manifest states; the portions already keep them.
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.
        versions: Packages whose versions the manifest states.
        **provenance: Further entries of the manifest.

    Returns:
        `path`.

    Raises:
        StoreError: A file is missing, truncated or damaged; nothing is left behind.
        ValueError: No geometry is left.
    """
    scratch = Path(scratch)
    summary = _Summary(seed)
    with StoreWriter(path, fields, overwrite=overwrite) as writer:
        checksums = [source_sha256(source.path) for source in sources]  # before the work, so that all are there
        for number, source in enumerate(sources):
            summary.begin(source, checksums[number])
            made = portions(
                source.pieces(source.path),
                source.make,
                scratch / str(number),
                processes=processes,
                title=source.name,
                progress=progress,
            )
            try:
                for portion in made:
                    _write(portion, source, summary, writer)
            except StoreError:
                shutil.rmtree(scratch)  # portions of a damaged file may be damaged
                raise
        if len(writer) == 0:
            raise ValueError(f"no geometry is left; left out were {summary.files}")
        warnings = summary.warnings()
        for warning in warnings:
            log.warning("%s", warning)
        statistics = summary.statistics()
        writer.finish(
            **provenance,
            versions={name: metadata.version(name) for name in versions},
            level_of_theory=LEVEL_OF_THEORY,
            reference_energies_ev=REFERENCE_EV,
            orientation=AS_IN_SOURCE,
            limits=limits.model_dump(include=set(ForceLimits.model_fields)),
            files=summary.files,
            warnings=warnings,
            statistics=statistics,
        )
    log.info("%s: %s; files: %s", path, statistics, summary.files)
    shutil.rmtree(scratch)
    return Path(path)


def _write(portion: Portion, source: SourceFile, summary: _Summary, writer: StoreWriter) -> None:
    """Add a portion to the summary and to the store."""
    summary.add(portion)
    columns = dict(portion.columns)
    del columns["subset"]
    columns["cluster"] = summary.cluster(columns.pop("molecule"))
    for name, value in source.constant.items():
        columns[name] = np.full(len(portion), value, writer.fields[name].dtype)
    writer.extend(portion.lengths, **columns)


class _Summary:
    """A description of the store's content, collected by portion; molecules are numbered as they come."""

    def __init__(self, seed: int) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self._clusters: dict[str, int] = {}
        self._description = Description(_ORIENTED_SHARE, np.random.default_rng(seed_for(seed, "orientation")))

    def begin(self, source: SourceFile, sha256: str) -> None:
        """Begin a file: the following portions are from it."""
        self._file = self.files[source.name] = {"sha256": sha256, "frames": 0, "frames_published": source.frames}
        self._rejects: Counter[str] = Counter()
        self._subsets: Counter[str] = Counter()

    def add(self, portion: Portion) -> None:
        """Take in a portion."""
        self._rejects += portion.rejects
        self._subsets.update(portion.columns["subset"])
        rejected = sum(count for reason, count in portion.rejects.items() if reason != EMPTY_GROUP)
        self._file["frames"] += len(portion) + rejected
        self._file["rejects"] = dict(sorted(self._rejects.items()))
        self._file["examples_by_subset"] = dict(sorted(self._subsets.items()))
        self._description.add(portion.lengths, **portion.columns)

    def cluster(self, names: Sequence[str]) -> np.ndarray:
        """Return (m,) the number of each molecule."""
        return np.array([self._clusters.setdefault(name, len(self._clusters)) for name in names], np.int32)

    def warnings(self) -> list[str]:
        """Return the differences from what was published, and what is conspicuous in the forces."""
        return [
            f"{name}: found {file['frames']:,} frames, {file['frames_published']:,} were published"
            for name, file in self.files.items()
            if file["frames_published"] not in (None, file["frames"])
        ] + self._description.force_warnings()

    def statistics(self) -> dict[str, Any]:
        """Return the description of the geometries for the manifest."""
        return {
            "examples": len(self._description.lengths),
            "molecules": len(self._clusters),
            **self._description.sizes(),
            **self._description.force_rms(),
            "force_rms_published_ev_per_angstrom": PUBLISHED_FORCE_RMS,
            **self._description.force_maxima(),
            **self._description.orientation(),
            "orientation_measured_on": self._description.measured,
        }


class Geometries:
    """A collector of geometries of a source, which turns those that can be examples into a portion.

    Args:
        limits: Limits on forces; none if not given.
    """

    def __init__(self, limits: ForceLimits | None = None) -> None:
        self._limits = limits or ForceLimits()
        self.rejects: Counter[str] = Counter()
        self._lengths: list[Sequence[int]] = []
        self._numbers: list[Sequence[int] | np.ndarray] = []
        self._positions, self._forces = [np.zeros((0, 3))], [np.zeros((0, 3))]
        self._energy: list[Sequence[float]] = []
        self._molecule: list[str] = []
        self._subset: list[str] = []

    def add(
        self,
        lengths: Sequence[int],
        numbers: Sequence[int] | np.ndarray,
        positions: np.ndarray,
        forces: np.ndarray,
        energy: Sequence[float],
        molecule: str,
        subset: str,
    ) -> None:
        """Take in m geometries of one molecule, end to end.

        Args:
            lengths: (m,) atoms of each, n in all.
            numbers: (n,) atomic numbers, 0 for an element that is not in `ELEMENTS`.
            positions: (n, 3) float64, Å.
            forces: (n, 3) float64, eV/Å.
            energy: (m,) float64, eV, total.
            molecule: Label of the molecule, equal for equal molecules.
            subset: Part of the source.
        """
        self._lengths.append(lengths)
        self._numbers.append(numbers)
        self._positions.append(positions)
        self._forces.append(forces)
        self._energy.append(energy)
        self._molecule += [molecule] * len(lengths)
        self._subset += [subset] * len(lengths)

    def portion(self) -> Portion:
        """Leave out geometries that cannot be examples, centre, subtract the references, and round to stored precision.

        The portion has the fields `FIELDS` without `cluster`, and the texts `molecule` and `subset`.
        """
        lengths = np.fromiter(chain.from_iterable(self._lengths), np.int64)
        numbers = np.fromiter(chain.from_iterable(self._numbers), np.uint8)
        energy = np.fromiter(chain.from_iterable(self._energy), np.float64)
        positions, forces = np.concatenate(self._positions), np.concatenate(self._forces)
        starts = np.cumsum(lengths) - lengths
        centre = np.add.reduceat(positions, starts) / lengths[:, None]
        energy -= np.add.reduceat(_REFERENCES[numbers], starts)
        with np.errstate(over="ignore"):  # values beyond single precision are left out below
            positions = (positions - np.repeat(centre, lengths, axis=0)).astype(np.float32, order="C")
            forces = forces.astype(np.float32, order="C")
        finite = np.isfinite(positions).all(axis=1) & np.isfinite(forces).all(axis=1)
        keep = np.ones(len(lengths), bool)
        for reason, objection in {
            "single atom": lengths < 2,
            "element without reference energy": np.logical_or.reduceat(numbers == 0, starts),
            "not finite": ~(np.isfinite(energy) & np.logical_and.reduceat(finite, starts)),
            **force_objections(self._limits, forces, starts),
        }.items():
            self.rejects[reason] += int(np.count_nonzero(keep & objection))
            keep &= ~objection
        rows = np.repeat(keep, lengths)
        columns = {
            "positions": positions[rows],
            "atomic_numbers": numbers[rows],
            "forces": forces[rows],
            "energy": energy[keep],
            "molecule": list(compress(self._molecule, keep)),
            "subset": list(compress(self._subset, keep)),
        }
        return Portion(lengths[keep], columns, +self.rejects)
