"""Figures show the rows they say, and files are whole and reproducible."""

import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawing_checks import (
    assert_averages_beside,
    assert_fit_for_print,
    assert_rows_of,
    draw_checked,
    legend_texts,
    of_task,
    on_lines,
)
from evaluation_rows import evaluation_row
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.planned import figures_for, known_figures
from equidyn.study.selection import choose, replicates, settings, varying

STEPS = (0, 1, 3, 10, 30, 100, 300, 1000)
RUNS = {
    "base": {},
    "again": {"seed": 2},
    "other": {"seed": 1},
    "few": {"train_subset": "100", "train_examples": 100},
    "few-batch": {"train_subset": "100", "train_examples": 100, "batch_size": 1},
    "big": {"model": "net-big", "parameters": 6_140_000},
    "sgd": {"optimiser": "sgd", "lr": 1e-5},
    "slow": {"lr": 1e-3},
    "still": {"augmentation": 0.0},
    "still-slow": {"augmentation": 0.0, "lr": 1e-3},
    "control": {"model": "control-small", "parameters": 5_000},
}
OPTIONS = of_task()
DYNAMICS = [name for name in figures_for("force_field") if known_figures()[name].tables == ("evaluation",)]
VARYING = {
    "percent_by_train_size": ["base", "other", "again", "few", "few-batch"],
    "percent_by_model_size": ["base", "other", "again", "big"],
    "percent_by_optimiser": ["base", "other", "again", "sgd", "slow"],
    "percent_by_augmentation": ["base", "other", "again", "still"],
}


def rows(run, steps=STEPS, **changes):
    """Rows of one run: a share that dips while the network is unskilled, raw and EMA, exact and sampled."""
    number = list(RUNS).index(run)
    made = []
    for i, step in enumerate(steps):
        total = [40.0, 38.0, 20.0, 4.0, 1.32, 1.3, 0.6, 0.2][i] * (1 + 0.01 * number)
        percent = [55.0, 54.0, 40.0, 10.0, 0.5, 0.05, 0.3, 0.2][i] * (1 + 0.1 * number)
        if changes.get("model", "").startswith("control"):
            percent = 1e-12
        for weights, (estimator, rotations) in product(("raw", "ema"), {"sampled": 10, "exact": 0}.items()):
            way = {"weights": weights, "estimator": estimator, "rotations": rotations}
            made.append(evaluation_row(total, percent, 1.3, {"run": run, **changes, "step": step, **way}))
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def table():
    return pd.concat([rows(run, **changes) for run, changes in RUNS.items()], ignore_index=True)


def draw(name, table, options=OPTIONS):
    """As `draw_checked`, with the usual options."""
    return draw_checked(name, table, options)


def names(selected):
    return list(dict.fromkeys(selected["run"]))


def test_choose_takes_exact_where_a_run_has_it(table):
    without = table[(table["run"] != "big") | (table["estimator"] == "sampled")].sample(frac=1, random_state=0)
    chosen = choose(without)
    assert len(chosen) == len(RUNS) * len(STEPS)
    assert set(chosen["weights"]) == {"ema"}
    estimators = chosen.groupby("run")["estimator"].unique().map(list).to_dict()
    assert estimators == {run: ["sampled" if run == "big" else "exact"] for run in RUNS}
    assert (chosen.groupby("run")["step"].apply(list).map(tuple) == STEPS).all()
    assert names(chosen) == names(without)
    assert set(choose(table, "raw", "sampled")["estimator"]) == {"sampled"}


def test_choose_refuses(table):
    with pytest.raises(ValueError, match="no rows"):
        choose(table[:0])
    with pytest.raises(ValueError, match=r"run\(s\) big; the table has weights ema, raw"):
        choose(table[(table["run"] != "big") | (table["weights"] == "raw")])
    with pytest.raises(ValueError, match="'base' has several rows for step 0"):
        choose(pd.concat([table, table[table["run"] == "base"]]))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) estimator"):
        choose(table.drop(columns="estimator"))


def test_replicates_differ_by_seed_alone(table):
    assert names(replicates(table, "base")) == ["base", "other", "again"]
    assert names(replicates(table, "again")) == ["again", "base", "other"]
    assert names(replicates(table, "sgd")) == ["sgd"]
    assert len(replicates(table, "sgd")) == 4 * len(STEPS)


def test_varying_differs_in_nothing_else(table):
    assert names(varying(table, "base", ["lr"])) == ["base", "slow", "other", "again"]
    assert names(varying(table, "base", ["train_subset"])) == ["base", "few", "other", "again"]
    assert set(names(varying(table, "base", ["augmentation", "lr"]))) >= {"still", "still-slow", "slow"}
    assert "control" not in names(varying(table, "base", ["model"]))
    assert "control" in names(varying(table, "base", ["model"], include_controls=True))
    assert names(varying(table, "control", [])) == ["control"]
    undefined = table.assign(augmentation=table["augmentation"].where(table["run"].isin(["base", "other"])))
    assert names(replicates(undefined, "base")) == ["base", "other"]


