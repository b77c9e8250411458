"""Files that appear whole or not at all, and the places of unfinished work."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its ending: what the block writes there takes its name in the end.

    If the block fails, what was at `path` before stays. What a killed process left there is overwritten by the next
    one, so a file has one writer at a time. The folder is made if it is not there.
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
    """Where the receipt of a downloaded file lies: beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def shelved(folder: str | Path, id: str, name: str) -> Path:
    """Where one of very many files lies: in a folder named by the two characters in the middle of its id."""
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
        name: Of a run or a data set.
        *decisive: Settings, arrays, checksums.

    Returns:
        A folder of which another recipe, data set or code version has none of the same name.
    """
    digest = hashlib.sha256()
    for item in decisive:
        digest.update(item.tobytes() if hasattr(item, "tobytes") else repr(item).encode())
        digest.update(b"\x1f")
    return Path(root) / f"{name}-{digest.hexdigest()[:16]}"
