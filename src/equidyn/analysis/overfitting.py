"""The evaluations at which a network overfits."""

import numpy as np
from numpy.typing import ArrayLike

RISE = 0.05


def overfitted(losses: ArrayLike) -> np.ndarray:
    """The evaluations of a run that are overfitted.

    They are the last ones, from the first at which the validation loss exceeds the lowest value so far by more than 5 %
    and does so at all later evaluations too.

    Args:
        losses: (n,) validation losses in the order of training; NaN counts as not overfitted.

    Returns:
        (n,) bool.
    """
    losses = np.asarray(losses, dtype=float)
    risen = losses > (1 + RISE) * np.fmin.accumulate(losses)
    return np.logical_and.accumulate(risen[::-1])[::-1]
