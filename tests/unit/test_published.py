"""The authors' landscapes are read as they are, and their table of numbers comes out."""

from pathlib import Path

import numpy as np
import pytest

import equidyn
from equidyn.analysis.published import published_landscapes
from equidyn.analysis.roughness import fit_quadratic, neighbour_ratio, noise_roughness

FOLDER = Path(equidyn.__file__).parent / "data/published/landscapes"
# minimum, where, maximum, where, [10, 10], mean, sd, R², sd about the fit, as measured when the grids were converted
NUMBERS = {
    ("EScAIP", "equivariance"): (0.02084, (12, 10), 0.06453, (0, 17), 0.02180, 0.03484, 0.0107, 0.951, 0.0024),
    ("EScAIP", "twirled"): (1.63373, (3, 9), 1.68739, (0, 16), 1.65666, 1.65586, 0.0095, 0.037, 0.0093),
    ("Proteína", "equivariance"): (0.01920, (19, 13), 0.04987, (0, 10), 0.02933, 0.03040, 0.0081, 0.970, 0.0014),
    ("Proteína", "twirled"): (0.53245, (19, 10), 0.56016, (3, 2), 0.54591, 0.54368, 0.0050, 0.038, 0.0049),
}


@pytest.fixture(scope="module")
def table():
    return published_landscapes()


def grid(table, run, loss):
    rows = table[(table["run"] == f"{run} (published)") & (table["loss"] == loss)]
    return rows, rows.pivot(index="i", columns="j", values="value").to_numpy()


def test_the_table_is_four_grids(table):
    assert len(table) == 4 * 400
    assert not table.duplicated(["run", "loss", "i", "j"]).any()
    assert not table.isna().any(axis=None)
    assert table.drop_duplicates("run")[["task", "step"]].to_numpy().tolist() == [
        ["force_field", 500],
        ["flow_matching", 500],
    ]
    assert set(table["directions"]) == {"published"}
    assert set(table["protocol"]) == {"fresh"}
    assert set(table["rotations"]) == {10}


@pytest.mark.parametrize(("run", "loss"), NUMBERS)
def test_published_numbers(table, run, loss):
    low, lowest, high, highest, centre, mean, sd, r2, residual = NUMBERS[run, loss]
    rows, values = grid(table, run, loss)
    assert (values.min(), values.max()) == pytest.approx((low, high), abs=5e-6)
    assert np.unravel_index(values.argmin(), values.shape) == lowest
    assert np.unravel_index(values.argmax(), values.shape) == highest
    assert values[10, 10] == pytest.approx(centre, abs=5e-6)
    assert values.mean() == pytest.approx(mean, abs=5e-6)
    assert values.std() == pytest.approx(sd, abs=5e-5)
    assert rows["fit_r2"].unique().tolist() == [pytest.approx(r2, abs=5e-4)]
    assert rows["fit_residual"].unique().tolist() == [pytest.approx(residual, abs=5e-5)]


@pytest.mark.parametrize(("name", "run", "step"), [("escaip", "EScAIP", 0.00164), ("proteina", "Proteína", 0.002)])
@pytest.mark.parametrize("loss", ["twirled", "equivariance"])
def test_values_are_those_of_the_files(table, name, run, step, loss):
    rows, values = grid(table, run, loss)
    np.testing.assert_array_equal(values, np.loadtxt(FOLDER / f"{name}-{loss}.csv", delimiter=","))
    np.testing.assert_allclose(rows["x"], step * (-10 + 20 * rows["j"] / 19), atol=1e-15)
    np.testing.assert_allclose(rows["y"], step * (-10 + 20 * rows["i"] / 19), atol=1e-15)


@pytest.mark.parametrize(("run", "loss"), NUMBERS)
def test_what_a_quadratic_leaves_is_noise(table, run, loss):
    rows, values = grid(table, run, loss)
    x, y = np.unique(rows["x"]), np.unique(rows["y"])
    fit = fit_quadratic(x, y, values)
    assert neighbour_ratio(values - fit.at(x, y)) == pytest.approx(1, abs=0.1)
    low, high = noise_roughness(*values.shape)
    assert (low < rows["roughness"].iloc[0] < high) == (loss == "twirled")
    if loss == "equivariance":
        assert fit.curvature_y > 10 * abs(fit.curvature_x)
