"""Roughness has closed forms: none for a quadratic, the noise for noise on one, one for noise alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equidyn.analysis.roughness import fit_quadratic, neighbour_ratio, noise_roughness, roughness

X, Y = np.linspace(-0.02, 0.02, 21), np.linspace(-0.05, 0.07, 17)
COLUMN, ROW = X[None, :], Y[:, None]


def quadratic(x, y):
    return 3 + 2 * x - y + 400 * x**2 + 70 * x * y + 900 * y**2


BOWL = quadratic(COLUMN, ROW)


def test_a_quadratic_is_smooth():
    found = roughness(X, Y, BOWL)
    assert list(found) == ["roughness", "fit_residual", "fit_range", "fit_r2"]
    assert found["roughness"] < 1e-14
    assert found["fit_range"] == pytest.approx(np.ptp(BOWL), rel=1e-12)
    assert found["fit_r2"] == pytest.approx(1, abs=1e-14)


def test_the_fit_is_the_quadratic():
    fit = fit_quadratic(X, Y, BOWL)
    x, y = np.array([0.0, 0.3]), np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(fit.at(X, Y), BOWL, rtol=1e-13)
    np.testing.assert_allclose(fit.at(x, y), quadratic(x[None, :], y[:, None]), rtol=1e-9)
    assert fit.curvature_x == pytest.approx(800, rel=1e-9)
    assert fit.curvature_y == pytest.approx(1800, rel=1e-9)


def test_noise_on_a_quadratic_is_found():
    noise = np.random.default_rng(0).normal(scale=0.3, size=(200, *BOWL.shape))
    found = [roughness(X, Y, BOWL + each) for each in noise]
    degrees = 1 - 6 / BOWL.size
    assert np.mean([each["fit_residual"] ** 2 for each in found]) == pytest.approx(0.09 * degrees, rel=0.01)
    expected = 0.3 * degrees**0.5 / np.ptp(BOWL)
    assert np.mean([each["roughness"] for each in found]) == pytest.approx(expected, rel=0.01)


def test_a_cubic_leaves_what_it_should():
    y = np.linspace(-1, 1, 2001)  # x³ less its projection on x is x³ − 3x/5, whose mean square is 4/175
    found = roughness([-1, 0, 1], y, np.repeat(y[:, None] ** 3, 3, axis=1))
    assert found["fit_residual"] == pytest.approx((4 / 175) ** 0.5, rel=2e-3)
    assert found["fit_range"] == pytest.approx(6 / 5, rel=2e-3)
    assert found["fit_r2"] == pytest.approx(1 - 4 / 175 * 7, rel=2e-3)


@given(
    st.floats(1e-6, 1e6),
    st.floats(1e-6, 1e6),
    st.floats(-100, 100),
    st.floats(-5, 5).filter(lambda factor: abs(factor) > 0.01),
)
def test_units_do_not_matter(x_unit, value_unit, x_offset, slope):
    rough = BOWL + np.random.default_rng(1).normal(size=BOWL.shape)
    before = roughness(X, Y, rough)
    moved = roughness(x_unit * (X + 0.01 * x_offset), slope * Y, value_unit * (rough + x_offset))
    assert moved["roughness"] == pytest.approx(before["roughness"], rel=1e-7)
    assert moved["fit_r2"] == pytest.approx(before["fit_r2"], rel=1e-7)
    assert moved["fit_residual"] == pytest.approx(value_unit * before["fit_residual"], rel=1e-7)


def test_a_small_bowl_on_a_large_offset():
    found = roughness(X, Y, 1e6 + 1e-3 * BOWL)
    assert found["fit_range"] == pytest.approx(1e-3 * np.ptp(BOWL), rel=1e-6)
    assert found["roughness"] < 1e-6


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9])
def test_a_constant_has_none(value):
    found = roughness(X, Y, np.full(BOWL.shape, value))
    assert (found["fit_residual"], found["fit_range"]) == (0, 0)
    assert np.isnan([found["roughness"], found["fit_r2"]]).all()


def test_rounding_counts_as_constant():
    values = np.full(BOWL.shape, 0.1)
    values[3, 4] = np.nextafter(0.1, 1)
    assert np.isnan(roughness(X, Y, values)["roughness"])


def test_values_that_are_not_finite():
    values = BOWL.copy()
    values[0, 0] = np.inf
    assert np.isnan(list(roughness(X, Y, values).values())).all()


def test_grids_must_fit():
    with pytest.raises(ValueError, match="17 rows and 21 columns"):
        roughness(X, Y, BOWL.T)
    with pytest.raises(ValueError, match="three distinct"):
        roughness(X[:2], Y, BOWL[:, :2])


def test_neighbours_of_noise_are_unrelated():
    noise = np.random.default_rng(2).normal(size=(60, 60))
    assert neighbour_ratio(noise) == pytest.approx(1, abs=0.05)
    assert neighbour_ratio(np.sin(np.linspace(0, 2 * np.pi, 60))[:, None] * np.ones(60)) < 0.01
    assert np.isnan(neighbour_ratio(np.ones((3, 3))))


def test_roughness_of_noise_alone():
    noise = np.random.default_rng(3).normal(size=(300, 20, 20))
    axis = np.linspace(-4, 4, 20)
    low, high = noise_roughness(20, 20)
    inside = np.mean([low < roughness(axis, axis, each)["roughness"] < high for each in noise])
    assert inside == pytest.approx(0.95, abs=0.04)
    assert noise_roughness(11, 11)[1] < high
