"""Voxel-denoising data: GEOM-drugs as its authors published it, a raw archive with one pickle of each molecule.

The conformers and the split are those of MiDi's three pickles, which VoxMol reads, as the same rules are applied to the
same archive: of the molecules that the summary has a pickle of, in its order, one permutation by a generator that is
seeded with 0 makes the split; of each molecule the 30 conformers of lowest energy are kept. Pickles are programs: see
`equidyn.data.pickles` for how these are read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from equidyn.core.files import receipt_path
from equidyn.core.tars import ModestTarInfo
from equidyn.data.geom import PORTION, REFETCH, Conformer, Molecules, blocks_of, build, write_blocks
from equidyn.data.pickles import CrashError, PickledMolecule, PickleError, read_object, run_confined
from equidyn.data.preparation import LimitedGzip, Portion, portions
from equidyn.data.store import StoreError

if TYPE_CHECKING:
    from equidyn.data.sources.geom_dataverse.card import GeomDataverse

ARCHIVE = "rdkit_folder.tar.gz"

_LOWEST = 30  # conformers of each molecule that MiDi kept
_MOST_FATAL = 20  # molecules of a portion that may be unreadable, however few there are
_NEWER_RDKIT = "install a newer RDKit, which reads what newer ones wrote"
_SUMMARY = "rdkit_folder/summary_drugs.json"
_LARGEST_SUMMARY = 1 << 30  # bytes, which are read at once; GEOM's has some 10⁸
_DRUGS = "rdkit_folder/drugs"


def build_store(
    path: str | Path,
    recipe: GeomDataverse,
    *,
    files: Mapping[str, str | Path],
    scratch: str | Path,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make the store from the raw archive `ARCHIVE`; molecules lie in the order of the archive, splits mixed.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.geom.FIELDS`.
        recipe: Number of conformers, the seed, and the memory limit of a process that reads a pickle.
        files: Path of `ARCHIVE` by its name, with the receipt ``<file>.json`` of its download beside it: no checksum is
            published, so the first download is the reference. A file with other bytes is refused before any pickle is
            read. In spite of its name the published file is a plain tar, which is read where
            it lies; one that is compressed is unpacked to `scratch` first (50 GB).

    Raises:
        ValueError: `files` has another name, or no molecule is left.
        StoreError: The archive is missing or damaged, or not the one that was downloaded.
        ConfinementError: A pickle is damaged or asks for more than data, or the system cannot confine its reader.
    """
    if ARCHIVE not in files:
        raise ValueError(f"files: found {sorted(files)}, expected {ARCHIVE}")
    archive, scratch = Path(files[ARCHIVE]), Path(scratch)
    return build(
        path,
        _portions(archive, scratch, recipe, processes, progress),
        scratch=scratch,
        overwrite=overwrite,
        seed=recipe.seed,
        source=f"{ARCHIVE}: GEOM-drugs (doi:10.7910/DVN/JNGTDF, CC0), split as MiDi did",
        conformers=recipe.conformers,
        files=[{"name": ARCHIVE, "sha256": _pinned_sha256(archive)}],
    )


class _UnreadableError(Exception):
    """RDKit cannot read a molecule."""


def _pinned_sha256(file: Path) -> str:
    """Return the file's SHA-256, which must be the one in its receipt."""
    receipt = receipt_path(file)
    if not file.is_file():
        raise StoreError(file, "no such file", "a source of GEOM-drugs", "run the step that downloads it")
    if not receipt.is_file():
        raise StoreError(
            file,
            f"pickles of which no SHA-256 is known, as there is no receipt {receipt.name}",
            "one to compare with before anything is unpickled",
            "run the step that downloads the file; it takes a file that is there already if you trust its source",
        )
    expected = json.loads(receipt.read_text(encoding="utf-8"))["sha256"]
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise StoreError(file, f"SHA-256 {found}", f"{expected}, as {receipt.name} says", REFETCH)
    return found


def _damaged(where: str, error: PickleError) -> StoreError:
    remedy = f"{REFETCH}; if it is complete, do not trust it"
    return StoreError(where, f"a pickle that cannot be read: {error}", "molecules with conformers", remedy)


def _unpacked(smiles: str, molecule: Any, where: str) -> Conformer:
    """Make an RDKit molecule and read its first conformer.

    Raises:
        StoreError: There is something else in place of the molecule.
        _UnreadableError: RDKit cannot read it.
    """
    from rdkit import Chem

    if not isinstance(molecule, PickledMolecule):
        raise StoreError(where, f"a {type(molecule).__name__} for {smiles}", "an RDKit molecule", REFETCH)
    try:
        mol = Chem.Mol(cast(Any, molecule.binary))
        positions = mol.GetConformer().GetPositions()
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise _UnreadableError(f"{type(error).__name__}: {error}") from error
    return Conformer(smiles, np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]), positions)


