"""The last layer's quadratic form against closed forms, rotated inputs and other weights."""

import numpy as np
import pytest
import torch
from linear_task import Matrix, VectorTask, matrix_equivariance, multiple_of_identity

from equidyn.analysis.anatomy import anatomy_of, feature_modules, parameter_groups
from equidyn.analysis.head.measure import head_form, measure
from equidyn.analysis.losses import HeldOutLoss
from equidyn.core.actions import rotate_grid_exactly
from equidyn.core.decomposition import decompose
from equidyn.core.rotations import haar, octahedral_group, tetrahedral_group
from equidyn.models.escaip.anatomy import equal_rows
from equidyn.models.graph import sum_over_neighbours
from equidyn.models.grid_control.network import SymmetricConv3d
from equidyn.models.registry import build, configurations
from equidyn.models.voxmol.anatomy import symmetric_kernel
from equidyn.run.evaluation import twisted_predictions
from equidyn.run.protocol import EvaluationSettings


@pytest.fixture
def escaip(trained, validation_indices):
    task, model = trained
    return HeldOutLoss(task, model, validation_indices, EvaluationSettings(rotations=2))


def test_of_a_matrix_has_its_closed_form():
    matrix = torch.tensor([[1.0, 2, 0], [0, 0.5, -1], [0.3, 0, 2]], dtype=torch.float64)
    task = VectorTask(3)
    form = head_form(HeldOutLoss(task, Matrix(matrix).double(), np.arange(3), EvaluationSettings(rotations=20_000)))
    found = form.summary()
    deviation = float((matrix - multiple_of_identity(matrix)).square().sum())
    assert found["deviation"] == pytest.approx(deviation)
    assert found["symmetric"] == pytest.approx(float(matrix.trace() ** 2 / 3))
    assert found["predicted"] == pytest.approx(matrix_equivariance(matrix, task.x), rel=0.03)
    # The error is |w⊥|² mean|x|² / 9, whatever the direction of w⊥.
    square = float(task.x.square().sum(1).mean()) / 9
    assert found["largest"] == pytest.approx(square, rel=0.1)
    assert found["mean"] == pytest.approx(square, rel=0.03)
    assert found["relative_deviation"] == pytest.approx(deviation / float(matrix.square().sum()))
    np.testing.assert_allclose(form.complement.trace(), 8)


