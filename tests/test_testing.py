"""`equidyn.testing`: what passes, what fails, and with which message."""

import numpy as np
import pytest

from equidyn.testing import assert_equivariant

POINTS = np.random.default_rng(0).normal(size=(12, 6, 3))


def central(points):
    return -points * np.exp(-np.square(points).sum(-1, keepdims=True))


def tilted(points):
    return central(points) + 1e-3 * points * [1, 1, -2]


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_equivariant_models_pass(precision):
    found = assert_equivariant(lambda points: central(points.astype(precision)), POINTS)
    assert found["prediction"].verdict == "round-off"


def test_others_fail_with_the_cause():
    with pytest.raises(AssertionError) as error:
        assert_equivariant(tilted, POINTS)
    text = str(error.value)
    assert "not equivariant under SO(3) (allowed: round-off)" in text
    assert "worst examples" in text
    assert "tied to the z axis" in text


def test_tolerance():
    assert_equivariant(tilted, POINTS, rtol=0.1)
    with pytest.raises(AssertionError, match=r"allowed: 0\.001 of the prediction"):
        assert_equivariant(tilted, POINTS, rtol=1e-3)


def test_state_fails():
    noise = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="keeps state"):
        assert_equivariant(lambda points: points + noise.normal(size=points.shape), POINTS)
