"""Voxel-denoising data: GEOM-drugs as NumPy arrays, without any pickle that must be read.

The atomic-datasets project turned MiDi's pickles into arrays, after a clean-up that drops conformers that RDKit cannot
sanitise, fragments and odd bonds. If one of the five conformers of lowest energy was dropped, the sixth moves up.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, NoReturn, TextIO

import numpy as np

from equidyn.data.geom import PORTION, REFETCH, SPLITS, Conformer, Molecules, blocks_of, build, write_blocks
from equidyn.data.geometries import symbol
from equidyn.data.preparation import Portion, expanded, most_unpacked, portions, source_sha256
from equidyn.data.store import StoreError

if TYPE_CHECKING:
    from equidyn.data.sources.geom_arrays.card import GeomArrays

ARRAYS = "geom_drugs_processed.zip"

_PREFIXES = ("train", "val", "test")  # prefixes of the arrays' names, in the order of `SPLITS`
_SPECIES = np.array([1, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 33, 35, 53, 80, 83])  # atomic numbers of the arrays' species
_TEXT = re.compile(r'\s*[\[,]\s*("(?:[^"\\]|\\.)*")')  # an entry of a JSON list, with the separator before it
_BYTES = 1 << 20  # read at once
_MOST_UNREADABLE = 3  # molecules of a portion that may be so by themselves; half of a larger one is another file
_LONGEST_TEXT = 16 << 20  # characters of a SMILES, or of several that are not complete


def build_store(
    path: str | Path,
    recipe: GeomArrays,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the store from `ARRAYS`; examples lie split by split, in the order of the source.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.geom.FIELDS`.
        recipe: Number of conformers, and the seed.
        files: Path of `ARRAYS`, by its name.

    Raises:
        ValueError: `files` has another name, or no molecule is left.
        StoreError: The archive is missing, damaged, or not the expected one.
    """
    if ARRAYS not in files:
        raise ValueError(f"files: found {sorted(files)}, expected {ARRAYS}")
    archive, scratch = Path(files[ARRAYS]), Path(scratch)
    return build(
        path,
        _portions(archive, scratch, recipe.conformers, processes, progress),
        scratch=scratch,
        overwrite=overwrite,
        seed=recipe.seed,
        source=f"{ARRAYS}: GEOM-drugs (CC0) in MiDi's split, cleaned and turned into arrays by atomic-datasets "
        "(record 18484634 of Zenodo)",
        conformers=recipe.conformers,
        files=[{"name": ARRAYS, "sha256": source_sha256(archive)}],
    )


