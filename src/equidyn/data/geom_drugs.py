"""Voxel-denoising data of GEOM-drugs: the conformers of lowest energy of about 300,000 drug-like molecules.

VoxMol, and after it the study, takes up to five conformers of each molecule from three pickles that the MiDi project
made from GEOM's raw archive. They come by three routes, which agree where they hold the same conformers:

- arrays (`build_store_of_arrays`): those pickles turned into NumPy arrays by the atomic-datasets project, after a
  clean-up that drops conformers RDKit cannot sanitise, fragments and odd bonds. No pickle is read. If one of the five
  conformers of lowest energy was dropped, the sixth moves up.
- midi (`build_store_of_midi`): the three pickles.
- dataverse (`build_store_of_dataverse`): the raw archive, one pickle per molecule, split as MiDi did.

Pickles are programs: see `equidyn.data.pickles` for how these are read. Molecules with other elements than the voxel
task has channels for are dropped; VoxMol would make sulphur of silicon first. There is no limit on size (VoxMol's
removes nothing), so atoms may lie beyond the grid; the manifest counts such conformers.

RDKit is imported where it is used.
"""

import gzip
import hashlib
import io
import itertools
import json
import logging
import re
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, NoReturn, TextIO

import numpy as np
from tqdm import tqdm

from equidyn.core.files import receipt_path, replacing
from equidyn.core.seeding import seed_for
from equidyn.data import conformers as offline
from equidyn.data.geometries import LongestAxes, symbol
from equidyn.data.pickles import PickledMolecule, PickleError, read_list, read_object, run_confined
from equidyn.data.preparation import Portion, portions, source_sha256
from equidyn.data.store import Field, StoreError, StoreWriter

log = logging.getLogger(__name__)

ELEMENTS = offline.ELEMENTS

SPLITS = ("training", "validation", "test")
"""What the numbers of the field `split` mean."""

FIELDS = offline.FIELDS | {
    "smiles": Field("str", (), "", "as the source has it; atoms come in another order than the positions"),
    "cluster": Field("int32", (), "", "molecule, numbered in the order of the store", ragged=False),
    "split": Field("uint8", (), "", "0 training, 1 validation, 2 test, as the source has it", ragged=False),
}

ARRAYS = "geom_drugs_processed.zip"
MIDI = ("train_data.pickle", "val_data.pickle", "test_data.pickle")
DATAVERSE = "rdkit_folder.tar.gz"

EXPECTED = {
    "training": {"examples": 1_100_000, "molecules": 243_500},
    "validation": {"examples": 146_000, "molecules": 30_400},
    "test": {"examples": 146_000, "molecules": 30_400},
}
"""Of MiDi's split, rounded: examples as VoxMol states them, molecules before any are dropped."""

HALF_BOX = 8.0
"""Å from the centre to the faces of VoxMol's box of 64 voxels of 0.25 Å."""

_PORTION = 1000  # molecules
_ORIENTED_SHARE = 0.05  # of the examples
_LOWEST = 30  # conformers of each molecule in MiDi's pickles
_PREFIXES = ("train", "val", "test")  # of the arrays, in the order of `SPLITS`
_SPECIES = np.array([1, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33, 35, 53, 80, 83])  # atomic numbers of the arrays' species
_SUMMARY = "rdkit_folder/summary_drugs.json"
_DRUGS = "rdkit_folder/drugs"
_TEXT = re.compile(r'\s*[\[,]\s*("(?:[^"\\]|\\.)*")')  # of a JSON list, with what stands before it
_BYTES = 1 << 20  # read at once
_REFETCH = "delete the file and download it again"


