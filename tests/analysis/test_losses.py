"""Differentiable losses are those of the decomposition."""

import numpy as np
import pytest
import torch
from linear_task import Matrix, VectorTask, matrix_equivariance

from equidyn.analysis.losses import HeldOutLoss
from equidyn.core.decomposition import decompose
from equidyn.run.evaluation import decompose_task, decompose_task_exactly, twisted_predictions
from equidyn.run.protocol import EvaluationSettings

PROTOCOL = EvaluationSettings(rotations=3, batch_size=4, seed=2)


def assert_agrees(values, decomposition):
    for name in ("total", "twirled", "equivariance"):
        expected = getattr(decomposition, name).sum() / decomposition.weight.sum()
        assert values[name] == pytest.approx(expected, rel=1e-5), name


def test_of_a_matrix_has_its_closed_form():
    task, matrix = VectorTask(2), torch.tensor([[1.0, 2, 0], [0, 0.5, -1], [0.3, 0, 2]])
    model = Matrix(matrix).double()
    values = HeldOutLoss(task, model, np.arange(2), EvaluationSettings(rotations=20_000)).values()
    assert values["equivariance"] == pytest.approx(matrix_equivariance(matrix, task.x), rel=0.02)
    twirled = float((task.x * matrix.trace() / 3 - task.y).square().mean())
    assert values["twirled"] == pytest.approx(twirled, rel=0.05)


def test_agrees_with_both_estimators(trained, validation_indices):
    task, model = trained
    for exact, decomposed in ((True, decompose_task_exactly), (False, decompose_task)):
        loss = HeldOutLoss(task, model, validation_indices, PROTOCOL, exact=exact)
        assert loss.exact is exact
        expected = ("exact", 0, 0) if exact else ("sampled", 3, 3)
        assert tuple(loss.estimator[name] for name in ("estimator", "rotations", "cosets")) == expected
        values = loss.values()
        model.float()
        assert_agrees(values, decomposed(task, model, validation_indices, PROTOCOL, {}))
        model.double()


@pytest.mark.parametrize("case", ["flow", "voxels"])
def test_agrees_for_other_tasks(case, request):
    task, model, condition = request.getfixturevalue(case)
    indices = np.arange(6)
    values = HeldOutLoss(task, model, indices, PROTOCOL, condition).values()
    assert_agrees(values, decompose_task(task, model.float(), indices, PROTOCOL, condition))


def test_nothing_is_random_until_rotations_are_drawn_anew(flow):
    task, model, condition = flow
    loss = HeldOutLoss(task, model, np.arange(5), PROTOCOL, condition)
    first = loss.values()
    assert loss.values() == first
    loss.draw(7)
    assert loss.values() != first
    loss.draw(PROTOCOL.seed)
    assert loss.values() == first


def test_cosets_are_unbiased_and_exact_for_a_matrix():
    """g⁻¹ A g has degrees up to 2, and its square up to 4: the 24 rotations of a cube are exact for the mean alone."""
    task, matrix = VectorTask(40), torch.tensor([[1.0, 2, 0], [0, 0.5, -1], [0.3, 0, 2]])
    loss = HeldOutLoss(task, Matrix(matrix).double(), np.arange(40), EvaluationSettings(rotations=48), in_cosets=True)
    assert (loss.size, loss.cosets, loss.sizes) == (24, 2, [1, 2, 4, 12, 24])
    expected = matrix_equivariance(matrix, task.x)
    by_size = loss.values_by_size()
    assert by_size[-1] == loss.values()
    for size, tolerance in ((24, 0.02), (12, 0.03), (4, 0.2), (1, 0.5)):
        loss.thin(size)
        values = loss.values()
        assert loss.estimator["rotations"] == 2 * size
        assert values == pytest.approx(by_size[loss.sizes.index(size)])
        assert values["equivariance"] == pytest.approx(expected, rel=tolerance)


def test_cosets_agree_with_the_decomposition(flow):
    task, model, condition = flow
    loss = HeldOutLoss(task, model, np.arange(2), EvaluationSettings(rotations=8), condition, in_cosets=True)
    (batch,), (elements,) = loss.batches, loss.elements
    with torch.no_grad():
        twisted = twisted_predictions(task, model, batch, elements, loss.symmetry)
    split = decompose(twisted, task.target(batch), task.example(batch), 2, cosets=2)
    assert_agrees(loss.values(), split)
