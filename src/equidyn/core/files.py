"""Files that appear either complete or not at all, and the places of unfinished work."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending; the file that the block writes there is renamed to `path`.

    If the block fails, a file that was at `path` before stays. Remains of a killed process are overwritten by the next
    one, so a file may have only one writer at a time. The folder is made if it does not exist.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def receipt_path(path: str | Path) -> Path:
    """Path of the receipt of a downloaded file, which lies beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def shelved(folder: str | Path, id: str, name: str) -> Path:
    """Path of one of very many files, in a folder named after the two characters in the middle of its id."""
    middle = len(id) // 2
    return Path(folder, id[middle - 1 : middle + 1], name)


def publish(folder: Path, output: Path) -> None:
    """Give a finished folder its final name; an older one of that name is replaced."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists():
        shutil.rmtree(output)
    folder.rename(output)


def state_folder(root: str | Path, name: str, *decisive: Any) -> Path:
    """Folder for the state of unfinished work, named by the work and by everything that decides its result.

    Args:
        root: Parent folder.
        name: Name of a run or a data set.
        *decisive: Settings, arrays and checksums that decide the result.

    Returns:
        A folder whose name differs for any other recipe, data set or code version.
    """
    digest = hashlib.sha256()
    for item in decisive:
        digest.update(item.tobytes() if hasattr(item, "tobytes") else repr(item).encode())
        digest.update(b"\x1f")
    return Path(root) / f"{name}-{digest.hexdigest()[:16]}"
