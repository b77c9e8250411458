"""Landscapes against surfaces of known curvature, and what drawing rotations anew does to them."""

import numpy as np
import pandas as pd
import pytest
import torch
from linear_task import Matrix, Perceptron, VectorTask

from equidyn.analysis.anatomy import block_parameters
from equidyn.analysis.curvature import Hessian
from equidyn.analysis.landscape.measure import eigenplane, measure, random_plane, surface
from equidyn.analysis.losses import HeldOutLoss
from equidyn.run.protocol import EvaluationSettings

COORDINATES = np.linspace(-0.5, 0.5, 5)


def block_of(loss):
    return block_parameters(loss.model, "all")


def test_a_quadratic_loss_has_the_curvature_of_its_eigenvalues():
    torch.manual_seed(0)
    task = VectorTask(6)
    loss = HeldOutLoss(task, Matrix().double(), np.arange(6), EvaluationSettings(rotations=4))
    plane, (small, large) = eigenplane(loss, "equivariance", block_of(loss))
    assert 0 < small < large
    torch.testing.assert_close(plane @ plane.T, torch.eye(2, dtype=torch.float64))
    values = surface(loss, block_of(loss), plane, COORDINATES)[-1]["equivariance"]
    for along, eigenvalue in ((values[2], small), (values[:, 2], large)):
        second = (along[0] - 2 * along[2] + along[4]) / 0.5**2
        assert second == pytest.approx(eigenvalue, rel=1e-6)
    # At the checkpoint itself, and weights are as before.
    assert values[2, 2] == loss.values()["equivariance"]


def test_planes_of_large_blocks_are_found_by_lanczos():
    torch.manual_seed(0)
    loss = HeldOutLoss(VectorTask(12), Perceptron(8).double(), np.arange(12), EvaluationSettings(rotations=3))
    exact, values = eigenplane(loss, "equivariance", block_of(loss))
    plane, curvatures = eigenplane(loss, "equivariance", block_of(loss), dense=False)
    assert curvatures[1] == pytest.approx(values[1], rel=1e-6)
    assert abs(float(plane[1] @ exact[1])) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(plane @ plane.T, torch.eye(2, dtype=torch.float64), atol=1e-6, rtol=0)
    hessian = Hessian(loss, "equivariance", block_of(loss))
    assert float(plane[0] @ hessian.product(plane[0])) == pytest.approx(curvatures[0], rel=1e-6, abs=1e-12)
    assert 0 < curvatures[0] < 0.1 * curvatures[1]


def test_weights_are_put_back_bit_for_bit(trained, validation_indices):
    task, model = trained
    loss = HeldOutLoss(task, model, validation_indices[:4], EvaluationSettings(rotations=2))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    block = block_parameters(model, "direction.linear")
    surface(loss, block, random_plane(block, 0), COORDINATES)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())

    def stop(i, j):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surface(loss, block, random_plane(block, 0), COORDINATES, redraw=stop)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_random_directions_are_filter_normalised():
    torch.manual_seed(0)
    block = block_parameters(Perceptron().double(), "all")
    first, second = random_plane(block, 3)
    assert float(first.norm()) == pytest.approx(1)
    weights, biases = first[:15].view(5, 3), first[15:20]
    lengths = block["first.weight"].detach().norm(dim=1)
    torch.testing.assert_close(weights.norm(dim=1) / weights.norm(dim=1).sum(), lengths / lengths.sum())
    assert not biases.any()
    assert not torch.equal(first, second)
    torch.testing.assert_close(random_plane(block, 3), torch.stack([first, second]))
    with pytest.raises(ValueError, match=r"first\.bias: filter-normalised directions need a matrix"):
        random_plane({"first.bias": block["first.bias"]}, 3)


@pytest.fixture(scope="module")
def table(checkpoint, validation_indices):
    task, model = checkpoint
    settings = {"block": "direction.ffn.down", "directions": ["equivariance"], "points": 5, "extent": 0.05}
    settings["fresh_rotations"] = 4
    protocol = EvaluationSettings(rotations=4, batch_size=32)
    runs = [pd.DataFrame(measure(task, model, validation_indices[:8], protocol, {}, **settings)) for _ in range(2)]
    pd.testing.assert_frame_equal(*runs)  # two runs of one landscape are identical
    return runs[0]


def test_common_random_numbers_are_smoother_by_far(table):
    """Ten times at least, for both parts of the loss, on a trained EScAIP."""
    roughness = table.groupby(["loss", "protocol"])["roughness"].first().unstack()
    assert (roughness["fresh"] >= 10 * roughness["common"]).all(), roughness


def test_rows_are_a_grid_for_each_protocol_and_loss(table):
    assert len(table) == 2 * 2 * 25
    assert set(table["estimator"]) == {"sampled"}
    grid = table[(table["protocol"] == "common") & (table["loss"] == "equivariance")].pivot(
        index="y", columns="x", values="value"
    )
    assert list(grid.columns) == pytest.approx(np.linspace(-0.05, 0.05, 5))
    assert (table["eigenvalue_y"] > table["eigenvalue_x"]).all()
    centre = table[(table["x"] == 0) & (table["y"] == 0) & (table["protocol"] == "common")]
    assert len(centre) == 2


def test_random_planes_have_no_eigenvalues(checkpoint, validation_indices):
    task, model = checkpoint
    settings = {"block": "direction.linear", "directions": ["random"], "points": 3, "extent": 0.1}
    rows = measure(task, model, validation_indices[:2], EvaluationSettings(rotations=2), {}, **settings)
    assert np.isnan(rows[0]["eigenvalue_x"])
    assert rows[0]["block_parameters"] == 72
