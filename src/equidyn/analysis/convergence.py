"""Whether an estimate has converged in the number of rotations that it was made from."""

import numpy as np

CONVERGED = 0.1
"""Largest relative change by the last increase of the number of rotations that passes for convergence. If errors fall
as the inverse of the number, half of the change by a threefold increase is left."""


def last_change(series: np.ndarray) -> float:
    """Relative change of estimates (n,) by the last increase of the number they were made from; NaN if there was none.

    Claims and figures ask for it, which do without PyTorch and what comes with it.
    """
    return float(abs(1 - series[-2] / series[-1])) if len(series) > 1 and series[-1] else np.nan
