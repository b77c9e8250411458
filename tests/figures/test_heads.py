"""Figures of the last layer show the rows they say, and captions say what the layer can be."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import draw_checked, legend_texts, of_markers, of_task, on_lines
from evaluation_rows import evaluation_row
from matplotlib.colors import to_hex

from equidyn.analysis.correlation import log_correlation
from equidyn.core.numbers import short
from equidyn.figures.parts import style

STEPS = (0, 10, 100, 1000, 3000, 10_000, 30_000, 100_000)
VARIANCE = (0.01075, 0.0107, 0.0106, 0.0105, 0.0103, 0.009, 0.008, 0.0063)
MEASURED = (7, 6, 5, 0.04, 0.004, 3e-4, 4e-4, 3e-5)
SKILL = (-9, -3, 0.01, 0.1, 0.5, 0.8, 0.9, 0.95)
TIMES = (0.0, 0.5, 0.9)
TASKS = ("force_field", "voxel_denoising", "flow_matching")
RUNS = {"base": {}, "again": {"seed": 1}, "control": {"model": "control-small"}}
NAMES = ("head_deviation", "head_error")
PARAMETERS = 192


def rows(run, task="force_field", steps=STEPS, **changes):
    """Rows of one run: invariant features in force fields, no equivariant layer in flow matching, both on grids."""
    number = list(RUNS).index(run)
    rng = np.random.default_rng(number)
    made = []
    for t in TIMES if task == "flow_matching" else (None,):
        for i, step in enumerate(steps):
            measured = MEASURED[i] * (1 - (t or 0)) * (1 + 0.1 * number) * rng.uniform(0.8, 1.2)
            deviation = VARIANCE[i] * PARAMETERS * (1 + 0.05 * number)
            symmetric = 0.0 if task == "flow_matching" else 1.0 + 0.2 * i
            shares = (0.9, 0.2, -0.1) if task == "voxel_denoising" else (1.0, 0.0, 0.0)
            predicted = measured * (1 + 1e-6 * i)
            total = 1.3 * (1 - SKILL[i]) if t != 0 else 1.3
            row = {
                "run": run, "task": task, **changes, "step": step,
                "comparison": "trilinear" if task == "voxel_denoising" else "vectors",
                "head_parameters": PARAMETERS, "deviation": deviation, "symmetric": symmetric,
                "relative_deviation": deviation / (deviation + symmetric), "weight_variance": deviation / PARAMETERS,
                "measured": measured, "predicted": predicted, "from_deviation": shares[0] * predicted,
                "cross": shares[1] * predicted, "from_symmetric": shares[2] * predicted,
                "largest": 8 * measured / deviation, "mean": 0.7 * measured / deviation,
            }  # fmt: skip
            if t is not None:
                row |= {"t": t, "self_conditioning": False}
            made.append(evaluation_row(total, 100 * measured / total, 1.3, row))
    return pd.DataFrame(made).drop(columns=["estimator_version", "package_version"])


@pytest.fixture(scope="module")
def table():
    return pd.concat([rows(run, task, **changes) for run, changes in RUNS.items() for task in TASKS], ignore_index=True)


def drawn(axes):
    """All data coordinates of lines and markers in a panel."""
    return on_lines(axes) | of_markers(axes)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_figures_show_the_selected_rows(table, name, task):
    _, data, text = draw_checked(name, table.sample(frac=1, random_state=0), of_task(task))
    alone = (name, task) == ("head_error", "flow_matching")
    assert list(dict.fromkeys(data["run"])) == (["base"] if alone else ["base", "again"])
    keys = ["run", "step", *(["t"] if "t" in data else [])]
    assert not data[keys].duplicated().any()
    given = table[(table["task"] == task) & table["run"].isin(data["run"])]
    given = given.drop_duplicates(keys).set_index(keys).sort_index()
    found = data.set_index(keys).sort_index()
    pd.testing.assert_series_equal(found["deviation"], given["deviation"])
    assert "The layer has 192 weights." in text
    assert "256 validation" in text
    assert ("No weights but zero make this layer equivariant" in text) == (task == "flow_matching")
    assert ("trilinear interpolation" in text) == (task == "voxel_denoising")


def test_deviation_and_its_share(table):
    figure, data, _ = draw_checked("head_deviation", table, of_task())
    above, below = figure.axes[:2]
    for row in data.itertuples():
        x = row.step or 4.0
        assert (x, row.deviation) in drawn(above)
        assert (x, row.relative_deviation) in drawn(below)
        assert 0 <= row.relative_deviation <= 100
    assert above.get_ylim()[0] == 0
    (right,) = above.child_axes
    np.testing.assert_allclose(np.array(right.get_ylim()) * PARAMETERS, above.get_ylim())
    assert above.patches  # shading


def test_deviation_does_not_depend_on_the_flow_time(table):
    figure, data, text = draw_checked("head_deviation", table, of_task("flow_matching"))
    assert "t" not in data
    assert len(data) == 2 * len(STEPS)
    assert data.loc[data["run"] == "base", "unskilled"].tolist() == [skill < 0.05 for skill in SKILL]
    assert len([axes for axes in figure.axes if axes.get_ylabel()]) == 1
    assert "variance" not in figure.axes[0].child_axes[0].get_ylabel()
    assert "skill below 0.05 at all flow times" in text


def test_error_against_deviation_and_its_parts(table):
    figure, data, text = draw_checked("head_error", table, of_task())
    scatter, ratio, shares = figure.axes[:3]
    base = data[data["run"] == "base"]
    assert {(row.deviation, row.measured) for row in data.itertuples()} <= drawn(scatter)
    assert {(row.step or 4.0, row.measured / row.deviation) for row in base.itertuples()} <= drawn(ratio)
    for name in ("largest", "mean"):
        assert {(row.step or 4.0, getattr(row, name)) for row in base.itertuples()} <= drawn(ratio)
    assert {(step or 4.0, 100.0) for step in STEPS} <= {(x, round(y, 9)) for x, y in drawn(shares)}
    found = log_correlation(base["deviation"], base["measured"])
    assert f"R = {found.pearson:.2f} [{found.pearson_low:.2f}, " in scatter.texts[0].get_text().replace("−", "-")
    assert "measured error differ by at most 7e-4 %" in text or "differ by at most 0.0007 %" in text
    np.testing.assert_allclose(base["difference"], 1e-6 * np.arange(len(STEPS)), atol=1e-12)
    assert "w⊥ᵀQw⊥: deviation 100 %; 2 w⊥ᵀQw∥: both 0 %; w∥ᵀQw∥: equivariant part 0 %." in text
    assert "|w⊥|² is 0.586 times what it was at the first" in text
    assert f"make the error {short(base['measured'].iloc[-1] / base['measured'].iloc[0])} times" in text


def test_parts_of_the_error_on_grids(table):
    figure, _, text = draw_checked("head_error", table, of_task("voxel_denoising"))
    for value in (90, 20, -10):
        assert any(np.isclose(y, value) for _, y in drawn(figure.axes[2]))
    assert figure.axes[2].get_ylim()[0] < -10
    assert "2 w⊥ᵀQw∥: both 20 %; w∥ᵀQw∥: equivariant part −10 %" in text


def test_times_have_colours(table):
    figure, data, _ = draw_checked("head_error", table, of_task("flow_matching"))
    scatter, ratio = figure.axes[:2]
    assert not scatter.texts
    for t, colour in zip(TIMES, style.timed(3), strict=True):
        part = data[data["t"] == t]
        lines = [line for line in scatter.lines if to_hex(line.get_color()) == colour.lower()]
        points = {(float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True)}
        assert {(row.deviation, row.measured) for row in part.itertuples()} <= points
        assert {(row.step or 4.0, row.error_per_deviation) for row in part.itertuples()} <= drawn(ratio)
        found = log_correlation(part["deviation"], part["measured"])
        assert any(label.startswith(f"{t:g}: R = {found.pearson:.2f}") for label in legend_texts(figure))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_what_there_is(table, name, task):
    base = table[(table["run"] == "base") & (table["task"] == task)].copy()
    zero = base["step"] == 0  # a layer that starts at zero
    base.loc[zero, ["deviation", "measured", "predicted", "from_deviation", "cross", "from_symmetric"]] = 0.0
    _, data, text = draw_checked(name, base, of_task(task))
    assert (f"{zero.sum()} of {len(data)} measured errors are not positive" in text) == (name == "head_error")
    for step in (0, 100):
        _, _, text = draw_checked(name, base[base["step"] == step], of_task(task))
        assert ("too few checkpoints" in text) == (name == "head_error")
