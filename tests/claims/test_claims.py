"""Claims are judged by statistics known by hand, with intervals that hold."""

import numpy as np
import pandas as pd
import pytest
from evaluation_rows import variant

from equidyn.analysis.correlation import log_correlation
from equidyn.claims.definitions import CLAIMS, COLUMNS, judge
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, verdict
from equidyn.figures.planned import figures_for
from equidyn.study.choice import choice_of
from equidyn.tasks.registry import task_cards

STEPS = (0, 10, 100, 1000, 10_000)
SHARE = (50.0, 9.0, 1.5, 0.5, 0.3)  # percent
LOSS = (2.0, 1.0, 0.9, 0.4, 0.1)  # null loss: 1
FORCE, FLOW, VOXELS = task_cards()
DESIGN = {
    "task": FORCE, "model": "net", "train_subset": "all", "batch_size": 8, "optimiser": "adamw", "lr": 1e-3,
    "augmentation": 0.0, "seed": 0,
}  # fmt: skip
HERE = {"weights": "ema", "estimator": "exact"}


def run(name, share=SHARE, loss=LOSS, *, steps=STEPS, times=None, energy=1.0, scatter=0.0, comparison=None, **design):
    """A run's row of the evaluation and its sums over twelve clusters, which scatter about losses given per step.

    Share and loss are lists for one curve, or for each flow time.
    """
    rng = np.random.default_rng(1)
    factors = np.exp(scatter * rng.normal(size=(2, 12)))
    factors /= factors.mean(axis=1, keepdims=True)
    parts = []
    for i, t in enumerate(times or [np.nan]):
        shares, losses = (np.array(values[i] if times else values) for values in (share, loss))
        for cluster, (even, uneven) in enumerate(factors.T):
            equivariance = 10 * shares / 100 * losses * uneven
            part = {"total": 10 * losses * (1 - shares / 100) * even + equivariance, "equivariance": equivariance}
            part |= {"weight": 10.0, "null_energy": 10.0, "prediction_energy": 10.0 * energy}
            condition = {"t": t, "self_conditioning": False if times else None, "comparison": comparison}
            parts.append(pd.DataFrame({"run": name, **HERE, **condition, "step": steps, "cluster": cluster, **part}))
    return pd.DataFrame([{"run": name, **DESIGN, **design, "variant": variant(design.get("model", "net"))}]), pd.concat(
        parts, ignore_index=True
    )


def choice(task, baseline="base", weights="ema"):
    """What is judged of a task, by its card."""
    config = {"figures": {"baseline": {task: baseline}, "weights": weights, "estimator": "exact"}}
    return choice_of(config, task)


def judged(*runs, analyses=None, flops=None, baseline="base", weights="ema", **options):
    """Rows of the table of claims about the task of the runs, by claim."""
    evaluation = pd.concat([design for design, _ in runs], ignore_index=True)
    sums = {design["run"].iloc[0]: rows for design, rows in runs}
    compute = pd.concat(
        [rows.assign(training_flops=rows["step"] * (flops or {}).get(name, 1e6)) for name, rows in sums.items()]
    )
    task = evaluation["task"].iloc[0]
    options = {"resamples": 200, **options}
    table = judge(evaluation, sums, analyses or {}, compute, {task: choice(task, baseline, weights)}, **options)
    assert set(table["task"]) == {task}
    return table.set_index("claim")


@pytest.mark.parametrize(
    ("low", "high", "expected", "what"),
    [
        (1, 10_000, (0, 10_000, "both"), REPRODUCED),
        (10_001, np.inf, (0, 10_000, "both"), NOT_REPRODUCED),
        (10_000, np.inf, (0, 10_000, "both"), NOT_TESTABLE),
        (1.1, np.inf, (1, np.inf, "right"), REPRODUCED),
        (1, np.inf, (1, np.inf, "right"), NOT_TESTABLE),
        (1, 1, (1, np.inf, "right"), NOT_REPRODUCED),
        (0.2, 0.9, (1, np.inf, "right"), NOT_REPRODUCED),
        (0.5, 1, (0.5, 1, "both"), REPRODUCED),
        (1, 2, (0, 1, "left"), NOT_REPRODUCED),
        (np.nan, np.nan, (0, 1, "left"), NOT_TESTABLE),
    ],
)
def test_the_whole_interval_decides(low, high, expected, what):
    left, right, closed = expected
    assert verdict(pd.Interval(left, right, closed=closed), low, high)[0] == what


