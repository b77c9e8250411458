"""Figures by flow time show the rows they say, and overfitting is found by its rule."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawing_checks import (
    assert_averages_beside,
    assert_rows_of,
    dotted,
    draw_checked,
    legend_texts,
    of_markers,
    of_task,
    on_lines,
    with_averages,
)
from evaluation_rows import evaluation_row
from matplotlib.colors import to_hex

from equidyn.analysis.smoothing import variable_span_average
from equidyn.core.plugins import load
from equidyn.figures.parts import style
from equidyn.figures.planned import figures_for, known_figures
from equidyn.study.selection import choose

OPTIONS = of_task(task="flow_matching")
NAMES = [name for name in figures_for("flow_matching") if known_figures()[name].tables == ("evaluation",)]
STEPS = (0, 1, 10, 100, 300, 1000)
TIMES = (0.0, 0.5, 0.9)
PERCENT = {0.0: [15, 12, 1, 0.1, 0.01, 0.02], 0.5: [14, 11, 2, 0.4, 1, 2], 0.9: [13, 10, 3, 0.3, 4, 6]}
SKILL = {0.0: [-1, 0, 0, 0, 0, 0.001], 0.5: [-1, 0, 0.1, 0.5, 0.7, 0.8], 0.9: [-1, 0, 0.2, 0.6, 0.8, 0.9]}
RUNS = {
    "base": {},
    "again": {"seed": 1},
    "few": {"train_subset": "100", "train_examples": 100},
    "big": {"model": "chain-big", "parameters": 60_000_000},
    "still": {"augmentation": 0.0},
}
SHOWN = {
    "percent_by_time_loglog": ["base", "again"],
    "percent_by_time_logx": ["base", "again"],
    "percent_final_by_time": ["base", "again"],
    "losses_by_time": ["base"],
    "silence_and_symmetry": ["base", "again"],
    "percent_by_time_and_train_size": ["base", "again", "few"],
    "percent_by_time_and_model_size": ["base", "again", "big"],
    "percent_by_time_and_augmentation": ["base", "again", "still"],
}


def rows(run, steps=STEPS, times=TIMES, **changes):
    """Rows of one run: at t = 0 nothing is ever predicted; with few training examples the error rises at the end."""
    number = list(RUNS).index(run)
    made = []
    for t, self_conditioning, weights in product(times, (False, True), ("raw", "ema")):
        for i, step in enumerate(steps):
            percent = PERCENT[t][i] * (1 + 0.1 * number + 0.01 * self_conditioning)
            null = (1 - t) ** 2
            skill = SKILL[t][i] - (0.3 if run == "few" and step > 100 else 0)
            columns = {
                "run": run, "task": "flow_matching", **changes, "step": step, "weights": weights, "t": t,
                "self_conditioning": self_conditioning, "examples": 124, "unit": "nm²",
            }  # fmt: skip
            made.append(evaluation_row(null * (1 - skill), percent, null, columns))
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def table():
    """A study's table, which holds rows of another task too."""
    flow = pd.concat([rows(run, **changes) for run, changes in RUNS.items()], ignore_index=True)
    other = rows("base").query("t == 0 and not self_conditioning").assign(task="force_field", t=np.nan, run="forces")
    other["self_conditioning"] = None
    return pd.concat([other, flow], ignore_index=True)


@pytest.fixture(scope="module")
def dense():
    """One run, evaluated at even distances, noisily."""
    steps = np.arange(0, 20_001, 200)
    percent = np.exp(np.random.default_rng(0).normal(size=len(steps)))
    each = [rows("base", steps=(0,), times=(t,)).query("weights == 'ema' and not self_conditioning") for t in TIMES]
    return pd.concat(
        [
            pd.concat([row] * len(steps), ignore_index=True).assign(step=steps, percent=percent, skill=0.5)
            for row in each
        ],
        ignore_index=True,
    )


def draw(name, table, options=OPTIONS):
    """As `draw_checked`, with the usual options."""
    return draw_checked(name, table, options)


@pytest.mark.parametrize("name", NAMES)
def test_figures_show_the_selected_rows(table, name):
    _, data, text = draw(name, table)
    assert set(data["run"]) == set(SHOWN[name])
    chosen = choose(table[table["task"] == "flow_matching"], conditions={"self_conditioning": False})
    chosen = chosen[chosen["run"].isin(SHOWN[name])]
    if name == "percent_final_by_time":
        chosen = chosen[chosen["step"] == STEPS[-1]]
    assert_rows_of(data, chosen, ["run", "t", "step"])
    assert not data["self_conditioning"].any()
    assert (data["unskilled"] == (data["skill"] < 0.05)).all()
    assert "124 validation chains of 31 sequence families" in text
    assert "10 sampled rotations" in text
    assert "the best multiple of the noisy input" in text
    assert "below 0.05 at t = 0." in text
    assert "molecule" not in text
    assert "constant" not in text