def test_prediction_is_the_error_of_rotated_molecules(escaip):
    """Within a per cent, as asked; the tetrahedral group times a rotation averages what EScAIP does exactly."""
    task, model, indices = escaip.task, escaip.model, escaip.chosen[0]
    predicted = head_form(escaip).summary()["predicted"]
    batch = escaip.batches[0]
    R = tetrahedral_group() @ haar(1, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        twisted = [
            twisted_predictions(task, model, batch, turn.expand(1, len(indices), 3, 3), escaip.symmetry) for turn in R
        ]
    found = decompose(torch.cat(twisted), task.target(batch), task.example(batch), len(indices), cosets=1)
    measured = found.equivariance.sum() / found.weight.sum()
    assert measured > 0
    assert predicted == pytest.approx(measured, rel=1e-6)


def test_the_form_predicts_the_error_of_other_weights(escaip):
    """Forms are made once: errors along the deviation and of other heads follow without another look at the data."""
    form, weight = head_form(escaip), escaip.model.direction.linear.weight
    before = form.summary()
    other = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    symmetric = equal_rows(weight.detach())
    for new in (symmetric, symmetric + 2 * (weight.detach() - symmetric), other):
        with torch.no_grad():
            weight.copy_(new)
        measured = escaip.values()["equivariance"]
        assert form.error(new.flatten()) == pytest.approx(measured, rel=1e-9, abs=1e-15)
    with torch.no_grad():
        weight.copy_(symmetric)
    assert escaip.values()["equivariance"] < 1e-25
    assert form.summary() == before


def test_of_escaip_is_the_second_moment_of_its_features(escaip):
    """Q acts on each row alike, and deviation is 3 H times the paper's head weight variance."""
    form, weight = head_form(escaip), escaip.model.direction.linear.weight.detach()
    found, (rows, width) = form.summary(), weight.shape
    variance = float(weight.var(0, unbiased=False).mean())
    assert found["weight_variance"] == pytest.approx(variance)
    assert found["deviation"] == pytest.approx(3 * width * variance)
    blocks = form.form.view(rows, width, rows, width)
    projection = torch.eye(3, dtype=torch.float64) - 1 / 3
    # What is summed into forces: magnitude x features x direction of each bond, over three axes.
    model, task, batch = escaip.model, escaip.task, escaip.batches[0].molecules
    entered = {}
    hooks = [
        model.direction.linear.register_forward_pre_hook(lambda _, inputs: entered.update(features=inputs[0])),
        model.magnitude.register_forward_hook(lambda _, __, output: entered.update(magnitude=output)),
    ]
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    graph = model.graph(batch)
    outer = entered["features"][:, :, None] * graph.direction[:, None]
    summed = sum_over_neighbours(outer, graph) * entered["magnitude"][:, :, None] * task.normalisation.force_scale
    moment = torch.einsum("nab,ncb->ac", summed, summed) / 3 / escaip.components
    expected = torch.einsum("ij,ab->iajb", projection, moment)
    torch.testing.assert_close(blocks, expected, rtol=1e-9, atol=1e-12)
    assert abs(found["cross"]) + abs(found["from_symmetric"]) < 1e-12 * found["predicted"]


@pytest.mark.parametrize("case", ["flow", "voxels"])
def test_of_other_tasks_predicts_the_error(case, request):
    task, model, condition = request.getfixturevalue(case)
    row = measure(task, model, np.arange(4), EvaluationSettings(rotations=3, batch_size=2), condition)[0]
    assert row["predicted"] == pytest.approx(row["measured"], rel=1e-4)
    assert row["from_deviation"] + row["cross"] + row["from_symmetric"] == pytest.approx(row["predicted"], rel=1e-9)
    if case == "flow":
        assert row["symmetric"] == 0
        assert row["from_deviation"] == pytest.approx(row["predicted"])
    else:
        # Features do not turn as they should, so that a symmetric kernel has an error of its own.
        assert row["from_symmetric"] > 0.1 * row["predicted"]
    assert row["estimator"] == "sampled"


def test_grids_are_turned_exactly_or_not_at_all(voxels):
    task, model, _ = voxels
    with pytest.raises(ValueError, match="use 'cube'"):
        measure(task, model, np.arange(2), EvaluationSettings(rotations=2), {"comparison": "atoms"})


def test_a_symmetric_kernel_commutes_with_the_rotations_of_a_cube():
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(2, 3, 3, 3, 3, generator=generator, dtype=torch.float64)
    symmetric = symmetric_kernel(kernel)
    for R in octahedral_group():
        torch.testing.assert_close(rotate_grid_exactly(symmetric, R), symmetric)
    torch.testing.assert_close(symmetric_kernel(symmetric), symmetric)
    # Orthogonal: what is taken away is orthogonal to what is left, and to all symmetric kernels.
    other = SymmetricConv3d(3, 2).double().kernel.detach()
    assert abs(float(((kernel - symmetric) * other).sum())) < 1e-12


@pytest.mark.parametrize("name", [n for n, entry in configurations().items() if not entry.control and "M" not in n])
def test_anatomy_names_what_exists(name):
    model = build(name)
    anatomy = anatomy_of(model)
    groups = parameter_groups(model)
    assert all(groups.values())
    weight = dict(model.named_parameters())[anatomy.head].detach()
    projected = anatomy.symmetric_head(weight)
    torch.testing.assert_close(anatomy.symmetric_head(projected), projected)
    assert float((weight - projected).flatten() @ projected.flatten()) == pytest.approx(0, abs=1e-6)
    assert feature_modules(model, anatomy)
