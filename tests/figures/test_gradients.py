"""Figures of gradients show the rows they say, and their correlations are those of the rows."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_rows_of, draw_checked, legend_texts, of_markers, of_task, on_lines
from evaluation_rows import evaluation_row
from matplotlib.colors import to_hex

from equidyn.analysis.correlation import log_correlation
from equidyn.figures.families.gradients.draw import GROUPS
from equidyn.figures.parts import style

STEPS = (0, 10, 100, 1000, 3000, 10_000, 30_000, 100_000)
PERCENT = (20, 18, 9, 2, 0.1, 0.3, 0.2, 0.05)
RATIO = (0.24, 0.22, 0.3, 0.45, 0.05, 0.04, 0.02, 0.008)
SKILL = (-9, -3, 0.01, 0.1, 0.5, 0.8, 0.9, 0.95)
TIMES = (0.0, 0.5, 0.9)
SIZES = {"all": 68_000, "embedding": 4_000, "blocks": 60_000, "head": 192}
RUNS = {"base": {}, "again": {"seed": 1}, "control": {"model": "control-small"}}
NAMES = {  # and their tasks
    "gradient_ratio": "force_field",
    "gradient_split": "force_field",
    "gradient_ratio_by_time": "flow_matching",
}


def rows(run, task="force_field", steps=STEPS, **changes):
    """Rows of one run: the ratio falls with the share, in every group of parameters."""
    number = list(RUNS).index(run) if run in RUNS else 0
    rng = np.random.default_rng(number)
    made = []
    for t in TIMES if task == "flow_matching" else (None,):
        for i, step in enumerate(steps):
            factor = 1e-10 if changes.get("model") else (1 + 0.2 * number) * (1 + (t or 0)) * rng.uniform(0.8, 1.2)
            row = {
                "run": run, "task": task, **changes, "step": step, "folds": 8,
                "estimator": "exact" if t is None else "sampled", "rotations": 0 if t is None else 10,
            }  # fmt: skip
            if t is not None:
                row |= {"t": t, "self_conditioning": False}
            row = evaluation_row(1.3 * (1 - SKILL[i]), PERCENT[i] * factor, 1.3, row)
            for group, size in SIZES.items():
                ratio, twirled = RATIO[i] * factor * (1 + 0.1 * len(group)), 3 / (1 + step) ** 0.3
                cosine = 0.1 * len(group) - 0.03 * i
                made.append(
                    row
                    | {"parameter_group": group, "group_parameters": size, "ratio": ratio, "ratio_plugin": 1.2 * ratio}
                    | {"ratio_low": 0.8 * ratio, "ratio_high": 1.3 * ratio}
                    | {"cosine": cosine, "cosine_low": cosine - 0.1, "cosine_high": cosine + 0.1}
                    | {"twirled_norm": twirled, "twirled_norm_plugin": 1.1 * twirled}
                    | {"equivariance_norm": ratio * twirled, "equivariance_norm_plugin": 1.3 * ratio * twirled}
                    | {"total_norm": twirled, "total_norm_plugin": 1.1 * twirled}
                )
    return pd.DataFrame(made).drop(columns=["estimator_version", "package_version"])


@pytest.fixture(scope="module")
def table():
    parts = [rows(run, task, **changes) for run, changes in RUNS.items() for task in ("force_field", "flow_matching")]
    return pd.concat(parts, ignore_index=True)


def draw(name, table, **fields):
    """As `draw_checked`, with the options of the figure."""
    return draw_checked(name, table, of_task(NAMES[name], **fields))


@pytest.mark.parametrize("name", NAMES)
def test_figures_show_the_selected_rows(table, name):
    _, data, text = draw(name, table.sample(frac=1, random_state=0))
    assert list(dict.fromkeys(data["run"])) == (["base"] if name == "gradient_split" else ["base", "again"])
    keys = ["run", "step", "parameter_group"] + (["t"] if "t" in data else [])
    given = table[(table["task"] == NAMES[name]) & table["run"].isin(data["run"])]
    assert_rows_of(data, given[given["parameter_group"].isin(data["parameter_group"])], keys)
    assert (data["unskilled"] == (data["skill"] < 0.05)).all()
    assert "256 validation" in text
    assert "8 folds" in text
    assert "skill below 0.05" in text
    assert "cannot be drawn" not in text


def test_the_path_has_every_checkpoint_and_its_correlation(table):
    figure, data, _ = draw("gradient_ratio", table)
    axes = figure.axes[0]
    assert {(row.ratio, row.percent) for row in data.itertuples()} <= of_markers(axes)
    base = data[data["run"] == "base"]
    assert base["step"].tolist() == list(STEPS)
    found = log_correlation(base["ratio"], base["percent"])
    for column, value in {"pearson": found.pearson, "spearman_low": found.spearman_low, "pairs": len(STEPS)}.items():
        assert set(base[column]) == {value}
    (box,) = axes.texts
    assert f"R = {found.pearson:.2f} [{found.pearson_low:.2f}, " in box.get_text().replace("−", "-")
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    assert data["percent"].between(low, high).all()
    assert data["ratio"].between(left, right).all()
    unskilled = [points for points in axes.collections if len(points.get_offsets()) == len(STEPS)][-1]
    faces = [to_hex(face) == "#ffffff" for face in unskilled.get_facecolors()]
    assert faces == data.loc[data["run"] == "again", "unskilled"].tolist()
    _, data, text = draw("gradient_ratio", table, useful_skill=0.005)
    useful = data[(data["run"] == "base") & ~data["unskilled"]]
    again = log_correlation(useful["ratio"], useful["percent"])
    assert f"over the 6 of them with skill of at least 0.005, R = {again.pearson:.2f}" in text


def test_the_box_is_below_the_points(table):
    figure, _, _ = draw("gradient_ratio", table)
    axes = figure.axes[0]
    frame = axes.texts[0].get_bbox_patch().get_window_extent()
    assert not any(frame.contains(*axes.transData.transform(point)) for point in of_markers(axes))


def test_colours_run_with_the_step(table):
    figure, _, _ = draw("gradient_ratio", table)
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "Colour: optimiser step"
    assert bar.get_xticklabels()[0].get_text() == "0"
    path = next(points for points in figure.axes[0].collections if len(points.get_offsets()) == len(STEPS))
    ends = [to_hex(path.get_edgecolors()[i]) for i in (0, -1)]
    assert ends == [style.graded(256)[i].lower() for i in (0, -1)]


def test_a_panel_per_time_has_its_own_correlation(table):
    figure, data, text = draw("gradient_ratio_by_time", table)
    panels = figure.axes[: len(TIMES)]
    assert [axes.get_title(loc="left") for axes in panels] == ["t = 0", "t = 0.5", "t = 0.9"]
    for axes, t in zip(panels, TIMES, strict=True):
        part = data[(data["t"] == t) & (data["run"] == "base")]
        assert {(row.ratio, row.percent) for row in part.itertuples()} <= of_markers(axes)
        assert f"R = {log_correlation(part['ratio'], part['percent']).pearson:.2f}" in axes.texts[0].get_text()
        assert axes.get_xlim() == panels[0].get_xlim()
    assert "t = 0: R = " in text


def test_norms_ratios_and_angles(table):
    figure, data, text = draw("gradient_split", table)
    norms, ratio, cosine = figure.axes[:3]
    drawn = [on_lines(axes) for axes in (norms, ratio, cosine)]
    assert set(data["parameter_group"]) == set(GROUPS)
    for row in data.itertuples():
        x = row.step or 4.0
        assert (x, row.ratio) in drawn[1]
        assert (x, row.cosine) in drawn[2]
        if row.group == "all":
            assert {(x, row.twirled_norm), (x, row.equivariance_norm), (x, row.equivariance_norm_plugin)} <= drawn[0]
    assert "head (192 parameters)" in legend_texts(figure)
    assert [len(axes.collections) for axes in (ratio, cosine)] == [1, 1]  # intervals
    last = data[(data["step"] == STEPS[-1]) & (data["parameter_group"] == "head")].iloc[0]
    assert f"{last['ratio']:.3g} (head)" in text


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_what_there_is(table, name):
    base = table[(table["run"] == "base") & (table["task"] == NAMES[name])].copy()
    late = base["step"] >= 10_000
    measured = [column for column in base if column.startswith(("ratio", "cosine", "equivariance_norm"))]
    base.loc[late, [column for column in measured if not column.endswith("plugin")]] = np.nan
    base.loc[base["step"] == 1000, ["ratio_low", "percent_low"]] = -1.0
    _, data, text = draw(name, base)
    assert f"{late.sum() // (1 if name == 'gradient_split' else 4)} of {len(data)} estimates cannot be drawn" in text
    _, data, text = draw(name, base[base["step"] == 0])
    assert ("too few checkpoints" in text) == ("pearson" in data)
