"""Statistics of analyses are those known by hand."""

import numpy as np
import pandas as pd
import pytest
from claim_tables import FLOW, FORCE, HERE, SHARE, STEPS, flow, found, run

from equidyn.claims.evidence import RANGE, Untestable

SEEDS = ("base", "one", "two")


def seeds():
    """Three replicates."""
    return [run(name, seed=i) for i, name in enumerate(SEEDS)]


def path(x, y, names, name="base", **columns):
    return pd.DataFrame({"run": name, **HERE, "step": range(len(x)), names[0]: x, names[1]: y, **columns})


def test_correlations_of_each_seed_make_an_interval():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 100, 24)
    noisy = {name: x * np.exp(0.5 * rng.normal(size=24)) for name in SEEDS}
    noisy["base"][3] = -1
    names = ("deviation", "measured")
    table = pd.concat([path(x, y, names, name) for name, y in noisy.items()])
    row = found("tracks_head_deviation", *seeds(), analyses={("head", FORCE): table})
    z = [np.arctanh(np.corrcoef(np.log(x[y > 0]), np.log(y[y > 0]))[0, 1]) for y in noisy.values()]
    reach = 4.302653 * np.std(z, ddof=1) / np.sqrt(3)
    ends = np.tanh([np.mean(z), np.mean(z) - reach, np.mean(z) + reach])
    assert [row.value, row.low, row.high] == pytest.approx(ends)
    assert "71 of 72 checkpoints have a logarithm of both" in row.notes
    some = table[table["run"] != "one"]
    row = found("tracks_head_deviation", *seeds(), analyses={("head", FORCE): some})
    assert "without one, of which the analysis has no such numbers" in row.notes
    row = found("tracks_head_deviation", run("base"), analyses={("head", FORCE): table})
    assert (row.value, row.kind) == (pytest.approx(np.tanh(z[0])), RANGE)


def test_flow_times_are_averaged_on_fishers_scale():
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 100, 24)
    names, both = ("ratio", "percent"), {"parameter_group": "all", "ratio_plugin": x[0]}
    noisy = [x * np.exp(scatter * rng.normal(size=24)) for scatter in (0.1, 1.0)]
    parts = [path(x, y, names, t=t, **both) for t, y in zip((0.2, 0.6), noisy, strict=True)]
    few = path(x[:5], x[:5], names, t=0.9, **both)
    other = path(x, 1 / x, names, t=0.2, parameter_group="head", ratio_plugin=1.0)
    base = flow("base", (SHARE, SHARE))
    analyses = {("gradients", FLOW): pd.concat([*parts, few, other])}
    row = found("tracks_unbiased_gradient_norm_ratio", base, analyses=analyses)
    each = [np.corrcoef(np.log(x), np.log(y))[0, 1] for y in noisy]
    assert row.value == pytest.approx(np.tanh(np.mean(np.arctanh(each))))
    assert row.notes[-2].startswith("by t: 0.2: ")
    assert "0.9:" not in row.notes[-2]
    assert row.notes[-1].endswith("one does not change: t = 0.9")
    seeds = [flow(name, (SHARE, SHARE), seed=seed) for seed, name in enumerate(("base", "one"))]
    other = path(x, noisy[1], names, "one", t=0.6, **both)
    row = found(
        "tracks_unbiased_gradient_norm_ratio", *seeds, analyses={("gradients", FLOW): pd.concat([*parts, other])}
    )
    assert row.value == pytest.approx(each[1])  # at the time that both seeds have
    assert row.notes[-1].endswith("one does not change: t = 0.2")
    with pytest.raises(Untestable, match="fewer than 6 checkpoints have both quantities, or one does not change"):
        found("tracks_gradient_norm_ratio", base, analyses=analyses)  # the plug-in ratio does not change


def planes(column, ratios, name="base", **columns):
    """A table of both losses, whose quantity has these ratios at successive steps."""
    sampled = {"estimator": "sampled"}
    rows = [
        {
            "run": name,
            **HERE,
            "step": step,
            "block": "ffn",
            "loss": loss,
            column: value,
            "largest": value,
            **sampled,
            **columns,
        }
        for step, ratio in zip(STEPS, ratios, strict=False)
        for loss, value in (("twirled", 3 * ratio), ("equivariance", 3.0))
    ]
    return pd.DataFrame(rows)


def test_landscapes_by_protocol():
    common = planes("roughness", [2.0, 8.0], protocol="common", directions="twirled", converged=True)
    fresh = planes("roughness", [9.0, 9.0], protocol="fresh", directions="twirled")
    analyses = {("landscape", FORCE): pd.concat([common, common, fresh])}
    row = found("smoother_landscape", run("base"), analyses=analyses)
    assert (row.value, row.kind) == (pytest.approx(4), RANGE)
    assert "planes of the first seed: 2, 8" in row.notes
    other = planes("roughness", [3.0, 3.0], "again", protocol="common", directions="twirled", converged=True)
    row = found(
        "smoother_landscape",
        run("base"),
        run("again", seed=1),
        analyses={("landscape", FORCE): pd.concat([other, common])},
    )
    assert "planes of the first seed: 2, 8" in row.notes
    assert found("smoother_landscape_as_published", run("base"), analyses=analyses).value == pytest.approx(9)
    analyses = {("landscape", FORCE): pd.concat([common.assign(converged=False), fresh.assign(converged=False)])}
    for unknown in (False, None, np.nan):
        analyses = {("landscape", FORCE): pd.concat([common.assign(converged=unknown), fresh])}
        with pytest.raises(Untestable, match="not all landscapes are known to have converged"):
            found("smoother_landscape", run("base"), analyses=analyses)
    assert found("smoother_landscape_as_published", run("base"), analyses=analyses).value == pytest.approx(9)


