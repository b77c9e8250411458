"""Correlations along a run are SciPy's, and their intervals hold for dependent checkpoints."""

import numpy as np
import pytest
from scipy import stats

from equidyn.analysis.correlation import log_correlation


def series(count, correlation, persistence, rng):
    """Two positive series: logarithms are autoregressive of first order, with unit variance and a correlation."""
    noise = rng.normal(size=(count + 200, 2))
    noise[:, 1] = correlation * noise[:, 0] + np.sqrt(1 - correlation**2) * noise[:, 1]
    logs = np.zeros_like(noise)
    for i in range(1, len(noise)):
        logs[i] = persistence * logs[i - 1] + np.sqrt(1 - persistence**2) * noise[i]
    return np.exp(logs[200:]).T


def test_coefficients_are_of_the_logarithms():
    x, y = series(50, 0.6, 0.0, np.random.default_rng(0))
    found = log_correlation(x, y)
    assert found.pearson == pytest.approx(stats.pearsonr(np.log(x), np.log(y)).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.count == 50
    assert found.pearson_low < found.pearson < found.pearson_high
    assert found.spearman_low < found.spearman < found.spearman_high


@pytest.mark.parametrize("seed", range(20))
def test_coefficients_are_at_most_one(seed):
    x = np.exp(np.random.default_rng(seed).normal(size=9))
    found = log_correlation(x, 3 * x**1.7)
    assert found.pearson <= found.pearson_high <= 1
    assert found.spearman == found.spearman_high == 1


def test_coefficients_are_those_of_any_scale():
    x, y = series(50, 0.6, 0.0, np.random.default_rng(0))
    found, narrow = log_correlation(x, y), log_correlation(x**1e-11, y)
    assert narrow.pearson == pytest.approx(found.pearson, abs=1e-3)


def test_a_power_law_is_perfect():
    x = np.geomspace(1, 1e5, 20)
    for power, sign in ((2.5, 1), (-0.5, -1)):
        found = log_correlation(x, 3 * x**power)
        for value in (found.pearson, found.pearson_low, found.pearson_high, found.spearman):
            assert value == pytest.approx(sign, abs=1e-9)
        assert (found.spearman_low, found.spearman_high) == pytest.approx((sign, sign), abs=1e-3)
    curved = log_correlation(x, np.exp(x / 1e4))
    assert curved.spearman == pytest.approx(1)
    assert curved.pearson < 0.9


def test_scale_does_not_matter_and_the_seed_does_not_much():
    x, y = series(60, 0.5, 0.8, np.random.default_rng(1))
    found = log_correlation(x, y)
    assert log_correlation(x, y) == found
    scaled = log_correlation(1e-9 * x, 1e9 * y)
    assert scaled.pearson_low == pytest.approx(found.pearson_low, abs=1e-6)
    assert scaled.spearman_high == pytest.approx(found.spearman_high, abs=1e-6)
    other = log_correlation(x, y, seed=1)
    assert other.pearson == found.pearson
    assert other.pearson_low == pytest.approx(found.pearson_low, abs=0.1)
    wide, narrow = log_correlation(x, y, level=0.99), log_correlation(x, y, level=0.5)
    assert wide.pearson_low < found.pearson_low < narrow.pearson_low < found.pearson


def test_independent_pairs_give_the_usual_interval():
    x, y = series(200, 0.6, 0.0, np.random.default_rng(2))
    found = log_correlation(x, y, resamples=4000)
    usual = stats.pearsonr(np.log(x), np.log(y)).confidence_interval(0.95)
    assert found.block <= 3
    assert (found.pearson_low, found.pearson_high) == pytest.approx(usual, abs=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_coverage_of_dependent_pairs(correlation):
    """Intervals of 95 % hold the truth in nine of ten cases and more; Fisher's and a plain bootstrap's in half."""
    rng, trials = np.random.default_rng(11), 400
    held = {"blocks": 0, "Fisher": 0, "pairs": 0}
    for _ in range(trials):
        x, y = series(40, correlation, 0.9, rng)
        found = log_correlation(x, y, resamples=200)
        held["blocks"] += found.pearson_low <= correlation <= found.pearson_high
        usual = stats.pearsonr(np.log(x), np.log(y)).confidence_interval(0.95)
        held["Fisher"] += usual.low <= correlation <= usual.high
        pairs = rng.integers(0, 40, (200, 40))
        plain = np.quantile(stats.pearsonr(np.log(x)[pairs], np.log(y)[pairs], axis=1).statistic, [0.025, 0.975])
        held["pairs"] += plain[0] <= correlation <= plain[1]
    assert held["blocks"] / trials > 0.9
    assert max(held["Fisher"], held["pairs"]) / trials < 0.65


def test_blocks_grow_with_dependence():
    rng = np.random.default_rng(4)
    blocks = [log_correlation(*series(100, 0.5, persistence, rng)).block for persistence in (0.0, 0.6, 0.95)]
    assert blocks == sorted(blocks)
    assert blocks[0] <= 3 < blocks[1] < blocks[2] <= 25
    rising = np.geomspace(1, 2, 12)
    assert log_correlation(rising, rising * np.r_[[1, 1.1] * 6]).block == 3


def test_what_has_no_logarithm_is_left_out():
    x, y = series(30, 0.5, 0.5, np.random.default_rng(5))
    gaps = np.insert(x, [3, 9, 20, 25], [0, -1, np.nan, 2.0]), np.insert(y, [3, 9, 20, 25], [1, 1, 1, np.inf])
    assert log_correlation(*gaps) == log_correlation(x, y)


def test_too_few_or_constant_pairs_have_no_correlation():
    for x, y, count in (
        ([1, 2, 3], [3, 2, 1], 3),
        ([], [], 0),
        ([0.1] * 9, range(1, 10), 9),
        ([1, 2, 0, 4], [1] * 4, 3),
    ):
        found = log_correlation(x, y)
        assert found.count == count
        assert np.isnan([found.pearson, found.pearson_low, found.spearman, found.spearman_high]).all()


def test_ties_and_few_pairs():
    x, y = [1, 1, 2, 2, 2, 3], [1, 2, 2, 1, 3, 3]
    found = log_correlation(x, y)
    assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
    assert -1 <= found.spearman_low <= found.spearman <= found.spearman_high <= 1
    six = log_correlation([1, 2, 3, 4, 5, 6], [1, 3, 2, 5, 4, 8])
    assert -1 <= six.pearson_low < six.pearson < six.pearson_high <= 1
    five = log_correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])
    assert np.isnan(five.pearson)
    assert five.count == 5
    alike = log_correlation([1, 1, 1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 1, 1, 1, 3])  # many resamples are constant
    assert alike.pearson == pytest.approx(1)
    assert np.isfinite(alike.pearson_low)
