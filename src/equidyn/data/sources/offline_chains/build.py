"""Flow-matching data that need no download: Cα traces of 2,000 real protein chains, an archive in this package."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equidyn.data.chains import write_store
from equidyn.data.store import StoreError
from equidyn.data.structures import Chain

if TYPE_CHECKING:
    from equidyn.data.chain_limits import ChainRecipe

ARCHIVE = "protein_ca_chains/chains.npz"
"""The archive in the folder of this module; the README beside it says where the chains are from."""

ARCHIVE_SHA256 = "b3366c2e10c021091371c3dae646b88b6336837076915b866aa718023e564741"


def build_store(
    path: str | Path,
    recipe: ChainRecipe,
    *,
    processes: int = 1,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Make a store of the packaged chains.

    Options are those of all builders, see `equidyn.data.card.SourceCard`.

    Args:
        path: Store folder to make, with the fields `equidyn.data.chains.FIELDS`.
        recipe: Limits on the chains, and settings of the clustering.

    Raises:
        StoreError: The archive is missing or damaged.
        ValueError: No chain is left.
    """
    description = f"{ARCHIVE} of equidyn, SHA-256 {ARCHIVE_SHA256}: 2,000 chains of the Protein Data Bank (CC0)"
    return write_store(
        path, packaged_chains(), recipe, description, Counter(), processes=processes, overwrite=overwrite
    )


def packaged_chains() -> Iterator[Chain]:
    """Yield the chains in the archive's order.

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
