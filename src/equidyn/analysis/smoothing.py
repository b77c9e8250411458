"""Moving averages of curves over training."""

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike


def variable_span_average(steps: ArrayLike, values: ArrayLike, factor: float = 1000.0) -> np.ndarray:
    """Exponential average whose span grows with the step: early evaluations stay as they are, late ones are smoothed.

    Between evaluations at even distances d it is the average of Shen et al. 2025 (arXiv 2512.02303, figures of
    Proteína): from the first value on, through the evaluations in order, each new value has the weight
    α = 2 / (span + 1), where span = max(1, step / factor) is counted in evaluations.

    Checkpoints are often spaced differently, evenly in log for instance. Then d is the smallest distance between two
    checkpoints, and an evaluation n·d steps after the previous one counts as n evaluations with the same result, so its
    weight is 1 - (1 - α)ⁿ. Hence the average reaches as many steps back as on an even grid of distance d, and
    checkpoints farther apart than that remain unchanged.

    Args:
        steps: (n,) training steps, ascending.
        values: (n,) values at the steps; NaN where there is none.
        factor: Step at which smoothing begins.

    Returns:
        (n,) averages, NaN where the value is.

    Raises:
        ValueError: The steps do not ascend.
    """
    steps, values = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    gaps = np.diff(steps)
    if (gaps <= 0).any():
        raise ValueError("the steps of a curve must ascend: pass one curve at a time, sorted by step")
    averages = np.full_like(values, np.nan)
    there = np.flatnonzero(np.isfinite(values))
    averages[there[:1]] = values[there[:1]]
    for before, now in pairwise(there):
        weight = 2 / (max(1.0, steps[now] / factor) + 1)
        kept = (1 - weight) ** ((steps[now] - steps[before]) / gaps.min())
        averages[now] = values[now] + kept * (averages[before] - values[now])
    return averages
