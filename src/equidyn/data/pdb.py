"""Flow-matching data: chains of the Protein Data Bank, selected by its index files, read from its mmCIF files.

Two steps, with the download of the entries between them. `select_chains` reads the archive's index files and says which
chains a study wants; `build_store` reads those chains from the entries' files and writes the store. The limits are
those of Proteína's training set: protein chains, solved by diffraction or electron microscopy, of 51 to 255 deposited
residues (resolved or not), at 5 Å or better, all residues of the twenty standard kinds, from entries that fit into one
file of the old PDB format.

- Where ``resolu.idx`` gives no resolution (it has -1.00 where the field of X-ray refinement is empty, as electron
  microscopists may leave it), the one of ``entries.idx`` counts.
- Selenomethionine is read as methionine. A chain whose *deposited* sequence writes it, or anything else, as X is not
  selected. Residues that are deposited as a standard letter but modified in the structure are dropped and counted.
- Clusters are those that RCSB makes of its entities at 50 % sequence identity.
"""

import gzip
import json
import logging
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pandas as pd

from equidyn.core.files import receipt_path, replacing, shelved
from equidyn.data.preparation import Portion, portions, source_sha256
from equidyn.data.proteins import FIELDS, Selection, collate, random_order, statistics
from equidyn.data.store import Field, Store, StoreWriter
from equidyn.data.structures import STANDARD, Chain, StructureError, read_chains

log = logging.getLogger(__name__)

SEQUENCES, EXPERIMENTS = "pdb_seqres.txt.gz", "pdb_entry_type.txt"
RESOLUTIONS, ENTRIES = "resolu.idx", "entries.idx"
BUNDLES, CLUSTERS = "pdb_bundle_index.txt", "clusters-by-entity-50.txt"
SELECTED, FETCHED = "selection.tsv", "entries.tsv"
INDEX_FILES = (SEQUENCES, EXPERIMENTS, RESOLUTIONS, ENTRIES, BUNDLES)
"""What `select_chains` reads."""

COLUMNS = ("entry", "chain", "length", "resolution", "experiment")
"""Of the table of selected chains."""

_METHODS = ("diffraction", "EM")
_LETTERS = frozenset(STANDARD.values())
_HEADER_LINES = 10  # at most, above the first row of an index file
_ENTRIES_PER_PIECE = 32
_CHAINS_PER_BLOCK = 4096

# Four characters, or the longer form that follows when those run out.
_ID = r"([0-9]\w{3}|pdb_\w{8})"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


_SEQUENCE_HEADER = _form(rf">{_ID}_(\S*)\s+mol:(\S+)\s+length:(\d+)\b")
_EXPERIMENT = _form(rf"{_ID}\t\S+\t(\S+)\s*$")
_RESOLUTION = _form(rf"{_ID}\s*;\s*(\S*)\s*$")
_ENTRY = _form(rf"{_ID}\t(?:[^\t]*\t){{5,}}\s*([\d., -]*|NOT)\s*\t[^\t]*$")
_BUNDLE = _form(rf"{_ID}(?:\s|$)")
_CLUSTER = _form(r"(\w+_\d+)(?:\s|$)")


def select_chains(
    files: Mapping[str, Path], *, min_length: int = 51, max_length: int = 255, worst_resolution: float = 5.0
) -> tuple[pd.DataFrame, Counter[str]]:
    """Choose chains by what the archive's index files say of them.

    Memory grows with the number of entries and of chosen chains, not with the sequences that are read.

    Args:
        files: Paths of `INDEX_FILES`, by these names.
        min_length: Fewest residues of the deposited sequence.
        max_length: Most residues of the deposited sequence.
        worst_resolution: Å. Entries without a resolution are left out.

    Returns:
        Table with the columns `COLUMNS`, sorted by entry (lower case) and chain (the author's id); and the number of
        chains left out, by the first reason that applies, in the order in which this module names its limits.

    Raises:
        ValueError: A file is not given or not what it should be, or no chain is left.
        OSError: A file cannot be opened.
    """
    _check_given(files, INDEX_FILES)
    limits = Selection(min_length, max_length, worst_resolution=worst_resolution)
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
    """What the index files say of entries, by their ids in lower case.

    Attributes:
        experiments: ``"diffraction"``, ``"EM"``, ``"NMR"`` or ``"other"``.
        resolutions: Å; entries without one are absent.
        bundles: Entries that do not fit into one file of the old format.
    """

    experiments: Mapping[str, str]
    resolutions: Mapping[str, float]
    bundles: frozenset[str]

    @classmethod
    def read(cls, files: Mapping[str, Path]) -> "_Index":
        return cls(
            {match[1].lower(): match[2] for match in _rows(files[EXPERIMENTS], _EXPERIMENT, "id, class, method")},
            _resolutions(files[ENTRIES], _ENTRY, "id, five columns, resolution, method")
            | _resolutions(files[RESOLUTIONS], _RESOLUTION, "id ; resolution"),
            frozenset(match[1].lower() for match in _rows(files[BUNDLES], _BUNDLE, "id")),
        )

    def objection(self, limits: Selection, entry: str, molecule: str, length: int, sequence: str) -> str:
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


