"""Steps of an analysis of one checkpoint that takes longer than a job: what each has found is kept as it is found.

An analysis does its steps in the same order each time. The next job takes from their files what earlier ones have
found, and goes on from there.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from equidyn.core.files import replacing

_FILES: ContextVar[Iterator[Path] | None] = ContextVar("_FILES", default=None)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Keep what the steps in the block find, in a folder that is made with the first of them.

    Args:
        folder: Used for this very work only; its name must say all that decides what the steps find.
    """
    token = _FILES.set(folder / f"{number:06d}.npz" for number in count())
    try:
        yield
    finally:
        _FILES.reset(token)


def step(find: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """The arrays that a step finds, or has found in an earlier job.

    A step may consist of others, whose files are removed when it is done.
    """
    files = _FILES.get()
    if files is None:
        return list(find())
    file = next(files)
    if (kept := _read(file)) is None:
        parts = file.with_suffix("")
        with kept_in(parts):
            kept = list(find())
        with replacing(file) as temporary:
            np.savez(temporary, *kept)
        shutil.rmtree(parts, ignore_errors=True)
    return kept


def _read(file: Path) -> list[np.ndarray] | None:
    """The arrays of a file; None if there is none, or it is damaged."""
    try:
        with file.open("rb") as stream, np.load(stream) as arrays:
            return [arrays[name] for name in arrays.files]
    except (OSError, BadZipFile, ValueError, EOFError):
        return None
