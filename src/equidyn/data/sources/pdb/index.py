"""Index files of the Protein Data Bank: their names, and how their rows are read."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from equidyn.core.files import receipt_path
from equidyn.data.preparation import source_sha256

log = logging.getLogger(__name__)

SEQUENCES, EXPERIMENTS = "pdb_seqres.txt.gz", "pdb_entry_type.txt"
RESOLUTIONS, ENTRIES = "resolu.idx", "entries.idx"
BUNDLES, CLUSTERS = "pdb_bundle_index.txt", "clusters-by-entity-50.txt"
SELECTED, FETCHED = "selection.tsv", "entries.tsv"
ENTRY = "{id}.cif.gz"
"""Entries in the registry of downloads."""

INDEX_FILES = (SEQUENCES, EXPERIMENTS, RESOLUTIONS, ENTRIES, BUNDLES)
"""The files that `equidyn.data.sources.pdb.select` reads."""

_HEADER_LINES = 10  # at most, above the first row of an index file

# Four characters, or the longer form that follows when those run out.
ID = r"([0-9]\w{3}|pdb_\w{8})"


def form(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern of a row, in ASCII and in any case."""
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


def check_given(files: Mapping[str, Path], names: Sequence[str]) -> None:
    """Raise `ValueError` if a file is missing."""
    if missing := [name for name in names if name not in files]:
        raise ValueError(f"files names {sorted(files)}, expected {', '.join(names)}: no {', '.join(missing)}")


def unexpected(path: Path, found: str, expected: str) -> ValueError:
    """Return the error of an index file that is not what it should be."""
    return ValueError(
        f"{path}: found {found}; expected {expected}. To repair: delete the file and fetch it again. If it comes back "
        "alike, its format was changed at the source, and equidyn must learn the new one"
    )


def rows_of(path: Path, pattern: re.Pattern[str], expected: str) -> Iterator[re.Match[str]]:
    """Yield the rows of an index file, below its header if it has one.

    Up to one odd row in a hundred is skipped with a warning; more odd rows mean another format.
    """
    rows = 0
    odd: list[str] = []
    header: list[str] = []
    with Path(path).open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if match := pattern.match(line):
                rows += 1
                yield match
            elif line.strip():
                above = not rows and number <= _HEADER_LINES
                (header if above else odd).append(f"line {number}, {line[:80].rstrip()!r}")
                if len(odd) > _HEADER_LINES + rows // 100:
                    break
    if not rows or 100 * len(odd) > rows:
        raise unexpected(path, next(iter(odd or header), "an empty file"), f"rows of {expected}")
    if odd:
        log.warning("%s: %d odd rows were skipped, the first is %s", path, len(odd), odd[0])


def origin(path: Path) -> dict[str, str | None]:
    """Return a file's SHA-256, and when it was fetched, if a receipt beside it says so."""
    receipt = receipt_path(path)
    retrieved = read_json(receipt).get("retrieved") if receipt.is_file() else None
    return {"sha256": source_sha256(path), "retrieved": retrieved}


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; raise `ValueError` if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); run the step again that writes it") from None
