"""Hessians against closed forms and dense ones."""

import numpy as np
import pytest
import torch
from graphs import saved_for_backward
from linear_task import Matrix, Perceptron, VectorTask
from scipy.sparse.linalg import aslinearoperator

from equidyn.analysis import curvature as module
from equidyn.analysis.anatomy import block_parameters
from equidyn.analysis.curvature import EIGENPAIR, Hessian, lanczos_quadrature, spectrum
from equidyn.analysis.hessian.measure import measure
from equidyn.analysis.losses import PARTS, HeldOutLoss
from equidyn.run.protocol import EvaluationSettings

ALL = "all"


@pytest.fixture
def perceptron():
    torch.manual_seed(0)
    return HeldOutLoss(
        VectorTask(12), Perceptron().double(), np.arange(12), EvaluationSettings(rotations=3, batch_size=5)
    )


def test_of_a_matrix_has_its_closed_form():
    task = VectorTask(3)
    loss = HeldOutLoss(task, Matrix().double(), np.arange(3), EvaluationSettings(rotations=20_000))
    block = block_parameters(loss.model, ALL)
    # |D|² s / 9 with s = mean|x|²: 2 s / 9 on the complement of the identity, nothing along it.
    square = float(task.x.square().sum(1).mean())
    found = spectrum(Hessian(loss, "equivariance", block), probes=1, steps=1)
    np.testing.assert_allclose(found.eigenvalues[1:], 2 * square / 9, rtol=0.05)
    assert abs(found.eigenvalues[0]) < 0.01 * square
    # |tr(A) x / 3 − y|² per component: along the identity 2 s / 9, nothing elsewhere.
    found = spectrum(Hessian(loss, "twirled", block), probes=1, steps=1)
    assert found.summary["largest"] == pytest.approx(2 * square / 9, rel=0.05)


def test_dense_agrees_with_pytorch(perceptron):
    model = perceptron.model
    names = [name for name, _ in model.named_parameters()]
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    sizes = [p.numel() for p in model.parameters()]

    def equivariance(weights):
        parts = {n: w.view_as(p) for n, w, p in zip(names, weights.split(sizes), model.parameters(), strict=True)}
        total = 0.0
        for batch, R in zip(perceptron.batches, perceptron.elements, strict=True):
            turned = torch.einsum("kbij,bj->kbi", R, batch.x)
            out = torch.func.functional_call(model, parts, (turned,))
            twisted = torch.einsum("kbji,kbj->kbi", R, out)
            total = total + (twisted - twisted.mean(0)).square().sum() / 2 / perceptron.components
        return total

    expected = torch.autograd.functional.hessian(equivariance, flat)
    found = Hessian(perceptron, "equivariance", block_parameters(model, ALL))
    torch.testing.assert_close(found.dense(), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.gradient, torch.autograd.functional.jacobian(equivariance, flat))
    assert found.value == pytest.approx(float(equivariance(flat)))


def test_graphs_of_one_hessian_are_held_at_a_time():
    given = VectorTask(4), Perceptron().double(), np.arange(4), EvaluationSettings(rotations=2, batch_size=4)
    single = []
    for part in PARTS:
        with saved_for_backward() as held:
            loss = HeldOutLoss(*given, {}, in_cosets=True)
            spectrum(Hessian(loss, part, block_parameters(given[1], ALL)), probes=2, steps=1)
        single.append(max(held))
    with saved_for_backward() as held:
        measure(*given, {}, blocks=[ALL], probes=2, lanczos_steps=1)
    assert max(held) < 1.1 * max(single)


