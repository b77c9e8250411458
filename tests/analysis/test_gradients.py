"""The gradient split against closed forms, and its correction for noise."""

import numpy as np
import pytest
import torch
from graphs import saved_for_backward
from linear_task import Matrix, Perceptron, VectorTask

from equidyn.analysis.anatomy import parameter_groups
from equidyn.analysis.gradients.measure import _between, deal, gradients, measure, split
from equidyn.analysis.losses import HeldOutLoss
from equidyn.run.protocol import EvaluationSettings


def gradient(loss, part):
    """Flat gradient of a part of a loss."""
    parameters = [p.requires_grad_() for p in loss.model.parameters()]
    total = sum(getattr(each, part) for each in loss)
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, parameters, allow_unused=True) if g is not None])


def test_parts_add_up_to_the_total(trained, flow, voxels, validation_indices):
    for task, model, condition, indices in (
        (*trained, {}, validation_indices[:6]), (*flow, np.arange(4)), (*voxels, np.arange(4)),
    ):  # fmt: skip
        for exact in (True, False):
            loss = HeldOutLoss(
                task, model, indices, EvaluationSettings(rotations=2, batch_size=3), condition, exact=exact
            )
            total = gradient(loss, "total")
            difference = gradient(loss, "twirled") + gradient(loss, "equivariance") - total
            assert difference.norm() <= 1e-6 * total.norm()


def test_exact_gradients_are_those_of_many_rotations(trained, validation_indices):
    task, model = trained
    indices = validation_indices[:3]
    exact = HeldOutLoss(task, model, indices, EvaluationSettings())
    sampled = HeldOutLoss(task, model, indices, EvaluationSettings(rotations=300, batch_size=1), exact=False)
    for part in ("twirled", "equivariance"):
        expected, found = gradient(exact, part), gradient(sampled, part)
        assert (found - expected).norm() < 0.2 * expected.norm()


def test_gradient_of_a_matrix_has_its_closed_form():
    matrix = torch.tensor([[1.0, 2, 0], [0, 0.5, -1], [0.3, 0, 2]], dtype=torch.float64)
    task = VectorTask(2)
    loss = HeldOutLoss(task, Matrix(matrix).double(), np.arange(2), EvaluationSettings(rotations=20_000))
    # Of |D|² mean|x|² / 9, with D = A − tr(A)/3.
    deviation = matrix - torch.eye(3) * matrix.trace() / 3
    expected = 2 * deviation * task.x.square().sum(1).mean() / 9
    assert (gradient(loss, "equivariance").view(3, 3) - expected).norm() < 0.03 * expected.norm()