def test_first_steps_by_hand():
    table = judged(run("base", scatter=0.1))
    row = table.loc["falls_below_2_percent"]
    assert (row["value"], row["low"], row["high"], row["verdict"]) == (100, 100, 100, REPRODUCED)
    assert (row["expected_low"], row["expected_high"]) == (0, 10_000)
    row = table.loc["falls_below_2_percent_with_skill"]
    assert (row["value"], row["verdict"]) == (1000, REPRODUCED)


def test_a_network_that_predicts_little_needs_a_small_relative_error():
    row = judged(run("base", energy=0.01)).loc["falls_below_2_percent_with_skill"]
    assert (row["value"], row["verdict"]) == (np.inf, NOT_REPRODUCED)


def test_what_never_falls_is_refuted_by_long_training_alone():
    high = (50.0, 9.0, 8.0, 7.0, 6.0)
    row = judged(run("base", high)).loc["falls_below_2_percent"]
    assert (row["value"], row["high"], row["verdict"]) == (np.inf, np.inf, NOT_REPRODUCED)
    row = judged(run("base", high[:4], LOSS[:4], steps=STEPS[:4])).loc["falls_below_2_percent"]
    assert row["verdict"] == NOT_TESTABLE
    assert (row["value"], row["low"]) == (np.inf, pytest.approx(1000))
    assert "straddles" in row["reason"]


def test_without_skill_nothing_is_shown():
    row = judged(run("base", loss=(2, 1, 0.9, 0.9, 0.8))).loc["falls_below_2_percent_with_skill"]
    assert row["verdict"] == NOT_TESTABLE
    assert "no run reaches a skill of 0.5: the best is 0.2" in row["reason"]
    assert np.isnan(row["value"])


def test_a_clear_threshold_with_scattered_clusters_straddles():
    row = judged(run("base", (50, 9, 8, 7, 2.0), scatter=1.0)).loc["falls_below_2_percent"]
    assert row["verdict"] == NOT_TESTABLE
    assert (row["low"], row["high"]) == (10_000, np.inf)


def flow(name, shares, losses=((0.9,) * 5, LOSS), times=(0.0, 0.6), **options):
    design = {"task": FLOW} | options
    return run(name, shares, losses, times=times, **design)


def test_the_slowest_flow_time_counts_if_anything_is_learned_there():
    table = judged(flow("base", ((50, 9, 8, 1, 1), SHARE)))
    row = table.loc["falls_below_2_percent"]
    assert row["value"] == 1000
    assert "by t: 0: 1,000, 0.6: 100" in row["reason"]
    row = table.loc["falls_below_2_percent_with_skill"]
    assert (row["value"], row["verdict"]) == (1000, REPRODUCED)
    assert "left out, as skill stays below 0.5: t = 0" in row["reason"]


def test_the_slowest_size_counts():
    base = run("base")
    for column, value, claim in (
        ("model", "larger", "robust_to_model_size"),
        ("train_subset", "100", "robust_to_data_size"),
    ):
        row = judged(base, run("other", lr=1.0), run("control", model="control-net")).loc[claim]
        assert (row["verdict"], row["reason"]) == (NOT_TESTABLE, f"no run differs from 'base' in {column} alone")
        slow = run("slow", (50, 9, 8, 1, 1), **{column: value})
        row = judged(base, slow).loc[claim]
        assert (row["value"], row["verdict"]) == (1000, REPRODUCED)
        assert "base 100, slow 1,000" in row["reason"]
        assert judged(base, slow).loc[f"{claim}_with_skill", "value"] == 1000
        row = judged(base, run("never", (50, 9, 8, 7, 6), **{column: value})).loc[claim]
        assert (row["value"], row["verdict"]) == (np.inf, NOT_REPRODUCED)
        lost = judge(
            pd.concat([base[0], slow[0]]), {"base": base[1]}, {}, base[1], {FORCE: choice(FORCE)}, resamples=20
        )
        assert lost.set_index("claim").loc[claim, "reason"] == "no sums by cluster of run 'slow'"