def hessian(largest, smallest, values, **columns):
    """Rows of both losses: their largest and smallest eigenvalue (NaN if negative), and all eigenvalues."""
    spectra = [{"eigenvalue": np.array(each), "weight": np.ones(len(each)), "probe": np.full(len(each), -1)}
               for each in values]  # fmt: skip
    rows = [
        {"run": "base", **HERE, "step": 0, "block": "ffn", "loss": loss, "largest": top, "condition": top / low,
         "rotations": 0, "skill": 0.5, "largest_change": 0.0, "mean_condition_change": 0.0, **spectrum, **columns}
        for loss, top, low, spectrum in zip(("twirled", "equivariance"), largest, smallest, spectra, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_hessians_by_three_statistics():
    table = hessian((8.0, 2.0), (0.1, 0.5), ([-4.0, 0.0, 8.0], [1.0, 1.0, 2.0]))
    same = hessian((5.0, 5.0), (1.0, 2.0), ([1.0, 5.0], [2.0, 5.0]), block="head")
    analyses = {("hessian", FORCE): pd.concat([table, same])}
    expected = {
        "smoother": 8 / 2,
        "better_conditioned": (8 / 4) / (2 / (4 / 3)),
        "better_conditioned_by_smallest": (8 / 0.1) / (2 / 0.5),
    }
    for claim, value in expected.items():
        row = found(claim, run("base"), analyses=analyses)
        assert row.value == pytest.approx(value)
        assert "left out is head, where both are equal by the form of the network" in row.notes
    with pytest.raises(Untestable, match="no Hessian of both losses is known"):
        found("smoother", run("base"), analyses={("hessian", FORCE): same})
    saddle = {("hessian", FORCE): table.assign(condition=[80.0, np.nan])}
    with pytest.raises(Untestable, match="no Hessian of both losses is known"):
        found("better_conditioned_by_smallest", run("base"), analyses=saddle)


def test_densities_are_means_with_weights():
    table = hessian((8.0, 2.0), (0.1, 0.5), ([8.0, -4.0], [2.0, 1.0]))
    table["weight"] = [np.array([1.0, 9.0])] * 2
    row = found("better_conditioned", run("base"), analyses={("hessian", FORCE): table})
    assert row.value == pytest.approx((8 / ((8 + 36) / 10)) / (2 / ((2 + 9) / 10)))


def test_hessians_need_rotations_and_convergence():
    table = hessian((8.0, 2.0), (0.1, 0.5), ([1.0], [1.0])).assign(estimator="sampled", rotations=2)
    with pytest.raises(Untestable, match="estimated with 2 rotations, which is too few: take 24"):
        found("smoother", run("base"), analyses={("hessian", FORCE): table})
    table = table.assign(rotations=24)
    assert found("smoother", run("base"), analyses={("hessian", FORCE): table}).value == pytest.approx(4)
    for change in (0.2, np.nan):
        table["largest_change"] = [0.0, change]
        with pytest.raises(
            Untestable, match=r"not all Hessians of both losses are known to have converged.*, but 0 of 1"
        ):
            found("smoother", run("base"), analyses={("hessian", FORCE): table})


def test_hessians_of_networks_that_predict_nothing_do_not_count():
    useful, useless = (
        hessian((top, 2.0), (0.1, 0.5), ([1.0], [1.0]), step=step, skill=skill)
        for step, top, skill in ((10, 8.0, 0.5), (1, 80.0, 0.01))
    )
    analyses = {("hessian", FORCE): pd.concat([useful, useless])}
    assert found("smoother", run("base"), analyses=analyses).value == pytest.approx(4)
    with pytest.raises(Untestable, match="no Hessian is of a network that predicts anything"):
        found("smoother", run("base"), analyses={("hessian", FORCE): useless})


def test_a_hessian_that_has_not_converged_is_left_out_where_it_counts():
    good = hessian((8.0, 2.0), (0.1, 0.5), ([-4.0, 0.0, 8.0], [1.0, 1.0, 2.0]), estimator="sampled", rotations=24)
    bad = good.assign(step=10, largest=[100.0, 2.0], mean_condition_change=[0.5, 0.0])
    analyses = {("hessian", FORCE): pd.concat([good, good.assign(step=5), bad])}
    assert found("smoother", run("base"), analyses=analyses).value == pytest.approx((4 * 4 * 50) ** (1 / 3))
    row = found("better_conditioned", run("base"), analyses=analyses)
    assert row.value == pytest.approx((8 / 4) / (2 / (4 / 3)))
    assert "2 of 3 Hessians of both losses have it" in row.notes
    with pytest.raises(Untestable, match="but 1 of 2"):
        found("better_conditioned", run("base"), analyses={("hessian", FORCE): pd.concat([good, bad])})
