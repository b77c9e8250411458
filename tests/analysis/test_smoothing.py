"""The variable-span average has the published form on even grids and closed forms elsewhere."""

import numpy as np
import pytest

from equidyn.analysis.smoothing import variable_span_average


def test_even_grid_is_the_recursion():
    steps = 114 * np.arange(1, 400)
    values = np.random.default_rng(0).normal(size=len(steps))
    average = variable_span_average(steps, values)
    assert average[0] == values[0]
    weight = 2 / (np.maximum(1, steps / 1000) + 1)
    np.testing.assert_allclose(average[1:], weight[1:] * values[1:] + (1 - weight[1:]) * average[:-1], rtol=1e-12)
    early = steps <= 1000
    np.testing.assert_array_equal(average[early], values[early])
    assert np.std(np.diff(average[-100:])) < 0.1 * np.std(np.diff(values[-100:]))


def test_a_jump_decays_by_the_weights_so_far():
    steps = np.arange(1, 9)  # with factor 1 the span is the step, and the weight 2 / (step + 1)
    average = variable_span_average(steps, [1, 0, 0, 0, 0, 0, 0, 0], factor=1)
    # 1 - 2 / (s + 1) = (s - 1) / (s + 1), whose product from s = 2 to n is 2 / (n (n + 1)).
    np.testing.assert_allclose(average, 2 / (steps * (steps + 1)))


def test_a_long_gap_counts_as_many_evaluations():
    average = variable_span_average([1, 2, 12], [0.0, 0.0, 1.0], factor=4)
    np.testing.assert_allclose(average, [0, 0, 1 - (1 - 2 / (12 / 4 + 1)) ** 10])


def test_checkpoints_spaced_in_log_stay_as_they_are():
    steps = [0, *np.unique(np.round(10 ** np.arange(0, 5.01, 0.2)))]
    values = np.exp(np.random.default_rng(1).normal(size=len(steps)))
    np.testing.assert_allclose(variable_span_average(steps, values), values, rtol=1e-12)


def test_constants_stay_and_scale_does_not_matter():
    steps = np.arange(0, 90_000, 300)
    np.testing.assert_allclose(variable_span_average(steps, np.full(300, 7.0)), 7)
    values = np.random.default_rng(2).normal(size=300)
    np.testing.assert_allclose(variable_span_average(steps, 3 * values), 3 * variable_span_average(steps, values))


def test_gaps_in_what_was_measured():
    average = variable_span_average([1, 2, 3, 4], [np.nan, 1.0, np.nan, 0.0], factor=2)
    np.testing.assert_allclose(average, [np.nan, 1, np.nan, (1 - 2 / 3) ** 2])
    assert variable_span_average([], []).tolist() == []
    assert variable_span_average([5], [2.0]).tolist() == [2.0]


def test_steps_must_ascend():
    with pytest.raises(ValueError, match="must ascend"):
        variable_span_average([1, 3, 3], [0, 0, 0])