def _portions(archive: Path, work: Path, recipe: GeomDataverse, processes: int, progress: bool) -> Iterator[Portion]:
    """Yield the portions of the archive."""
    tar = _plain_tar(archive, work)
    plan = _plan(tar, work / "plan.json")
    yield Portion(np.empty(0, np.int64), {}, Counter(plan["rejects"]))
    members = plan["members"]
    pieces = [members[start : start + PORTION] for start in range(0, len(members), PORTION)]
    yield from portions(
        pieces,
        partial(_portion_of_members, tar=tar, work=work, conformers=recipe.conformers, memory_gb=recipe.memory_gb),
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
            with LimitedGzip(archive) as stream:
                write_blocks(plain, blocks_of(cast(IO[bytes], stream)))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise StoreError(archive, f"gzip that cannot be read ({error})", "a whole archive", REFETCH) from error
    return plain


def _plan(tar: Path, file: Path) -> dict[str, Any]:
    """Return the members of the archive to read, and the rejects; cached in `file`, as the index is long.

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
    write_blocks(file, [json.dumps(plan).encode()])
    return plan


def _index(tar: Path) -> tuple[dict[str, tuple[int, int]], dict[str, dict[str, Any]]]:
    """Return first byte and bytes of the pickles of drugs by their path in the summary, and the summary."""
    members: dict[str, tuple[int, int]] = {}
    summary = None
    try:
        with tarfile.open(tar, "r:", tarinfo=ModestTarInfo) as archive:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep half a million
                path = PurePosixPath(member.name)
                if not member.isreg() or path.name.startswith("._"):
                    continue
                if path == PurePosixPath(_SUMMARY):
                    if member.size > _LARGEST_SUMMARY:
                        raise ValueError(f"{_SUMMARY} has {member.size:,} bytes, expected fewer")
                    summary = json.load(cast(IO[bytes], archive.extractfile(member)))
                elif path.parent == PurePosixPath(_DRUGS) and path.suffix == ".pickle":
                    members[f"drugs/{path.name}"] = member.offset_data, member.size
    except (tarfile.TarError, ValueError) as error:
        raise StoreError(tar, f"a tar archive that cannot be read ({error})", "GEOM's", REFETCH) from error
    if summary is None or not members:
        missing = _SUMMARY if summary is None else f"{_DRUGS}/*.pickle"
        raise StoreError(tar, f"no {missing} in the archive", "GEOM's archive of RDKit pickles", REFETCH)
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
    """Turn some members of the archive into a portion. Runs in a worker, which has a confined process do it.

    A molecule of which that process dies is left out, and all is done again without it.
    """
    fatal: list[int] = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        target, current = Path(folder) / "portion.npz", Path(folder) / "current"
        while True:
            try:
                run_confined(
                    unpickle_members,
                    memory_gb=memory_gb,
                    tar=str(tar),
                    members=members,
                    conformers=conformers,
                    target=str(target),
                    fatal=fatal,
                    current=str(current),
                )
                return Portion.load(target)
            except CrashError as error:
                if not current.exists() or len(fatal) == _MOST_FATAL:
                    error.add_note(f"so it did before of {len(fatal)} of {len(members)} molecules: {_NEWER_RDKIT}")
                    raise
                fatal.append(int(current.read_text("utf-8")))


def unpickle_members(
    tar: str,
    members: list[list[Any]],
    conformers: int,
    target: str,
    fatal: Collection[int] = (),
    current: str = "",
) -> None:
    """Turn pickles of single molecules into a portion; runs in a confined process.

    A molecule that RDKit cannot read is counted, and named in a note for the log.

    Args:
        tar: The archive, not compressed.
        members: [SMILES, split, first byte, bytes] of each pickle.
        conformers: Largest number of conformers of each molecule.
        target: File of the portion.
        fatal: Members, by number, of which RDKit died before; they are left out.
        current: File that says at which member the function is.

    Raises:
        StoreError: A pickle is damaged, needs more than plain data, or holds something else; or RDKit can read hardly
            any.
    """
    gathered, unreadable = Molecules(), 0
    with Path(tar).open("rb") as stream:
        for number, (smiles, split, start, size) in enumerate(members):
            where = f"{tar}, pickle of {smiles} at byte {start}"
            if number in fatal:
                gathered.reject("RDKit dies of it", f"{where}: left out, RDKit {_version()} dies of it")
                continue
            if current:
                Path(current).write_text(str(number), encoding="ascii")
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
            try:
                gathered.add([_unpacked(smiles, entry["rd_mol"], where) for entry in lowest], split)
            except _UnreadableError as error:
                unreadable += 1
                note = f"{where}: left out, RDKit {_version()} cannot read it ({error})"
                gathered.reject("RDKit cannot read it", note)
    if unreadable > max(_MOST_FATAL, len(members) // 2):
        found = f"{unreadable} of {len(members)} molecules that RDKit {_version()} cannot read"
        raise StoreError(tar, found, "hardly any", _NEWER_RDKIT)
    gathered.portion().save(target)


def _version() -> str:
    return metadata.version("rdkit")


def _checked_entries(record: Any, where: str) -> list[dict[str, Any]]:
    """Return the conformers of a pickled molecule; their number is the list's, which the summary may have wrong."""
    entries = record.get("conformers") if isinstance(record, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and {"rd_mol", "totalenergy"} <= entry.keys() for entry in entries
    ):
        expected = "a dictionary with a list `conformers` of dictionaries with rd_mol and totalenergy"
        raise StoreError(where, "another object", expected, REFETCH)
    return entries