@pytest.mark.parametrize("name", NAMES)
def test_one_run_is_enough(table, name):
    alone = table[table["run"] == "base"].assign(percent_low=np.nan, percent_high=np.nan)
    _, data, _ = draw(name, alone)
    assert set(data["run"]) == {"base"}
    assert len(draw(name, alone[(alone["t"] == 0.9) & (alone["step"] == 0)])[1]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_figures_refuse(table, name):
    draw = load(known_figures()[name].draw)
    with pytest.raises(ValueError, match="no rows of task 'flow_matching' to draw; the evaluation table has force"):
        draw(table[table["task"] == "force_field"], OPTIONS)
    with pytest.raises(ValueError, match=r"lacks the column\(s\) t"):
        draw(table[(table["t"] == 0) & ~table["self_conditioning"].eq(True)].drop(columns="t"), OPTIONS)
    with pytest.raises(ValueError, match=r"no rows with self_conditioning True for run\(s\) base"):
        draw(table[~table["self_conditioning"].eq(True)], of_task(task="flow_matching", self_conditioning=True))


def test_self_conditioning_is_chosen(table):
    flow = table[table["task"] == "flow_matching"]
    assert len(choose(flow)) == 2 * len(choose(flow, conditions={"self_conditioning": True}))
    with_it = of_task(task="flow_matching", self_conditioning=True)
    _, data, text = draw("percent_by_time_loglog", table, with_it)
    assert data["self_conditioning"].all()
    assert data["percent"].iloc[0] == pytest.approx(15 * 1.01)
    assert "shown their own first prediction" in text


@pytest.mark.parametrize("name", ["percent_by_time_loglog", "percent_by_time_logx"])
def test_every_row_is_on_the_axes(table, name):
    figure, data, _ = draw(name, table)
    above, below = figure.axes[:2]
    for row in data.itertuples():
        x = row.step or 0.4
        assert (x, row.percent) in on_lines(above)
        assert (x, row.skill) in on_lines(below)
        assert above.get_xlim()[0] < x < above.get_xlim()[1]
        assert above.get_ylim()[0] < row.percent < above.get_ylim()[1]


def test_times_are_told_apart_and_lack_of_skill_shows(table):
    figure, _, _ = draw("percent_by_time_loglog", table)
    assert legend_texts(figure)[:3] == ["0", "0.5", "0.9"]
    colours = style.timed(3)
    lines = [line for legend in figure.legends for line in legend.get_lines()]
    assert [to_hex(line.get_color()) for line in lines[:3]] == [colour.lower() for colour in colours]
    for colour, filled in zip(colours, (False, True, True), strict=True):
        markers = [
            line
            for line in figure.axes[0].lines
            if line.get_color() == colour and line.get_marker() not in ("", "None")
        ]
        at_the_end = [line for line in markers if line.get_xdata()[-1] == STEPS[-1]]
        assert len(at_the_end) == 2  # of two seeds
        assert all((line.get_markerfacecolor() != "white") == filled for line in at_the_end)
        assert any(line.get_markerfacecolor() == "white" for line in markers)


def test_final_bars(table):
    figure, data, _ = draw("percent_final_by_time", table)
    above, below = figure.axes[:2]
    assert data["step"].tolist() == [STEPS[-1]] * 6
    for axes, column in ((above, "percent"), (below, "skill")):
        bars = axes.containers[0]
        np.testing.assert_allclose([bar.get_height() for bar in bars], data[column])
        for bar, row in zip(bars, data.itertuples(), strict=True):
            assert round(bar.get_center()[0]) == TIMES.index(row.t)
            assert (to_hex(bar.get_facecolor()) == "#ffffff") == (row.t == 0)
    (whiskers,) = above.containers[1].lines[2]
    ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
    np.testing.assert_allclose(ends, data[["percent_low", "percent_high"]])
    assert {text.get_text() for text in above.texts} == {f"{value:.2g}" for value in data["percent"]}


def test_losses_are_drawn_in_their_panels(table):
    figure, data, _ = draw("losses_by_time", table)
    for axes, name in zip(figure.axes, ("total", "twirled", "equivariance"), strict=False):
        points = on_lines(axes)
        assert all((row.step or 0.4, getattr(row, name)) in points for row in data.itertuples())
    np.testing.assert_allclose(data["total"], data["twirled"] + data["equivariance"])
    assert "nm²" in figure.axes[0].get_ylabel()


def test_a_panel_per_time_and_one_of_the_validation_loss(table):
    figure, data, _ = draw("percent_by_time_and_model_size", table)
    *panels, loss = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["t = 0", "t = 0.5", "t = 0.9"]
    for axes, t in zip(panels, TIMES, strict=True):
        of_time = data[data["t"] == t]
        assert all((row.step or 0.4, row.percent) in on_lines(axes) for row in of_time.itertuples())
        assert not [patch for patch in axes.patches if patch.get_alpha() == 0.14]  # nothing is overfitted
    base = data[(data["run"] == "base") & (data["t"] == 0.5)]
    by_hand = [np.mean([1 - SKILL[t][i] for t in TIMES]) for i in range(len(STEPS))]  # null losses are (1 - t)²
    np.testing.assert_allclose(base["validation_loss"], by_hand)
    assert all(
        any(np.isclose([step or 0.4, value], point).all() for point in on_lines(loss))
        for step, value in zip(STEPS, by_hand, strict=True)
    )
    assert panels[1].get_ylim() == panels[2].get_ylim() != panels[0].get_ylim()


def test_overfitting_is_shaded_from_where_it_begins(table):
    figure, data, text = draw("percent_by_time_and_train_size", table)
    overfitted = data[data["overfitted"]]
    assert overfitted["run"].unique().tolist() == ["few"]
    assert sorted(overfitted["step"].unique()) == [300, 1000]
    for axes in figure.axes[:4]:
        (shade,) = [patch for patch in axes.patches if patch.get_alpha() == 0.14]
        assert to_hex(shade.get_facecolor()) == style.graded(2)[0].lower()
        np.testing.assert_allclose(shade.get_x(), np.sqrt(100 * 300))
        np.testing.assert_allclose(shade.get_x() + shade.get_width(), axes.get_xlim()[1])
    assert "to the end: here few from step 300." in text
    better = table.copy()
    better.loc[(better["run"] == "few") & (better["step"] == 1000), "total"] /= 2
    assert not draw("percent_by_time_and_train_size", better)[1]["overfitted"].any()


def test_dense_curves_are_averaged_over_faint_ones(dense):
    figure, data, text = draw("percent_by_time_loglog", dense)
    for t, part in data.groupby("t"):
        np.testing.assert_array_equal(part["percent_smoothed"], variable_span_average(part["step"], part["percent"]))
        faint = [line for line in figure.axes[0].lines if line.get_alpha() == 0.25]
        assert any(np.array_equal(line.get_ydata(), part["percent"]) for line in faint), t
        assert all((row.step or 80, row.percent_smoothed) in on_lines(figure.axes[0]) for row in part.itertuples())
    late = data[data["step"] > 10_000]
    assert late["percent_smoothed"].std() < 0.6 * late["percent"].std()
    assert "Faint: as measured" in text
    _, sparse, text = draw("percent_by_time_loglog", rows("base"))
    pd.testing.assert_series_equal(sparse["percent_smoothed"], sparse["percent"], check_names=False)
    assert "Faint" not in text


AVERAGED = ["losses_by_time", "percent_by_time_loglog", "percent_by_time_and_train_size", "silence_and_symmetry"]


@pytest.mark.parametrize("name", AVERAGED)
def test_averaged_weights_stand_beside_raw_ones(table, name):
    columns = {
        "losses_by_time": ["total", "twirled", "equivariance"],
        "silence_and_symmetry": ["percent", "relative_percent", "skill"],
    }
    two = ["percent", "validation_loss"] if "_and_" in name else ["percent", "skill"]
    rows = table[(table["task"] == "flow_matching") & (table["weights"] == "ema")]
    assert_averages_beside(name, rows, of_task("flow_matching", weights="raw"), columns.get(name, two))


def test_averages_of_dense_curves_are_averaged_alike(dense):
    both = with_averages(dense)
    figure, data, _ = draw("percent_by_time_loglog", both, of_task("flow_matching", weights="raw"))
    np.testing.assert_allclose(data["percent_ema_smoothed"], 1.5 * data["percent_smoothed"])
    drawn = {y for line in dotted(figure.axes[0]) for y in line.get_ydata()}
    assert set(data["percent_ema_smoothed"]) <= drawn


def test_final_bars_have_a_diamond_for_averaged_weights(table):
    rows = table[(table["task"] == "flow_matching") & (table["weights"] == "ema")]
    figure, data, _ = draw("percent_final_by_time", with_averages(rows), of_task("flow_matching", weights="raw"))
    for axes, column in zip(figure.axes, ("percent_ema", "skill_ema"), strict=False):
        assert set(data[column]) <= {y for _, y in of_markers(axes)}
    assert any("diamonds: averaged weights" in entry for entry in legend_texts(figure))