def test_folds_share_no_cluster_and_lose_nothing():
    indices = np.arange(40)
    parts = deal(indices, indices // 4, 3, seed=0)
    assert sorted(np.concatenate(parts)) == list(indices)
    assert all(set(a // 4).isdisjoint(b // 4) for a in parts for b in parts if a is not b)
    assert max(map(len, parts)) - min(map(len, parts)) <= 4
    with pytest.raises(ValueError, match="10 clusters cannot form 11 folds"):
        deal(indices, indices // 4, 11, seed=0)


def test_products_of_folds_average_to_the_gradient(trained, validation_indices):
    task, model = trained
    protocol = EvaluationSettings(rotations=2, batch_size=4)
    parts = deal(validation_indices, task.cluster(validation_indices), 2, seed=0)
    losses = [HeldOutLoss(task, model, part, protocol) for part in parts]
    whole = HeldOutLoss(task, model, validation_indices, protocol)
    for loss in losses:
        loss.components = whole.components / 2
    groups = parameter_groups(model)
    grams = gradients(losses, groups)
    blocks = grams["all"].reshape(2, 2, 2, 2).mean((1, 3))
    flat = [gradient(whole, part) for part in ("twirled", "equivariance")]
    expected = torch.stack([torch.stack([a @ b for b in flat]) for a in flat]).numpy()
    np.testing.assert_allclose(blocks, expected, rtol=1e-9)
    np.testing.assert_allclose(sum(grams[name] for name in groups if name != "all"), grams["all"], rtol=1e-9)


def test_one_graph_is_held_at_a_time():
    model, most = Perceptron().double(), {}
    for count in (4, 12):
        protocol = EvaluationSettings(rotations=3, batch_size=4)
        loss = HeldOutLoss(VectorTask(count), model, np.arange(count), protocol)
        with saved_for_backward() as held:
            gradients([loss], {"all": [name for name, _ in model.named_parameters()]})
        most[count] = max(held)
    assert 0 < most[4] <= most[12] < 1.3 * most[4]


def test_norms_are_corrected_for_noise():
    """Over many draws of noisy fold gradients the corrected squares have the true mean; plug-in ones are too large."""
    random = np.random.default_rng(0)
    size, count, noise = 30, 4, 0.5
    truth = random.standard_normal((2, size)) / np.sqrt(size) * np.array([[1.0], [0.3]])
    squares = {"twirled_norm": [], "equivariance_norm": [], "twirled_norm_plugin": [], "equivariance_norm_plugin": []}
    products = []
    for _ in range(3000):
        vectors = (truth[:, None] + noise * random.standard_normal((2, count, size)) / np.sqrt(size)).reshape(-1, size)
        found = split(vectors @ vectors.T)
        products.append(_between((vectors @ vectors.T).reshape(2, count, 2, count))[1, 1])
        for name, values in squares.items():
            values.append(np.square(found[name]) if "plugin" in name else found[name])
    true = np.square(truth).sum(1)
    for name, square in zip(("twirled", "equivariance"), true, strict=True):
        expected = square + noise**2 / count
        assert np.mean(squares[f"{name}_norm_plugin"]) == pytest.approx(expected, rel=0.03)
    # Far from zero the corrected square is never negative, so that its mean can be taken.
    assert not np.isnan(squares["twirled_norm"]).any()
    assert np.square(squares["twirled_norm"]).mean() == pytest.approx(true[0], rel=0.03)
    # Near zero it is, and only the products themselves have the true mean.
    assert np.isnan(squares["equivariance_norm"]).any()
    assert np.mean(products) == pytest.approx(true[1], rel=0.1)


def test_intervals_cover():
    random = np.random.default_rng(1)
    size, count, truth = 200, 8, np.stack([np.r_[1.0, np.zeros(199)], np.r_[0.15, 0.2, np.zeros(198)]])
    hits = {"ratio": 0, "cosine": 0}
    for _ in range(300):
        vectors = (truth[:, None] + 0.02 * random.standard_normal((2, count, size))).reshape(-1, size)
        found = split(vectors @ vectors.T)
        hits["ratio"] += found["ratio_low"] <= 0.25 <= found["ratio_high"]
        hits["cosine"] += found["cosine_low"] <= 0.6 <= found["cosine_high"]
    assert min(hits.values()) >= 0.9 * 300


def test_a_gradient_lost_in_noise_has_no_norm():
    gram = np.eye(4) - 0.1 * (1 - np.eye(4))
    found = split(gram)
    assert np.isnan([found[name] for name in ("twirled_norm", "ratio", "ratio_low", "ratio_high", "cosine")]).all()
    assert found["twirled_norm_plugin"] > 0


def test_an_equivariance_error_lost_in_noise_has_an_upper_limit():
    random = np.random.default_rng(0)
    truth = np.stack([np.r_[1.0, np.zeros(99)], np.zeros(100)])
    seen = []
    for _ in range(50):
        vectors = (truth[:, None] + 0.03 * random.standard_normal((2, 6, 100))).reshape(-1, 100)
        found = split(vectors @ vectors.T)
        assert found["ratio_low"] == 0 or found["ratio"] > 0
        assert 0 < found["ratio_high"] < 0.5
        assert np.isnan(found["cosine"]) == np.isnan(found["cosine_low"])
        assert not abs(found["cosine"]) > 1
        seen.append(np.isnan(found["ratio"]))
    assert 0 < sum(seen) < 50


def test_rows_of_a_checkpoint():
    task = VectorTask(12)
    torch.manual_seed(0)
    rows = measure(task, Perceptron().double(), np.arange(12), EvaluationSettings(rotations=4), {}, folds=3)
    assert [row["parameter_group"] for row in rows] == ["all", "embedding", "head"]
    assert rows[0]["group_parameters"] == sum(row["group_parameters"] for row in rows[1:])
    for norm in ("twirled_norm_plugin", "equivariance_norm_plugin"):
        assert rows[0][norm] ** 2 == pytest.approx(sum(row[norm] ** 2 for row in rows[1:]))