def test_varying_refuses(table):
    with pytest.raises(ValueError, match="no run is named 'bass'; the table has base, again, other"):
        varying(table, "bass", ["lr"])
    with pytest.raises(ValueError, match="steps: not a column of the design"):
        varying(table, "base", ["steps"])
    with pytest.raises(ValueError, match="'base' has several values of lr"):
        settings(pd.concat([table, rows("base", lr=0.1)]))


@pytest.mark.parametrize("name", DYNAMICS)
def test_figures_show_the_selected_rows(table, name):
    figure, data, text = draw(name, table)
    assert isinstance(figure, Figure)
    expected = {"losses": ["base"]}.get(name, VARYING.get(name, ["base", "other", "again"]))
    assert set(names(data)) == set(expected)
    chosen = choose(table)
    assert_rows_of(data, chosen[chosen["run"].isin(expected)], ["run", "step"])
    assert (data["unskilled"] == (data["skill"] < 0.05)).all()
    assert "256 validation examples of 31 molecules" in text
    assert "exact average" in text


def test_every_row_is_on_the_axes(table):
    for name, place in [("percent_linear", 0.0), ("percent_loglog", 0.4)]:
        figure, data, _ = draw(name, table)
        points = on_lines(figure.axes[0])
        (low, high), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
        for row in data.itertuples():
            x = row.step or place
            assert (x, row.percent) in points
            assert low < x < high
            assert bottom < row.percent < top


def test_marks_and_shading(table):
    figure, data, _ = draw("percent_loglog", table)
    assert data.loc[data["dip"], "step"].tolist() == [100] * 3
    assert data.loc[data["lowest"], "step"].tolist() == [100] * 3
    assert data.loc[data["lowest_useful"], "step"].tolist() == [1000] * 3
    lines = ["≤ 2 % first at step 30", "dip, lowest 0.05 % at 100", "with skill 0.2 % at 1,000"]
    assert "\n ".join(["baseline", *lines]) in legend_texts(figure)
    spans = {patch.get_facecolor()[0]: patch.get_extents() for patch in figure.axes[0].patches}
    assert len(spans) == 2  # worse than a constant up to step 10, no better at steps 30 and 100
    edges = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in figure.axes[0].patches)
    np.testing.assert_allclose(edges[0][1], np.sqrt(10 * 30))
    np.testing.assert_allclose(edges[1], (np.sqrt(10 * 30), np.sqrt(100 * 300)))


def test_losses_are_relative_to_the_start(table):
    _, data, _ = draw("losses", table)
    np.testing.assert_allclose(data["equivariance_relative"], data["equivariance"] / data["equivariance"].iloc[0])
    np.testing.assert_allclose(data["total"], data["equivariance"] + data["twirled"])


@pytest.mark.parametrize("name", ["losses", "percent_linear", "percent_by_train_size", "silence_and_symmetry"])
def test_averaged_weights_stand_beside_raw_ones(table, name):
    columns = {
        "losses": ["total", "twirled", "equivariance"],
        "percent_linear": ["percent"],
        "silence_and_symmetry": ["percent", "relative_percent", "skill"],
    }
    assert_averages_beside(name, choose(table), of_task(weights="raw"), columns.get(name, ["percent", "skill"]))


def test_runs_without_averaged_weights_have_none_beside_them(table):
    mixed = table[(table["weights"] == "raw") | (table["run"] == "other")]
    _, data, _ = draw("percent_loglog", mixed, of_task(weights="raw"))
    assert set(names(data)) == {"base", "other", "again"}
    assert set(names(data[data["percent_ema"].notna()])) == {"other"}


@pytest.mark.parametrize("name", DYNAMICS)
def test_figures_draw_what_there_is(table, name):
    few = table[(table["run"] == "base") & (table["step"] > 0) & (table["estimator"] == "sampled")]
    few = few.assign(percent_low=np.nan, percent_high=np.nan, twirled=few["twirled"].where(few["step"] > 1, -1.0))
    _, data, text = draw(name, few)
    assert set(data["run"]) == {"base"}
    assert "10 sampled rotations" in text
    draw(name, table[(table["run"] == "base") & (table["step"] == 0)])


def test_save_gives_equal_bytes(table, tmp_path, caplog):
    caplog.set_level("INFO")
    figure, data, _ = draw("percent_loglog", table)
    redrawn, _, _ = draw("percent_loglog", table)
    written = [
        style.save(each, data, tmp_path / name / "share.by.step") for name, each in [("a", figure), ("b", redrawn)]
    ]
    assert [path.name for path in written[0]] == [f"share.by.step.{kind}" for kind in ("png", "pdf", "svg", "csv")]
    for paths in written:
        assert sorted(paths) == sorted(paths[0].parent.iterdir())
        assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in written[0]]
    pd.testing.assert_frame_equal(pd.read_csv(written[0][3], dtype=data.dtypes.to_dict(), keep_default_na=False), data)
    assert not caplog.records  # of embedded fonts, for instance


