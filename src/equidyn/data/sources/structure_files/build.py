"""Flow-matching data of the user's own: protein chains of PDB and mmCIF files in a folder."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from equidyn.data.chains import write_store
from equidyn.data.structures import Chain, StructureError, read_chains
from equidyn.data.workers import workers

if TYPE_CHECKING:
    from equidyn.data.sources.structure_files.card import StructureFilesRecipe

log = logging.getLogger(__name__)

ENDINGS = tuple(f".{kind}{packed}" for kind in ("pdb", "ent", "cif", "mmcif") for packed in ("", ".gz"))
"""Files with these endings are read."""


def build_store(
    path: str | Path,
    recipe: StructureFilesRecipe,
    *,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a store of the chains in a folder and in all folders below it.

    Files that cannot be read are logged and counted. If there is more than one worker process, they are started afresh,
    and a script that calls this needs the usual ``if __name__ == "__main__":``.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.chains.FIELDS`.
        recipe: The folder, the limits on chains, and the settings of the clustering. Files that end in one of `ENDINGS`
            are read; hidden ones are not.

    Raises:
        ValueError: There is no such folder or file, or no chain is left.
    """
    files = structure_files(recipe.folder)
    rejects: Counter[str] = Counter()
    return write_store(
        path,
        _chains(files, rejects, processes, progress),
        recipe,
        f"{len(files)} structure files of the user's own",
        rejects,
        processes=processes,
        overwrite=overwrite,
    )


def structure_files(folder: str | Path) -> list[Path]:
    """Return the structure files in a folder and in all folders below it, sorted.

    Raises:
        ValueError: There is no such folder or file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; give one that holds PDB or mmCIF files")
    found = (path for path in folder.rglob("*") if path.name.lower().endswith(ENDINGS) and path.is_file())
    files = sorted(path for path in found if not path.name.startswith("."))
    if not files:
        raise ValueError(f"{folder}: no file that ends in {', '.join(ENDINGS)}, in folders below neither")
    return files


def _chains(files: Sequence[Path], rejects: Counter[str], processes: int, progress: bool) -> Iterator[Chain]:
    """Yield the chains of one file after the other, and count the files without any."""
    results = tqdm(_each(files, processes), total=len(files), unit="file", file=sys.stderr, disable=not progress)
    for path, result in zip(files, results, strict=True):
        if isinstance(result, Exception):
            rejects["not readable"] += 1
            log.warning("left out %s", result)
        elif not result:
            rejects["no protein"] += 1
            log.info("left out %s: no protein chain", path)
        else:
            yield from result


def _each(files: Sequence[Path], processes: int) -> Iterator[list[Chain] | Exception]:
    """Yield what `_read` returns for each file, in order."""
    if processes == 1:
        yield from map(_read, files)
    else:
        with workers(processes) as pool:
            yield from pool.map(_read, files, chunksize=16)


def _read(path: Path) -> list[Chain] | Exception:
    """Return the file's chains, or the reason why there are none."""
    try:
        return read_chains(path)
    except (StructureError, OSError) as error:
        return error