@pytest.mark.parametrize("part", ["twirled", "equivariance"])
def test_lanczos_agrees_with_dense(perceptron, part):
    block = block_parameters(perceptron.model, ALL)
    dense = spectrum(Hessian(perceptron, part, block), probes=2, steps=1)
    found = spectrum(Hessian(perceptron, part, block), probes=30, steps=10, dense=False, tolerance=1e-10)
    assert dense.summary["dense"]
    assert not found.summary["dense"]
    for name in ("largest", "smallest"):
        assert found.summary[name] == pytest.approx(dense.summary[name], rel=1e-6)
        assert found.summary[f"residual_{name}"] < 1e-6
    np.testing.assert_allclose(found.eigenvalues[found.probe == EIGENPAIR][1:], dense.eigenvalues[-6:], rtol=1e-6)
    assert abs(found.summary["trace"] - dense.summary["trace"]) < 4 * found.summary["trace_error"]
    assert found.summary["square_trace"] == pytest.approx(dense.summary["square_trace"], rel=0.05)
    assert found.weights.sum() == pytest.approx(dense.weights.sum())
    # The density's moments are those of the spectrum.
    moment = (found.weights * found.eigenvalues).sum()
    assert abs(moment - dense.summary["trace"]) < 4 * found.summary["trace_error"]
    assert found.summary["products"] >= 30 * 11


class Known:
    """A Hessian with these eigenvalues, turned at random."""

    products, value, gradient = 0, 1.0, torch.zeros(1)

    def __init__(self, eigenvalues):
        self.size = len(eigenvalues)
        basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((self.size, self.size)))
        self.matrix = basis @ np.diag(eigenvalues) @ basis.T

    def operator(self):
        return aslinearoperator(self.matrix)

    def dense(self):
        return torch.from_numpy(self.matrix)


def test_few_probes_suffice_where_few_eigenvalues_dominate():
    """A spectrum as in trained networks, where four probes without deflation find half the trace, or twice."""
    eigenvalues = np.r_[200.0, 90.0, 30.0, 0.5 ** np.arange(40), np.zeros(160), -0.3]
    inside = 0
    for seed in range(40):
        found = spectrum(Known(eigenvalues), probes=4, steps=5, dense=False, seed=seed).summary
        assert found["square_trace"] >= 0.999 * found["largest"] ** 2
        assert found["effective_rank"] == pytest.approx(eigenvalues.sum() ** 2 / np.square(eigenvalues).sum(), rel=0.02)
        inside += abs(found["trace"] - eigenvalues.sum()) <= 3.18 * found["trace_error"]  # t with 3 degrees of freedom
    assert inside >= 34


def test_the_smallest_eigenvalue_of_a_semidefinite_form_is_found():
    found = spectrum(Known(np.r_[np.zeros(200), np.linspace(1, 5, 30)]), probes=2, steps=3, dense=False).summary
    assert found["smallest"] == pytest.approx(0, abs=1e-5)
    assert found["residual_smallest"] < 1e-4


def test_products_of_every_task_are_differences_of_gradients(trained, flow, voxels, validation_indices):
    for task, model, condition, indices in (
        (*trained, {}, validation_indices[:4]), (*flow, np.arange(3)), (*voxels, np.arange(2)),
    ):  # fmt: skip
        loss = HeldOutLoss(task, model, indices, EvaluationSettings(rotations=2, batch_size=2), condition)
        block = block_parameters(model, ALL)
        generator = torch.Generator().manual_seed(0)
        hessian = Hessian(loss, "equivariance", block)
        vector = torch.randn(hessian.size, generator=generator, dtype=torch.float64)
        vector /= vector.norm()
        product, gradients = hessian.product(vector), []
        # Symmetric: u·Hv = v·Hu.
        other = torch.randn(hessian.size, generator=generator, dtype=torch.float64)
        assert float(other @ product) == pytest.approx(float(vector @ hessian.product(other)), rel=1e-8), task.name
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, part in zip(
                    block.values(), vector.split([p.numel() for p in block.values()]), strict=True
                ):
                    parameter += (1 if sign == 1 else -2) * 1e-5 * part.view_as(parameter)
            gradients.append(Hessian(loss, "equivariance", block).gradient)
        difference = (gradients[0] - gradients[1]) / 2e-5
        assert (product - difference).norm() < 1e-4 * product.norm(), task.name