def test_seeds_are_pooled():
    runs = run("base"), run("again", (50, 9, 8, 1, 1), seed=1)
    row = judged(*runs).loc["falls_below_2_percent"]
    assert (row["value"], row["low"], row["high"]) == (100, 100, 1000)
    assert "2 seeds pooled" in row["reason"]


def test_learning_speed_by_hand():
    table = judged(run("base"))
    row = table.loc["learned_faster_than_main_task"]
    assert (row["value"], row["verdict"]) == (1000, REPRODUCED)  # step 10,000 / step 10
    row = table.loc["learned_faster_with_skill"]  # at step 1,000, of one each at step 0
    assert row["value"] == pytest.approx(0.398 / 0.002)
    assert row["verdict"] == REPRODUCED


def test_a_tenth_that_is_not_reached_bounds_the_ratio():
    row = judged(run("base", loss=(2, 1, 0.9, 0.4, 0.3))).loc["learned_faster_than_main_task"]
    assert row["value"] == pytest.approx(10_000 / 10)
    assert (row["high"], row["verdict"]) == (np.inf, REPRODUCED)
    assert "at least 1,000" in row["reason"]
    row = judged(run("base", (50, 50, 90, 95, 99), (2, 1, 0.9, 0.4, 0.3))).loc["learned_faster_than_main_task"]
    assert row["value"] == pytest.approx(100 / 10_000)  # twirled 0.09 at step 100, equivariance 0.297 at the end
    assert (row["low"], row["verdict"]) == (0, NOT_REPRODUCED)
    row = judged(run("base", (50,) * 5, (2, 1, 1, 1, 1))).loc["learned_faster_than_main_task"]
    assert (row["verdict"], row["reason"][:33]) == (NOT_TESTABLE, "neither part of the loss falls to")


def test_equal_speed_is_not_faster():
    row = judged(run("base", (50,) * 5)).loc["learned_faster_than_main_task"]
    assert (row["value"], row["verdict"]) == (1, NOT_REPRODUCED)


def planes(ratios, column, **columns):
    """A table of both losses, whose quantity has these ratios at successive steps."""
    rows = [
        {"run": "base", **HERE, "task": FORCE, "step": step, "block": "ffn", "loss": loss, column: value, **columns}
        for step, ratio in zip(STEPS, ratios, strict=False)
        for loss, value in (("twirled", 3 * ratio), ("equivariance", 3.0))
    ]
    return pd.DataFrame(rows)


def test_landscapes_by_hand():
    def found(ratios):
        table = planes(ratios, "roughness", protocol="common", directions="twirled")
        fresh = planes([99.0] * 5, "roughness", protocol="fresh", directions="twirled")
        points = pd.concat([table, table, fresh, table.assign(run="other", roughness=1.0)])
        return judged(run("base"), analyses={("landscape", FORCE): points}).loc["smoother_landscape"]

    row = found([2.0, 8.0])
    assert [row["value"], row["low"], row["high"]] == pytest.approx([4, 2, 8])
    assert row["verdict"] == REPRODUCED
    assert found([0.5, 0.1])["verdict"] == NOT_REPRODUCED
    assert found([0.5, 2.0])["verdict"] == NOT_TESTABLE
    row = found([2.0])
    assert (row["value"], row["verdict"]) == (pytest.approx(2), NOT_TESTABLE)
    assert "there is no interval; 1 plane" in row["reason"]


def test_conditions_leave_out_what_is_equal_by_construction():
    name = "median_condition"
    head = planes([1.0, 1.0], name).assign(block="head")
    whole = planes([np.nan, np.nan], name).assign(block="all")
    table = pd.concat([planes([4.0, 9.0], name), head, whole])
    row = judged(run("base"), analyses={("hessian", FORCE): table}).loc["better_conditioned"]
    assert [row["value"], row["low"], row["high"]] == pytest.approx([6, 4, 9])
    assert "left out is head, where both are equal" in row["reason"]
    row = judged(run("base"), analyses={("hessian", FORCE): head}).loc["better_conditioned"]
    assert row["verdict"] == NOT_TESTABLE


def path(x, y, names=("deviation", "measured"), **columns):
    return pd.DataFrame({"run": "base", **HERE, "step": range(len(x)), names[0]: x, names[1]: y, **columns})