def write_selection(
    path: str | Path,
    files: Mapping[str, Path],
    *,
    min_length: int = 51,
    max_length: int = 255,
    worst_resolution: float = 5.0,
) -> None:
    """Write the table of `select_chains`, whose arguments and errors these are, and beside it what it was made of.

    Args:
        path: Tab-separated file with the columns `COLUMNS`; a file of the same name that ends in ``.json`` gets limits,
            counts, what was left out, and SHA-256 and date of the index files.
        files: Paths of `INDEX_FILES`, by these names.
        min_length: Fewest residues of the deposited sequence.
        max_length: Most residues of the deposited sequence.
        worst_resolution: Å.
    """
    path = Path(path)
    limits = {"min_length": min_length, "max_length": max_length, "worst_resolution": worst_resolution}
    table, rejects = select_chains(files, **limits)
    about = {
        "limits": limits,
        "chains": len(table),
        "entries": table["entry"].nunique(),
        "residues": int(table["length"].sum()),
        "rejects": dict(sorted(rejects.items())),
        "index": {name: _origin(files[name]) for name in INDEX_FILES},
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
            for line in stream:
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


def entry_path(folder: str | Path, entry: str) -> Path:
    """Return where the file of an entry lies: in a folder named by the two characters in the middle of its id."""
    return shelved(folder, entry, f"{entry}.cif.gz")


def build_store(
    path: str | Path,
    *,
    files: Mapping[str, Path],
    folder: str | Path,
    scratch: str | Path,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a data set of the selected chains.

    What is left out is counted by reason in the manifest: entries that were missing or cannot be read, chains that are
    not in their file or of which fewer than two residues were resolved, residues without coordinates or of other kinds.
    A chain whose entity is in no cluster gets one with the other chains of that entity.

    Examples lie in the store cluster by cluster, clusters in random order. For this, chains are first gathered in
    `scratch` in the order of entries, since their entities are not known before; memory does not grow with the
    coordinates, but `scratch` takes about twice the space of the store.

    Args:
        path: Store folder to make, with the fields `FIELDS` of `equidyn.data.proteins`.
        files: Paths of ``selection.tsv`` (of `write_selection`, its ``.json`` beside it), of ``entries.tsv`` (columns
            ``id`` and ``status``, which is ``ok`` or ``missing``) and of ``clusters-by-entity-50.txt``, by these names.
        folder: The entries' files, where `entry_path` says.
        scratch: Folder of this preparation alone, in which an interrupted one goes on; removed in the end.
        seed: Chooses the order of chains, and so of clusters.
        processes: Worker processes, started afresh if more than one; the result does not depend on it.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: A table is not what it should be, or no chain is left.
        OSError: A file cannot be opened.
    """
    _check_given(files, (SELECTED, FETCHED, CLUSTERS))
    scratch = Path(scratch)
    about = _read_json(files[SELECTED].with_suffix(".json"))
    wanted, rejects = _wanted(files)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        pieces = _pieces(wanted, folder)
        total = -(-len(wanted) // _ENTRIES_PER_PIECE)
        made = portions(
            pieces, _portion, scratch / "portions", processes=processes, total=total, title="read", progress=progress
        )
        gathered = _gathered(scratch / "by_entry", made, rejects)
        names = gathered.text("name")
        order = np.array(random_order(names, seed))
        labels, without = _clusters(np.array(gathered.text("entity"), object)[order], files[CLUSTERS])
        by_cluster = np.argsort(labels, kind="stable")
        order, labels = order[by_cluster], labels[by_cluster]
        for start in range(0, len(order), _CHAINS_PER_BLOCK):
            block = order[start : start + _CHAINS_PER_BLOCK]
            rows = gathered.rows(block)
            writer.extend(
                gathered.lengths_of(block),
                name=[names[number] for number in block],
                cluster=labels[start : start + _CHAINS_PER_BLOCK],
                **{name: gathered.ragged(name)[rows] for name, field in FIELDS.items() if field.ragged},
            )
        described = statistics(gathered.lengths, gathered.ragged("residue"), gathered.ragged("chain_break"), labels)
        counted = _by_kind(rejects)
        writer.finish(
            source="Protein Data Bank (CC0), mmCIF files of the selected entries",
            selection=about,
            clustering=f"RCSB, entities at 50 % sequence identity ({CLUSTERS})",
            chains_without_cluster=without,
            files={name: _origin(files[name]) for name in (SELECTED, FETCHED, CLUSTERS)},
            seed=seed,
            versions={name: metadata.version(name) for name in ("gemmi", "numpy")},
            rejects=counted,
            statistics=described,
        )
    log.info("%s: %s; left out: %s", path, described, counted)
    shutil.rmtree(scratch)
    return Path(path)


# Index files


def _check_given(files: Mapping[str, Path], names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in files]:
        raise ValueError(f"files names {sorted(files)}, expected {', '.join(names)}: no {', '.join(missing)}")


def _unexpected(path: Path, found: str, expected: str) -> ValueError:
    return ValueError(
        f"{path}: found {found}; expected {expected}. To repair: delete the file and fetch it again. If it comes back "
        "alike, its format was changed at the source, and equidyn must learn the new one"
    )


def _rows(path: Path, form: re.Pattern[str], expected: str) -> Iterator[re.Match[str]]:
    """Yield the rows of an index file, below its header if it has one.

    One odd row in a hundred is skipped with a warning; more of them mean another format.
    """
    rows, odd, header = 0, [], []
    with Path(path).open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if match := form.match(line):
                rows += 1
                yield match
            elif line.strip():
                above = not rows and number <= _HEADER_LINES
                (header if above else odd).append(f"line {number}, {line[:80].rstrip()!r}")
                if len(odd) > _HEADER_LINES + rows // 100:
                    break
    if not rows or 100 * len(odd) > rows:
        raise _unexpected(path, next(iter(odd or header), "an empty file"), f"rows of {expected}")
    if odd:
        log.warning("%s: %d odd rows were skipped, the first is %s", path, len(odd), odd[0])


def _resolutions(path: Path, form: re.Pattern[str], expected: str) -> dict[str, float]:
    """Return the resolution in Å of each entry that has one."""
    found = {}
    for match in _rows(path, form, expected):
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
                        raise _unexpected(path, repr(next(lines)[:80]), expected)
                    entry, chain, molecule, length = header.groups()
                    yield entry.lower(), chain, molecule, int(length), "".join(line.strip() for line in lines)
                    continue
                for line in lines:  # the last one, should a sequence be empty
                    header = _SEQUENCE_HEADER.match(line)
                    if header is None:
                        raise _unexpected(path, repr(line[:80]), expected)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _unexpected(path, f"a damaged gzip file ({error})", expected) from None
    if header is None:
        raise _unexpected(path, "nothing", expected)


def _clusters(entities: Sequence[str], path: Path) -> tuple[np.ndarray, int]:
    """Return clusters of the entities, numbered from 0 by first appearance, and how many of `entities` had none.

    Clusters are told apart by their first member, which may be a computed model. Nobody asks for those (``AF_…``,
    ``MA_…``), so that they need not be kept out.
    """
    wanted = set(entities)
    first = {}
    for match in _rows(path, _CLUSTER, "entities ENTRY_ENTITY"):
        first |= {member: match[1] for member in match.string.split() if member in wanted}
    if not first:
        raise _unexpected(path, f"none of the {len(wanted)} entities of the data set", "most of them")
    labels, _ = pd.factorize(np.array([first.get(entity, entity) for entity in entities], object))
    return labels.astype(np.int32), sum(entity not in first for entity in entities)


def _origin(path: Path) -> dict[str, str | None]:
    """Return a file's SHA-256, and when it was fetched, if a receipt beside it says so."""
    receipt = receipt_path(path)
    retrieved = _read_json(receipt).get("retrieved") if receipt.is_file() else None
    return {"sha256": source_sha256(path), "retrieved": retrieved}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); run the step again that writes it") from None


# Entries


def _wanted(files: Mapping[str, Path]) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Return the chains to read, by entry, with their deposited lengths; and count what was not to be had."""
    selection = _read_table(files[SELECTED], ("entry", "chain", "length"))
    status = dict(_read_table(files[FETCHED], ("id", "status")).itertuples(index=False))
    if unknown := set(status.values()) - {"ok", "missing"}:
        raise ValueError(f"{files[FETCHED]}: found the status {unknown.pop()!r}, expected 'ok' or 'missing'")
    wanted: dict[str, dict[str, int]] = {}
    rejects: Counter[str] = Counter()
    for entry, chain, length in selection.itertuples(index=False):
        if entry not in status:
            raise ValueError(f"{files[FETCHED]}: no row of {entry}, which {files[SELECTED]} wants; fetch the entries")
        wanted.setdefault(entry, {})[chain] = int(length)
    for entry in [entry for entry in wanted if status[entry] == "missing"]:
        rejects["entries: missing"] += 1
        rejects["chains: entry missing"] += len(wanted.pop(entry))
    return wanted, rejects


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of a tab-separated file, all as text: "1e10" and "NA" are ids of an entry and of a chain."""
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, usecols=columns)[list(columns)]
    except ValueError as error:
        raise ValueError(f"{path}: expected columns {', '.join(columns)} ({error})") from None


