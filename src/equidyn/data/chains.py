"""Chains of proteins as examples: their selection, their storage, and their description in a manifest.

Shared by the sources of protein chains. The limits are those of Proteína's training set, with two exceptions: lengths
count the resolved residues, not those of the deposited sequence (which the source `pdb` counts), and conditions on
experiment and resolution hold for structures that state them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from equidyn.core.seeding import seed_for
from equidyn.data.clusters import cluster_sequences
from equidyn.data.store import Field, StoreWriter
from equidyn.data.structures import NON_STANDARD, Chain

if TYPE_CHECKING:
    from equidyn.data.chain_limits import ChainRecipe

log = logging.getLogger(__name__)

FIELDS = {
    "positions": Field("float32", (3,), "angstrom", "Cα coordinates, in the frame of the source"),
    "residue_index": Field("int32", (), "", "author residue number; from 1 where the source has none"),
    "residue": Field("uint8", (), "", "one-letter code in ASCII"),
    "chain_break": Field("bool", (), "", "the next residue's Cα is more than 4.0 angstrom away"),
    "name": Field("str", (), "", "entry and author chain id"),
    "cluster": Field("int32", (), "", "family of related sequences, see the manifest's `clustering`", ragged=False),
}


_LIMITS = ("min_length", "max_length", "complete", "standard", "worst_resolution")


def objection(chain: Chain, recipe: ChainRecipe) -> str:
    """Return the first reason to leave a chain out; empty if there is none."""
    if chain.experiment and not any(method in chain.experiment for method in ("DIFFRACTION", "ELECTRON")):
        return "neither diffraction nor electron microscopy"
    if (chain.resolution or 0) > recipe.worst_resolution:
        return f"resolution worse than {recipe.worst_resolution:g} Å"
    if recipe.standard and chain.dropped[NON_STANDARD]:
        return "has non-standard residues"
    if len(chain) < recipe.min_length:
        return f"shorter than {recipe.min_length} residues"
    if len(chain) > recipe.max_length:
        return f"longer than {recipe.max_length} residues"
    if not np.isfinite(chain.positions).all():
        return "coordinates not finite"
    if recipe.complete and chain.chain_break.any():
        return "has a break"
    return ""


def write_store(
    path: str | Path,
    found: Iterable[Chain],
    recipe: ChainRecipe,
    description: str,
    rejected_files: Counter[str],
    *,
    processes: int,
    overwrite: bool,
) -> Path:
    """Select chains, cluster them by sequence, and write them to a store.

    Rejected chains are counted by reason in the manifest. A name that occurs a second time is left out (one entry as
    PDB and as mmCIF file); chains of equal sequence but different name are kept, in one cluster: their shapes differ.

    Examples lie in the store cluster by cluster, clusters in random order.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        found: Chains of the source, always in the same order.
        recipe: Limits on the chains, settings of the clustering, and the seed of the order of clusters.
        description: Description of the source, one line for the manifest.
        rejected_files: Files of the source that could not be read, by reason; complete once `found` is at its end.
        processes: Threads that cluster; the result does not depend on it.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: No chain is left.
    """
    rejects: dict[str, Counter[str]] = {"files": rejected_files, "chains": Counter(), "residues": Counter()}
    chains: dict[str, Chain] = {}
    for chain in found:
        if reason := objection(chain, recipe) or ("name seen before" if chain.name in chains else ""):
            rejects["chains"][reason] += 1
        else:
            chains[chain.name] = chain
            rejects["residues"] += chain.dropped
    counted = {kind: dict(sorted(reasons.items())) for kind, reasons in rejects.items()}
    if not chains:
        raise ValueError(f"{description}: no chain is left; left out were {counted}")
    names = list(chains)
    shuffled = [chains[names[number]] for number in random_order(names, recipe.seed)]
    labels, method = cluster_sequences(
        [chain.sequence for chain in shuffled],
        identity=recipe.identity,
        coverage=recipe.coverage,
        processes=processes,
    )
    order = np.argsort(labels, kind="stable")
    lengths, columns = collate([shuffled[number] for number in order])
    described = statistics(lengths, columns["residue"], columns["chain_break"], labels)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        writer.extend(lengths, **columns, cluster=labels[order])
        writer.finish(
            source=description,
            selection={name: getattr(recipe, name) for name in _LIMITS},
            clustering=method,
            seed=recipe.seed,
            versions={name: metadata.version(name) for name in ("gemmi", "numpy")},
            rejects=counted,
            statistics=described,
        )
    log.info("%s: %s; left out: %s", path, described, counted)
    return Path(path)


def random_order(names: Sequence[str], seed: int) -> list[int]:
    """Return the positions of `names` in an order that depends on the names and the seed, not on where they stand."""
    return sorted(range(len(names)), key=lambda number: seed_for(seed, "order", names[number]))


def collate(chains: Sequence[Chain]) -> tuple[np.ndarray, dict[str, Any]]:
    """Put chains end to end, in the form that `StoreWriter.extend` takes.

    Returns:
        (m,) int64 lengths, and the columns of all of `FIELDS` but the cluster, which a chain does not know of itself.
    """
    columns: dict[str, Any] = {"name": [chain.name for chain in chains]}
    for name, field in FIELDS.items():
        if field.ragged:
            none = np.empty((0, *field.shape), field.dtype)
            columns[name] = np.concatenate([none, *(getattr(chain, name) for chain in chains)])
    return np.array([len(chain) for chain in chains], np.int64), columns


def statistics(lengths: np.ndarray, residue: np.ndarray, chain_break: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the description of a data set for its manifest.

    Args:
        lengths: (n,) residues of each chain, at least one.
        residue: (rows,) uint8, one-letter codes of all chains, end to end.
        chain_break: (rows,) bool, alike.
        labels: (n,) clusters, numbered from 0, in any order.
    """
    ends = np.cumsum(lengths)
    starts = ends - lengths
    members = np.bincount(labels)
    return {
        "chains": len(lengths),
        "distinct_sequences": len({residue[start:end].tobytes() for start, end in zip(starts, ends, strict=True)}),
        "clusters": len(members),
        "largest_cluster": int(members.max()),
        "residues": int(lengths.sum()),
        "residues_median": float(np.median(lengths)),
        "chains_with_break": int(np.logical_or.reduceat(chain_break, starts).sum()),
    }