def test_correlations_are_those_of_the_analysis():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 100, 24)
    noisy = [x * np.exp(0.1 * rng.normal(size=24)), x * np.exp(rng.normal(size=24))]
    names, both = ("ratio", "percent"), {"parameter_group": "all"}
    table = pd.concat([path(x, noisy[0], names, **both), path(x, 1 / x, names, group="head")])
    row = judged(run("base"), analyses={("gradients", FORCE): table}).loc["tracks_gradient_norm_ratio"]
    found = log_correlation(x, noisy[0], resamples=200)
    ends = [found.pearson, found.pearson_low, found.pearson_high]
    assert [row["value"], row["low"], row["high"]] == pytest.approx(ends)
    assert row["verdict"] == REPRODUCED
    parts = [path(x, y, names, t=t, **both) for t, y in zip((0.2, 0.6), noisy, strict=True)]
    short = path(x[:5], x[:5], names, t=0.9, **both)
    table = pd.concat([*parts, short])
    row = judged(flow("base", (SHARE, SHARE)), analyses={("gradients", FLOW): table}).loc["tracks_gradient_norm_ratio"]
    each = [log_correlation(x, y, resamples=200).pearson for y in noisy]
    assert row["value"] == pytest.approx(np.tanh(np.mean(np.arctanh(each))))
    assert "by t: 0.2: " in row["reason"]
    assert "0.9: " not in row["reason"]
    row = judged(run("base"), analyses={("gradients", FORCE): short}).loc["tracks_gradient_norm_ratio"]
    assert (row["verdict"], row["reason"][:23]) == (NOT_TESTABLE, "fewer than 6 checkpoint")


def test_slopes_are_powers():
    x = np.geomspace(0.01, 1, 24)
    for power, correlates, quadratic in (
        (1, REPRODUCED, REPRODUCED),
        (2, REPRODUCED, NOT_REPRODUCED),
        (-1, NOT_REPRODUCED, NOT_REPRODUCED),
    ):
        table = judged(run("base"), analyses={("head", FORCE): path(x, 7 * x**power)})
        row = table.loc["quadratic_in_head_deviation"]
        assert [row["value"], row["low"], row["high"]] == pytest.approx([power] * 3)
        assert (table.loc["tracks_head_deviation", "verdict"], row["verdict"]) == (correlates, quadratic)


def test_intervals_of_slopes_hold():
    rng, held = np.random.default_rng(3), 0
    x = np.geomspace(0.01, 1, 30)
    for _ in range(40):
        table = judged(run("base"), analyses={("head", FORCE): path(x, x * np.exp(rng.normal(size=30)))})
        row = table.loc["quadratic_in_head_deviation"]
        held += row["low"] <= 1 <= row["high"]
    assert held / 40 > 0.85


def test_returns_by_hand():
    def found(share, steps=STEPS):
        n = len(steps)
        return judged(flow("base", (share[:n], share[:n]), (LOSS[:n], LOSS[:n]), (0.2, 0.6), steps=steps))

    table = found((10, 1, 5, 0.8, 3))
    assert table.loc["late_return", "value"] == pytest.approx(5)
    assert table.loc["ends_above_2_percent_late", "value"] == pytest.approx(3)
    assert set(table.loc[["late_return", "ends_above_2_percent_late"], "verdict"]) == {REPRODUCED}
    table = found((10, 1, 1.5, 0.8, 0.7))
    assert table.loc["late_return", "value"] == pytest.approx(1.5)
    assert set(table.loc[["late_return", "ends_above_2_percent_late"], "verdict"]) == {NOT_REPRODUCED}
    table = found((10, 1, 1.5, 0.8), STEPS[:4])
    assert set(table.loc[["late_return", "ends_above_2_percent_late"], "verdict"]) == {NOT_TESTABLE}
    assert "training ends at step 1,000" in table.loc["late_return", "reason"]
    assert "late_return" not in judged(run("base")).index


def test_penalty_by_hand():
    row = judged(run("base")).loc["loss_penalty_small"]
    assert row["value"] == pytest.approx(100 * 0.3 / 99.7)
    assert row["verdict"] == REPRODUCED
    row = judged(run("base", (50, 9, 8, 7, 6))).loc["loss_penalty_small"]
    assert row["value"] == pytest.approx(100 * 6 / 94)
    assert row["verdict"] == NOT_REPRODUCED


