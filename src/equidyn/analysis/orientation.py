"""Orientation audit: do the examples of a data set lie in all directions, or has the data set directions of its own?

A network trained on unrotated examples can learn to rotate only from structures that the data show in several
orientations. The orientation of an example is described by the longest and the shortest principal axis of its shape,
unit vectors u without a sign: u and −u are the same axis. Uniform means that the orientation is Haar distributed.

Examples of one cluster, such as conformers of one molecule, may share an orientation or have one each. The null
hypothesis covers both: clusters are independent, and rotating all examples of a cluster by one and the same rotation
changes no probability. The relative orientation of examples of a cluster is another question; `uniformity` reports it
separately.

The two axes contain all second-degree information on an orientation: u uᵀ of the middle axis is the unit matrix minus
those of the other two. A preference that treats x, y and z alike has no second degree; `along_frame` looks for that.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2

from equidyn.core.groups.so3.orientations import orientations
from equidyn.data.store import Store

DISTINCT = 0.01
"""Least difference of an axis's variance from the next, as a share of the sum of all three, for it to be defined."""

FRAME = ("x", "y", "z")
"""The axes of the frame that coordinates are given in."""

AXES = ("long", "short")
"""The principal axes that are tested."""

CELLS = 100
"""Number of cells of a cosine between 0 and 1 in `along_frame`."""

_EXAMPLES = 10_000  # examples in memory at once


