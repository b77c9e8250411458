"""Energies by degree against closed forms: functions of one degree, matrices, EScAIP, and the equivariance error."""

import numpy as np
import pytest
import torch
from linear_task import Matrix, Perceptron, VectorTask, matrix_equivariance
from pydantic import ValidationError

from equidyn.analysis.spectrum.card import BEYOND, COSET, SpectrumSettings
from equidyn.analysis.spectrum.measure import measure
from equidyn.core.decomposition import decompose
from equidyn.core.degrees import characters, energies
from equidyn.core.designs import draw_cosets, rule
from equidyn.core.groups.so3.symmetry import ROTATIONS
from equidyn.core.rotations import haar
from equidyn.run.evaluation import decompose_task_exactly
from equidyn.run.protocol import EvaluationSettings


def found(task, model, indices, degrees=3, cosets=2, condition=None):
    """Energies by degree, the remainder last, and the first row."""
    protocol = EvaluationSettings(rotations=cosets * COSET[degrees], batch_size=5, resamples=100)
    rows = measure(task, model, indices, protocol, condition or {}, degrees=degrees)
    assert [row["degree"] for row in rows] == list(range(degrees + 2))
    assert [row["and_above"] for row in rows] == [False] * (degrees + 1) + [True]
    return np.array([row["energy"] for row in rows]), rows


def of_degrees(parts, rotations):
    """Σ_l Σ_q a_q χ_l(r_q⁻¹ g) with random a in R² and r, at rotations; and its energy by degree."""
    generator = torch.Generator().manual_seed(3)
    values, energy = 0, {}
    for degree in parts:
        centres, factors = haar(4, generator=generator), torch.randn(4, 2, generator=generator, dtype=torch.float64)
        kernel = characters(torch.einsum("...ij,qij->...q", rotations, centres), degree)[-1]
        values = values + kernel @ factors
        between = characters(torch.einsum("pij,qij->pq", centres, centres), degree)[-1]
        energy[degree] = float((factors * (between @ factors)).sum()) / (2 * degree + 1)
    return values, energy


def test_characters_are_sums_of_cosines():
    angle = torch.linspace(0.1, 3.1, 7, dtype=torch.float64)
    for degree, character in enumerate(characters(1 + 2 * angle.cos(), 9)):
        torch.testing.assert_close(character, torch.sin((2 * degree + 1) * angle / 2) / torch.sin(angle / 2))


@pytest.mark.parametrize("degrees", COSET)
def test_sets_are_as_large_as_the_card_says(degrees):
    assert len(rule(degrees + BEYOND)[0]) == COSET[degrees]


@pytest.mark.parametrize("degree", [1, 2])
def test_one_degree_is_exact(degree):
    rotations, weights = rule(5)
    drawn = draw_cosets(ROTATIONS, rotations, 2, np.arange(1), seed=0)[:, :, 0]
    values, energy = of_degrees([degree], drawn.flatten(0, 1))
    by_degree, error = energies(values, drawn, weights, 5)
    expected = np.zeros(7)
    expected[degree] = energy[degree]
    np.testing.assert_allclose(by_degree[: 6 - degree], expected[: 6 - degree], atol=1e-12 * energy[degree])
    assert error == pytest.approx(energy[degree], rel=1e-12)


@pytest.mark.parametrize("degrees", [2, 5])
def test_mixed_degrees_are_unbiased_also_beyond_the_last(degrees):
    """Degrees 0, 2, 3 and 7, of which the small set tells only the first two apart."""
    rotations, weights = rule(degrees)
    estimates = []
    for seed in range(300):
        drawn = draw_cosets(ROTATIONS, rotations, 2, np.arange(1), seed=seed)[:, :, 0]
        values, energy = of_degrees([0, 2, 3, 7], drawn.flatten(0, 1))
        by_degree, error = energies(values, drawn, weights, degrees)
        estimates.append([*by_degree, error])
    expected = np.array([energy.get(degree, 0) for degree in range(degrees + 1)])
    total = sum(energy.values())
    expected = np.array([*expected, total - expected.sum(), total - energy[0]])
    means, errors = np.mean(estimates, 0), np.std(estimates, 0) / np.sqrt(len(estimates))
    assert (np.abs(means - expected) < 4 * errors + 1e-12 * total).all(), (means, expected, errors)