def test_wins_by_hand():
    base = run("base", (0, 0, 10, 10, 10), (1, 0.9, 0.5, 0.2, 0.1))
    control = run("control", (0,) * 5, (1, 0.8, 0.6, 0.3, 0.05), model="control-net")
    table = judged(base, control, flops={"base": 1e6, "control": 2e6})
    reference = 0.6 - 0.3 * np.log10(5)  # of the control at 1e9, between 2e8 and 2e9
    row = table.loc["wins_per_compute"]
    assert row["value"] == pytest.approx(0.2 / reference)
    assert "least at 1e9 FLOP, of 2e7 to 1e10" in row["reason"]
    assert table.loc["averaged_wins_per_compute", "value"] == pytest.approx(0.9 * 0.2 / reference)
    assert set(table.loc[["wins_per_compute", "averaged_wins_per_compute"], "verdict"]) == {REPRODUCED}
    better = run("control", (0,) * 5, (1, 0.4, 0.3, 0.1, 0.05), model="control-net")
    row = judged(base, better).loc["wins_per_compute"]
    assert row["value"] == pytest.approx(0.5 / 0.3)  # at equal steps
    assert row["verdict"] == NOT_REPRODUCED


def test_wins_need_a_control_that_learns_and_known_compute():
    base, name = run("base"), "wins_per_compute"
    control = run("control", (0,) * 5, (1, 0.8, 0.6, 0.3, 0.05), model="control-net")
    assert "no equivariant control" in judged(base).loc[name, "reason"]
    other = run("control", model="control-net", train_subset="100")
    assert "no equivariant control" in judged(base, other).loc[name, "reason"]
    silent = run("control", (0,) * 5, (9, 0.99, 0.99, 0.99, 0.99), model="control-net")
    assert "have a skill of at least 0.05" in judged(base, silent).loc[name, "reason"]
    tables = pd.concat([base[0], control[0]]), {"base": base[1], "control": control[1]}
    nothing = base[1][:0].assign(training_flops=0.0)
    table = judge(*tables, {}, nothing, {FORCE: choice(FORCE)}, resamples=20).set_index("claim")
    assert table.loc[name, "reason"] == "the training compute of run 'base' is not known"
    assert table.loc[name, "verdict"] == NOT_TESTABLE


def test_losses_of_flow_times_are_weighted_as_in_training():
    losses = (0.9, 0.9, 0.9, 0.8, 0.4), (0.2, 0.2, 0.2, 0.1, 0.05)
    other = (0.9, 0.9, 0.9, 0.4, 0.3), (0.2, 0.2, 0.2, 0.2, 0.1)
    base = flow("base", (SHARE, SHARE), losses, (0.0, 0.5))
    control = flow("control", ((0,) * 5, (0,) * 5), other, (0.0, 0.5), model="control-chain")
    ratios = [(a + 4 * b) / (c + 4 * d) for a, b, c, d in zip(*losses, *other, strict=True)]
    assert judged(base, control).loc["wins_per_compute", "value"] == pytest.approx(min(ratios[1:]))


def test_missing_tables_and_runs_are_named():
    table = judged(run("base"), baseline="bass")
    assert set(table["verdict"]) == {NOT_TESTABLE}
    assert "no run 'bass' was evaluated" in table.loc["loss_penalty_small", "reason"]
    assert table.loc["better_conditioned", "reason"] == "there is no hessian analysis of this task"
    table = judged(run("base"), weights="raw")
    assert "not evaluated with weights 'raw'" in table.loc["loss_penalty_small", "reason"]
    foreign = {("head", FORCE): path([1] * 8, [1] * 8).assign(run="other")}
    assert "no rows of run 'base'" in judged(run("base"), analyses=foreign).loc["tracks_head_deviation", "reason"]


def test_the_usual_estimate_is_taken():
    design, rows = run("base", task=VOXELS, comparison="trilinear")
    others = [
        rows.assign(equivariance=rows["total"], **{name: value})
        for name, value in (("weights", "raw"), ("estimator", "sampled"), ("comparison", "voxels"))
    ]
    expected = judged((design, rows))
    pd.testing.assert_frame_equal(judged((design, pd.concat([*others, rows]))), expected)
    assert expected.loc["falls_below_2_percent", "value"] == 100
    sampled = rows.assign(estimator="sampled")
    pd.testing.assert_frame_equal(judged((design, sampled)), expected)


