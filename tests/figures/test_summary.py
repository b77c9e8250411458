"""The summary shows the baseline of every task there is, on one scale."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_averages_beside, draw_checked, of_task, on_lines
from evaluation_rows import IDENTITY
from matplotlib.legend import Legend

from equidyn.figures.families.summary.draw import summary
from equidyn.tasks.registry import task_cards

WORDS = {task: card.words for task, card in task_cards().items()}
OPTIONS = {task: of_task(baseline=f"base-{task}", task=task) for task in WORDS}
STEPS = (0, 1, 10, 100, 1000)
TIMES = (0.0, 0.25, 0.5, 0.6, 0.9, 0.95)
COMPARED = (("SO(3)", "atoms"), ("cube", "voxels"), ("SO(3)", "trilinear"))
CONDITIONS = {
    "force_field": [{"group": "SO(3)", "comparison": "vectors"}],
    "flow_matching": [
        {"group": "SO(3)", "comparison": "vectors", "t": t, "self_conditioning": seen}
        for t in TIMES
        for seen in (False, True)
    ],
    "voxel_denoising": [{"group": group, "comparison": comparison} for group, comparison in COMPARED],
}


def rows(run, task, seed=0):
    """Rows of one run: every curve has values of its own, the second task's the largest."""
    percent = np.array([60.0, 40.0, 1.0, 0.3, 2.0]) * 1.01 ** (10 * list(WORDS).index(task) + seed)
    parts = []
    for i, condition in enumerate(CONDITIONS[task]):
        for weights in ("raw", "ema"):
            for estimator in ("sampled", "exact") if task == "force_field" else ("sampled",):
                share = percent * 1.001**i * (1.1 if weights == "raw" else 1)
                identity = IDENTITY | {"run": run, "task": task, "variant": "", "seed": seed}
                measured = {
                    "percent": share,
                    "percent_low": 0.8 * share,
                    "percent_high": 1.2 * share,
                    "skill": [-1.0, 0.0, 0.0, 0.5, 0.9],
                }
                way = {"weights": weights, "estimator": estimator, "rotations": 2 * (estimator == "sampled")}
                versions = {"estimator_version": 1, "package_version": "0"}
                parts.append(pd.DataFrame({**identity, **condition, **way, "step": STEPS, **measured, **versions}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def table():
    runs = [(f"base-{task}", task, 0) for task in WORDS] + [(f"again-{task}", task, 1) for task in WORDS]
    return pd.concat([rows(*run) for run in runs], ignore_index=True)


def panels(figure):
    """Panels by their titles."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def test_every_task_has_a_panel(table):
    figure, data, _ = draw_checked("summary", table, OPTIONS)
    assert figure.findobj(Legend)
    by_title = panels(figure)
    assert list(by_title) == ["Force field", "Flow matching", "Voxel denoising"]
    assert set(data["run"]) == {f"base-{task}" for task in WORDS}
    assert set(data["weights"]) == {"ema"}
    assert set(data.loc[data["task"] == "force_field", "estimator"]) == {"exact"}
    assert len({axes.get_ylim() for axes in by_title.values()}) == 1
    for row in data.itertuples():
        axes = by_title[WORDS[row.task].title]
        assert (row.step or 0.4, row.percent) in on_lines(axes)
        assert axes.get_ylim()[0] < row.percent < axes.get_ylim()[1]
    flow = data[data["task"] == "flow_matching"]
    assert sorted(flow["t"].unique()) == [0.25, 0.6, 0.9]  # nearest to those wanted
    assert not flow["self_conditioning"].any()
    assert list(dict.fromkeys(data.loc[data["task"] == "voxel_denoising", "comparison"])) == [
        "voxels",
        "trilinear",
        "atoms",
    ]
    assert (data["unskilled"] == (data["skill"] < 0.05)).all()
    labels = [[text.get_text() for text in legend.get_texts()] for legend in figure.findobj(Legend)]
    assert ["baseline"] in labels
    assert ["t = 0.25", "t = 0.6", "t = 0.9"] in labels
    assert ["of a cube", "all, trilinear", "all, at the atoms"] in labels


def test_values_are_those_of_the_table(table):
    _, data = summary(table, OPTIONS)
    keys = ["run", "step", "weights", "estimator", "comparison", "t"]
    taken = table[~table["self_conditioning"].eq(True)].merge(data[keys], on=keys)
    assert len(taken) == len(data)
    both = data.merge(taken, on=keys, suffixes=("", "_table"))
    pd.testing.assert_series_equal(both["percent"], both["percent_table"], check_names=False)


@pytest.mark.parametrize("there", [["force_field"], ["flow_matching", "voxel_denoising"]])
def test_tasks_without_rows_are_left_out(table, there):
    some = table[table["task"].isin(there)].dropna(axis="columns", how="all").assign(percent_low=np.nan)
    figure, data, text = draw_checked("summary", some, OPTIONS)
    assert figure.findobj(Legend)
    assert list(panels(figure)) == [WORDS[task].title for task in there]
    assert set(data["task"]) == set(there)
    assert [words.title + ": run" in text for task, words in WORDS.items()] == [task in there for task in WORDS]


def test_caption_tells_of_each_task(table):
    _, _, text = draw_checked("summary", table, OPTIONS)
    assert "Force field: run base-force_field, skill against the best constant prediction. Estimator: exact" in text
    assert "Flow matching: run base-flow_matching, skill against the best multiple of the noisy input" in text
    assert "without self-conditioning" in text
    assert "256 validation conformers of 31 molecules" in text
    assert '"all, trilinear" (about any axis' in text
    assert text.count("Rotations:") == 1
    assert "Faint" not in text


def test_averaged_weights_stand_beside_raw_ones(table):
    raw = {task: replace(options, weights="raw") for task, options in OPTIONS.items()}
    assert_averages_beside("summary", table[table["weights"] == "ema"], raw, ["percent"])


def test_refuses(table):
    with pytest.raises(ValueError, match="no rows of any task to draw: neither force_field, nor flow_matching"):
        summary(table[:0], OPTIONS)
    with pytest.raises(ValueError, match="no run is named 'bass'"):
        summary(table, OPTIONS | {"force_field": of_task(baseline="bass")})
    with pytest.raises(ValueError, match=r"lacks the column\(s\) percent_low"):
        summary(table.drop(columns="percent_low"), OPTIONS)
