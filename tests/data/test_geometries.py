"""Forces of geometries: what is measured, what exceeds a limit, what is conspicuous."""

import numpy as np
import pytest

from equidyn.data.force_limits import ForceLimits
from equidyn.data.geometries import Description, force_objections, force_sizes

FORCES = np.array([[3, 4, 0], [-3, -4, 0], [0, 0, 1], [0, 0, 2], [0, 0, 0], [0, 6, 8]], np.float32)
STARTS = np.array([0, 2, 4])


def test_sizes_of_forces():
    largest, net, squares = force_sizes(FORCES, STARTS)
    assert largest.tolist() == [5, 2, 10]
    assert net.tolist() == [0, 3, 10]
    assert squares.tolist() == [50, 5, 100]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {}),
        ({"max_force": 5}, {"force above limit": [False, False, True]}),
        ({"max_force": 4.99}, {"force above limit": [True, False, True]}),
        ({"max_net_force": 2}, {"net force above limit": [False, True, True]}),
    ],
)
def test_objections(limits, expected):
    found = force_objections(ForceLimits(**limits), FORCES, STARTS)
    assert {reason: exceeds.tolist() for reason, exceeds in found.items()} == expected


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_limits_are_positive(limit):
    with pytest.raises(ValueError, match="max_force"):
        ForceLimits(max_force=limit)


def described(forces):
    """The description of examples (m, atoms, 3), in portions of seven."""
    description = Description()
    for portion in np.array_split(forces, -(-len(forces) // 7)):
        lengths, flat = np.full(len(portion), forces.shape[1]), portion.reshape(-1, 3)
        description.add(lengths, np.zeros_like(flat), np.ones(len(flat), int), flat)
    return description


def made(count, scale=1.0, seed=0):
    """Forces (count, 5, 3) that sum to zero, with exponential tails."""
    forces = scale * np.random.default_rng(seed).laplace(size=(count, 5, 3))
    return forces - forces.mean(axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "scale"), [(10, 1.0), (200, 1e-3), (200, 1e3), (100_000, 1.0)])
def test_usual_forces_are_inconspicuous(count, scale):
    assert described(made(count, scale).astype(np.float32)).force_warnings() == []


def test_net_forces_of_rounding_are_inconspicuous():
    forces = made(200)
    forces[17] += 0.005  # the others have none but for round-off
    assert described(forces).force_warnings() == []
    forces[17] += 0.01
    (warning,) = described(forces).force_warnings()
    assert warning.startswith("largest net force 0.13")
    assert "example 17" in warning


@pytest.mark.parametrize("outliers", [1, 15])
def test_outliers_are_conspicuous_and_do_not_hide_one_another(outliers):
    forces = made(200)
    forces[50 : 50 + outliers, 0, 0] += 100
    forces[50 : 50 + outliers, 1, 0] -= 100
    description = described(forces)
    (warning,) = description.force_warnings()
    assert f": {outliers} of 200 examples" in warning
    assert 50 <= description.force_maxima()["force_max_example"] < 50 + outliers
    squares = np.sort(np.square(forces).sum(axis=(1, 2)))
    share = description.force_maxima()["share_of_squared_forces_in_outermost_percent"]
    assert share == pytest.approx(squares[-2:].sum() / squares.sum())
