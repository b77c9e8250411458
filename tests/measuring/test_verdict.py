"""Verdicts on models whose fault is known, and on those that have none."""

import numpy as np
import pytest
import torch

from equidyn import measure
from equidyn.measuring.floors import Floor

rng = np.random.default_rng(1)
POINTS = rng.normal(size=(30, 9, 3))
TRUE = rng.normal(size=POINTS.shape)
A = rng.normal(size=(3, 3))
LATTICE = np.array([(x, y, z) for x in (-1.0, 0, 1) for y in (-1.0, 0, 1) for z in (-1.0, 0, 1)])


def suspects(predict, inputs=POINTS, **settings):
    (found,) = measure(predict, inputs, **settings).properties.values()
    assert found.verdict == "real"
    return found


def pairs(points):
    return points[..., :, None, :] - points[..., None, :, :]


def central(points):
    """Forces of springs between all pairs, which are equivariant."""
    return (np.exp(-np.square(pairs(points)).sum(-1, keepdims=True)) * pairs(points)).sum(-2)


def nearest(points, count):
    """Sum of the vectors to so many nearest neighbours, among equally distant ones those that rounding puts first."""
    vectors = pairs(points)
    order = np.argsort(np.square(vectors).sum(-1), axis=-1)[..., 1 : count + 1]
    return np.take_along_axis(vectors, order[..., None], axis=-2).sum(-2)