def test_many_products_at_once_are_those_of_each(trained, flow, voxels, validation_indices):
    """Also where PyTorch cannot batch them, as through VoxMol's norms."""
    for task, model, condition, indices, block in (
        (*trained, {}, validation_indices[:2], "blocks.0.edge_norm"),
        (*flow, np.arange(2), "decoder"),
        (*voxels, np.arange(2), "norm"),
    ):
        loss = HeldOutLoss(task, model, indices, EvaluationSettings(rotations=2, batch_size=2), condition)
        hessian = Hessian(loss, "twirled", block_parameters(model, block))
        vectors = torch.randn(2, hessian.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = torch.stack([hessian.product(vector) for vector in vectors])
        torch.testing.assert_close(hessian.rows(vectors), expected, rtol=1e-9, atol=1e-12)
        assert hessian.products == 4


def test_hessians_do_not_disturb_each_other_or_the_network(perceptron):
    model = perceptron.model
    model.first.bias.requires_grad_(False)
    first = Hessian(perceptron, "total", block_parameters(model, "first.weight"))
    second = Hessian(perceptron, "total", block_parameters(model, "last"))
    vector = torch.ones(first.size, dtype=torch.float64)
    torch.testing.assert_close(first.product(vector), first.dense() @ vector)
    assert second.dense().isfinite().all()
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]


def test_a_block_without_part_in_the_loss_is_named(trained, validation_indices):
    task, model = trained
    loss = HeldOutLoss(task, model, validation_indices[:2], EvaluationSettings(rotations=2))
    with pytest.raises(ValueError, match=r"does not depend on energy\.ffn.*choose another block"):
        Hessian(loss, "twirled", block_parameters(model, "energy"))


def test_quadrature_integrates_polynomials_exactly():
    random = np.random.default_rng(0)
    matrix = random.standard_normal((20, 20))
    matrix += matrix.T
    start = random.standard_normal(20)
    start /= np.linalg.norm(start)
    nodes, weights = lanczos_quadrature(aslinearoperator(matrix), start, 5)
    for power in range(10):
        expected = start @ np.linalg.matrix_power(matrix, power) @ start
        assert (weights * nodes**power).sum() == pytest.approx(expected, rel=1e-10)
    nodes, weights = lanczos_quadrature(aslinearoperator(np.diag([1.0, 1, 1, 4])), np.full(4, 0.5), 4)
    np.testing.assert_allclose(nodes, [1, 4])
    np.testing.assert_allclose(weights, [0.75, 0.25])


def test_zeros_and_condition_of_a_known_spectrum():
    found = spectrum(Known([5.0, 1e-20, 2.0, 0.5]), probes=1, steps=1)
    assert found.summary["condition"] == pytest.approx(10)
    assert found.summary["median_condition"] == pytest.approx(2.5)
    assert (found.summary["zeros"], found.summary["negative"]) == (1, 0)
    assert found.summary["effective_rank"] == pytest.approx(7.5**2 / 29.25)
    assert list(found.eigenvalues[found.positive()]) == pytest.approx([0.5, 2.0, 5.0])
    found = spectrum(Known([5.0, 1e-20, -2.0, 0.5]), probes=1, steps=1)
    assert np.isnan(found.summary["condition"])
    assert found.summary["median_condition"] == pytest.approx(2.5)
    assert (found.summary["zeros"], found.summary["negative"]) == (1, 1)


