"""Verdicts of the published study derived anew from its tables, by code that shares nothing with the package."""

import numpy as np
import pandas as pd
import pytest
from project import ROOT

TABLES = ROOT / "results/cpu/tables"
RESAMPLES = 400


@pytest.fixture(scope="module")
def claims():
    return pd.read_parquet(TABLES / "claims.parquet").query("weights == 'ema'").set_index(["claim", "task"])


def sums(run, resamples=RESAMPLES):
    """Steps, times, and sums (S, T, N) of a run in the data and in resamples of its clusters."""
    rows = pd.read_parquet(TABLES / f"clusters/{run}.parquet")
    rows = rows[rows["comparison"] != "voxels"]
    rows = rows[rows["comparison"] != "atoms"].assign(t=rows.get("t", pd.Series(0.0, rows.index)).fillna(0.0))
    keys = [np.unique(rows[name]) for name in ("t", "step", "cluster")]
    rows = rows.sort_values(["t", "step", "cluster"])
    count = len(keys[2])
    drawn = np.random.default_rng(11).multinomial(count, np.full(count, 1 / count), resamples)
    counts = np.vstack([np.ones(count), drawn])
    names = ("total", "equivariance", "prediction_energy", "null_energy", "weight")
    cube = {name: rows[name].to_numpy(dtype=float).reshape(*map(len, keys)) @ counts.T for name in names}
    return keys[1], keys[0], {name: np.moveaxis(values, -1, 0) for name, values in cube.items()}


def first(reached, steps):
    return np.where(reached.any(-1), steps[reached.argmax(-1)], np.inf)


def share(s):
    return 100 * s["equivariance"] / s["total"]


def skill(s):
    return 1 - s["total"] / s["null_energy"]


def progress(s):
    best = s["total"].min(-1, keepdims=True)
    return (s["null_energy"] - s["total"]) / (s["null_energy"] - best)


def learning(s):
    return skill(s)[0].max(-1) >= 0.05


def ends(values):
    return np.quantile(values[1:], [0.025, 0.975])


def check(row, verdict, seeds=1):
    """That a row has this verdict if it has seeds enough to decide, and is not testable otherwise."""
    assert row["ends"] == ("interval" if seeds >= 3 else "interval of too few seeds")
    assert row["verdict"] == (verdict if seeds >= 3 else "not testable at this scale")


def falls(run, useful=False):
    """Last step of a fall over flow times, in the data and in resamples."""
    steps, _, s = sums(run)
    reached, times = share(s) <= 2, np.ones(s["total"].shape[1], dtype=bool)
    if useful:
        reached &= (s["equivariance"] <= 0.02 * s["prediction_energy"]) & (progress(s) >= 0.5)
        times = learning(s)
    return first(reached, steps)[:, times].max(-1)


SEEDS = ("default", "default-seed1", "default-seed2")


@pytest.mark.parametrize(
    ("claim", "task", "runs", "useful"),
    [
        ("falls_below_2_percent", "force_field", SEEDS, False),
        ("falls_below_2_percent", "flow_matching", ("chains",), False),
        ("falls_below_2_percent", "voxel_denoising", ("grids",), False),
        ("falls_with_skill", "force_field", SEEDS, True),
        ("falls_with_skill", "flow_matching", ("chains",), True),
    ],
)
def test_falls(claims, claim, task, runs, useful):
    found = [falls(run, useful) for run in runs]
    row = claims.loc[(claim, task)]
    assert row["value"] == np.median([each[0] for each in found])
    highest = max(ends(each)[1] for each in found)
    assert highest <= 10_000
    check(row, "reproduced", len(runs))
    assert row["high"] <= highest * 1.34  # one evaluation apart at most


@pytest.mark.parametrize(("task", "run"), [("flow_matching", "chains"), ("voxel_denoising", "grids")])
def test_what_is_left_at_half(claims, task, run):
    _, _, s = sums(run)
    twirled, at = s["total"] - s["equivariance"], (progress(s) >= 0.5).argmax(-1)[..., None]
    left = np.take_along_axis(twirled - twirled.min(-1, keepdims=True), at, -1)[..., 0]
    ratio = (left / np.take_along_axis(s["equivariance"], at, -1)[..., 0])[:, learning(s)].min(-1)
    row = claims.loc[("learned_faster", task)]
    assert row["value"] == pytest.approx(ratio[0])
    assert ends(ratio)[0] > 1
    check(row, "reproduced")


