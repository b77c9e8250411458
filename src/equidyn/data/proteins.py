"""Flow-matching data: Cα traces of real protein chains, selected, clustered by sequence, stored.

Two sources: the archive in this package (2,000 chains, no download) and a folder of the user's own PDB and mmCIF files.
The Protein Data Bank itself is a third, see `equidyn.data.pdb`. The two here pass the same selection and the same
clustering. The limits are those of Proteína's training set, but for two things: lengths count the residues that were
resolved, not those of the deposited sequence, and conditions on experiment and resolution hold for files that state
them.
"""

import hashlib
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from equidyn.core.seeding import seed_for
from equidyn.data.clusters import cluster_sequences
from equidyn.data.store import Field, StoreError, StoreWriter
from equidyn.data.structures import NON_STANDARD, Chain, StructureError, read_chains
from equidyn.data.workers import workers

log = logging.getLogger(__name__)

FIELDS = {
    "positions": Field("float32", (3,), "angstrom", "Cα coordinates, in the frame of the source"),
    "residue_index": Field("int32", (), "", "author residue number; from 1 where the source has none"),
    "residue": Field("uint8", (), "", "one-letter code in ASCII"),
    "chain_break": Field("bool", (), "", "the next residue's Cα is more than 4.0 angstrom away"),
    "name": Field("str", (), "", "entry and author chain id"),
    "cluster": Field("int32", (), "", "family of related sequences, see the manifest's `clustering`", ragged=False),
}

ARCHIVE = "protein_ca_chains/chains.npz"
ARCHIVE_SHA256 = "b3366c2e10c021091371c3dae646b88b6336837076915b866aa718023e564741"
ENDINGS = tuple(f".{kind}{packed}" for kind in ("pdb", "ent", "cif", "mmcif") for packed in ("", ".gz"))
"""Of the files that a folder is searched for."""


@dataclass(frozen=True)
class Selection:
    """Which chains become examples, alike for every source.

    Attributes:
        min_length: Fewest residues with a Cα atom.
        max_length: Most residues with a Cα atom.
        complete: Leave out chains with a break. They are kept otherwise, and the break is marked.
        standard: Leave out chains that had a non-standard residue (selenomethionine is not one). They are kept
            otherwise, without that residue.
        worst_resolution: Å; chains from a worse one are left out. Those from other experiments than diffraction and
            electron microscopy are, too. Neither applies to files that do not say.
    """

    min_length: int = 51
    max_length: int = 255
    complete: bool = False
    standard: bool = True
    worst_resolution: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= self.min_length <= self.max_length:
            raise ValueError(
                f"min_length is {self.min_length}, max_length {self.max_length}: expected 1 <= min_length <= max_length"
            )
        if not self.worst_resolution > 0:
            raise ValueError(f"worst_resolution is {self.worst_resolution}, expected a positive number of angstrom")

    def objection(self, chain: Chain) -> str:
        """Return the first reason to leave the chain out; empty if there is none."""
        if chain.experiment and not any(method in chain.experiment for method in ("DIFFRACTION", "ELECTRON")):
            return "neither diffraction nor electron microscopy"
        if (chain.resolution or 0) > self.worst_resolution:
            return f"resolution worse than {self.worst_resolution:g} Å"
        if self.standard and chain.dropped[NON_STANDARD]:
            return "has non-standard residues"
        if len(chain) < self.min_length:
            return f"shorter than {self.min_length} residues"
        if len(chain) > self.max_length:
            return f"longer than {self.max_length} residues"
        if not np.isfinite(chain.positions).all():
            return "coordinates not finite"
        if self.complete and chain.chain_break.any():
            return "has a break"
        return ""


class Source(Protocol):
    """Where chains come from.

    Attributes:
        description: One line for the manifest.
    """

    description: str

    def chains(self, rejects: Counter[str], *, processes: int, progress: bool) -> Iterator[Chain]:
        """Yield all chains, always in the same order, and count what could not be read in `rejects` by reason."""
        ...


class PackagedChains:
    """The archive in this package. Its README says where it is from."""

    description = f"{ARCHIVE} of equidyn, SHA-256 {ARCHIVE_SHA256}: 2,000 chains of the Protein Data Bank (CC0)"

    def chains(self, rejects: Counter[str], *, processes: int, progress: bool) -> Iterator[Chain]:
        """Yield the chains in the archive's order; it is read at once, by this process.

        Raises:
            StoreError: The archive is missing or damaged.
        """
        path = resources.files(__package__).joinpath(ARCHIVE)
        remedy = "install equidyn again"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise StoreError(str(path), "no such file", "the packaged chains", remedy) from None
        if (digest := hashlib.sha256(content).hexdigest()) != ARCHIVE_SHA256:
            raise StoreError(str(path), f"SHA-256 {digest}", ARCHIVE_SHA256, remedy)
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            positions = archive["ca_centi_angstrom"].astype(np.float32) / 100
            offsets, residue, names = archive["offsets"], archive["seq"], archive["ids"].tolist()
        for name, start, end in zip(names, offsets[:-1], offsets[1:], strict=True):
            entry, _, chain = name.partition("_")
            yield Chain(
                entry=entry,
                chain=chain,
                positions=positions[start:end],
                residue_index=np.arange(1, 1 + end - start, dtype=np.int32),
                residue=residue[start:end],
            )


