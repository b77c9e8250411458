"""A study's results as one file for publication, with a checksum of every file in it.

The archive is a gzipped tar file. Its only folder is named after the study and holds the study's tables, figures,
report, configuration and manifest, a data sheet (`equidyn.study.datasheet`), and `SHA256SUMS`, which ``sha256sum
--check`` reads too. The same files give the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from equidyn.core.files import replacing
from equidyn.core.tars import ModestTarInfo
from equidyn.study.datasheet import DatasheetError, datasheet

KEPT = ("config.yaml", "manifest.json", "report.html", "tables", "figures")
"""The parts of a study's folder that are published: neither data nor weights."""

SUMS = "SHA256SUMS"

DATASHEET = "croissant.json"

MOST_BYTES = 10 * 2**30
"""Most bytes that an archive may unpack to; the default study has a few million."""

MOST_FILES = 100_000
"""Most files that an archive may hold."""


class ArchiveError(ValueError):
    """An archive cannot be made, is damaged, or was not made by `pack`."""


def pack(study: str | Path, archive: str | Path) -> list[str]:
    """Write the archive of a study.

    Args:
        study: Its folder, ``results/cpu`` for instance.
        archive: File to write, ``cpu.tar.gz`` for instance.

    Returns:
        Names of the files in it, sorted.

    Raises:
        ArchiveError: The folder holds no tables, configuration or manifest, or no data sheet can be written.
    """
    study = Path(study)
    if missing := [name for name in ("config.yaml", "manifest.json", "tables") if not (study / name).exists()]:
        raise ArchiveError(f"{study}: no {missing[0]}: finish the study first")
    files = {file.relative_to(study).as_posix(): file for file in sorted(_files(study))}
    sums = {name: _sha256(file) for name, file in files.items()}
    try:
        made = {DATASHEET: datasheet(study, sums).encode()}
    except DatasheetError as error:
        raise ArchiveError(str(error)) from None
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    made[SUMS] = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
    with (
        replacing(archive) as temporary,
        temporary.open("wb") as raw,
        # Neither names nor times of this machine, so that equal results make equal archives.
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in made.items():
            _add(tar, f"{study.name}/{name}", io.BytesIO(content), len(content))
        for name, file in files.items():
            with file.open("rb") as stream:
                _add(tar, f"{study.name}/{name}", stream, file.stat().st_size)
    return sorted(sums)


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Check an archive and put its study into a folder.

    Args:
        archive: Archive that `pack` made.
        folder: Folder in which the study's own folder will appear, ``results`` for instance.

    Returns:
        The study's folder, which appears whole or not at all.

    Raises:
        ArchiveError: The archive is missing, damaged or was not made by `pack`, or the study's folder already exists.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary:
        try:
            with tarfile.open(archive, "r:gz", tarinfo=ModestTarInfo) as tar:
                tar.extractall(temporary, members=_plain(tar), filter="data")
        except FileNotFoundError:
            raise ArchiveError(f"{archive}: no such file") from None
        except (tarfile.TarError, EOFError, OSError, gzip.BadGzipFile) as error:
            raise ArchiveError(f"{archive}: damaged, or not a gzipped tar file ({error}): fetch it again") from None
        found = list(Path(temporary).iterdir())
        if len(found) != 1 or not (found[0] / SUMS).is_file():
            raise ArchiveError(f"{archive}: not one folder with {SUMS}: it was not made by equidyn pack")
        study = found[0]
        _check(study, archive)
        (study / SUMS).unlink()
        final = folder / study.name
        if final.exists():
            raise ArchiveError(f"{final}: exists already: remove it, or choose another folder")
        return study.rename(final)


def _plain(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive, which must be `MOST_FILES` plain files of `MOST_BYTES` in all at most."""
    unpacked = 0
    for number, member in enumerate(tar):
        if number == MOST_FILES:
            raise tarfile.TarError(f"it has more than {MOST_FILES:,} files")
        unpacked += member.size
        if not member.isfile():
            raise tarfile.TarError(f"{member.name} is no plain file")
        if unpacked > MOST_BYTES:
            raise tarfile.TarError(f"it unpacks to more than {MOST_BYTES:,} bytes")
        yield member


def _files(study: Path) -> Iterator[Path]:
    """The files that are published, without half-written ones."""
    for name in KEPT:
        path = study / name
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and not file.name.startswith("."))


def _check(study: Path, archive: str | Path) -> None:
    lines = (study / SUMS).read_text("utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {file.relative_to(study).as_posix() for file in study.rglob("*") if file.is_file()} - {SUMS}
    if differing := sorted(there ^ listed.keys()):
        how = "not listed" if differing[0] in there else "missing"
        raise ArchiveError(f"{archive}: {differing[0]} is {how}: fetch the archive again")
    for name, digest in listed.items():
        if _sha256(study / name) != digest:
            raise ArchiveError(f"{archive}: {name} has a checksum that differs from {SUMS}: fetch the archive again")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, stream: io.IOBase, size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, stream)