class Unconstrained(torch.nn.Module):
    """Forces from a small network that reads positions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 32), torch.nn.SiLU(), torch.nn.Linear(32, 3))

    def forward(self, points):
        return self.layers(points.to(self.layers[0].weight.dtype))


class TestCauses:
    def test_network(self):
        found = suspects(Unconstrained(), torch.from_numpy(POINTS))
        first = found.suspects[0]
        assert first.name == "a network that is not constrained to be equivariant"
        assert first.clear
        assert len(found.suspects) == 1
        assert 0.5 < found.in_double < 2
        assert "real" in found.sentence
        assert "clearly for a network" in found.sentence

    def test_linear_map(self):
        found = suspects(lambda points: central(points) + 1e-4 * points @ A.T)
        assert found.suspects[0].name == "a network that is not constrained to be equivariant"

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_axis_of_the_laboratory(self, axis):
        def predict(points):
            forces = central(points)
            forces[..., axis] += 1e-3 * np.square(points[..., axis])
            return forces

        first = suspects(predict).suspects[0]
        assert first.name == f"a feature tied to the {'xyz'[axis]} axis of the laboratory"
        assert first.clear

    def test_neighbours_cut_off_among_equals(self):
        structures = [scale * (LATTICE + shift) for scale in (0.9, 1.0, 1.1) for shift in rng.normal(size=(4, 1, 3))]
        first = suspects(lambda many: [nearest(one, 2) for one in many], structures).suspects[0]
        assert first.name.startswith("a choice between equals")
        assert first.clear

    def test_neighbours_that_come_and_go_with_the_orientation(self):
        def predict(points):
            near = np.abs(pairs(points)).max(-1, keepdims=True) < 1.5  # within a box, which does not turn
            return (near * pairs(points)).sum(-2)

        names = [one.name for one in suspects(predict, rotations=240).suspects]
        assert any(name.startswith("jumps at some orientations") for name in names)
        assert "a cubic grid" in names

    def test_grid(self):
        names = [one.name for one in suspects(lambda points: np.round(points * 4) / 4, rotations=240).suspects]
        assert "a cubic grid" in names
        assert not any("network" in name for name in names)

    def test_handedness(self):
        def predict(points):
            return np.linalg.det(points[:, :3])

        found = suspects(predict, group="O(3)")
        assert found.suspects[0].name == "a feature that tells left from right"

    @pytest.mark.parametrize("precision", [np.float32, np.float64])
    def test_exact_models_have_none(self, precision):
        found = measure(lambda points: central(points.astype(precision)), POINTS)["prediction"]
        assert found.verdict == "round-off"
        assert found.suspects == ()
        assert "round-off" in found.sentence

    def test_amplified_rounding(self):
        class Cancelling(torch.nn.Module):
            """Differences of large numbers."""

            def __init__(self):
                super().__init__()
                self.large = torch.nn.Parameter(torch.tensor(1e6))

            def forward(self, points):
                distances = points.to(self.large.dtype).square().sum(-1)
                return (distances + self.large).sum(1) - self.large * points.shape[1]

        found = measure(Cancelling(), torch.from_numpy(POINTS).float())["prediction"]
        assert found.verdict == "round-off"
        assert found.in_double < 1e-6


def test_floor_is_the_larger_of_both_small_turns():
    """Forces that the symmetry of water, ammonia and methane cancels: rounding is that of their terms."""
    floor = Floor(0.192, repeat=0, turned=5.6e-15, turned_less=9.7e-15, turning=3.4e-16, precision=2.2e-16, unit=7e-16)
    assert not floor.at_once
    assert floor.value == pytest.approx(9.7e-15 / np.sqrt(2), rel=0.01)


class TestCell:
    """Crystals as dictionaries, whose model searches neighbours in a cell."""

    CELLS = tuple(3 * np.eye(3) + 0.3 * rng.normal(size=(12, 3, 3)))
    CRYSTALS = tuple({"pos": rng.uniform(size=(5, 3)) @ cell, "cell": cell} for cell in CELLS)

    @staticmethod
    def forces(points, cell):
        shifts = LATTICE @ cell
        vectors = points[:, None, None] - points[None, :, None] + shifts
        return (np.exp(-np.square(vectors).sum(-1, keepdims=True)) * vectors).sum((1, 2))

    def test_turned(self):
        found = measure(lambda many: [self.forces(one["pos"], one["cell"]) for one in many], self.CRYSTALS)
        assert found["prediction"].verdict == "round-off"

    def test_kept_by_the_model(self):
        cells = {round(float(np.abs(np.linalg.det(cell))), 9): cell for cell in self.CELLS}

        def predict(many):
            return [self.forces(one["pos"], cells[round(float(np.abs(np.linalg.det(one["cell"]))), 9)]) for one in many]

        first = suspects(predict, self.CRYSTALS).suspects[0]
        assert first.name == "a cell that is not turned"

    def test_left_out_of_the_rotation(self):
        def rotate(one, R):
            return one | {"pos": one["pos"] @ R.T}

        with pytest.raises(ValueError, match=r"leaves 'cell' as it is.*kinds=\{'cell': 'scalars'\}"):
            measure(lambda many: [self.forces(one["pos"], one["cell"]) for one in many], self.CRYSTALS, rotate=rotate)

    def test_of_an_unknown_name(self):
        crystals = [{"pos": one["pos"], "unit": one["cell"]} for one in self.CRYSTALS]
        found = measure(lambda many: [self.forces(one["pos"], one["unit"]) for one in many], crystals)
        assert any("'unit' looks like vectors and is not turned" in text for text in found.warnings)
        assert found["prediction"].verdict == "real"


def test_state_is_no_symmetry():
    noise = np.random.default_rng(0)
    found = measure(lambda points: points + 0.1 * noise.normal(size=points.shape), POINTS)["prediction"]
    assert found.verdict == "not repeatable"
    assert "keeps state" in found.sentence


class TestAveraging:
    def test_gain_of_even_spread(self):
        found = measure(lambda points: points @ A.T, POINTS, TRUE, floors=False)["prediction"]
        rotations, loss = found.averaging.T
        assert rotations.tolist() == [1, 2, 4, 12, 24, 48, 120]
        assert loss[0] == pytest.approx(found.numbers["total"])
        # Averages over the rotations of a tetrahedron are exact for linear maps.
        assert loss[3] == pytest.approx(found.numbers["twirled"])
        # Half turns about x, y and z leave the diagonal, whose isotropic part alone the average keeps.
        rest = np.square(POINTS).mean() * np.square(A - np.trace(A) / 3 * np.eye(3)).sum() / 3
        assert loss[3] < loss[2] < loss[3] + rest

    def test_rotations_that_suffice(self):
        found = measure(lambda points: points @ A.T, POINTS, TRUE, rotations=96, floors=False)["prediction"]
        assert found.sufficient == found.convergence[0, 0]
        noise = measure(lambda points: np.sin(9 * points), POINTS[:3], TRUE[:3], rotations=4, floors=False)
        assert noise["prediction"].sufficient is None