def build_store_of_arrays(
    path: str | Path,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    conformers: int = 5,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the store from `ARRAYS`; examples lie split by split, in the order of the source.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        files: Path of each source file, by its name: `ARRAYS` here.
        scratch: Folder for what an interrupted preparation goes on with; of this preparation only, removed at the end.
            The members of the archive are unpacked there.
        conformers: Most of each molecule.
        seed: Chooses the conformers whose orientation the manifest describes; nothing else is drawn.
        processes: Worker processes; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: A setting is impossible, or no molecule is left.
        StoreError: The archive is missing, damaged, or not what it should be.
    """
    read = partial(_read_arrays, conformers=conformers, processes=processes, progress=progress)
    source = (
        f"{ARRAYS}: GEOM-drugs (CC0) in MiDi's split, cleaned and turned into arrays by atomic-datasets "
        "(record 18484634 of Zenodo)"
    )
    return _build(
        path,
        [ARRAYS],
        files,
        lambda name, file: source_sha256(file),
        read,
        scratch,
        overwrite,
        source,
        conformers,
        seed,
    )


def build_store_of_midi(
    path: str | Path,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    sha256: Mapping[str, str] | None = None,
    conformers: int = 5,
    seed: int = 0,
    memory_gb: float = 4,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the store from the pickles `MIDI`; examples lie split by split, in the order of the source.

    Args:
        path: As in `build_store_of_arrays`, like all that is not described here.
        files: Path of each of `MIDI` by its name.
        scratch: See there.
        sha256: SHA-256 of files by name. The other files need a receipt ``<file>.json`` that states it: nobody
            publishes checksums, so that the first download is the one to compare with. A file is refused, before any of
            it is unpickled, if its bytes differ.
        conformers: See there.
        seed: See there.
        memory_gb: Most that a process which reads a pickle may have, in 2^30 bytes.
        processes: Files that are read at the same time; more than three do not help.
        progress: See there.
        overwrite: See there.

    Returns:
        `path`.

    Raises:
        ValueError: A setting is impossible, or no molecule is left.
        StoreError: A file is missing, or not the one that was downloaded.
        ConfinementError: A pickle is damaged or asks for more than data, or the system cannot confine its reader.
    """
    read = partial(_read_midi, conformers=conformers, memory_gb=memory_gb, processes=processes, progress=progress)
    source = f"{', '.join(MIDI)}: GEOM-drugs (CC0) in MiDi's split, the {_LOWEST} conformers of lowest energy"
    digest = partial(_pinned_sha256, stated=sha256 or {})
    return _build(path, MIDI, files, digest, read, scratch, overwrite, source, conformers, seed)


def build_store_of_dataverse(
    path: str | Path,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    sha256: Mapping[str, str] | None = None,
    conformers: int = 5,
    seed: int = 0,
    memory_gb: float = 4,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the store from the raw archive `DATAVERSE`; molecules lie in the order of the archive, splits mixed.

    Args:
        path: As in `build_store_of_midi`, like all that is not described here.
        files: Path of `DATAVERSE` by its name. In spite of it the published file is a plain tar, which is read where
            it lies; one that is compressed is unpacked to `scratch` first (50 GB).
        scratch: See there.
        sha256: See there.
        conformers: See there.
        seed: See there.
        memory_gb: See there.
        processes: How many read pickles at the same time.
        progress: See there.
        overwrite: See there.

    Returns:
        `path`.

    Raises:
        ValueError: A setting is impossible, or no molecule is left.
        StoreError: The archive is missing or damaged, or not the one that was downloaded.
        ConfinementError: A pickle is damaged or asks for more than data, or the system cannot confine its reader.
    """
    read = partial(_read_dataverse, conformers=conformers, memory_gb=memory_gb, processes=processes, progress=progress)
    source = f"{DATAVERSE}: GEOM-drugs (doi:10.7910/DVN/JNGTDF, CC0), split as MiDi did"
    digest = partial(_pinned_sha256, stated=sha256 or {})
    return _build(path, [DATAVERSE], files, digest, read, scratch, overwrite, source, conformers, seed)


# What the routes share


def _build(
    path: str | Path,
    names: Sequence[str],
    files: Mapping[str, str | Path],
    digest: Callable[[str, Path], str],
    read: Callable[[list[Path], Path], Iterator[Portion]],
    scratch: str | Path,
    overwrite: bool,
    source: str,
    conformers: int,
    seed: int,
) -> Path:
    """Make the store from the portions that `read` makes of the files `names`, once `digest` has accepted these."""
    if conformers < 1:
        raise ValueError(f"conformers is {conformers}, expected at least 1")
    if missing := [name for name in names if name not in files]:
        raise ValueError(f"files has no {', '.join(missing)}, found {sorted(files)}")
    scratch = Path(scratch)
    summary = _Summary(seed)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        sources = [Path(files[name]) for name in names]
        digests = [digest(name, file) for name, file in zip(names, sources, strict=True)]
        scratch.mkdir(parents=True, exist_ok=True)
        for portion in read(sources, scratch):
            if len(portion):
                cluster = portion.columns["cluster"] + np.int32(summary.molecules)
                writer.extend(portion.lengths, **portion.columns | {"cluster": cluster})
            summary.add(portion)
        statistics = summary.statistics()
        writer.finish(
            source=source,
            level_of_theory="GFN2-xTB minima found by CREST, of each molecule those of lowest energy, by rising energy",
            orientation="as the source has it, centred on the mean position",
            conformers=conformers,
            files=[{"name": name, "sha256": sha256} for name, sha256 in zip(names, digests, strict=True)],
            versions={name: metadata.version(name) for name in ("rdkit", "numpy")},
            rejects=dict(sorted(summary.rejects.items())),
            expected={"about": "MiDi's split, rounded; molecules before any are dropped", **EXPECTED},
            statistics=statistics,
        )
    shutil.rmtree(scratch)
    log.info("%s: %s; left out: %s; expected about %s", path, statistics, dict(summary.rejects), EXPECTED)
    return Path(path)


def _pinned_sha256(name: str, file: Path, *, stated: Mapping[str, str]) -> str:
    """Return the file's SHA-256, which must be the one stated for its name, or else in its receipt."""
    receipt = receipt_path(file)
    if not file.is_file():
        raise StoreError(file, "no such file", "a source of GEOM-drugs", "run the step that downloads it")
    if name in stated:
        expected, origin = stated[name], "as the settings say"
    elif receipt.is_file():
        expected, origin = json.loads(receipt.read_text(encoding="utf-8"))["sha256"], f"as {receipt.name} says"
    else:
        raise StoreError(
            file,
            f"pickles of which no SHA-256 is known, and no receipt {receipt.name}",
            "one or the other, to compare with before anything is unpickled",
            "run the step that downloads the file, or state the SHA-256 if you trust its source",
        )
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise StoreError(file, f"SHA-256 {found}", f"{expected}, {origin}", _REFETCH)
    return found


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what is in a stream, in blocks that fit into memory."""
    while block := stream.read(_BYTES):
        yield block


def _write(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file, which takes its name once all of it is on disk."""
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.writelines(blocks)


class _Conformer(NamedTuple):
    """One conformer.

    Attributes:
        smiles: Of its molecule.
        numbers: (atoms,) atomic numbers.
        positions: (atoms, 3) Å.
    """

    smiles: str
    numbers: np.ndarray
    positions: np.ndarray


class _Molecules:
    """Gathers molecules for a portion."""

    def __init__(self) -> None:
        self._kept: list[_Conformer] = []
        self._clusters: list[int] = []
        self._splits: list[int] = []
        self._rejects: Counter[str] = Counter()

    def reject(self, reason: str) -> None:
        """Count a molecule that is left out."""
        self._rejects[reason] += 1

    def add(self, conformers: Sequence[_Conformer], split: int) -> None:
        """Take in the conformers of one molecule, or none of them; `split` numbers `SPLITS`."""
        if reason := _objection(conformers):
            self.reject(reason)
            return
        cluster = self._clusters[-1] + 1 if self._clusters else 0
        for smiles, numbers, positions in conformers:
            centred = np.asarray(positions, np.float64)
            centred = (centred - centred.mean(axis=0)).astype(np.float32)
            self._kept.append(_Conformer(smiles, np.asarray(numbers, np.uint8), centred))
            self._clusters.append(cluster)
            self._splits.append(split)

    def portion(self) -> Portion:
        """Return what was gathered; clusters count from zero."""
        columns = {
            "positions": np.concatenate([np.empty((0, 3), np.float32), *(each.positions for each in self._kept)]),
            "atomic_numbers": np.concatenate([np.empty(0, np.uint8), *(each.numbers for each in self._kept)]),
            "smiles": [each.smiles for each in self._kept],
            "cluster": np.array(self._clusters, np.int32),
            "split": np.array(self._splits, np.uint8),
        }
        return Portion(np.array([len(each.numbers) for each in self._kept], np.int64), columns, self._rejects)


def _objection(conformers: Sequence[_Conformer]) -> str:
    """Return the first reason to leave a molecule out; empty if there is none."""
    if not conformers:
        return "no conformers"
    if not all(np.isin(each.numbers, ELEMENTS).all() for each in conformers):
        return "other elements than " + ", ".join(map(symbol, ELEMENTS))
    if not all(np.isfinite(each.positions).all() for each in conformers):
        return "coordinates not finite"
    return ""


class _Summary:
    """Describes what goes into the store, portion by portion.

    Attributes:
        molecules: In the store so far.
        rejects: What was left out, by reason.
    """

    def __init__(self, seed: int) -> None:
        self.molecules = 0
        self.rejects: Counter[str] = Counter()
        self._by_conformers: Counter[int] = Counter()
        self._by_split = {name: Counter(examples=0, molecules=0) for name in SPLITS}
        self._elements = np.zeros(256, np.int64)
        self._lengths: list[np.ndarray] = []
        self._radii: list[np.ndarray] = []
        self._beyond_faces = 0
        self._axes = LongestAxes()
        self._rng = np.random.default_rng(seed_for(seed, "orientation"))

    def add(self, portion: Portion) -> None:
        self.rejects += portion.rejects
        if not len(portion):
            return
        split, positions = portion.columns["split"], portion.columns["positions"]
        _, first, conformers = np.unique(portion.columns["cluster"], return_index=True, return_counts=True)
        self.molecules += len(first)
        self._by_conformers.update(conformers.tolist())
        for number, counts in enumerate(self._by_split.values()):
            counts["examples"] += int((split == number).sum())
            counts["molecules"] += int((split[first] == number).sum())
        self._elements += np.bincount(portion.columns["atomic_numbers"], minlength=256)
        starts = np.cumsum(portion.lengths) - portion.lengths
        self._lengths.append(portion.lengths)
        self._radii.append(np.maximum.reduceat(np.linalg.norm(positions, axis=1), starts))
        farthest = np.maximum.reduceat(np.abs(positions).max(axis=1), starts)
        self._beyond_faces += int((farthest > HALF_BOX).sum())
        self._axes.add_some(positions, portion.lengths, _ORIENTED_SHARE, self._rng)

    def statistics(self) -> dict[str, Any]:
        if not self.molecules:
            raise ValueError(f"no molecule is left; left out were {dict(self.rejects)}")
        lengths, radii = np.concatenate(self._lengths), np.concatenate(self._radii)
        shares = (0.05, 0.25, 0.5, 0.75, 0.95)
        return {
            "examples": len(lengths),
            "molecules": self.molecules,
            "splits": self._by_split,
            "molecules_by_conformers": dict(sorted(self._by_conformers.items())),
            "elements_atoms": {symbol(z): int(self._elements[z]) for z in np.flatnonzero(self._elements)},
            "atoms_mean": float(lengths.mean()),
            "atoms_max": int(lengths.max()),
            "radius_max_angstrom": float(radii.max()),
            "radius_quantiles_angstrom": {f"{100 * share:g} %": float(np.quantile(radii, share)) for share in shares},
            "examples_beyond_box": {
                "half_box_angstrom": HALF_BOX,
                "along_an_axis": self._beyond_faces,
                "by_radius": int((radii > HALF_BOX).sum()),
            },
            "orientation_of_longest_axis": self._axes.mean_squares(),
            "orientation_measured_on_share": _ORIENTED_SHARE,
        }


# Arrays


class _Rows(NamedTuple):
    """Some molecules of the arrays.

    Attributes:
        split: Number in `SPLITS`.
        rows: (m,) conformers, molecule by molecule.
        molecules: (m,) molecule of each.
        smiles: Of each.
    """

    split: int
    rows: np.ndarray
    molecules: np.ndarray
    smiles: list[str]


class _Split(NamedTuple):
    """The arrays of one split, as files mapped into memory; A atoms of C conformers.

    Attributes:
        positions: (A, 3) float32, Å, all conformers end to end.
        species: (A,) int32, places in `_SPECIES`.
        offsets: (C + 1,) int64, conformer i owns rows ``offsets[i]:offsets[i + 1]``.
        n_atoms: (C,) int32.
        mol_indices: (C,) int32, molecule; its conformers follow each other by rising energy.
    """

    positions: np.ndarray
    species: np.ndarray
    offsets: np.ndarray
    n_atoms: np.ndarray
    mol_indices: np.ndarray

    @classmethod
    def open(cls, folder: Path, split: int) -> "_Split":
        return cls(*(np.load(folder / _member(split, part), mmap_mode="r", allow_pickle=False) for part in cls._fields))


def _member(split: int, part: str) -> str:
    return f"{_PREFIXES[split]}_{part}.{'json' if part == 'smiles' else 'npy'}"


def _read_arrays(
    sources: list[Path], work: Path, *, conformers: int, processes: int, progress: bool
) -> Iterator[Portion]:
    archive, folder = sources[0], work / "members"
    _unpack(archive, folder)
    splits = range(len(SPLITS))
    for split in splits:
        _check_split(archive, folder, split)
    yield from portions(
        itertools.chain.from_iterable(_pieces_of_arrays(archive, folder, split, conformers) for split in splits),
        partial(_portion_of_arrays, archive=archive, folder=folder),
        work / "portions",
        processes=processes,
        title="GEOM-drugs arrays",
        progress=progress,
    )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the members that are needed, and no others: the lookup table of atom types is a pickle inside."""
    folder.mkdir(exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as members:
            digests = {}
            if "manifest.json" in members.namelist():
                digests = json.loads(members.read("manifest.json"))["files"]
            for name in (_member(split, part) for split in range(len(SPLITS)) for part in (*_Split._fields, "smiles")):
                if not (folder / name).exists():
                    _unpack_member(members, name, folder, digests.get(name))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise StoreError(archive, f"no archive that can be read ({error})", "a zip of arrays", _REFETCH) from error


def _unpack_member(archive: zipfile.ZipFile, name: str, folder: Path, sha256: str | None) -> None:
    """Unpack a member, and refuse it if it has another SHA-256."""
    digest = hashlib.sha256()

    def checked(stream: BinaryIO) -> Iterator[bytes]:
        for block in _blocks(stream):
            digest.update(block)
            yield block
        if sha256 not in (None, digest.hexdigest()):
            where, expected = f"{archive.filename}, {name}", f"{sha256}, as manifest.json says"
            raise StoreError(where, f"SHA-256 {digest.hexdigest()}", expected, _REFETCH)

    with archive.open(name) as stream:
        _write(folder / name, checked(stream))


def _check_split(archive: Path, folder: Path, split: int) -> None:
    """Check that the arrays of a split have the right types and fit each other."""

    def refuse(part: str, found: str, expected: str) -> NoReturn:
        raise StoreError(f"{archive}, {_member(split, part)}", found, expected, _REFETCH)

    try:
        arrays = _Split.open(folder, split)
    except ValueError as error:
        raise StoreError(archive, f"no arrays of plain numbers ({error})", "those of the split", _REFETCH) from error
    atoms, conformers = len(arrays.positions), len(arrays.n_atoms)
    forms = {
        "positions": ("float32", (atoms, 3)),
        "species": ("int32", (atoms,)),
        "offsets": ("int64", (conformers + 1,)),
        "n_atoms": ("int32", (conformers,)),
        "mol_indices": ("int32", (conformers,)),
    }
    for part, form in forms.items():
        array = getattr(arrays, part)
        if (array.dtype.name, array.shape) != form:
            refuse(part, f"{array.dtype} {array.shape}", f"{form[0]} {form[1]}")
    if conformers == 0:
        refuse("n_atoms", "no conformer", "one or more")
    if arrays.offsets[0] != 0 or arrays.offsets[-1] != atoms or (np.diff(arrays.offsets) < 1).any():
        refuse("offsets", "other numbers", f"numbers that rise from 0 to {atoms}")
    if (np.diff(arrays.offsets) != arrays.n_atoms).any():
        refuse("n_atoms", "other numbers", "the differences of the offsets")
    if (np.diff(arrays.mol_indices) < 0).any():
        refuse("mol_indices", "indices that fall", "the conformers of each molecule one after the other")


def _pieces_of_arrays(archive: Path, folder: Path, split: int, conformers: int) -> Iterator[_Rows]:
    """Yield the first conformers of each molecule, for a number of molecules at a time."""
    molecule_of = _Split.open(folder, split).mol_indices
    starts = np.flatnonzero(np.diff(molecule_of, prepend=molecule_of[0] - 1))
    ends = np.append(starts[1:], len(molecule_of))
    name = _member(split, "smiles")
    with (folder / name).open(encoding="utf-8") as stream:
        texts = _texts(stream)
        try:
            for first in range(0, len(starts), _PORTION):
                chosen = slice(first, first + _PORTION)
                bounds = zip(starts[chosen], ends[chosen], strict=True)
                rows = np.concatenate([np.arange(start, min(start + conformers, end)) for start, end in bounds])
                start, end = starts[chosen][0], ends[chosen][-1]
                smiles = list(itertools.islice(texts, end - start))
                if len(smiles) < end - start:
                    raise ValueError(f"fewer than {len(molecule_of)} texts")
                yield _Rows(split, rows, molecule_of[rows], [smiles[row - start] for row in rows])
            if next(texts, None) is not None:
                raise ValueError(f"more than {len(molecule_of)} texts")
        except ValueError as error:
            raise StoreError(f"{archive}, {name}", str(error), "a list of one SMILES per conformer", _REFETCH) from None


def _texts(stream: TextIO) -> Iterator[str]:
    """Yield the texts of a JSON list one by one: the whole list would fill memory.

    Raises:
        ValueError: It is no list of texts.
    """
    buffer = ""
    while more := stream.read(_BYTES):
        buffer, position = buffer + more, 0
        while match := _TEXT.match(buffer, position):
            yield json.loads(match[1])
            position = match.end()
        buffer = buffer[position:]
    if buffer.strip() not in ("]", "[]"):
        raise ValueError(f"{buffer[:40]!r} in place of the next text or the end")


def _portion_of_arrays(piece: _Rows, *, archive: Path, folder: Path) -> Portion:
    """Turn some molecules of the arrays into a portion. Runs in a worker."""
    arrays, where = _Split.open(folder, piece.split), f"{archive}, {_member(piece.split, 'species')}"
    gathered = _Molecules()
    by_molecule = itertools.groupby(zip(piece.molecules, piece.rows, piece.smiles, strict=True), key=lambda row: row[0])
    for _, conformers in by_molecule:
        read = [_conformer_of_arrays(arrays, int(row), smiles, where) for _, row, smiles in conformers]
        _check_composition(read[0], where)
        gathered.add(read, piece.split)
    return gathered.portion()


def _conformer_of_arrays(arrays: _Split, row: int, smiles: str, where: str) -> _Conformer:
    atoms = slice(*arrays.offsets[row : row + 2])
    species = arrays.species[atoms]
    if species.min() < 0 or species.max() >= len(_SPECIES):
        found = f"species {species.min()} to {species.max()} (conformer {row})"
        raise StoreError(where, found, f"0 to {len(_SPECIES) - 1}", _REFETCH)
    return _Conformer(smiles, _SPECIES[species], np.asarray(arrays.positions[atoms]))


def _check_composition(conformer: _Conformer, where: str) -> None:
    """Compare the atoms with those of the SMILES: arrays in another order or another list of species show here."""
    from rdkit import Chem

    mol = Chem.MolFromSmiles(conformer.smiles, sanitize=False)
    if mol is None:
        raise StoreError(where, f"SMILES {conformer.smiles!r}", "one that RDKit reads", _REFETCH)
    mol.UpdatePropertyCache(strict=False)
    expected: Counter[int] = Counter(atom.GetAtomicNum() for atom in mol.GetAtoms())
    expected[1] += sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    found = Counter(conformer.numbers.tolist())
    if found != expected:
        raise StoreError(where, f"atoms {_formula(found)}", f"{_formula(expected)} ({conformer.smiles})", _REFETCH)


def _formula(atoms: Counter[int]) -> str:
    return " ".join(f"{symbol(number)}{count}" for number, count in sorted(atoms.items()))


# MiDi's pickles


def _read_midi(
    sources: list[Path], work: Path, *, conformers: int, memory_gb: float, processes: int, progress: bool
) -> Iterator[Portion]:
    # The children do the work; the threads wait for them.
    pool = ThreadPoolExecutor(min(processes, len(sources)))
    try:
        complete = [
            pool.submit(_unpickle_apart, file, split, work / SPLITS[split], conformers, memory_gb)
            for split, file in enumerate(sources)
        ]
        for future in tqdm(complete, desc="GEOM-drugs pickles", unit="file", disable=not progress):
            yield from map(Portion.load, future.result())
    finally:
        pool.shutdown(cancel_futures=True)


def _unpickle_apart(file: Path, split: int, folder: Path, conformers: int, memory_gb: float) -> list[Path]:
    """Turn a pickled list into portions in `folder`, and return their files."""
    complete = folder / "complete.json"
    if not complete.exists():
        folder.mkdir(exist_ok=True)
        run_confined(
            unpickle_list,
            memory_gb=memory_gb,
            file=str(file),
            split=split,
            folder=str(folder),
            conformers=conformers,
            molecules=_PORTION,
        )
    return [folder / f"{number:06d}.npz" for number in range(json.loads(complete.read_text())["portions"])]


def unpickle_list(file: str, split: int, folder: str, conformers: int, molecules: int) -> None:
    """Turn a pickled list of ``(SMILES, [molecule, …])`` into portions; runs in a confined process.

    Args:
        file: The pickle.
        split: Number in `SPLITS`.
        folder: Where portions ``000000.npz`` … go, and ``complete.json`` at the end. Portions that are there are not
            made again.
        conformers: Most of each molecule.
        molecules: Of each portion but the last.

    Raises:
        StoreError: The pickle is damaged, or wants more than data, or holds something else.
    """
    count = 0
    try:
        with Path(file).open("rb") as stream:
            items = read_list(stream)
            while batch := list(itertools.islice(items, molecules)):
                target = Path(folder) / f"{count:06d}.npz"
                if not target.exists():
                    gathered = _Molecules()
                    for item in batch:
                        smiles, made = _checked_item(item, file)
                        gathered.add([_unpacked(smiles, each, file) for each in made[:conformers]], split)
                    gathered.portion().save(target)
                count += 1
    except PickleError as error:
        raise _damaged(file, error) from error
    _write(Path(folder) / "complete.json", [json.dumps({"portions": count}).encode()])


def _damaged(where: str, error: PickleError) -> StoreError:
    remedy = f"{_REFETCH}; if it is complete, do not trust it"
    return StoreError(where, f"a pickle that cannot be read: {error}", "molecules with conformers", remedy)


def _checked_item(item: Any, where: str) -> tuple[str, list[Any]]:
    if not isinstance(item, tuple) or list(map(type, item)) != [str, list]:
        raise StoreError(where, f"a {type(item).__name__} in the list", "pairs of a SMILES and a list", _REFETCH)
    return item


def _unpacked(smiles: str, molecule: Any, where: str) -> _Conformer:
    """Make an RDKit molecule and read its first conformer."""
    from rdkit import Chem

    if not isinstance(molecule, PickledMolecule):
        raise StoreError(where, f"a {type(molecule).__name__} for {smiles}", "an RDKit molecule", _REFETCH)
    try:
        mol = Chem.Mol(molecule.binary)
        positions = mol.GetConformer().GetPositions()
    except (RuntimeError, ValueError) as error:
        raise StoreError(
            where,
            f"a molecule {smiles} that RDKit {metadata.version('rdkit')} cannot read ({error})",
            "one with a conformer",
            "install a newer RDKit, which reads what newer ones wrote",
        ) from error
    return _Conformer(smiles, np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]), positions)


# The raw archive


def _read_dataverse(
    sources: list[Path], work: Path, *, conformers: int, memory_gb: float, processes: int, progress: bool
) -> Iterator[Portion]:
    tar = _plain_tar(sources[0], work)
    plan = _plan(tar, work / "plan.json")
    yield Portion(np.empty(0, np.int64), {}, Counter(plan["rejects"]))
    members = plan["members"]
    pieces = [members[start : start + _PORTION] for start in range(0, len(members), _PORTION)]
    yield from portions(
        pieces,
        partial(_portion_of_members, tar=tar, work=work, conformers=conformers, memory_gb=memory_gb),
        work / "portions",
        processes=processes,
        total=len(pieces),
        title="GEOM-drugs archive",
        progress=progress,
    )


def _plain_tar(archive: Path, work: Path) -> Path:
    """Return the archive, or a copy that is not compressed: members are read where they lie."""
    with archive.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    if not compressed:
        return archive
    plain = work / "rdkit_folder.tar"
    if not plain.exists():
        try:
            with gzip.open(archive) as stream:
                _write(plain, _blocks(stream))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StoreError(archive, f"gzip that cannot be read ({error})", "a whole archive", _REFETCH) from error
    return plain


def _plan(tar: Path, file: Path) -> dict[str, Any]:
    """Return which members of the archive are read, and what is left out; kept in `file`, as the index is long.

    Returns:
        Keys "members", a list of [SMILES, split, first byte, bytes] in the order of the archive, and "rejects".
    """
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    members, summary = _index(tar)
    listed = [(smiles, record["pickle_path"]) for smiles, record in summary.items() if "pickle_path" in record]
    rejects = Counter({"no pickle_path in the summary": len(summary) - len(listed)})
    planned = []
    for (smiles, path), split in zip(listed, midi_splits(len(listed)).tolist(), strict=True):
        if path in members:
            planned.append([smiles, split, *members.pop(path)])
        else:
            rejects["pickle not in the archive"] += 1
    rejects["not in the summary"] = len(members)
    plan = {"members": sorted(planned, key=lambda member: member[2]), "rejects": +rejects}
    _write(file, [json.dumps(plan).encode()])
    return plan


def _index(tar: Path) -> tuple[dict[str, tuple[int, int]], dict[str, dict[str, Any]]]:
    """Return first byte and bytes of the pickles of drugs by their path in the summary, and the summary."""
    members: dict[str, tuple[int, int]] = {}
    summary = None
    try:
        with tarfile.open(tar, "r:") as archive:
            while member := archive.next():
                archive.members.clear()  # it would keep half a million
                path = PurePosixPath(member.name)
                if not member.isreg() or path.name.startswith("._"):
                    continue
                if path == PurePosixPath(_SUMMARY):
                    summary = json.load(archive.extractfile(member))
                elif path.parent == PurePosixPath(_DRUGS) and path.suffix == ".pickle":
                    members[f"drugs/{path.name}"] = member.offset_data, member.size
    except (tarfile.TarError, ValueError) as error:
        raise StoreError(tar, f"a tar archive that cannot be read ({error})", "GEOM's", _REFETCH) from error
    if summary is None or not members:
        missing = _SUMMARY if summary is None else f"{_DRUGS}/*.pickle"
        raise StoreError(tar, f"no {missing} in the archive", "GEOM's archive of RDKit pickles", _REFETCH)
    return members, summary


def midi_splits(count: int) -> np.ndarray:
    """Return (count,) uint8, the number in `SPLITS` of each molecule in MiDi's split.

    Labels, a tenth each of test and validation (rounded down) and then training, were shuffled by one permutation.

    Args:
        count: Molecules of GEOM's summary that have a pickle, in its order.
    """
    tenth = int(count * 0.1)
    labels = np.repeat(np.array([2, 1, 0], np.uint8), [tenth, tenth, count - 2 * tenth])
    # The generator that they drew from.
    return labels[np.random.RandomState(0).permutation(count)]


def _portion_of_members(
    members: list[list[Any]], *, tar: Path, work: Path, conformers: int, memory_gb: float
) -> Portion:
    """Turn some members of the archive into a portion. Runs in a worker, which has a confined process do it."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        target = Path(folder) / "portion.npz"
        run_confined(
            unpickle_members,
            memory_gb=memory_gb,
            tar=str(tar),
            members=members,
            conformers=conformers,
            target=str(target),
        )
        return Portion.load(target)


def unpickle_members(tar: str, members: list[list[Any]], conformers: int, target: str) -> None:
    """Turn pickles of single molecules into a portion; runs in a confined process.

    Args:
        tar: The archive, not compressed.
        members: [SMILES, split, first byte, bytes] of each pickle.
        conformers: Most of each molecule.
        target: File of the portion.

    Raises:
        StoreError: A pickle is damaged, or wants more than data, or holds something else.
    """
    gathered = _Molecules()
    with Path(tar).open("rb") as stream:
        for smiles, split, start, size in members:
            where = f"{tar}, pickle of {smiles} at byte {start}"
            stream.seek(start)
            try:
                record = read_object(io.BytesIO(stream.read(size)))
            except PickleError as error:
                raise _damaged(where, error) from error
            entries = _checked_entries(record, where)
            if not all(isinstance(entry["totalenergy"], (int, float)) for entry in entries):
                gathered.reject("conformer without energy")
                continue
            lowest = sorted(entries, key=lambda entry: entry["totalenergy"])[: min(conformers, _LOWEST)]
            gathered.add([_unpacked(smiles, entry["rd_mol"], where) for entry in lowest], split)
    gathered.portion().save(target)


def _checked_entries(record: Any, where: str) -> list[dict[str, Any]]:
    """Return the conformers of a pickled molecule; their number is the list's, which the summary may have wrong."""
    entries = record.get("conformers") if isinstance(record, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and {"rd_mol", "totalenergy"} <= entry.keys() for entry in entries
    ):
        expected = "a dictionary with a list `conformers` of dictionaries with rd_mol and totalenergy"
        raise StoreError(where, "another object", expected, _REFETCH)
    return entries