class StructureFiles:
    """The PDB and mmCIF files in a folder and all folders below it.

    Args:
        folder: Its files that end in one of `ENDINGS` are read; hidden ones are not.

    Raises:
        ValueError: There is no such file or folder.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; give one that holds PDB or mmCIF files")
        found = (path for path in folder.rglob("*") if path.name.lower().endswith(ENDINGS) and path.is_file())
        self.files = sorted(path for path in found if not path.name.startswith("."))
        if not self.files:
            raise ValueError(f"{folder}: no file that ends in {', '.join(ENDINGS)}, in folders below neither")
        self.description = f"{len(self.files)} structure files of the user's own"

    def chains(self, rejects: Counter[str], *, processes: int, progress: bool) -> Iterator[Chain]:
        """Yield the chains of one file after the other; files that cannot be read are logged and counted."""
        results = tqdm(
            _each(self.files, processes), total=len(self.files), unit="file", file=sys.stderr, disable=not progress
        )
        for path, result in zip(self.files, results, strict=True):
            if isinstance(result, Exception):
                rejects["not readable"] += 1
                log.warning("left out %s", result)
            elif not result:
                rejects["no protein"] += 1
                log.info("left out %s: no protein chain", path)
            else:
                yield from result


def build_offline_store(path: str | Path, **settings: Any) -> Path:
    """Make a store of the chains in this package; `settings` are those of `build_store`."""
    return build_store(path, PackagedChains(), **settings)


def build_store_of_files(path: str | Path, *, folder: str | Path, **settings: Any) -> Path:
    """Make a store of the structure files in `folder`; `settings` are those of `build_store`."""
    return build_store(path, StructureFiles(folder), **settings)


def build_store(
    path: str | Path,
    source: Source,
    *,
    min_length: int = 51,
    max_length: int = 255,
    complete: bool = False,
    standard: bool = True,
    worst_resolution: float = 5.0,
    identity: float = 0.5,
    coverage: float = 0.8,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a data set of protein chains.

    What is left out is counted by reason in the manifest. A name that comes a second time is left out (one entry as PDB
    and as mmCIF file); chains of equal sequence but other name are kept, in one cluster: their shapes differ.

    Examples lie in the store cluster by cluster, clusters in random order.

    Args:
        path: Store folder to make, with the fields `FIELDS`.
        source: Where the chains come from.
        min_length: Fewest residues; see `Selection` for this and the next four.
        max_length: Most residues.
        complete: Leave out chains with a break.
        standard: Leave out chains that had a non-standard residue.
        worst_resolution: Å.
        identity: Least identity with the representative of a cluster; see `cluster_sequences`.
        coverage: Least share of a member in that alignment.
        seed: Chooses the order of chains, and so of clusters.
        processes: Worker processes; the result does not depend on it. Where the source needs more than one, they are
            started afresh, and a script that calls this needs the usual ``if __name__ == "__main__":``.
        progress: Show a progress bar on stderr.
        overwrite: Replace a store that is already at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: No chain is left.
    """
    selection = Selection(min_length, max_length, complete, standard, worst_resolution)
    rejects: dict[str, Counter[str]] = {"files": Counter(), "chains": Counter(), "residues": Counter()}
    chains: dict[str, Chain] = {}
    for chain in source.chains(rejects["files"], processes=processes, progress=progress):
        objection = selection.objection(chain) or ("name seen before" if chain.name in chains else "")
        if objection:
            rejects["chains"][objection] += 1
        else:
            chains[chain.name] = chain
            rejects["residues"] += chain.dropped
    counted = {kind: dict(sorted(reasons.items())) for kind, reasons in rejects.items()}
    if not chains:
        raise ValueError(f"{source.description}: no chain is left; left out were {counted}")
    names = list(chains)
    shuffled = [chains[names[number]] for number in random_order(names, seed)]
    labels, method = cluster_sequences(
        [chain.sequence for chain in shuffled], identity=identity, coverage=coverage, processes=processes
    )
    order = np.argsort(labels, kind="stable")
    lengths, columns = collate([shuffled[number] for number in order])
    described = statistics(lengths, columns["residue"], columns["chain_break"], labels)
    with StoreWriter(path, FIELDS, overwrite=overwrite) as writer:
        writer.extend(lengths, **columns, cluster=labels[order])
        writer.finish(
            source=source.description,
            selection=asdict(selection),
            clustering=method,
            seed=seed,
            versions={name: metadata.version(name) for name in ("gemmi", "numpy")},
            rejects=counted,
            statistics=described,
        )
    log.info("%s: %s; left out: %s", path, described, counted)
    return Path(path)


def random_order(names: Sequence[str], seed: int) -> list[int]:
    """Return the positions of `names` in an order that depends on the names and the seed, not on where they stand."""
    return sorted(range(len(names)), key=lambda number: seed_for(seed, "order", names[number]))


def collate(chains: Sequence[Chain]) -> tuple[np.ndarray, dict[str, np.ndarray | list[str]]]:
    """Put chains end to end, as `StoreWriter.extend` takes them.

    Returns:
        (m,) int64 lengths, and the columns of all of `FIELDS` but the cluster, which a chain does not know of itself.
    """
    columns: dict[str, np.ndarray | list[str]] = {"name": [chain.name for chain in chains]}
    for name, field in FIELDS.items():
        if field.ragged:
            none = np.empty((0, *field.shape), field.dtype)
            columns[name] = np.concatenate([none, *(getattr(chain, name) for chain in chains)])
    return np.array([len(chain) for chain in chains], np.int64), columns


def statistics(lengths: np.ndarray, residue: np.ndarray, chain_break: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what the manifest says of a data set.

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


def _each(files: Sequence[Path], processes: int) -> Iterator[list[Chain] | Exception]:
    """Yield what `_read` returns for each file, in order."""
    if processes == 1:
        yield from map(_read, files)
    else:
        with workers(processes) as pool:
            yield from pool.map(_read, files, chunksize=16)


def _read(path: Path) -> list[Chain] | Exception:
    """Return the file's chains, or why there are none."""
    try:
        return read_chains(path)
    except (StructureError, OSError) as error:
        return error