def test_order_of_rows_does_not_matter():
    x = np.geomspace(1, 100, 24)
    y = x * np.exp(np.random.default_rng(0).normal(size=24))
    runs = [
        run("base", scatter=0.5),
        run("again", (50, 9, 8, 1, 1), seed=1, scatter=0.5),
        run("larger", model="larger", scatter=0.5),
        run("control", (0,) * 5, model="control-net", scatter=0.5),
    ]
    analyses = {
        ("head", FORCE): path(x, y),
        ("gradients", FORCE): path(x, y, ("ratio", "percent"), group="all"),
        ("hessian", FORCE): planes([4.0, 9.0], "median_condition"),
        ("landscape", FORCE): planes([4.0, 9.0], "roughness", protocol="common", directions="twirled"),
    }

    def shuffled(table):
        return table.sample(frac=1, random_state=5)

    mixed = [(design, shuffled(rows)) for design, rows in reversed(runs)]
    expected = judged(*runs, analyses=analyses)
    found = judged(*mixed, analyses={key: shuffled(table) for key, table in analyses.items()})
    numbers = ["value", "low", "high"]
    np.testing.assert_allclose(found[numbers].astype(float), expected[numbers].astype(float), rtol=1e-9)
    pd.testing.assert_frame_equal(found[["verdict", "figure"]], expected[["verdict", "figure"]])
    assert (expected["verdict"] == REPRODUCED).sum() > 8


def test_intervals_hold_the_truth():
    """For 20 clusters from a population, the penalty's 95 % intervals hold its value in nine of ten cases."""
    rng, held, trials = np.random.default_rng(7), 0, 60
    design, _ = run("base")
    for _ in range(trials):
        weight = rng.integers(1, 10, 20).astype(float)
        equivariance = weight * np.exp(0.7 * rng.normal(size=20))  # mean e^0.245 per weight
        total = equivariance + 50 * weight * rng.exponential(size=20)
        rows = pd.DataFrame(
            {"run": "base", **HERE, "step": 0, "cluster": range(20), "weight": weight, "total": total,
             "equivariance": equivariance, "prediction_energy": 1.0, "null_energy": 1e4}
        )  # fmt: skip
        row = judged((design, rows), resamples=300).loc["loss_penalty_small"]
        assert row["low"] < row["value"] < row["high"]
        held += row["low"] <= 100 * np.exp(0.245) / 50 <= row["high"]
    assert held / trials >= 0.9


def test_one_cluster_has_no_interval():
    design, rows = run("base")
    row = judged((design, rows[rows["cluster"] == 0])).loc["loss_penalty_small"]
    assert row["verdict"] == NOT_TESTABLE
    assert "1 cluster gives no interval" in row["reason"]


def test_refuses_tables_that_do_not_fit():
    base, (design, rows) = run("base"), run("larger", model="larger")
    with pytest.raises(ValueError, match="'larger' was evaluated on other clusters than 'base'"):
        judged(base, (design, rows[rows["cluster"] > 0]))
    with pytest.raises(ValueError, match="'larger' must have one row for each flow time, step and cluster"):
        judged(base, (design, pd.concat([rows, rows])))
    with pytest.raises(ValueError, match="'larger' must have one row"):
        judged(base, (design, rows[1:]))
    with pytest.raises(ValueError, match="'larger' was evaluated at other flow times than 'base'"):
        judged(flow("base", (SHARE, SHARE)), flow("larger", (SHARE, SHARE), times=(0.0, 0.7), model="larger"))


def test_every_claim_has_a_row_with_a_figure():
    base = flow("base", (SHARE, SHARE))
    table = judged(base, analyses={("head", FLOW): path([1.0] * 8, [1.0] * 8)}).reset_index()
    assert list(table) == list(COLUMNS)
    assert list(table["claim"]) == list(CLAIMS)
    for task in task_cards():
        for claim in CLAIMS.values():
            if claim.tasks in ((), (task,)):
                assert claim.figures[task == FLOW] in [*figures_for(task), "loss_against_compute"]
    assert set(table["figure"].str.split("/").str[0]) == {FLOW}
    assert (table["published"] != "").sum() >= 6