def principal_axes(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes of the shape of every example.

    They are the eigenvectors of the gyration tensor: the mean over atoms of x xᵀ, x being the position from the centre;
    masses do not count. An axis whose variance is within `DISTINCT` of another's is not defined, since any direction in
    their plane would do: an axis of a symmetric molecule, or any but the longest of a linear one.

    Args:
        store: Examples with `positions` (atoms, 3) in Å.

    Returns:
        (examples, 3, 3) unit row vectors, the longest axis first, signs such that z ≥ 0; NaN where not defined. And
        (examples, 3) variances along them in Å², falling.
    """
    portions = [slice(start, start + _EXAMPLES) for start in range(0, len(store), _EXAMPLES)]
    variances, vectors = np.linalg.eigh(np.concatenate([_gyration(store, portion) for portion in portions]))
    variances, axes = variances[:, ::-1], vectors.transpose(0, 2, 1)[:, ::-1].copy()
    axes[axes[:, :, 2] < 0] *= -1
    gaps = -np.diff(variances)
    nearest = np.column_stack([gaps[:, 0], gaps.min(axis=1), gaps[:, 1]])
    axes[~(nearest > DISTINCT * variances.sum(axis=1, keepdims=True))] = np.nan
    return axes, variances


def _gyration(store: Store, examples: slice) -> np.ndarray:
    """(n, 3, 3) gyration tensors of some examples, Å²."""
    ends, lengths = store.offsets[examples.start :], store.lengths[examples]
    first, last = ends[: len(lengths)] - ends[0], ends[len(lengths)]
    positions = store.ragged("positions")[ends[0] : last].astype(np.float64)
    centres = np.add.reduceat(positions, first) / lengths[:, None]
    positions -= np.repeat(centres, lengths, axis=0)
    products = positions[:, :, None] * positions[:, None, :]
    return np.add.reduceat(products, first) / lengths[:, None, None]


def audit(store: Store, train: np.ndarray) -> pd.DataFrame:
    """The orientation of every example of a store.

    Args:
        store: Its examples.
        train: Examples on the training side of the split; all others are on the validation side.

    Returns:
        One row per example: `example`, `cluster`, `side` ("train" or "validation"); `long_x`, `long_y`, `long_z` and
        `short_x`, `short_y`, `short_z`, the longest and the shortest principal axis, NaN where not defined; and
        `variance_long`, `variance_middle`, `variance_short` along the three in Å².
    """
    side = np.full(len(store), "validation", dtype=object)
    side[train] = "train"
    axes, variances = principal_axes(store)
    columns = {"example": np.arange(len(store)), "cluster": store.scalar("cluster"), "side": side}
    for name, place in zip(AXES, (0, 2), strict=True):
        columns |= dict(zip(columns_of(name), axes[:, place].T, strict=True))
    names = ("long", "middle", "short")
    return pd.DataFrame(columns | {f"variance_{name}": variances[:, i] for i, name in enumerate(names)})


def columns_of(axis: str) -> list[str]:
    """Names of the columns that hold x, y and z of one of `AXES`."""
    return [f"{axis}_{letter}" for letter in FRAME]


def examine(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test whether the axes of either side are uniform, and those of the training side along the frame too.

    Args:
        table: The table of `audit`.

    Returns:
        One row per `axis` of `AXES` and `side` with one that is defined: `of_examples`, what `uniformity` returns, and
        for the training side what `along_frame` finds, as `deviation`, `band` and `p_along_frame`. And by `axis` the
        curves of `along_frame`.

    Raises:
        ValueError: An axis is defined for no training example.
    """
    sizes = table["side"].value_counts()
    rows, curves = [], []
    for axis in AXES:
        names = columns_of(axis)
        known = table.dropna(subset=names)
        if "train" not in set(known["side"]):
            raise ValueError(f"no training example has a {axis}est axis: nothing to test")
        for side, part in known.groupby("side"):
            axes, cluster = part[names].to_numpy(), part["cluster"]
            row = {"axis": axis, "side": side, "of_examples": sizes[side], **uniformity(axes, cluster)}
            if side == "train":
                curve, found = along_frame(axes, cluster)
                row |= {"deviation": found["deviation"], "band": found["band"], "p_along_frame": found["p_value"]}
                curves.append(curve.assign(axis=axis))
            rows.append(row)
    return pd.DataFrame(rows), pd.concat(curves, ignore_index=True)


def uniformity(axes: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    """Test whether axes are uniform on the sphere, by Bingham's test for clustered axes.

    Let T be the mean of u uᵀ, and λ its eigenvalues, which sum to 1. For n independent axes, Bingham's statistic is
    15 n / 2 · Σ (λ − 1/3)², about χ² with 5 degrees of freedom if they are uniform. Here n is an effective number. Let
    S be the sum of u uᵀ − 1/3 over a cluster. Turned by a Haar rotation, S has mean 0 and, as such matrices are an
    irreducible representation of SO(3), variance |S|² / 5 in each of their five directions (Schur's lemma). So the
    statistic is 5 |Σ S|² / Σ |S|², which is Bingham's with n = (number of axes)² · 2/3 / Σ |S|²: about the number of
    axes if they are independent, that of clusters if the axes of each coincide and clusters have equal size. Under the
    null hypothesis its mean is exactly 5, however few clusters there are; it is at most 5 times their number.

    Source: Mardia and Jupp, Directional Statistics (2000), section 10.7, for independent axes.

    Args:
        axes: (n, 3) unit vectors; rows of NaN are left out.
        cluster: (n,) label of the cluster of each example.

    Returns:
        `axes` and `clusters` that count; `effective` number of axes; `eigenvalue_1`, `_2`, `_3`, falling: the mean of
        cos² of the angle to the direction that axes prefer, to one between, and to that they avoid, 1/3 each if
        uniform; `direction_x`, `_y`, `_z`: the preferred direction, with z ≥ 0; `nearest_x`, `_y`, `_z`: share of the
        axes nearest to each axis of the frame; `statistic` and `p_value`; `alignment`, over `pairs` of axes of the same
        cluster: the mean of (3 cos² − 1) / 2 of the angle between them, 1 if they coincide, 0 if they have nothing to
        do with each other, NaN without a pair.

    Raises:
        ValueError: No axis is defined.
    """
    axes, number = _defined(axes, cluster)
    count = len(axes)
    matrices = axes[:, :, None] * axes[:, None, :] - np.eye(3) / 3
    sizes = np.bincount(number)
    sums = np.zeros((len(sizes), 3, 3))
    np.add.at(sums, number, matrices)
    squares = float((sums**2).sum())
    statistic = 5 * float((sums.sum(axis=0) ** 2).sum()) / squares
    eigenvalues, vectors = np.linalg.eigh(matrices.mean(axis=0))
    direction = vectors[:, 2] * np.copysign(1, vectors[2, 2])
    nearest = np.bincount(np.abs(axes).argmax(axis=1), minlength=3) / count
    pairs = int((sizes * (sizes - 1)).sum()) // 2
    return {
        "axes": count,
        "clusters": len(sizes),
        "effective": count**2 * 2 / 3 / squares,
        **{f"eigenvalue_{i}": value + 1 / 3 for i, value in enumerate(eigenvalues[::-1].tolist(), start=1)},
        **{f"direction_{letter}": value for letter, value in zip(FRAME, direction.tolist(), strict=True)},
        **{f"nearest_{letter}": share for letter, share in zip(FRAME, nearest.tolist(), strict=True)},
        "statistic": statistic,
        "p_value": float(chi2.sf(statistic, 5)),
        "pairs": pairs,
        "alignment": (squares * 3 / 2 - count) / (2 * pairs) if pairs else np.nan,
    }


def noticeable(effective: float, level: float = 0.05) -> float:
    """Largest eigenvalue above which `uniformity` rejects uniformity of axes that prefer one direction, others alike.

    Args:
        effective: Effective number of axes, see `uniformity`.
        level: Level of the test.
    """
    return 1 / 3 + float(np.sqrt(chi2.isf(level, 5) / (15 / 2 * 3 / 2 * effective)))


def along_frame(
    axes: np.ndarray, cluster: np.ndarray, *, draws: int = 999, level: float = 0.05, seed: int = 0
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Distribution of the angles between axes and x, y and z, and whether uniform axes would have it.

    The share of uniform axes within an angle of a fixed axis is 1 − cos of the angle. The test statistic is the largest
    difference from this, over all angles and x, y and z; its distribution by chance is found by rotating each cluster
    as a whole by a Haar rotation of its own, so that the test is exact under the null hypothesis of this module.

    Args:
        axes: (n, 3) unit vectors; rows of NaN are left out.
        cluster: (n,) label of the cluster of each example.
        draws: Number of times that all clusters are rotated.
        level: Share of the draws that leave the band.
        seed: Seed of the rotations.

    Returns:
        Rows of `frame` ("x", "y", "z"), `angle` in degrees, `share` of the axes within it, and `uniform`, that expected
        of uniform axes, of which there are `CELLS` + 1 from 0 to 1. And `deviation`, the largest difference of the two;
        `band`, the difference that uniform axes exceed anywhere with probability `level`; `p_value`.

    Raises:
        ValueError: No axis is defined.
    """
    axes, number = _defined(axes, cluster)
    rng = np.random.default_rng(seed)
    uniform = np.arange(CELLS + 1) / CELLS
    shares = _shares_within(axes)
    deviation = np.abs(shares - uniform).max()
    chance = np.empty(draws)
    for draw in range(draws):
        turns = orientations(number.max() + 1, rng)[number]
        chance[draw] = np.abs(_shares_within(np.einsum("nij,nj->ni", turns, axes)) - uniform).max()
    columns = {"angle": np.degrees(np.arccos(1 - uniform)), "uniform": uniform}
    curves = [pd.DataFrame({"frame": name, **columns, "share": row}) for name, row in zip(FRAME, shares, strict=True)]
    return pd.concat(curves, ignore_index=True), {
        "deviation": float(deviation),
        "band": float(np.quantile(chance, 1 - level, method="higher")),
        "p_value": float((1 + (chance >= deviation).sum()) / (1 + draws)),
    }


def _defined(axes: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the axes that are defined, and the clusters of these, numbered from 0."""
    axes = np.asarray(axes, dtype=np.float64)
    known = np.isfinite(axes).all(axis=1)
    if not known.any():
        raise ValueError("no axis is defined: nothing to test")
    return axes[known], np.unique(np.asarray(cluster)[known], return_inverse=True)[1]


def _shares_within(axes: np.ndarray) -> np.ndarray:
    """Return (3, CELLS + 1): for each axis of the frame, the share of axes (n, 3) with 1 − |cos| up to k / CELLS."""
    cells = np.clip(np.ceil(CELLS * (1 - np.abs(axes))).astype(int), 0, CELLS)
    counts = np.bincount((cells + (CELLS + 1) * np.arange(3)).ravel(), minlength=3 * (CELLS + 1))
    return counts.reshape(3, -1).cumsum(axis=1) / len(axes)
