"""Where long work keeps what it has done, until the result is complete and takes its final name."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from equidyn.data.store import Store


def state_folder(root: str | Path, name: str, *decisive: Any) -> Path:
    """Folder for the state of unfinished work, named by the work and by everything that decides its result.

    Args:
        root: Parent folder.
        name: Of a run or a data set.
        *decisive: Settings, index arrays, and stores (which count by their files' checksums).

    Returns:
        A folder of which another recipe, data set or code version has none of the same name.
    """
    digest = hashlib.sha256()
    for item in decisive:
        if isinstance(item, Store):
            item = item.manifest["files"]
        digest.update(item.tobytes() if isinstance(item, np.ndarray) else repr(item).encode())
        digest.update(b"\x1f")
    return Path(root) / f"{name}-{digest.hexdigest()[:16]}"


def publish(folder: Path, output: Path) -> None:
    """Give a finished folder its final name; an older one of that name is replaced."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.exists():
        shutil.rmtree(output)
    folder.rename(output)