def test_save_leaves_old_files_when_it_fails(tmp_path):
    class Broken(pd.DataFrame):
        def to_csv(self, *_, **__):
            raise OSError("disk full")

    with style.applied():
        figure = style.new_figure(2, 2)
    first = style.save(figure, pd.DataFrame({"x": [1]}), tmp_path / "figure")
    before = [path.read_bytes() for path in first]
    again = style.save(figure, pd.DataFrame({"x": [1]}), tmp_path / "again" / "figure")
    assert [path.read_bytes() for path in again] == before
    figure.subplots()
    with pytest.raises(OSError, match="disk full"):
        style.save(figure, Broken({"x": [2]}), tmp_path / "figure")
    assert [path.read_bytes() for path in first] == before
    assert sorted(tmp_path.glob("*.*")) == sorted(first)


def test_style_is_left_behind():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style.applied():
        assert mpl.rcParams["svg.hashsalt"] == "equidyn"
    assert dict(mpl.rcParams) == before


def test_colours_and_markers_tell_series_apart():
    assert len({*zip(style.distinct(11), style.MARKERS, strict=True)}) == 11
    assert len(set(style.graded(7))) == 7


def test_captions_use_the_words_of_the_task(table):
    assert "the best constant prediction, which is zero for forces" in draw("percent_loglog", table)[2]


def test_lines_are_wrapped_but_no_quantity():
    text = "no better than a multiple of this input (skill within ± 5 %), or than nothing at all\n at step 3 or later"
    assert layout.wrapped(text, 33).split("\n") == [
        "no better than a multiple of this",
        "input (skill within ± 5 %), or",
        "than nothing at all",
        " at step 3 or later",
    ]
    assert layout.wrapped("for no more than a single example < 5 %", 36) == "for no more than a single example\n< 5 %"
    assert layout.wrapped("a line\n that goes on", 8) == "a line\n that\n goes on"


def test_legends_lie_below_panels_whose_heights_stay():
    with style.applied():
        figure, (axes,) = layout.stacked(2.0)
        entries = [Line2D([], [], label=f"a rather long entry, number {i}, of many") for i in range(9)]
        layout.legends(figure, {"Many": entries, "None": [], "Few": entries[:1]})
        figure.set_dpi(style.DPI)
        figure.draw_without_rendering()
    assert_fit_for_print(figure)
    assert figure.get_figheight() > 3
    assert axes.get_position().height * figure.get_figheight() == pytest.approx(1.8, abs=0.15)
    assert [legend.get_title().get_text() for legend in figure.legends] == ["Many", "Few"]


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((0.3, 2.0), ["0.5", "1", "2"]),
        ((0.2, 20.0), ["0.3", "1", "3", "10"]),
        ((0.02, 200.0), ["0.1", "1", "10", "100"]),
        ((30.0, 3e6), ["100", "1,000", "1e4", "1e5", "1e6"]),
    ],
)
def test_ticks_let_a_minimum_be_read(limits, labels):
    with style.applied():
        figure, (axes,) = layout.stacked(2.0)
        drawing.scale(axes, pd.DataFrame({"y": limits}), log=True)
        axes.set_ylim(limits)
        drawing.log_labels(axes.yaxis)
        figure.draw_without_rendering()
        places = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    assert [text.get_text() for y, text in places if limits[0] <= y <= limits[1]] == labels


def test_a_run_has_one_name_wherever_it_is_told(table):
    _, by_seed, _ = draw("percent_loglog", table)
    assert dict(zip(by_seed["run"], by_seed["series"], strict=True)) == {
        "base": "baseline", "other": "baseline, seed 1", "again": "baseline, seed 2",
    }  # fmt: skip
    names = {}
    for name in VARYING:
        data = draw(name, table)[1]
        names |= {(name, run): series for run, series in zip(data["run"], data["series"], strict=True)}
    assert names["percent_by_train_size", "few-batch"] == "100 examples, batches of 1"
    assert names["percent_by_model_size", "big"] == "net-big (6.1M)"
    assert names["percent_by_optimiser", "sgd"] == "SGD, rate 1e-5"
    assert names["percent_by_optimiser", "slow"] == "rate 1e-3"
    assert names["percent_by_augmentation", "still"] == "none rotated"
    assert all(series.startswith("baseline (") for (_, run), series in names.items() if run in ("base", "other"))


def test_task_and_run_stand_above(table):
    figure, _, _ = draw("losses", table)
    assert figure.texts[-1].get_text() == "Force field · baseline: base, net"


def test_figures_need_no_torch():
    modules = {entry.draw.partition(":")[0] for entry in known_figures().values()}
    code = f"import sys, {', '.join(modules)}; assert not {{'torch', 'mdtraj', 'matplotlib.pyplot'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_formats_can_be_chosen(tmp_path):
    figure = Figure()
    figure.subplots()
    paths = style.save(figure, pd.DataFrame({"x": [1]}), tmp_path / "figure", ["png"])
    assert [path.name for path in paths] == ["figure.png", "figure.csv"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