def _pieces(wanted: Mapping[str, Mapping[str, int]], folder: str | Path) -> Iterator[list]:
    """Yield lists of entries: path, and deposited lengths of the wanted chains."""
    entries = ((entry_path(folder, entry), chains) for entry, chains in sorted(wanted.items()))
    while piece := list(islice(entries, _ENTRIES_PER_PIECE)):
        yield piece


def _portion(piece: Sequence[tuple[Path, Mapping[str, int]]]) -> Portion:
    """Read the wanted chains of some entries."""
    chains, rejects = [], Counter()
    for path, wanted in piece:
        try:
            found = {chain.chain: chain for chain in read_chains(path)}
        except StructureError as error:
            log.warning("left out %s", error)
            rejects["entries: not readable"] += 1
            rejects["chains: entry not readable"] += len(wanted)
            continue
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file, although {FETCHED} calls it fetched; fetch the entries") from None
        for name, deposited in wanted.items():
            chain = found.get(name)
            if reason := _objection(chain):
                rejects[f"chains: {reason}"] += 1
                continue
            chains.append(chain)
            rejects.update({f"residues: {reason}": count for reason, count in chain.dropped.items()})
            rejects["residues: not resolved"] += max(0, deposited - len(chain) - chain.dropped.total())
    lengths, columns = collate(chains)
    columns["entity"] = [f"{chain.entry.upper()}_{chain.entity}" for chain in chains]
    return Portion(lengths, columns, +rejects)


