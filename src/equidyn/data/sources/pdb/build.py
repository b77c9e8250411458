"""Flow-matching data: chains of the Protein Data Bank that were selected by its index files, read from mmCIF files.

The third of three steps: `equidyn.data.sources.pdb.select` says which chains a study wants, and their entries are
downloaded. Clusters are those that RCSB makes of its entities at 50 % sequence identity.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from equidyn.core.files import shelved
from equidyn.data.chains import FIELDS, collate, random_order, statistics
from equidyn.data.preparation import Portion, portions
from equidyn.data.sources.pdb.index import (
    CLUSTERS,
    ENTRY,
    FETCHED,
    SELECTED,
    check_given,
    form,
    origin,
    read_json,
    rows_of,
    unexpected,
)
from equidyn.data.store import Field, Store, StoreWriter
from equidyn.data.structures import Chain, StructureError, read_chains

if TYPE_CHECKING:
    from equidyn.data.sources.pdb.card import ProteinDataBank

log = logging.getLogger(__name__)

_ENTRIES_PER_PIECE = 32
_CHAINS_PER_BLOCK = 4096
_CLUSTER = form(r"(\w+_\d+)(?:\s|$)")


def entry_path(folder: str | Path, entry: str) -> Path:
    """Return where the file of an entry lies: in a folder named by the two characters in the middle of its id."""
    return shelved(folder, entry, f"{entry}.cif.gz")


def build_store(
    path: str | Path,
    recipe: ProteinDataBank,
    *,
    files: Mapping[str, Path],
    scratch: str | Path,
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

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.chains.FIELDS`.
        recipe: Seed of the order of chains, and so of clusters.
        files: Paths of ``selection.tsv`` (of `equidyn.data.sources.pdb.select`, its ``.json`` beside it), of
            ``entries.tsv`` (columns ``id`` and ``status``, which is ``ok`` or ``missing``) and of
            ``clusters-by-entity-50.txt``, and the folder of the entries as `ENTRY`, in which they lie where
            `entry_path` says; by these names.

    Raises:
        ValueError: A table is not valid, or no chain is left.
        OSError: A file cannot be opened.
    """
    check_given(files, (SELECTED, FETCHED, CLUSTERS, ENTRY))
    scratch = Path(scratch)
    about = read_json(files[SELECTED].with_suffix(".json"))
    wanted, rejects = _wanted(files)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        pieces = _pieces(wanted, files[ENTRY])
        total = -(-len(wanted) // _ENTRIES_PER_PIECE)
        made = portions(
            pieces, _portion, scratch / "portions", processes=processes, total=total, title="read", progress=progress
        )
        gathered = _gathered(scratch / "by_entry", made, rejects)
        names = gathered.text("name")
        order = np.array(random_order(names, recipe.seed))
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
            files={name: origin(files[name]) for name in (SELECTED, FETCHED, CLUSTERS)},
            seed=recipe.seed,
            versions={name: metadata.version(name) for name in ("gemmi", "numpy")},
            rejects=counted,
            statistics=described,
        )
    log.info("%s: %s; left out: %s", path, described, counted)
    shutil.rmtree(scratch)
    return Path(path)


def _clusters(entities: Sequence[str], path: Path) -> tuple[np.ndarray, int]:
    """Return clusters of the entities, numbered from 0 by first appearance, and how many of `entities` had none.

    Clusters are identified by their first member, which may be a computed model. No study asks for these (``AF_…``,
    ``MA_…``), so they need not be excluded.
    """
    wanted = set(entities)
    first: dict[str, str] = {}
    for match in rows_of(path, _CLUSTER, "entities ENTRY_ENTITY"):
        first |= {member: match[1] for member in match.string.split() if member in wanted}
    if not first:
        raise unexpected(path, f"none of the {len(wanted)} entities of the data set", "most of them")
    labels, _ = pd.factorize(np.array([first.get(entity, entity) for entity in entities], dtype=object))
    return labels.astype(np.int32), sum(entity not in first for entity in entities)


def _wanted(files: Mapping[str, Path]) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Return the chains to read, by entry, with their deposited lengths; and count those that were not available."""
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
    chains: list[Chain] = []
    rejects: Counter[str] = Counter()
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
            if chain is None or (reason := _objection(chain)):
                rejects[f"chains: {'no such protein chain in the file' if chain is None else reason}"] += 1
                continue
            chains.append(chain)
            rejects.update({f"residues: {reason}": count for reason, count in chain.dropped.items()})
            rejects["residues: not resolved"] += max(0, deposited - len(chain) - chain.dropped.total())
    lengths, columns = collate(chains)
    columns["entity"] = [f"{chain.entry.upper()}_{chain.entity}" for chain in chains]
    return Portion(lengths, columns, +rejects)


def _objection(chain: Chain) -> str:
    """Return the reason to leave a chain out; empty if there is none."""
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
    """Return counts by kind and reason, the two parts of the counter's keys."""
    counted: dict[str, dict[str, int]] = {"entries": {}, "chains": {}, "residues": {}}
    for key, count in sorted(rejects.items()):
        kind, _, reason = key.partition(": ")
        counted[kind][reason] = count
    return counted
