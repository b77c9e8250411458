"""Training and validation examples: index files into a store.

An index is an int64 array of example numbers. Splits keep clusters (molecules, sequence families)
whole, and subsets are nested: the run on 5,000 examples sees all that the run on 500 saw, so that
curves over data size differ by data added and never by data exchanged.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from equidyn.core.files import replacing
from equidyn.data.store import TRAINING, VALIDATION, Store, StoreError

_REMEDY = "delete the file and run the subset step again"


def split_by_cluster(cluster: np.ndarray, *, validation_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split examples into training and validation, whole clusters on one side.

    Clusters join the validation side in random order until its share of the examples is as close
    to `validation_fraction` as the next cluster allows; either side gets at least one cluster.

    Args:
        cluster: (n,) label of each example's molecule or sequence family.
        validation_fraction: Share of the examples to hold out, between 0 and 1.
        seed: Chooses the order of clusters.

    Returns:
        Sorted int64 indices of training and of validation examples.
    """
    cluster = np.asarray(cluster)
    if cluster.ndim != 1:
        raise ValueError(f"cluster has shape {cluster.shape}, expected one label per example")
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction is {validation_fraction}, expected 0 < value < 1")
    labels, member, counts = np.unique(cluster, return_inverse=True, return_counts=True)
    if len(labels) < 2:
        raise ValueError(
            f"{len(labels)} cluster(s) cannot be split into two sides: "
            "add molecules or chains, or check the cluster labels"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out = np.cumsum(counts[order])[:-1]  # examples held out by the first 1, 2, ... clusters
    wanted = validation_fraction * len(cluster)
    taken = 1 + int(np.argmin(np.abs(held_out - wanted)))
    is_validation = np.isin(member, order[:taken])
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


def published_split(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """The split that a store's source prescribes, in its scalar field `split`; test examples are on neither side.

    Returns:
        Sorted int64 indices of training and of validation examples.

    Raises:
        ValueError: The source prescribes none, or one side is empty.
    """
    if "split" not in store.fields:
        raise ValueError(f"{store.path}: its source prescribes no split: give validation_fraction for this task")
    split = store.scalar("split")
    sides = np.flatnonzero(split == TRAINING), np.flatnonzero(split == VALIDATION)
    if not all(map(len, sides)):
        raise ValueError(
            f"{store.path}: its source's split has {len(sides[0])} training and {len(sides[1])} validation examples"
        )
    return sides


def nested_subsets(
    train: np.ndarray,
    sizes: Mapping[str, int | float | str],
    *,
    seed: int,
    cluster: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Draw training subsets of several sizes, the smaller ones contained in the larger ones.

    All are prefixes of one random order of `train`. Without `cluster` it is an order of examples,
    so that small subsets still touch many molecules. With `cluster` it is an order of clusters, in
    which a cluster's examples follow each other: small subsets hold few molecules, each complete,
    except for the last one, cut to reach the exact size.

    Args:
        train: (m,) example numbers to choose from.
        sizes: Per subset name a number of examples, a fraction of `train` in (0, 1], or "all".
        seed: Chooses the order.
        cluster: (n,) label per example of the whole store (indexed by the values of `train`).

    Returns:
        Sorted int64 example numbers per subset name.

    Raises:
        ValueError: A subset is empty, larger than `train`, or its size is not understood.
    """
    train = _checked(train, None, lambda found, expected: ValueError(f"train: found {found}; expected {expected}"))
    rng = np.random.default_rng(seed)
    order = rng.permutation(train)
    if cluster is not None:
        label = np.asarray(cluster)[order]
        _, member = np.unique(label, return_inverse=True)
        rank = rng.permutation(member.max() + 1)
        order = order[np.argsort(rank[member], kind="stable")]
    return {name: np.sort(order[: _subset_size(name, size, len(train))]) for name, size in sizes.items()}


def write_index(path: str | Path, indices: np.ndarray) -> None:
    """Write example numbers as ``.npy``, under a temporary name first.

    Args:
        path: File to make or to replace.
        indices: (m,) int64, distinct, not negative, not empty.
    """
    path = Path(path)
    indices = _checked(indices, None, lambda found, expected: ValueError(f"{path}: found {found}; expected {expected}"))
    content = io.BytesIO()  # NumPy's own writing hides what is wrong with a full disk
    np.save(content, indices, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read_index(path: str | Path, n: int | None = None) -> np.ndarray:
    """Read an index file.

    Args:
        path: File that `write_index` made.
        n: Examples in the store it points into; larger numbers are an error.

    Returns:
        (m,) int64 example numbers, in the file's order.

    Raises:
        StoreError: The file is missing, damaged, or belongs to another store.
    """
    path = Path(path)
    try:
        indices = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise StoreError(path, "no such file", "an index", "run the subset step") from None
    except (ValueError, EOFError, OSError) as error:
        raise StoreError(path, f"an unreadable file ({error})", "a .npy index", _REMEDY) from None
    if not isinstance(indices, np.ndarray):
        raise StoreError(path, "an archive of arrays", "one .npy array", _REMEDY)
    return _checked(indices, n, lambda found, expected: StoreError(path, found, expected, _REMEDY))


def _checked(indices, n, error) -> np.ndarray:
    """Return `indices` if they can address a store of `n` examples, else raise `error(...)`."""
    indices = np.asarray(indices)
    if indices.ndim != 1 or indices.dtype != np.int64:
        raise error(
            f"a {indices.ndim}-dimensional array of {indices.dtype}",
            "one dimension of int64",
        )
    if len(indices) == 0:
        raise error("an empty index", "at least one example")
    if len(np.unique(indices)) != len(indices):
        raise error(
            f"{len(indices) - len(np.unique(indices))} repeated numbers",
            "each example once",
        )
    if indices.min() < 0 or (n is not None and indices.max() >= n):
        raise error(
            f"numbers from {indices.min()} to {indices.max()}",
            f"numbers from 0 to {n - 1}" if n is not None else "none below 0",
        )
    return indices


def _subset_size(name: str, size: int | float | str, available: int) -> int:
    """Return the number of examples that `size` asks for."""
    where = f"subset {name!r}: size {size!r}"
    if isinstance(size, str):
        if size != "all":
            raise ValueError(f"{where} is not understood: use a number, a fraction, or 'all'")
        return available
    if isinstance(size, (bool, np.bool_)):
        raise ValueError(f"{where} is not understood: use a number, a fraction, or 'all'")
    if isinstance(size, (float, np.floating)):
        if not 0 < size <= 1:
            raise ValueError(f"{where} is not a fraction in (0, 1]: write a number without a point")
        count = round(size * available)
    else:
        count = int(size)
    if count < 1:
        raise ValueError(f"{where} is empty ({available} training examples are available): ask for at least one")
    if count > available:
        raise ValueError(
            f"{where} exceeds the {available} training examples available: "
            "lower it, use 'all', or make a larger data set"
        )
    return count
