"""Error by angle and local error against closed forms of known degree."""

import numpy as np
import pytest
from linear_task import Matrix, VectorTask

from equidyn.analysis.angles.measure import measure
from equidyn.figures.families.structure.draw import closed_form
from equidyn.run.protocol import EvaluationSettings

ANGLES = [5.0, 45.0, 90.0, 150.0, 180.0]
ANTISYMMETRIC = [[0.0, 1.0, -2.0], [-1.0, 0.0, 0.5], [2.0, -0.5, 0.0]]
TRACELESS = [[1.0, 0.4, 0.0], [0.4, -2.0, 1.0], [0.0, 1.0, 1.0]]


def found(matrix, rotations=2000, examples=2):
    task = VectorTask(examples)
    protocol = EvaluationSettings(rotations=rotations, resamples=100)
    return measure(task, Matrix(matrix).double(), np.arange(examples), protocol, {}, angles=ANGLES, local=True)


@pytest.mark.parametrize(("matrix", "degree"), [(ANTISYMMETRIC, 1), (TRACELESS, 2)])
def test_a_matrix_of_one_degree_has_its_closed_form(matrix, degree):
    """g⁻¹ A g turns by degree 1 if A is antisymmetric, by degree 2 if it is symmetric without trace."""
    rows = found(np.array(matrix) + 0.7 * np.eye(3))
    for row in rows:
        expected = row["haar"] * closed_form(row["angle"], degree)
        assert row["variogram"] == pytest.approx(expected, rel=0.08)
    assert rows[0]["local"] == pytest.approx(rows[0]["haar"] * degree * (degree + 1) / 3, rel=0.05)
    assert rows[0]["degree"] == pytest.approx(degree, abs=0.05)


def test_escaip_has_degree_two(trained, validation_indices):
    task, model = trained
    protocol = EvaluationSettings(rotations=30, batch_size=16, resamples=100)
    rows = measure(task, model, validation_indices[:16], protocol, {}, angles=ANGLES, local=True)
    assert rows[0]["degree"] == pytest.approx(2, abs=0.02)
    assert rows[0]["degree_low"] < rows[0]["degree"] < rows[0]["degree_high"]
    for row in rows:
        expected = row["haar"] * closed_form(row["angle"], 2)
        assert row["variogram"] == pytest.approx(expected, rel=0.1)
        assert row["variogram_low"] < row["variogram"] < row["variogram_high"]


def test_an_equivariant_matrix_has_no_error_at_any_angle():
    rows = found(2 * np.eye(3), rotations=3, examples=4)
    assert max(row["variogram"] for row in rows) < 1e-28
    assert rows[0]["local"] < 1e-20


def test_closed_forms_have_the_haar_mean_one():
    angle = np.linspace(1e-6, 180, 20_001)
    density = (1 - np.cos(np.radians(angle))) / 180
    for degree in (1, 2, 5):
        assert np.trapezoid(closed_form(angle, degree) * density, angle) == pytest.approx(1, rel=1e-6)


def test_voxels_are_compared_at_atoms_and_not_by_the_cube(voxels):
    task, model, cube = voxels
    with pytest.raises(ValueError, match="group 'cube' do not all differ by angles"):
        measure(task, model, np.arange(2), EvaluationSettings(rotations=2), cube, angles=ANGLES, local=False)
    rows = measure(
        task,
        model,
        np.arange(4),
        EvaluationSettings(rotations=2, resamples=100),
        {"comparison": "atoms"},
        angles=[90.0],
        local=False,
    )
    assert rows[0]["variogram"] > 0
    assert np.isnan(rows[0]["local"])
    assert np.isnan(rows[0]["degree"])
