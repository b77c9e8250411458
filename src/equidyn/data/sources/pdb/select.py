"""Selection of protein chains by the index files of the Protein Data Bank, and the check of downloaded entries.

The limits are those of Proteína's training set: protein chains, solved by diffraction or electron microscopy, of 51 to
255 deposited residues (resolved or not), at 5 Å or better, all residues of the twenty standard kinds, from entries that
fit into one file of the old PDB format.

- Where ``resolu.idx`` gives no resolution (it has -1.00 where the field of X-ray refinement is empty, as electron
  microscopists may leave it), the one of ``entries.idx`` counts.
- Selenomethionine is read as methionine. A chain whose *deposited* sequence writes it, or anything else, as X is not
  selected. Residues that are deposited as a standard letter but modified in the structure are dropped and counted.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import gemmi
import numpy as np
import pandas as pd

from equidyn.core.files import replacing
from equidyn.data.sources.pdb.index import (
    BUNDLES,
    ENTRIES,
    EXPERIMENTS,
    ID,
    INDEX_FILES,
    RESOLUTIONS,
    SEQUENCES,
    check_given,
    form,
    origin,
    rows_of,
    unexpected,
)
from equidyn.data.structures import STANDARD

if TYPE_CHECKING:
    from equidyn.data.chain_limits import ChainLimits

log = logging.getLogger(__name__)

COLUMNS = ("entry", "chain", "length", "resolution", "experiment")
"""The columns of the table of selected chains."""

_METHODS = ("diffraction", "EM")
_LETTERS = frozenset(STANDARD.values())

_SEQUENCE_HEADER = form(rf">{ID}_(\S*)\s+mol:(\S+)\s+length:(\d+)\b")
_EXPERIMENT = form(rf"{ID}\t\S+\t(\S+)\s*$")
_RESOLUTION = form(rf"{ID}\s*;\s*(\S*)\s*$")
_ENTRY = form(rf"{ID}\t(?:[^\t]*\t){{5,}}\s*([\d., -]*|NOT)\s*\t[^\t]*$")
_BUNDLE = form(rf"{ID}(?:\s|$)")


def select_chains(files: Mapping[str, Path], limits: ChainLimits) -> tuple[pd.DataFrame, Counter[str]]:
    """Choose chains by the archive's index files.

    Memory grows with the number of entries and of chosen chains, not with the sequences that are read.

    Args:
        files: Paths of `INDEX_FILES`, by these names.
        limits: Limits on the chosen chains; entries without a resolution are left out.

    Returns:
        Table with the columns `COLUMNS`, sorted by entry (lower case) and chain (the author's id); and the number of
        chains left out, by the first reason that applies, in the order in which this module names its limits.

    Raises:
        ValueError: A file is not given or not valid, or no chain is left.
        OSError: A file cannot be opened.
    """
    check_given(files, INDEX_FILES)
    index = _Index.read(files)
    rejects: Counter[str] = Counter()
    chosen: dict[tuple[str, str], int] = {}
    for entry, chain, molecule, length, sequence in _sequences(files[SEQUENCES]):
        reason = index.objection(limits, entry, molecule, length, sequence)
        if not reason and (entry, chain) in chosen:
            reason = "listed before"
        if reason:
            rejects[reason] += 1
        else:
            chosen[entry, chain] = length
    if not chosen:
        raise ValueError(f"{files[SEQUENCES]}: no chain is left; left out were {dict(rejects)}")
    rows = [(*key, chosen[key], index.resolutions[key[0]], index.experiments[key[0]]) for key in sorted(chosen)]
    return pd.DataFrame(rows, columns=COLUMNS), rejects


@dataclass(frozen=True)
class _Index:
    """Facts about entries from the index files, by the ids of entries in lower case.

    Attributes:
        experiments: ``"diffraction"``, ``"EM"``, ``"NMR"`` or ``"other"``.
        resolutions: Å; entries without one are absent.
        bundles: Entries that do not fit into one file of the old format.
    """

    experiments: Mapping[str, str]
    resolutions: Mapping[str, float]
    bundles: frozenset[str]

    @classmethod
    def read(cls, files: Mapping[str, Path]) -> _Index:
        return cls(
            {match[1].lower(): match[2] for match in rows_of(files[EXPERIMENTS], _EXPERIMENT, "id, class, method")},
            _resolutions(files[ENTRIES], _ENTRY, "id, five columns, resolution, method")
            | _resolutions(files[RESOLUTIONS], _RESOLUTION, "id ; resolution"),
            frozenset(match[1].lower() for match in rows_of(files[BUNDLES], _BUNDLE, "id")),
        )

    def objection(self, limits: ChainLimits, entry: str, molecule: str, length: int, sequence: str) -> str:
        """Return the first reason to leave a chain out; empty if there is none."""
        experiment, resolution = self.experiments.get(entry), self.resolutions.get(entry)
        if molecule != "protein":
            return "not a protein"
        if experiment is None:
            return f"entry not in {EXPERIMENTS}"
        if experiment not in _METHODS:
            return "neither diffraction nor electron microscopy"
        if length != len(sequence):
            return "sequence of another length than its header says"
        if length < limits.min_length:
            return f"shorter than {limits.min_length} residues"
        if length > limits.max_length:
            return f"longer than {limits.max_length} residues"
        if resolution is None:
            return f"no resolution ({experiment})"
        if resolution > limits.worst_resolution:
            return f"resolution worse than {limits.worst_resolution:g} Å"
        if not _LETTERS.issuperset(sequence):
            return "has non-standard residues"
        if entry in self.bundles:
            return f"entry in {BUNDLES}"
        return ""


def write_selection(path: str | Path, limits: ChainLimits, *, files: Mapping[str, Path]) -> None:
    """Write the table of `select_chains`, with the same arguments and errors, and beside it a record of its origin.

    Args:
        path: Tab-separated file with the columns `COLUMNS`; a file of the same name that ends in ``.json`` gets limits,
            counts, what was left out, and SHA-256 and date of the index files.
        limits: Limits on the chosen chains.
        files: Paths of `INDEX_FILES`, by these names.
    """
    path = Path(path)
    table, rejects = select_chains(files, limits)
    about = {
        "limits": limits.model_dump(),
        "chains": len(table),
        "entries": table["entry"].nunique(),
        "residues": int(table["length"].sum()),
        "rejects": dict(sorted(rejects.items())),
        "index": {name: origin(files[name]) for name in INDEX_FILES},
    }
    log.info("%s: %s", path, about)
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with replacing(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False)


def check_entry(path: Path, entry: str) -> None:
    """Check that a file is the whole gzipped mmCIF file of an entry.

    Args:
        path: File to check.
        entry: Id that the file must carry, in any case.

    Raises:
        ValueError: It is something else; the message says what.
    """
    path = Path(path)
    found = None
    try:
        with gzip.open(path) as stream:
            first = stream.readline(80)
            if not first.startswith(b"data_"):
                raise ValueError(f"{path}: begins with {first!r}, expected data_")
            for line in iter(lambda: stream.readline(1 << 20), b""):  # one without an end would fill memory
                if line.startswith(b"_entry.id"):
                    found = gemmi.cif.as_string(line.removeprefix(b"_entry.id").strip().decode(errors="replace"))
                    break
            while stream.read(1 << 20):  # to the end, where gzip compares sizes and checksums
                pass
    except gzip.BadGzipFile as error:
        with path.open("rb") as raw:
            raise ValueError(f"{path}: begins with {raw.read(40)!r}, expected a gzip file ({error})") from None
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path}: a damaged gzip file ({error})") from None
    if found is None:
        raise ValueError(f"{path}: no _entry.id, expected {entry}")
    if found.lower() != entry.lower():
        raise ValueError(f"{path}: entry {found}, expected {entry}")


def _resolutions(path: Path, form: re.Pattern[str], expected: str) -> dict[str, float]:
    """Return the resolution in Å of each entry that has one."""
    found = {}
    for match in rows_of(path, form, expected):
        try:
            resolution = float(match[2])
        except ValueError:
            continue
        if 0 < resolution < np.inf:
            found[match[1].lower()] = resolution
    return found


def _sequences(path: Path) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield entry, chain, kind of molecule, length and sequence, as the file says."""
    expected = "a gzipped FASTA file with headers like '>101m_A mol:protein length:154'"
    header = None
    try:
        with gzip.open(path, "rt", encoding="ascii", errors="replace") as stream:
            for is_header, lines in groupby(stream, key=lambda line: line.startswith(">")):
                if not is_header:
                    if header is None:
                        raise unexpected(path, repr(next(lines)[:80]), expected)
                    entry, chain, molecule, length = header.groups()
                    yield entry.lower(), chain, molecule, int(length), "".join(line.strip() for line in lines)
                    continue
                for line in lines:  # the last one, should a sequence be empty
                    header = _SEQUENCE_HEADER.match(line)
                    if header is None:
                        raise unexpected(path, repr(line[:80]), expected)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise unexpected(path, f"a damaged gzip file ({error})", expected) from None
    if header is None:
        raise unexpected(path, "nothing", expected)