class _Rows(NamedTuple):
    """Some molecules of the arrays.

    Attributes:
        split: Number in `SPLITS`.
        rows: (m,) conformers, molecule by molecule.
        molecules: (m,) molecule of each conformer.
        smiles: SMILES of each conformer.
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
    def open(cls, folder: Path, split: int) -> _Split:
        return cls(*(np.load(folder / _member(split, part), mmap_mode="r", allow_pickle=False) for part in cls._fields))


def _member(split: int, part: str) -> str:
    return f"{_PREFIXES[split]}_{part}.{'json' if part == 'smiles' else 'npy'}"


def _portions(archive: Path, work: Path, conformers: int, processes: int, progress: bool) -> Iterator[Portion]:
    """Yield the portions of all splits."""
    folder = work / "members"
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
            wanted = [_member(split, part) for split in range(len(SPLITS)) for part in (*_Split._fields, "smiles")]
            if "manifest.json" in members.namelist():
                if members.getinfo("manifest.json").file_size > _BYTES:
                    raise ValueError(f"manifest.json has more than {_BYTES:,} bytes")
                digests = json.loads(members.read("manifest.json"))["files"]
            most = most_unpacked(archive)
            if sum(members.getinfo(name).file_size for name in wanted) > most:
                raise expanded(archive, most)
            for name in wanted:
                if not (folder / name).exists():
                    _unpack_member(members, name, folder, digests.get(name))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise StoreError(archive, f"no archive that can be read ({error})", "a zip of arrays", REFETCH) from error


def _unpack_member(archive: zipfile.ZipFile, name: str, folder: Path, sha256: str | None) -> None:
    """Unpack a member, and refuse it if it has another SHA-256."""
    digest = hashlib.sha256()

    def checked(stream: IO[bytes]) -> Iterator[bytes]:
        for block in blocks_of(stream):
            digest.update(block)
            yield block
        if sha256 not in (None, digest.hexdigest()):
            where, expected = f"{archive.filename}, {name}", f"{sha256}, as manifest.json says"
            raise StoreError(where, f"SHA-256 {digest.hexdigest()}", expected, REFETCH)

    with archive.open(name) as stream:
        write_blocks(folder / name, checked(stream))


def _check_split(archive: Path, folder: Path, split: int) -> None:
    """Check that the arrays of a split have the right types and fit each other."""

    def refuse(part: str, found: str, expected: str) -> NoReturn:
        raise StoreError(f"{archive}, {_member(split, part)}", found, expected, REFETCH)

    try:
        arrays = _Split.open(folder, split)
    except ValueError as error:
        raise StoreError(archive, f"no arrays of plain numbers ({error})", "those of the split", REFETCH) from error
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
            for first in range(0, len(starts), PORTION):
                chosen = slice(first, first + PORTION)
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
            raise StoreError(f"{archive}, {name}", str(error), "a list of one SMILES per conformer", REFETCH) from None


def _texts(stream: TextIO) -> Iterator[str]:
    """Yield the texts of a JSON list one by one: the whole list would fill memory.

    Raises:
        ValueError: The stream does not hold a list of texts.
    """
    buffer = ""
    while more := stream.read(_BYTES):
        buffer, position = buffer + more, 0
        while match := _TEXT.match(buffer, position):
            yield json.loads(match[1])
            position = match.end()
        buffer = buffer[position:]
        if len(buffer) > _LONGEST_TEXT:
            raise ValueError(f"a text of more than {_LONGEST_TEXT:,} characters")
    if buffer.strip() not in ("]", "[]"):
        raise ValueError(f"{buffer[:40]!r} in place of the next text or the end")


def _portion_of_arrays(piece: _Rows, *, archive: Path, folder: Path) -> Portion:
    """Turn some molecules of the arrays into a portion. Runs in a worker."""
    arrays, where = _Split.open(folder, piece.split), f"{archive}, {_member(piece.split, 'species')}"
    gathered, unreadable = Molecules(), 0
    by_molecule = itertools.groupby(zip(piece.molecules, piece.rows, piece.smiles, strict=True), key=lambda row: row[0])
    for _, conformers in by_molecule:
        read = [_conformer_of_arrays(arrays, int(row), smiles, where) for _, row, smiles in conformers]
        if _is_readable(read[0], where):
            gathered.add(read, piece.split)
        else:
            note = f"{where}: left out a molecule whose SMILES {read[0].smiles!r} RDKit cannot read"
            gathered.reject("RDKit cannot read it", note)
            unreadable += 1
    if unreadable > max(_MOST_UNREADABLE, len(set(piece.molecules)) // 2):
        found = f"{unreadable} of {len(set(piece.molecules))} SMILES that RDKit cannot read"
        raise StoreError(where, found, "hardly any", REFETCH)
    return gathered.portion()


def _conformer_of_arrays(arrays: _Split, row: int, smiles: str, where: str) -> Conformer:
    atoms = slice(*arrays.offsets[row : row + 2])
    species = arrays.species[atoms]
    if species.min() < 0 or species.max() >= len(_SPECIES):
        found = f"species {species.min()} to {species.max()} (conformer {row})"
        raise StoreError(where, found, f"0 to {len(_SPECIES) - 1}", REFETCH)
    return Conformer(smiles, _SPECIES[species], np.asarray(arrays.positions[atoms]))


def _is_readable(conformer: Conformer, where: str) -> bool:
    """Whether RDKit reads the SMILES; its atoms must be those of the arrays.

    Arrays in another order or another list of species show here.
    """
    from rdkit import Chem

    mol = Chem.MolFromSmiles(conformer.smiles, sanitize=False)
    if mol is None:
        return False
    mol.UpdatePropertyCache(strict=False)
    expected: Counter[int] = Counter(atom.GetAtomicNum() for atom in mol.GetAtoms())
    expected[1] += sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    found = Counter(conformer.numbers.tolist())
    if found != expected:
        raise StoreError(where, f"atoms {_formula(found)}", f"{_formula(expected)} ({conformer.smiles})", REFETCH)
    return True


def _formula(atoms: Counter[int]) -> str:
    return " ".join(f"{symbol(number)}{count}" for number, count in sorted(atoms.items()))
