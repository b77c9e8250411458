"""Preparation: turn large sources into stores, piece by piece, in memory that does not grow with the source.

A source is cut into pieces (a block of frames, some files), which worker processes turn into portions of examples. Each
portion stays in a scratch folder until the store is complete, so that an interrupted preparation can resume.
"""

import contextlib
import gzip
import hashlib
import json
import logging
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from equidyn.core.files import receipt_path, replacing
from equidyn.data.store import StoreError
from equidyn.data.workers import workers

log = logging.getLogger(__name__)

MOST_EXPANSION, LEAST_LIMIT = 100, 2**30
"""See `most_unpacked`."""

_AHEAD = 2  # pieces per worker process that are read before they are needed


class LimitedGzip(gzip.GzipFile):
    """A gzip file that is an error where it unpacks to more than `most_unpacked`.

    Raises:
        StoreError: From `read`, at the first byte too many.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._where, self._most = path, most_unpacked(path)

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, as every file does."""
        content = super().read(size)
        if self.tell() > self._most:
            raise expanded(self._where, self._most)
        return content


def most_unpacked(path: str | Path) -> int:
    """Most bytes that a packed file may unpack to: 100 times its own, but no less than 2³⁰.

    Numbers shrink by a factor of three or so; a thousandfold is a bomb.
    """
    return max(LEAST_LIMIT, MOST_EXPANSION * Path(path).stat().st_size)


def expanded(where: str | Path, most: int) -> StoreError:
    """The error of a file that unpacks to more than `most_unpacked`."""
    remedy = "do not trust the file; delete it and download it again"
    return StoreError(where, f"a packed file that unpacks to more than {most:,} bytes", "at most these", remedy)


@dataclass
class Portion:
    """Some examples of a data set, between a worker and the store.

    Attributes:
        lengths: (m,) ragged rows (atoms, residues) of each example; m may be zero.
        columns: One entry per field, as `StoreWriter.extend` takes them: rows end to end for ragged fields, one row
            per example for scalar ones, a list of `str` for text.
        rejects: Numbers of rejected examples, by reason.
        notes: Lines for the log about single rejects.
    """

    lengths: np.ndarray
    columns: Mapping[str, Any]
    rejects: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lengths)

    def save(self, path: str | Path) -> None:
        """Write the portion as ``.npz``, under a temporary name first; nothing in it is pickled."""
        texts = {name: list(values) for name, values in self.columns.items() if not isinstance(values, np.ndarray)}
        arrays: dict[str, Any] = {f"column_{name}": array for name, array in self.columns.items() if name not in texts}
        about = json.dumps({"texts": texts, "rejects": self.rejects, "notes": self.notes}).encode()
        with replacing(path) as temporary:
            np.savez(temporary, lengths=self.lengths, about=np.frombuffer(about, np.uint8), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Portion":
        """Read a portion that `save` wrote.

        Raises:
            ValueError: The file is no portion; the message names it.
        """
        try:
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                about = json.loads(archive["about"].tobytes())
                prefix = "column_"
                arrays = {name.removeprefix(prefix): archive[name] for name in archive if name.startswith(prefix)}
                rejects, notes = Counter(about["rejects"]), about["notes"]
                return cls(archive["lengths"], arrays | about["texts"], rejects, notes)
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a portion of a data set ({error}); delete it and prepare again") from error


def source_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a downloaded file: as its receipt ``<file>.json`` states it, else of its bytes.

    Raises:
        StoreError: There is no such file, or it has not the size that the receipt states.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(path, "no such file", "a source of a data set", "run the step that downloads it")
    receipt = receipt_path(path)
    if receipt.is_file():
        stated = json.loads(receipt.read_text(encoding="utf-8"))
        if path.stat().st_size != stated["bytes"]:
            remedy = "delete the file and its receipt, and download it again"
            raise StoreError(path, f"{path.stat().st_size} bytes", f"{stated['bytes']}, as {receipt.name} says", remedy)
        return stated["sha256"]
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def portions(
    pieces: Iterable[Any],
    make: Callable[[Any], Portion],
    scratch: str | Path,
    *,
    processes: int = 1,
    total: int | None = None,
    title: str = "prepare",
    progress: bool = True,
) -> Iterator[Portion]:
    """Yield the portion of each piece, in order; those that `scratch` already holds are not made again.

    Notes of the portions go to the log.

    Args:
        pieces: Read lazily, a few ahead of what is needed. They must come in the same order every time.
        make: Turns a piece into a portion, in a worker process: a function of a module, or a `functools.partial` of
            one.
        scratch: Folder of these portions and of no others; made if it is not there. The caller removes it once the
            store is complete.
        processes: Worker processes, started afresh; none for 1. The result does not depend on it.
        total: Pieces, if known, for the progress bar.
        title: Title of the progress bar.
        progress: Show a progress bar on stderr.

    Raises:
        Exception: What `pieces` or `make` raised, with a note that names the piece. Portions that were finished stay.
    """
    scratch = Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    with tqdm(total=total, desc=title, unit="piece", disable=not progress, mininterval=5) as bar:
        for path in _made(pieces, make, scratch, processes):
            portion = Portion.load(path)
            for note in portion.notes:
                log.warning("%s", note)
            yield portion
            bar.update()


def _made(pieces: Iterable[Any], make: Callable[[Any], Portion], scratch: Path, processes: int) -> Iterator[Path]:
    """Yield the file of each piece's portion, once it is complete."""
    files = ((scratch / f"{number:06d}.npz", piece) for number, piece in enumerate(pieces))
    if processes == 1:
        for path, piece in files:
            with _named(path):
                _make(make, piece, path)
            yield path
        return
    with workers(processes) as pool:
        waiting: deque = deque()
        for path, piece in files:
            # Nothing to do for a finished portion, but it keeps its place in the order.
            waiting.append((path, None if path.exists() else pool.submit(_make, make, piece, path)))
            if len(waiting) >= _AHEAD * processes:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def _finished(path: Path, future: Any) -> Path:
    if future is not None:
        with _named(path):
            future.result()
    return path


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the piece in a note of any error."""
    try:
        yield
    except Exception as error:
        error.add_note(f"this was piece {int(path.stem)}, counted from 0")
        raise


def _make(make: Callable[[Any], Portion], piece: Any, path: Path) -> None:
    if not path.exists():
        make(piece).save(path)
