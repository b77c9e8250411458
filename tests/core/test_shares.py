"""Shares of a sum."""

import math

import numpy as np
import pytest

from equidyn.core.shares import worst_count, worst_percent


@pytest.mark.parametrize(("count", "worst"), [(1, 1), (27, 1), (100, 1), (101, 2), (1000, 10)])
def test_the_worst_hundredth_is_rounded_up(count, worst):
    assert worst_count(count) == worst
    values = np.random.default_rng(0).permutation([9.0] * worst + [1.0] * (count - worst))
    assert worst_percent(values) == pytest.approx(100 * 9 * worst / (9 * worst + count - worst))


def test_nothing_is_carried_of_nothing():
    assert math.isnan(worst_percent(np.zeros(5)))
    assert math.isnan(worst_percent([]))
