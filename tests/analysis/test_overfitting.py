"""Overfitting is a rise of the loss that lasts."""

import numpy as np
import pytest

from equidyn.analysis.overfitting import overfitted


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([4, 2, 1, 1.2, 1.5], [0, 0, 0, 1, 1]),
        ([4, 2, 1, 1.2, 1.0], [0, 0, 0, 0, 0]),  # comes back
        ([4, 2, 1, 1.05, 1.04], [0, 0, 0, 0, 0]),  # 5 % is not more than 5 %
        ([4, 2, 1, 1.2, 1.04, 1.06], [0, 0, 0, 0, 0, 1]),
        ([1, 2, 3], [0, 1, 1]),
        ([1, 2, 0.5, 0.4], [0, 0, 0, 0]),
        ([3, np.nan, 1, 2, np.nan], [0, 0, 0, 0, 0]),  # unknown at the end
        ([3, np.nan, 1, 2], [0, 0, 0, 1]),
        ([2], [0]),
        ([], []),
    ],
)
def test_rule(losses, expected):
    assert overfitted(losses).tolist() == [bool(flag) for flag in expected]