def test_rows_of_a_checkpoint(perceptron, monkeypatch):
    monkeypatch.setattr(module, "DENSE_LIMIT", 20)
    task, model = perceptron.task, perceptron.model
    rows = measure(
        task,
        model,
        np.arange(12),
        EvaluationSettings(rotations=2),
        {},
        blocks=["first", "all"],
        probes=2,
        lanczos_steps=5,
    )
    assert [(row["block"], row["loss"]) for row in rows] == [
        ("first", "twirled"), ("first", "equivariance"), ("all", "twirled"), ("all", "equivariance"),
    ]  # fmt: skip
    assert all(sum(row["weight"]) == pytest.approx(row["block_parameters"]) for row in rows)


def test_a_series_of_rotations_says_whether_it_has_converged(perceptron):
    task, model = perceptron.task, perceptron.model
    told = {"blocks": ["all"], "probes": 2, "lanczos_steps": 5}
    rows = measure(task, model, np.arange(12), EvaluationSettings(rotations=24), {}, **told)
    for row in rows:
        assert row["series_rotations"].tolist() == [2, 4, 8, 24]
        assert (row["rotations"], row["cosets"]) == (24, 2)
        for name in ("largest", "smallest", "trace", "mean_condition"):
            assert row[f"series_{name}"][-1] == row[name]
        assert row["mean_magnitude"] == pytest.approx(np.abs(row["eigenvalue"]).mean())
        assert row["mean_condition"] == pytest.approx(row["largest"] / row["mean_magnitude"])
        assert row["largest_change"] == pytest.approx(abs(1 - row["series_largest"][-2] / row["largest"]))
        assert row["converged"] == (row["largest_change"] <= 0.1 and row["mean_condition_change"] <= 0.1)
    # Two rotations alone are those of the series.
    few = measure(task, model, np.arange(12), EvaluationSettings(rotations=2), {}, **told)
    assert not any(row["converged"] for row in few)
    for one, row in zip(few, rows, strict=True):
        assert np.isnan(one["largest_change"])
        assert one["largest"] == pytest.approx(row["series_largest"][0], rel=0.5)


def test_traces_are_unbiased_with_any_cosets(perceptron):
    """The mean over many draws is that of many independent rotations, for two cosets of one, four and twelve."""
    task, model = perceptron.task, perceptron.model
    block = block_parameters(model, "first")
    loss = HeldOutLoss(task, model, np.arange(4), EvaluationSettings(rotations=4000))
    expected = float(Hessian(loss, "twirled", block).dense().trace())
    for rotations in (2, 8, 24):
        loss = HeldOutLoss(task, model, np.arange(4), EvaluationSettings(rotations=rotations), in_cosets=True)
        traces = []
        for seed in range(30):
            loss.draw(seed, in_cosets=True)
            traces.append(float(Hessian(loss, "twirled", block).dense().trace()))
        assert abs(np.mean(traces) - expected) < 4 * np.std(traces) / np.sqrt(30) + 0.02 * abs(expected)


def test_exact_averages_have_converged(trained, validation_indices):
    task, model = trained
    told = {"blocks": ["direction.linear"], "probes": 2, "lanczos_steps": 3}
    rows = measure(task, model, validation_indices[:2], EvaluationSettings(rotations=24), {}, **told)
    assert all(row["converged"] and row["largest_change"] == 0 and row["rotations"] == 0 for row in rows)


def test_graphs_made_anew_give_the_same_products(perceptron):
    block = block_parameters(perceptron.model, "first")
    kept, anew = (Hessian(perceptron, "twirled", block, keep=keep) for keep in (True, False))
    torch.testing.assert_close(anew.dense(), kept.dense())
    torch.testing.assert_close(anew.gradient, kept.gradient)
    assert anew.value == pytest.approx(kept.value)


def test_bad_blocks_are_named(perceptron):
    with pytest.raises(ValueError, match=r"no parameters named 'middle'; use 'all' or one of first, last"):
        block_parameters(perceptron.model, "middle")
    hessian = Hessian(perceptron, "total", block_parameters(perceptron.model, ALL))
    hessian.size = 10**6
    with pytest.raises(ValueError, match="1,000,000 parameters is too large to compute in full"):
        hessian.dense()
