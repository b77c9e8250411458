"""Losses are drawn against what they cost, and compared with the control's where both cost the same."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_averages_beside, draw_checked, legend_texts, of_task
from evaluation_rows import evaluation_row
from matplotlib.legend import Legend

from equidyn.claims.budgets import wins
from equidyn.claims.tables import TaskTables
from equidyn.figures.families.compute.draw import loss_against_compute
from equidyn.figures.parts import drawing
from equidyn.study.choice import Choice

STEPS = (0, 1, 10, 100, 1000)
TOTALS = np.array([4.0, 3.0, 1.0, 0.4, 0.1])
PERCENTS = (50.0, 40.0, 20.0, 10.0, 1.0)
RUNS = {
    "base": {},
    "again": {"seed": 1},
    "big": {"model": "net-big", "parameters": 6_100_000},
    "few": {"train_subset": "100"},
    "control": {"model": "control-small", "parameters": 5_000},
}
STEP_FLOPS = {"base": 1000.0, "again": 1000.0, "big": 5000.0, "few": 1000.0, "control": 100.0}
OPTIONS = of_task()


def rows(run, totals=TOTALS, percents=PERCENTS, null=1.0, **changes):
    columns = {"run": run, "rotations": 2, **changes}
    values = zip(STEPS, totals, percents, strict=True)
    return pd.DataFrame(evaluation_row(total, share, null, columns | {"step": step}) for step, total, share in values)


def costed(*tables, step_flops=STEP_FLOPS):
    """The evaluation of runs, and what they cost: the control a tenth of the baseline."""
    table = pd.concat(tables, ignore_index=True)
    costs = pd.DataFrame(
        {"run": run, "step_flops": flops, "prediction_flops": flops / 30} for run, flops in step_flops.items()
    )
    return table, costs


def all_runs():
    made = [rows(run, **changes) for run, changes in RUNS.items() if run != "control"]
    return [*made, rows("control", TOTALS / 2, [1e-9] * 5, **RUNS["control"])]


def drawn(tables, options=OPTIONS):
    return draw_checked("loss_against_compute", *tables, options)


def test_shows_replicates_sizes_and_control_of_the_same_design():
    figure, data, _ = drawn(costed(*all_runs()))
    losses = data[data["panel"] == "loss"]
    assert losses.drop_duplicates("run").set_index("run")["role"].to_dict() == {
        "base": "subject", "again": "subject", "big": "other size", "control": "control",
    }  # fmt: skip
    assert list(losses.loc[losses["run"] == "big", "training_flops"]) == [0, 5000, 50_000, 500_000, 5_000_000]
    text = " ".join(" ".join(legend_texts(figure)).split())
    assert "baseline (net, 68k), 2 runs 1,000 FLOP a step" in text
    assert "control-small (5.0k), equivariant 100 FLOP a step" in text
    assert "timed" not in text
    assert "net-big (6.1M) 5" in text
    assert "averaged over rotations" in text
    assert "further seeds" in text


def test_averaged_weights_stand_beside_raw_ones():
    table, costs = costed(*all_runs())
    assert_averages_beside("loss_against_compute", table, of_task(weights="raw"), ["total"], costs)


def test_ratios_are_of_the_best_losses_at_equal_compute():
    totals = [4.0, 3.0, 0.9, 2.0, 0.5]  # worse at 100
    table = costed(rows("base", totals), rows("control", [0.9, 0.8, 0.6, 0.3, 0.15], [0.0] * 5, **RUNS["control"]))
    figure, data, caption = drawn(table, of_task(anneals=False))
    found = data[data["panel"] == "ratio"]
    assert set(found["run"]) == {"base"}
    assert list(found["training_flops"]) == [1000, 10_000, 100_000]
    assert list(found["ratio"]) == pytest.approx([3 / 0.6, 0.9 / 0.3, 0.9 / 0.15])  # control at steps 10, 100, 1000
    assert list(found["ratio_averaged"]) == pytest.approx([1.8 / 0.6, 0.72 / 0.3, 0.72 / 0.15])
    assert list(found["unskilled"]) == [True, False, False]
    assert list(found["unskilled_averaged"]) == [True, False, False]
    assert "At 1e5 FLOP, the largest common budget, the baseline has 6 times the loss of control" in caption
    assert "averaged over rotations 4.8 times" in caption
    below = figure.axes[1]
    assert [1.0, 1.0] in [list(line.get_ydata()) for line in below.get_lines()]
    assert below.get_ylim()[0] < 1


def test_what_is_drawn_is_what_the_claim_judges():
    """Two networks as opponents, one of them with two learning rates, of which the better counts, at ends alone."""
    tables = {
        "base": rows("base"),
        "short": rows("short", [4.0, 3.0, 1.0, 0.8, 0.7]).query("step <= 100"),
        "control": all_runs()[-1],
        "strong": rows("strong", TOTALS / 5, [0.0] * 5, model="control-strong", lr=0.5),
        "weak": rows("weak", TOTALS / 4, [0.0] * 5, model="control-strong", lr=0.1),
    }
    flops = {"base": 1000.0, "short": 1000.0, "control": 100.0, "strong": 400.0, "weak": 400.0}
    evaluation, costs = costed(*tables.values(), step_flops=flops)
    figure, data, caption = drawn((evaluation, costs))
    judged = tables_of_claims(evaluation, costs)
    found = data[(data["panel"] == "ratio") & (data["training_flops"] == data["budget"])].set_index("model")
    for averaged, name in ((False, "ratio"), (True, "ratio_averaged")):
        claim = wins(judged, averaged=averaged, unit="FLOP")
        ends = [found.loc["control-strong", f"{name}{end}"] for end in ("", "_low", "_high")]
        assert ends == pytest.approx([claim.value, claim.low, claim.high])
    assert found.loc["control-strong", ["control", "training_flops"]].tolist() == ["strong", 4e5]
    ours = 0.8 * (0.1 / 0.8) ** (np.log(4) / np.log(10))  # between schedules that end at 1e5 and 1e6
    assert found["ratio"].to_dict() == pytest.approx({"control-strong": ours / 0.02, "control-small": ours / 0.05})
    assert "11.4 (5 to 40, as none ends there) times the loss of strong" in caption
    assert "of weaker controls: 4.58 (control-small)." in caption
    rings = [line for line in figure.axes[0].get_lines() if line.get_markersize() == drawing.RING["markersize"]]
    assert len(rings) == 5


def tables_of_claims(evaluation, costs):
    """The same as evidence, of two clusters that are alike."""
    sums = evaluation.rename(columns={"null_loss": "null_energy"}).assign(weight=1.0, prediction_energy=1.0)
    parts = [sums.assign(cluster=cluster) for cluster in range(2)]
    clusters = dict(iter(pd.concat(parts).groupby("run")))
    choice = Choice("force_field", weights=OPTIONS.weights, estimator=OPTIONS.estimator)
    return TaskTables(choice, evaluation, clusters, {}, costs, 50, 0.95, 0)


def test_time_has_an_axis_of_its_own():
    """The control needs a tenth of the operations, and as much time."""
    evaluation, costs = costed(*all_runs())
    timings = pd.DataFrame({"name": ["base", "big", "control"]})
    costs = costs.assign(timed_seconds_per_step=0.5)
    figure, data, caption = draw_checked("loss_against_seconds", evaluation, costs, timings, of_task(anneals=False))
    assert list(data.loc[(data["run"] == "base") & (data["panel"] == "loss"), "training_seconds"]) == [
        0,
        0.5,
        5,
        50,
        500,
    ]
    assert list(data.loc[(data["run"] == "base") & (data["panel"] == "ratio"), "ratio"]) == pytest.approx([2] * 4)
    assert "At 500 s, the largest common budget, the baseline has 2 times the loss of control" in caption
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["", "Training time (s)"]
    assert "at equal time" in figure.axes[1].get_ylabel()
    assert " ".join(" ".join(legend_texts(figure)).split()).count("500 ms a step") == 3
    assert "training_flops" not in data


def test_unskilled_stretches_are_open_by_the_loss_drawn():
    figure, data, caption = drawn(costed(*all_runs()))
    base = data[(data["run"] == "base") & (data["panel"] == "loss")]
    assert list(base["unskilled"]) == [True, True, True, False, False]  # totals 4, 3, 1, 0.4, 0.1 of a null loss of 1
    assert list(base["unskilled_averaged"]) == [True, True, False, False, False]  # 2, 1.8, 0.8, 0.36, 0.099
    assert "skill (1 − loss / loss of the best constant prediction, which is zero for forces)" in caption
    opened = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    # Two subjects, their average, a larger one and the control, which is unskilled at first.
    assert sorted(len(line.get_xdata()) for line in opened) == [2, 2, 3, 3, 3]


def test_without_a_control_there_is_one_panel_and_it_says_so():
    figure, data, caption = drawn(costed(rows("base"), rows("big", **RUNS["big"])))
    assert set(data["panel"]) == {"loss"}
    assert len(figure.axes) == 1
    assert "no equivariant control trained on the same data" in caption
    assert not any("as good as the control" in text or "further seeds" in text for text in legend_texts(figure))


def test_compute_need_not_overlap():
    table, costs = costed(rows("base"), rows("control", TOTALS / 2, [0.0] * 5, **RUNS["control"]))
    _, data, caption = drawn((table[(table["run"] == "base") | (table["step"] <= 1)], costs))
    assert data.loc[data["panel"] == "ratio", "reason"].tolist() == [
        "base has no whole schedule within 100 FLOP, the largest common budget"
    ]
    assert "control-small is not compared: base has no whole schedule within 100 FLOP" in caption


def test_caption_tells_costs_and_estimators():
    table, costs = costed(*all_runs())
    _, _, caption = drawn((table, costs))
    assert "33.3 FLOP (net), 167 FLOP (net-big), 3.33 FLOP (control-small)" in caption
    assert "leaves 1/K of the equivariance error; drawn is the limit of large K." in caption
    assert "2 sampled rotations per example" in caption
    exact = table.assign(estimator=table["estimator"].where(table["model"] != "net", "exact"))
    assert "which this network has in closed form, in one pass." in drawn((exact, costs))[2]


def test_flow_times_are_weighed_as_in_validation():
    options = of_task(task="flow_matching")
    flow = {"task": "flow_matching", "self_conditioning": False}
    times = [(0.0, TOTALS, 1.0), (0.5, TOTALS / 10, 0.4)]
    base = [rows("base", totals, null=null, t=t, **flow) for t, totals, null in times]
    control = [
        rows("control", totals / 2, [0.0] * 5, null=null, t=t, **RUNS["control"], **flow) for t, totals, null in times
    ]
    _, data, caption = drawn(costed(*base, *control), options)
    losses = data[(data["panel"] == "loss") & (data["run"] == "base")]
    assert list(losses["step"]) == list(STEPS)
    assert list(losses["total"]) == pytest.approx(TOTALS * (1 + 4 / 10) / 2)
    assert list(losses["twirled"]) == pytest.approx(TOTALS * (1 - np.array(PERCENTS) / 100) * 0.7)
    assert list(losses["null_loss"]) == pytest.approx([1.3] * 5)
    assert list(losses["skill"]) == pytest.approx(1 - TOTALS * 0.7 / 1.3)
    assert "mean over 2 flow times of the error divided by (1 − t)²" in caption
    assert "without self-conditioning" in caption


def test_controls_of_grids_are_not_exact_under_all_rotations():
    of_runs = (("base", TOTALS, PERCENTS, {}), ("control", TOTALS / 2, [4.0] * 5, RUNS["control"]))
    both = costed(
        *(
            rows(run, totals, percents, **changes, task="voxel_denoising", group=group, comparison=comparison)
            for group, comparison in (("SO(3)", "trilinear"), ("cube", "voxels"))
            for run, totals, percents, changes in of_runs
        )
    )
    usual, cube = of_task("voxel_denoising"), of_task("voxel_denoising", comparison="voxels")
    figure, data, caption = drawn(both, usual)
    assert set(data.loc[data["panel"] == "loss", "comparison"]) == {"trilinear"}
    assert "of its last loss here, 4 % is equivariance error" in caption
    assert "trilinear" in figure.texts[-1].get_text()
    assert "is equivariance error." not in drawn(both, cube)[2]


def test_what_cannot_be_drawn_is_said():
    table = costed(rows("base", percents=[50, 40, 20, 10, 101]))
    assert "at or below zero cannot be drawn" in drawn(table)[2]
    assert "cannot be drawn" not in drawn(costed(rows("base")))[2]


def test_models_differ_in_colour_and_marker():
    others = [rows(f"net{i}", model=f"net{i}", parameters=1000 * i) for i in range(4)]
    step_flops = STEP_FLOPS | {f"net{i}": 2000.0 for i in range(4)}
    figure, *_ = drawn(costed(rows("base"), *others, all_runs()[-1], step_flops=step_flops))
    looks = [(line.get_color(), line.get_marker()) for line in figure.findobj(Legend)[0].get_lines()]
    networks = [look for look in looks if look[1] != "None"]
    assert len(networks) == 7
    assert len({colour for colour, _ in networks}) == len({marker for _, marker in networks}) == len(networks)


def test_refuses_what_it_cannot_draw():
    evaluation, costs = costed(*all_runs())
    with pytest.raises(ValueError, match=r"lacks the column\(s\) prediction_flops"):
        loss_against_compute(evaluation, costs.drop(columns="prediction_flops"), OPTIONS)


def test_users_settings_do_not_matter():
    before = dict(mpl.rcParams)
    loss_against_compute(*costed(*all_runs()), OPTIONS)
    assert dict(mpl.rcParams) == before
