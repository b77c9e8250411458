"""Cases in which a hasty verdict would mislead, or a number be wrong."""

import numpy as np
import pytest
import torch

from equidyn import measure
from equidyn.measuring.examples import MeasureError
from equidyn.testing import assert_equivariant

rng = np.random.default_rng(5)
X = rng.normal(size=(60, 8, 3))
LATTICE = np.array([(x, y, z) for x in (-1.0, 0, 1) for y in (-1.0, 0, 1) for z in (-1.0, 0, 1)])


def pairs(points):
    return points[..., :, None, :] - points[..., None, :, :]


def soft(points):
    vectors = pairs(points)
    return (vectors * np.exp(-np.sqrt(np.square(vectors).sum(-1, keepdims=True) + 0.1))).sum(-2)


def only(*arguments, **settings):
    (found,) = measure(*arguments, **settings).properties.values()
    return found


class TestRare:
    """An error in few examples."""

    class Network(torch.nn.Module):
        def __init__(self, where):
            super().__init__()
            self.weight, self.where = torch.nn.Parameter(torch.ones(())), where

        def forward(self, points):
            centred = points - points.mean(1, keepdim=True)
            forces = -centred * centred.norm(dim=-1, keepdim=True) * self.weight
            large = points.norm(dim=(1, 2), keepdim=True) > self.where
            return forces + large * points * points.new_tensor([0, 0, 0.5])

    def test_double_precision_looks_at_the_worst(self):
        points = torch.from_numpy(X).float()
        where = float(points.norm(dim=(1, 2)).sort().values[-4]) - 1e-3
        found = only(self.Network(where), points)
        assert found.verdict == "real"
        assert found.in_double > 0.5


def test_share_is_of_all_examples():
    sizes = X * np.logspace(0, 2, len(X))[:, None, None]
    found = only(lambda points: points * [1, 1, 1.02], sizes, ranks=1)
    assert found.share == pytest.approx(100 * found.relative_error, rel=1e-6)
    assert_equivariant(lambda points: points * [1, 1, 1.02], sizes, ranks=1, rtol=1.05 * found.relative_error)


@pytest.mark.parametrize("exact", [3, 5])
def test_an_exact_set_sees_a_cubic_grid(exact):
    found = only(lambda points: soft((2 * points).round() / 2), X, soft(X), exact=exact)
    assert found.verdict == "real"
    assert found.percent > 50


def test_degrees_that_a_small_set_cannot_tell_are_left_out():
    assert only(lambda points: points * [1, 2, 3], X, exact=2).by_degree == ()
    assert len(only(lambda points: points * [1, 2, 3], X, exact=3).by_degree) == 2


class TestCells:
    def test_a_box_around_molecules_is_no_cell(self):
        ase = pytest.importorskip("ase", reason="ASE is not installed")
        from equidyn.integrations.ase import measure_calculator

        class Calculator:
            implemented_properties = ("forces",)

            def calculate(self, atoms, *_):
                self.results = {"forces": np.tanh(atoms.positions @ A)}

        A = rng.normal(size=(3, 3))
        molecules = [ase.Atoms("H8", points) for points in X[:12]]
        for one in molecules:
            one.center(vacuum=5)
        found = measure_calculator(Calculator(), molecules)["forces"]
        assert found.suspects[0].name == "a network that is not constrained to be equivariant"

    def test_no_neighbours_without_a_cell_prove_nothing(self):
        cells = [3 * np.eye(3) + 0.3 * rng.normal(size=(3, 3)) for _ in range(12)]
        crystals = [{"pos": np.zeros((1, 3)), "cell": cell} for cell in cells]

        def predict(items):
            found = []
            for one in items:
                vectors = LATTICE @ one["cell"]
                found.append((vectors[:, 2] ** 2 * np.exp(-np.square(vectors).sum(1) / 9)).sum())
            return found

        found = only(predict, crystals, ranks=0)
        assert found.suspects[0].name == "a feature tied to the z axis of the laboratory"


@pytest.mark.parametrize("away", [0.0, 100.0, 1000.0])
def test_far_from_the_origin_rounding_is_large(away):
    found = only(lambda points: soft(points), (X + away).astype(np.float32), ranks=1)
    assert found.verdict == "round-off"


@pytest.mark.parametrize("weight", [1e-2, 1e-3, 5e-4])
def test_small_jumps_in_double_precision(weight):
    structures = [scale * (LATTICE + shift) for scale in (0.9, 1.0, 1.1) for shift in rng.normal(size=(4, 1, 3))]

    def nearest(points):
        vectors = pairs(points)
        order = np.argsort(np.square(vectors).sum(-1), axis=-1)[..., 1:4]
        return np.take_along_axis(vectors, order[..., None], axis=-2).sum(-2)

    found = only(lambda many: [soft(one) + weight * nearest(one) for one in many], structures, ranks=1)
    assert found.verdict == "real"
    assert found.suspects[0].name.startswith("a choice between equals")


def test_small_noise_does_not_repeat():
    noise = np.random.default_rng(0)
    found = only(lambda points: points + 5e-4 * noise.normal(size=points.shape), X)
    assert found.verdict == "not repeatable"
    both = only(lambda points: points * [1, 1, 1.3] + 0.02 * noise.normal(size=points.shape), X)
    assert both.verdict == "real"
    assert "The same input gives values that differ by" in both.sentence


@pytest.mark.parametrize("seed", range(6))
def test_a_frame_that_flips_is_no_axis(seed):
    def predict(points):
        found = []
        for one in points - points.mean(1, keepdims=True):
            frame = np.linalg.eigh(one.T @ one)[1]
            found.append(np.tanh(one @ frame + 0.3) @ frame.T)
        return np.stack(found)

    found = only(predict, X, seed=seed)
    assert found.verdict == "real"
    assert not any("axis" in one.name and one.clear for one in found.suspects)
    assert any("jumps" in one.name or "equals" in one.name for one in found.suspects)


def test_an_axis_in_any_direction():
    axis = np.array([1, 1, 1]) / np.sqrt(3)
    first = only(lambda points: soft(points) + 0.1 * (points @ axis)[..., None] ** 2 * axis, X).suspects[0]
    assert first.name == "a feature tied to the axis (0.58, 0.58, 0.58) of the laboratory"
    assert first.clear


def test_translations_of_double_precision():
    assert only(lambda points: soft(points), X, group="translations").floor < 1e-12
    found = only(lambda points: soft(points) + 1e-7 * points, X, group="translations")
    assert found.verdict == "real"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    found = only(lambda points: -points, torch.from_numpy(X).to(dtype), ranks=1)
    assert found.verdict == "round-off"


def test_axes_in_another_order_are_refused():
    with pytest.raises(MeasureError, match="by another rotation than that of the matrix"):
        measure(soft, X, rotate=lambda points, R: points @ R[::-1, ::-1].T)
    about_middle = measure(soft, X, rotate=lambda points, R: (points - points.mean(0)) @ R.T + points.mean(0))
    assert about_middle["prediction"].verdict == "round-off"


def test_nothing_is_round_off():
    found = only(lambda points: np.zeros(len(points)), X)
    assert found.verdict == "round-off"
    assert "∞" not in found.sentence
