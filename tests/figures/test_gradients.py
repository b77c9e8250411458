"""Figures of gradients show the rows they say, and their correlations are those of the rows."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import of_task
from evaluation_rows import evaluation_row
from matplotlib.colors import to_hex
from matplotlib.legend import Legend

from equidyn.analysis.correlation import log_correlation
from equidyn.core.plugins import load
from equidyn.figures.families.gradients.draw import GROUPS
from equidyn.figures.parts import style
from equidyn.figures.parts.captions import caption
from equidyn.figures.planned import known_figures

STEPS = (0, 10, 100, 1000, 3000, 10_000, 30_000, 100_000)
PERCENT = (20, 18, 9, 2, 0.1, 0.3, 0.2, 0.05)
RATIO = (0.24, 0.22, 0.3, 0.45, 0.05, 0.04, 0.02, 0.008)
SKILL = (-9, -3, 0.01, 0.1, 0.5, 0.8, 0.9, 0.95)
TIMES = (0.0, 0.5, 0.9)
SIZES = {"all": 68_000, "embedding": 4_000, "blocks": 60_000, "head": 192}
RUNS = {"base": {}, "again": {"seed": 1}, "control": {"model": "control-small"}}
NAMES = {
    "gradient_ratio": of_task(),
    "gradient_split": of_task(),
    "gradient_ratio_by_time": of_task(task="flow_matching"),
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
                "run": run, "task": task, "model": "net", "parameters": 68_000, "train_subset": "all",
                "train_examples": 2796, "batch_size": 8, "optimiser": "adam", "lr": 1e-3, "augmentation": 1.0,
                "seed": 0, **changes, "group": "SO(3)", "comparison": "vectors", "step": step, "weights": "ema",
                "estimator": "exact" if t is None else "sampled", "rotations": 0 if t is None else 10,
                "examples": 256, "clusters": 31, "folds": 8, "floor_control": 2e-12, "unit": "eV²/Å²",
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


def offsets(axes):
    """All data coordinates of markers in a panel."""
    return {tuple(point) for points in axes.collections for point in np.asarray(points.get_offsets()).tolist()}


@pytest.mark.parametrize("name", NAMES)
def test_figures_show_the_selected_rows(table, name):
    options, before = NAMES[name], table.copy()
    figure, data = load(known_figures()[name].draw)(table.sample(frac=1, random_state=0), options)
    pd.testing.assert_frame_equal(table, before)
    figure.draw_without_rendering()
    for legend in figure.findobj(Legend):
        assert figure.bbox.x0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= figure.bbox.x1
    assert list(dict.fromkeys(data["run"])) == (["base"] if name == "gradient_split" else ["base", "again"])
    keys = ["run", "step", "parameter_group"] + (["t"] if "t" in data else [])
    given = table[(table["task"] == options.task) & table["run"].isin(data["run"])]
    given = given[given["parameter_group"].isin(data["parameter_group"])].set_index(keys).sort_index()
    found = data.set_index(keys).sort_index()
    shared = [column for column in found if column in given]
    pd.testing.assert_frame_equal(found[shared], given[shared], check_dtype=False)
    assert (data["unskilled"] == (data["skill"] < 0.05)).all()
    text = caption(known_figures()[name], data, options)
    assert "256 validation" in text
    assert "8 folds" in text
    assert "skill below 5 %" in text
    assert "cannot be drawn" not in text


def test_the_path_has_every_checkpoint_and_its_correlation(table):
    figure, data = load(known_figures()["gradient_ratio"].draw)(table, of_task())
    axes = figure.axes[0]
    assert {(row.ratio, row.percent) for row in data.itertuples()} <= offsets(axes)
    base = data[data["run"] == "base"]
    assert base["step"].tolist() == list(STEPS)
    found = log_correlation(base["ratio"], base["percent"])
    for column, value in {"pearson": found.pearson, "spearman_low": found.spearman_low, "pairs": len(STEPS)}.items():
        assert set(base[column]) == {value}
    (text,) = axes.texts
    assert f"R = {found.pearson:.2f} [{found.pearson_low:.2f}, " in text.get_text().replace("−", "-")
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    assert data["percent"].between(low, high).all()
    assert data["ratio"].between(left, right).all()
    unskilled = [points for points in axes.collections if len(points.get_offsets()) == len(STEPS)][-1]
    faces = [to_hex(face) == "#ffffff" for face in unskilled.get_facecolors()]
    assert faces == data.loc[data["run"] == "again", "unskilled"].tolist()
    options = of_task(useful_skill=0.005)
    _, data = load(known_figures()["gradient_ratio"].draw)(table, options)
    useful = data[(data["run"] == "base") & ~data["unskilled"]]
    again = log_correlation(useful["ratio"], useful["percent"])
    assert f"over the 6 of them with skill of at least 0.5 %, R = {again.pearson:.2f}" in caption(
        known_figures()["gradient_ratio"], data, options
    )


def test_the_box_is_below_the_points(table):
    figure, _ = load(known_figures()["gradient_ratio"].draw)(table, of_task())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    frame = axes.texts[0].get_bbox_patch().get_window_extent()
    assert not any(frame.contains(*axes.transData.transform(point)) for point in offsets(axes))


def test_colours_run_with_the_step(table):
    figure, _ = load(known_figures()["gradient_ratio"].draw)(table, of_task())
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "Optimiser step"
    assert bar.get_xticklabels()[0].get_text() == "0"
    path = next(points for points in figure.axes[0].collections if len(points.get_offsets()) == len(STEPS))
    ends = [to_hex(path.get_edgecolors()[i]) for i in (0, -1)]
    assert ends == [style.graded(256)[i].lower() for i in (0, -1)]


def test_a_panel_per_time_has_its_own_correlation(table):
    options = NAMES["gradient_ratio_by_time"]
    figure, data = load(known_figures()["gradient_ratio_by_time"].draw)(table, options)
    panels = figure.axes[: len(TIMES)]
    assert [axes.get_title(loc="left") for axes in panels] == ["t = 0", "t = 0.5", "t = 0.9"]
    for axes, t in zip(panels, TIMES, strict=True):
        part = data[(data["t"] == t) & (data["run"] == "base")]
        assert {(row.ratio, row.percent) for row in part.itertuples()} <= offsets(axes)
        assert f"R = {log_correlation(part['ratio'], part['percent']).pearson:.2f}" in axes.texts[0].get_text()
        assert axes.get_xlim() == panels[0].get_xlim()
    assert "t = 0: R = " in caption(known_figures()["gradient_ratio_by_time"], data, options)


def test_norms_ratios_and_angles(table):
    figure, data = load(known_figures()["gradient_split"].draw)(table, of_task())
    norms, ratio, cosine = figure.axes[:3]
    drawn = [
        {(float(x), float(y)) for line in axes.lines for x, y in zip(*line.get_data(), strict=True)}
        for axes in (norms, ratio, cosine)
    ]
    assert set(data["parameter_group"]) == set(GROUPS)
    for row in data.itertuples():
        x = row.step or 4.0
        assert (x, row.ratio) in drawn[1]
        assert (x, row.cosine) in drawn[2]
        if row.group == "all":
            assert {(x, row.twirled_norm), (x, row.equivariance_norm), (x, row.equivariance_norm_plugin)} <= drawn[0]
    labels = [text.get_text() for legend in figure.axes[3].artists for text in legend.get_texts()]
    assert "head (192 parameters)" in labels
    assert [len(axes.collections) for axes in (ratio, cosine)] == [4, 1]  # intervals
    last = data[(data["step"] == STEPS[-1]) & (data["parameter_group"] == "head")].iloc[0]
    assert f"{last['ratio']:.3g} (head)" in caption(known_figures()["gradient_split"], data, of_task())


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_what_there_is(table, name):
    options, entry = NAMES[name], known_figures()[name]
    draw = load(entry.draw)
    base = table[(table["run"] == "base") & (table["task"] == options.task)].copy()
    late = base["step"] >= 10_000
    measured = [column for column in base if column.startswith(("ratio", "cosine", "equivariance_norm"))]
    base.loc[late, [column for column in measured if not column.endswith("plugin")]] = np.nan
    base.loc[base["step"] == 1000, ["ratio_low", "percent_low"]] = -1.0
    figure, data = draw(base, options)
    figure.draw_without_rendering()
    text = caption(entry, data, options)
    assert f"{late.sum() // (1 if name == 'gradient_split' else 4)} of {len(data)} estimates cannot be drawn" in text
    figure, data = draw(base[base["step"] == 0], options)
    figure.draw_without_rendering()
    assert ("too few checkpoints" in caption(entry, data, options)) == ("pearson" in data)
