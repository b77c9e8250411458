"""The authors' landscapes, curves and tables are read as they are, and the numbers of their figures come out."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import equidyn
from equidyn.analysis.authors import (
    CURVE,
    VOXMOL_FILES,
    correct_voxmol,
    published_curves,
    published_landscapes,
    voxmol_corrections,
    voxmol_curves,
)
from equidyn.analysis.roughness import fit_quadratic, neighbour_ratio, noise_roughness
from equidyn.data.download_registry import read_registry

ROOT = Path(__file__).parents[2]
CURVES = Path(equidyn.__file__).parent / "data/published/curves"
VOXMOL = ROOT / "tests/fixtures/published/voxmol"
FILES = {name: VOXMOL / name for name in VOXMOL_FILES}
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


@pytest.fixture(scope="module")
def curves():
    return published_curves()


@pytest.fixture(scope="module")
def voxmol():
    return voxmol_curves(FILES)


def of(curves, figure, series, quantity="percent"):
    """One curve: values by step."""
    named = (curves["figure"] == figure) & (curves["series"] == series) & (curves["quantity"] == quantity)
    return curves[named].set_index("step")["value"]


def test_all_digitised_points_are_in_the_table(curves):
    files = {path.stem: pd.read_csv(path) for path in CURVES.glob("*.csv")}
    assert len(files) == 18
    assert len(curves) == sum(map(len, files.values()))
    assert not curves.duplicated([*CURVE, "step"]).any()
    assert (curves.groupby(list(CURVE))["step"].apply(lambda steps: steps.is_monotonic_increasing)).all()
    assert (curves["value"].between(curves["low"], curves["high"])).all()
    assert not curves.drop(columns="t").isna().any(axis=None)
    assert set(curves["rotations"]) == {10}


def test_curves_say_what_they_are_of(curves):
    flow = curves[curves["task"] == "flow_matching"]
    assert sorted(flow["t"].unique()) == [0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99]
    assert set(flow["step_unit"]) == {"log row"}
    assert flow["smoothed"].all()
    force = curves[curves["task"] == "force_field"]
    assert force["t"].isna().all()
    assert set(force["step_unit"]) == {"optimiser step"}
    assert not force["smoothed"].any()
    sizes = curves[curves["figure"] == "escaip-vary-model-size"]
    assert list(dict.fromkeys(sizes["model"])) == ["EScAIP 1M", "EScAIP 4M", "EScAIP 6M"]
    sets = curves[curves["figure"] == "escaip-vary-train-size"]
    assert list(dict.fromkeys(sets["train_subset"])) == ["500", "5k", "50k", "950k"]
    few = curves[curves["figure"] == "escaip-losscurves-500"]
    assert set(few["train_subset"]) == {"500"}
    assert set(few["quantity"]) == {"equivariance", "twirled", "total"}


@pytest.mark.parametrize(
    ("figure", "series", "quantity", "first", "last"),
    [
        ("escaip-loglog-equivariance_error_training", "replicate 1", "percent", (20, 20.15), None),
        ("escaip-loglog-equivariance_error_training", "replicate 3", "percent", (100, 19.13), None),
        ("escaip-vary-lropt", "Adam 1e-3", "percent", (100, 12.18), None),
        ("escaip-default-losscurves", "twirled loss", "twirled", (20, 30.5), 0.0224),
        ("escaip-losscurves-5k", "equivariance error", "equivariance", (100, 4.75), 2.2e-4),
        ("prot_60M", "t=0.9", "percent", (113, 12.24), 6.50),
        ("prot_60M-mean-pred-error", "t=0", "twirled", (113, 1.67), 1.18),
        ("prot_400M", "t=0", "percent", (140, 6.71), 0.054),
    ],
)
def test_curves_begin_and_end_as_the_figures_do(curves, figure, series, quantity, first, last):
    curve = of(curves, figure, series, quantity)
    assert curve.index[0] == first[0]
    assert curve.iloc[0] == pytest.approx(first[1], rel=2e-3)
    if last:
        assert curve.iloc[-1] == pytest.approx(last, rel=0.03)


def test_parts_of_a_digitised_loss_add_up_without_the_factor(curves):
    """The total is the plug-in twirled loss and the spread, which the published equivariance error is 10/9 of."""
    first = {name: of(curves, "escaip-default-losscurves", series, name).iloc[0] for series, name in (
        ("equivariance error", "equivariance"), ("twirled loss", "twirled"), ("total MSE", "total"),
    )}  # fmt: skip
    assert first["twirled"] + 0.9 * first["equivariance"] == pytest.approx(first["total"], rel=1e-3)


def test_the_correction_in_closed_form():
    """A spread of 3 around the mean of four predictions is one of 4 around their expectation."""
    terms = pd.DataFrame({"equivar_loss_term_2": [7.0], "equivar_loss_term_3": [3.0]})
    assert correct_voxmol(terms).iloc[0].to_dict() == pytest.approx(
        {
            "total": 10,
            "equivariance": 4,
            "equivariance_plugin": 3,
            "twirled": 7,
            "twirled_unbiased": 6,
            "percent": 40,
            "percent_plugin": 30,
        }
    )


def test_the_correction_is_unbiased():
    """The corrections are right on average, for four draws with a known mean and variance."""
    rng = np.random.default_rng(0)
    draws = rng.normal(2.0, 3.0, (200_000, 4))
    mean = draws.mean(axis=1, keepdims=True)
    terms = pd.DataFrame({
        "equivar_loss_term_2": [(mean**2).mean()], "equivar_loss_term_3": [((draws - mean) ** 2).mean()],
    })  # fmt: skip
    parts = correct_voxmol(terms).iloc[0]
    assert parts["equivariance"] == pytest.approx(9, rel=0.01)
    assert parts["twirled_unbiased"] == pytest.approx(4, rel=0.02)
    assert parts["twirled"] == pytest.approx(4 + 9 / 4, rel=0.02)


@pytest.mark.parametrize(
    ("figure", "series", "first", "minimum", "maximum", "last", "below"),
    [
        ("data", "1 %", (72, 81.06), (10_152, 1.00), (216, 84.09), (36_000, 10.36), 5_472),
        ("data", "10 %", (729, 87.27), (6_561, 1.46), (729, 87.27), (43_011, 10.31), 6_561),
        ("data", "25 %", (1_822, 27.70), (7_288, 1.03), (1_822, 27.70), (41_906, 6.81), 7_288),
        ("data", "50 %", (3_645, 4.60), (10_935, 2.30), (36_450, 13.64), (43_740, 10.77), None),
        ("model", "111M", (7_290, 2.10), (7_290, 2.10), (43_740, 12.57), (43_740, 12.57), None),
        ("model", "28M", (7_290, 16.32), (21_870, 8.76), (94_770, 20.37), (94_770, 20.37), None),
        ("model", "7M", (7_290, 13.50), (21_870, 6.82), (109_350, 22.08), (160_380, 20.36), None),
    ],
)
def test_published_percents_of_voxmol(voxmol, figure, series, first, minimum, maximum, last, below):
    curve = of(voxmol, f"voxmol-vary-{figure}", series)
    found = (curve.index[0], curve.idxmin(), curve.idxmax(), curve.index[-1])
    expected = (first, minimum, maximum, last)
    assert found == tuple(step for step, _ in expected)
    assert curve[list(found)].tolist() == pytest.approx([value for _, value in expected], abs=0.0051)
    low = curve[curve <= 2]
    assert (low.index[0] if len(low) else None) == below


@pytest.mark.parametrize(
    ("series", "quantity", "first", "last"),
    [
        ("1 %", "twirled", 3.6e-2, 8.7e-5),
        ("1 %", "equivariance", 6.5e-2, 9.7e-6),
        ("111M", "twirled", 3.3e-4, 6.0e-5),
        ("28M", "twirled", 3.3e-4, 3.78e-5),
        ("7M", "twirled", 3.3e-4, 3.48e-5),
        ("111M", "equivariance", 7.2e-6, 8.3e-6),
        ("28M", "equivariance", 6.2e-5, 9.1e-6),
        ("7M", "equivariance", 5.0e-5, 8.4e-6),
    ],
)
def test_published_losses_of_voxmol(voxmol, series, quantity, first, last):
    curve = of(voxmol, f"voxmol-vary-{'model' if series.endswith('M') else 'data'}", series, quantity)
    assert (curve.iloc[0], curve.iloc[-1]) == pytest.approx((first, last), rel=0.02)


def test_two_runs_lie_in_one_table(voxmol):
    a, b, mean = (of(voxmol, "voxmol-vary-data", series) for series in ("1 %, run A", "1 %, run B", "1 %"))
    assert (len(a), len(b), len(mean)) == (500, 179, 500)
    assert (a.index[-1], b.index[-1]) == (36_000, 12_888)
    pd.testing.assert_series_equal(mean[b.index], (a[b.index] + b) / 2)
    pd.testing.assert_series_equal(mean.loc[12_960:], a.loc[12_960:])
    band = voxmol[(voxmol["series"] == "1 %") & (voxmol["quantity"] == "percent")].set_index("step")
    np.testing.assert_array_equal(band.loc[b.index, "low"], np.minimum(a[b.index], b))
    np.testing.assert_array_equal(band.loc[b.index, "high"], np.maximum(a[b.index], b))


def test_tables_fit_together(curves, voxmol):
    assert list(voxmol) == list(curves)
    both = pd.concat([curves, voxmol], ignore_index=True)
    pd.testing.assert_series_equal(both.dtypes, curves.dtypes)
    assert not both.duplicated([*CURVE, "step"]).any()


def test_what_the_correction_changes():
    table = voxmol_corrections(FILES).set_index(["series", "quantity", "point"])
    assert not table.index.duplicated().any()
    assert len(table) == 9 * 3 * 3
    twirled = table.xs("twirled", level="quantity")
    assert 100 * twirled["excess"]["1 %, run A", "first"] == pytest.approx(58.0, abs=0.05)
    assert 100 * twirled["excess"]["10 %", "first"] == pytest.approx(171.3, abs=0.05)
    whole = twirled.drop(index="1 %, run B", level="series")  # which ends early
    assert (100 * whole["excess"]).xs("last", level="point").between(1.8, 6.4).all()
    assert set(twirled["published"]) == {"plugin"}
    others = table.drop(index="twirled", level="quantity")
    assert set(others["published"]) == {"unbiased"}
    np.testing.assert_allclose(others["excess"], -0.25)
    assert table.loc[("1 %", "percent", "minimum"), ["step", "unbiased"]].tolist() == pytest.approx(
        [10_152, 1.00], abs=0.005
    )


def test_bad_tables_of_voxmol_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"found tables 1pct\.csv: expected .*full\.csv.* registry of downloads"):
        voxmol_curves({"1pct.csv": FILES["1pct.csv"]})
    with pytest.raises(ValueError, match=r"found tables .*all\.csv"):
        voxmol_curves(FILES | {"all.csv": FILES["full.csv"]})
    bad = FILES | {"tiny.csv": tmp_path / "tiny.csv"}
    table = pd.read_csv(FILES["tiny.csv"])
    table.drop(columns="equivar_loss_term_3").to_csv(bad["tiny.csv"], index=False)
    with pytest.raises(ValueError, match=r"tiny\.csv: lacks the column\(s\) equivar_loss_term_3"):
        voxmol_curves(bad)
    for broken in (table[:0], table.assign(equivar_loss_term_2=np.nan)):
        broken.to_csv(bad["tiny.csv"], index=False)
        with pytest.raises(ValueError, match=r"tiny\.csv: expected rows of positive"):
            voxmol_curves(bad)
    shutil.copy(FILES["tiny.csv"], bad["tiny.csv"])
    assert len(voxmol_curves(bad))


def test_the_registry_names_these_tables():
    entries = [entry for entry in read_registry(ROOT / "config/downloads.tsv") if "voxmol" in entry.dataset]
    assert {entry.file for entry in entries} == set(VOXMOL_FILES)
    for entry in entries:
        content = FILES[entry.file].read_bytes()
        assert entry.bytes == len(content)
        assert entry.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert entry.licence == "none stated"
        assert entry.version in entry.urls[0]
        assert entry.urls[0].endswith(entry.file)