@pytest.mark.parametrize(("task", "run"), [("flow_matching", "chains"), ("voxel_denoising", "grids")])
def test_penalties(claims, task, run):
    _, _, s = sums(run)
    since = np.maximum.accumulate(skill(s) >= 0.05, axis=-1)
    most = np.where(since, s["equivariance"] / (s["total"] - s["equivariance"]), 0).max(-1)[:, learning(s)].max(-1)
    row = claims.loc[("penalty_small_throughout", task)]
    assert row["value"] == pytest.approx(100 * most[0])
    assert 100 * ends(most)[1] < 25
    check(row, "reproduced")


def test_what_comes_back_late(claims):
    _, times, s = sums("chains")
    low = np.minimum.accumulate(share(s), axis=-1)
    back = np.exp(np.log((share(s) / low).max(-1)[:, times >= 0.4]).mean(-1))
    row = claims.loc[("late_return", "flow_matching")]
    assert row["value"] == pytest.approx(back[0])
    assert ends(back)[1] < 2
    check(row, "not reproduced")
    row = claims.loc[("ends_above_2_percent_late", "flow_matching")]
    assert row["value"] == pytest.approx(share(s)[0, times >= 0.6, -1].min())
    assert row["high"] == np.inf  # 10,000 steps are too few to refute it


def test_silence(claims):
    for task, run in (("flow_matching", "chains"), ("voxel_denoising", "grids")):
        _, _, s = sums(run)
        at = (share(s) <= 2).argmax(-1)[..., None]
        before, there = (
            np.maximum(np.take_along_axis(skill(s), i, -1)[..., 0][:, learning(s)].max(-1), 0) for i in (at - 1, at)
        )
        row = claims.loc[("silent_at_first", task)]
        assert row["value"] == pytest.approx(there[0])
        if task == "flow_matching":
            assert ends(there)[1] < 0.05
            check(row, "reproduced")
        else:  # somewhere between two evaluations
            assert ends(before)[0] < 0.05 < ends(there)[1]
            assert row["verdict"].startswith("not testable")


def test_a_ratio_at_the_largest_common_budget(claims):
    costs = pd.read_parquet(TABLES / "costs.parquet").set_index("run")
    paths = {}
    for run in ("grids", "grids-control"):
        steps, _, s = sums(run, 0)
        best = np.minimum.accumulate((s["total"] / s["weight"])[0, 0])
        paths[run] = np.log(steps[1:] * costs.loc[run, "step_flops"]), np.log(best[1:])
    budget = min(x[-1] for x, _ in paths.values())
    ours, theirs = (np.interp(budget, *paths[run]) for run in paths)
    row = claims.loc[("wins_per_flop", "voxel_denoising")]
    assert row["value"] == pytest.approx(np.exp(ours - theirs))
    check(row, "not reproduced")


def test_a_correlation_of_one_seed(claims):
    rows = pd.read_parquet(TABLES / "gradients/force_field.parquet").query("parameter_group == 'all'")
    logs = np.log(rows[["ratio_plugin", "percent"]].to_numpy(dtype=float).T)
    row = claims.loc[("tracks_gradient_norm_ratio", "force_field")]
    assert row["value"] == pytest.approx(np.corrcoef(logs)[0, 1])
    assert row["verdict"].startswith("not testable")
    rows = pd.read_parquet(TABLES / "hessian/force_field.parquet").query("block != 'direction.linear'")
    tops = rows.pivot(index=["step", "block"], columns="loss", values="largest")
    ratio = np.exp(np.log(tops["twirled"] / tops["equivariance"]).mean())
    assert claims.loc[("smoother", "force_field"), "value"] == pytest.approx(ratio)


def test_no_verdict_hangs_on_a_setting(claims):
    decided = claims[~claims["verdict"].str.startswith("not testable")]
    assert len(decided) > 5
    assert decided["sensitivity"].str.startswith("the same under").all()
