"""Shares of a sum."""

import numpy as np
from numpy.typing import ArrayLike


def worst_percent(values: ArrayLike) -> float:
    """Percent of the sum of (n,) values ≥ 0 that the largest hundredth of them, at least one, carries; NaN of zero."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    total = ordered.sum()
    return float(100 * ordered[-worst_count(len(ordered)) :].sum() / total) if total else float("nan")


def worst_count(count: int) -> int:
    """A hundredth of a number, rounded up."""
    return -(-count // 100)