def test_a_matrix_has_degrees_one_and_two():
    task = VectorTask(6)
    matrix = torch.tensor([[1.0, 0.4, -2.0], [0.1, -2.0, 1.0], [2.0, 0.5, 1.6]])
    by_degree, rows = found(task, Matrix(matrix).double(), np.arange(6))
    square = float(task.x.square().sum(1).mean()) / 9  # |D|² |x|² / 3 per component
    antisymmetric, symmetric = (matrix - matrix.T) / 2, (matrix + matrix.T) / 2 - torch.eye(3) * matrix.trace() / 3
    expected = [matrix.trace().square() / 3, antisymmetric.square().sum(), symmetric.square().sum()]
    np.testing.assert_allclose(by_degree[:3], square * np.array(expected), rtol=1e-6)
    assert rows[0]["error"] == pytest.approx(matrix_equivariance(matrix, task.x), rel=1e-5)
    assert abs(by_degree[3]) < 1e-6 * rows[0]["error"]


def test_escaip_has_degree_two_alone(trained, validation_indices):
    task, model = trained
    by_degree, rows = found(task, model, validation_indices[::4])
    exact = decompose_task_exactly(task, model.float(), validation_indices[::4], EvaluationSettings())
    error = exact.equivariance.sum() / exact.weight.sum()
    assert rows[0]["error"] == pytest.approx(error, rel=1e-4)  # of single precision
    np.testing.assert_allclose(by_degree[1:], error * np.array([0, 1, 0, 0]), atol=1e-4 * error)
    assert rows[2]["error_share_low"] <= 100.01
    assert rows[2]["loss_share"] == pytest.approx(100 * exact.equivariance.sum() / exact.total.sum(), rel=1e-4)
    assert np.isnan(rows[0]["error_share"])


def test_orientation_of_examples_changes_nothing():
    """A network of degree 2 and lower, exact for any of them, on examples and on the same turned."""
    torch.manual_seed(0)
    model = Matrix(torch.randn(3, 3)).double()
    task, turned = VectorTask(4), VectorTask(4)
    R = haar(1, generator=torch.Generator().manual_seed(5))[0].float()
    turned.x, turned.y = task.x @ R.T, task.y @ R.T
    first, second = (found(each, model, np.arange(4))[0] for each in (task, turned))
    np.testing.assert_allclose(first, second, atol=1e-6 * first.sum())


def test_degrees_add_up_to_the_equivariance_error():
    torch.manual_seed(0)
    task, model = VectorTask(8), Perceptron().double()
    by_degree, rows = found(task, model, np.arange(8), degrees=1, cosets=3)
    assert by_degree[1:].sum() == pytest.approx(rows[0]["error"])
    protocol = EvaluationSettings(rotations=72)
    drawn = draw_cosets(ROTATIONS, rule(3)[0], 3, np.arange(8), protocol.seed).flatten(0, 1)
    twisted = torch.einsum("kbji,kbj->kbi", drawn, model(torch.einsum("kbij,bj->kbi", drawn, task.x.double())))
    split = decompose(twisted, task.y.double(), torch.arange(8), 8, cosets=3)
    assert rows[0]["error"] == pytest.approx(split.equivariance.sum() / split.weight.sum())
    assert rows[0]["loss"] == pytest.approx(split.total.sum() / split.weight.sum())
    for name in ("error_share", "loss_share"):
        assert rows[1][f"{name}_low"] < rows[1][name] < rows[1][f"{name}_high"]


def test_an_equivariant_network_has_the_twirl_alone():
    by_degree, _ = found(VectorTask(4), Matrix(2 * torch.eye(3)).double(), np.arange(4))
    assert np.abs(by_degree[1:]).max() < 1e-25 + 1e-14 * by_degree[0]


def test_chains_and_grids_have_degrees_and_the_cube_has_none(flow, voxels):
    task, model, condition = flow
    by_degree, rows = found(task, model, np.arange(2), 1, condition=condition)
    assert by_degree[1:].sum() == pytest.approx(rows[0]["error"])
    task, model, cube = voxels
    with pytest.raises(ValueError, match="group 'cube' have no degrees: use 'SO\\(3\\)'"):
        found(task, model, np.arange(2), 1, condition=cube)
    for comparison in ("atoms", "trilinear"):
        by_degree, rows = found(task, model, np.arange(2), 1, condition={"comparison": comparison})
        assert by_degree[1:].sum() == pytest.approx(rows[0]["error"])


def test_rotations_must_form_cosets():
    given = {"runs": ["a"], "steps": "all", "examples": 4, "degrees": 1}
    assert SpectrumSettings(**given, rotations=72).rotations == 72
    for rotations in (24, 60):
        with pytest.raises(ValidationError, match=r"do not form cosets of 24.*give 48"):
            SpectrumSettings(**given, rotations=rotations)