def _objection(chain: Chain | None) -> str:
    if chain is None:
        return "no such protein chain in the file"
    if len(chain) < 2:
        return "fewer than 2 resolved residues"
    if not np.isfinite(chain.positions).all():
        return "coordinates not finite"
    return ""


_GATHERED = {name: field for name, field in FIELDS.items() if name != "cluster"} | {
    "entity": Field("str", (), "", "entry and polymer entity, as RCSB's clusters name it")
}


def _gathered(path: Path, made: Iterator[Portion], rejects: Counter[str]) -> Store:
    """Return a store of all portions, and add what they left out to `rejects`."""
    with StoreWriter(path, _GATHERED, overwrite=True) as writer:
        for portion in made:
            writer.extend(portion.lengths, **portion.columns)
            rejects.update(portion.rejects)
        if not len(writer):
            raise ValueError(f"no chain is left; left out were {_by_kind(rejects)}")
        writer.finish()
    return Store(path)


def _by_kind(rejects: Counter[str]) -> dict[str, dict[str, int]]:
    """Return counts by kind and reason, of which the counter's keys are made."""
    counted: dict[str, dict[str, int]] = {"entries": {}, "chains": {}, "residues": {}}
    for key, count in sorted(rejects.items()):
        kind, _, reason = key.partition(": ")
        counted[kind][reason] = count
    return counted
