"""Evidence from tables: the right rows, and intervals that hold seeds and clusters."""

import numpy as np
import pandas as pd
import pytest
from claim_tables import FORCE, HERE, LOSS, SHARE, STEPS, VOXELS, flow, found, run, tables

from equidyn.claims.analyses import FISHER, LOGARITHM
from equidyn.claims.evidence import RANGE, Bounds, Settings, Untestable


def test_seeds_are_a_level_of_the_interval():
    late = (50, 9, 8, *[1] * 8)
    fall = found("falls_below_2_percent", run("base"), run("again", late, seed=1), run("third", seed=2))
    assert (fall.value, fall.low, fall.high) == (100, pytest.approx(10), 1000)
    assert fall.notes[0] == "3 seeds"
    assert "one seed" in found("falls_below_2_percent", run("base")).notes[0]
    shares = [(50.0, 9, *[each] * 9) for each in (1.0, 2.0, 4.0)]
    penalty = [found("penalty_small_throughout", run("base", share)) for share in shares]
    seeds = [run(f"seed{i}" if i else "base", share, seed=i) for i, share in enumerate(shares)]
    together = found("penalty_small_throughout", *seeds)
    logs = np.log([each.value for each in penalty])
    assert together.value == pytest.approx(np.exp(logs.mean()))
    reach = 4.302653 * logs.std(ddof=1) / np.sqrt(3)  # Student's, of three
    assert together.low == pytest.approx(np.exp(logs.mean() - reach))


def test_shorter_schedules_are_no_seeds():
    shorter = run("shorter", SHARE[:9], LOSS[:9], steps=STEPS[:9], seed=1)
    assert tables(run("base"), shorter, run("again", seed=2)).replicates == ["base", "again"]


def penalties(weight, total, equivariance, **options):
    """The penalty of a single step, from sums over clusters."""
    design, _ = run("base", (1.0,), (1.0,), steps=(1,))
    clusters = {
        "run": "base", **HERE, "step": 1, "cluster": range(len(weight)), "weight": weight, "total": total,
        "equivariance": equivariance, "prediction_energy": 1.0, "null_energy": 1e4,
    }  # fmt: skip
    return found("penalty_small_throughout", (design, pd.DataFrame(clusters)), resamples=300, **options)


def test_intervals_hold_the_truth():
    """For 20 clusters from a population, 95 % intervals hold the penalty in nine of ten cases."""
    rng, held, trials = np.random.default_rng(7), 0, 60
    for _ in range(trials):
        weight = rng.integers(1, 10, 20).astype(float)
        equivariance = weight * np.exp(0.7 * rng.normal(size=20))  # mean e^0.245 per weight
        total = equivariance + 50 * weight * rng.exponential(size=20)
        row = penalties(weight, total, equivariance)
        assert row.low < row.value < row.high
        held += row.low <= 100 * np.exp(0.245) / 50 <= row.high
    assert held / trials >= 0.9


def test_the_cluster_that_moves_a_number_most_is_named():
    equivariance = np.array([1.0, 1.0, 5.0, 1.0])
    row = penalties(np.ones(4), 100 + equivariance, equivariance)
    assert row.value == pytest.approx(2)
    assert row.notes[-1] == "one of 4 clusters, 2, moves it most when it is left out, from 2 to 1"


def test_one_cluster_has_no_interval():
    row = penalties(np.ones(1), np.ones(1), np.full(1, 0.01))
    assert np.isnan([row.low, row.high]).all()
    assert "1 cluster gives no interval" in row.notes


def test_bounds_of_what_was_not_reached_stay_bounds():
    evidence = tables(run("base"))
    count = 1 + 12 + 200
    row = evidence.combined([Bounds(np.full(count, 5.0), np.full(count, np.inf))])
    assert (row.value, row.low, row.high) == (np.inf, 5, np.inf)
    row = evidence.combined([Bounds.exact(np.linspace(-1, 1, count))])  # not all positive: on the plain scale
    assert row.low < -0.8


def test_few_seeds_have_a_range():
    evidence = tables(run("base"))
    row = evidence.over_seeds([0.5], FISHER)
    assert (row.value, row.kind) == (pytest.approx(0.5), RANGE)
    assert np.isnan(row.low)
    row = evidence.over_seeds([2.0, 8.0], LOGARITHM)
    assert (row.value, row.low, row.high, row.kind) == (pytest.approx(4), 2, 8, RANGE)
    row = evidence.over_seeds([0.6, 0.7, 0.8, 0.75], FISHER)
    z = np.arctanh([0.6, 0.7, 0.8, 0.75])
    assert row.high == pytest.approx(np.tanh(z.mean() + 3.182446 * z.std(ddof=1) / 2))


def test_both_ways_to_average_shares():
    evidence = tables(run("base", scatter=1.0))
    sums = evidence.clusters["base"].query("step == 100")
    curves, means = evidence.curves("base"), evidence.under(Settings(ratios=True)).curves("base")
    at = STEPS.index(100)
    assert curves.percent[0, 0, at] == pytest.approx(100 * sums["equivariance"].sum() / sums["total"].sum())
    assert means.percent[0, 0, at] == pytest.approx(100 * (sums["equivariance"] / sums["total"]).mean())
    assert means.total is curves.total or np.array_equal(means.total, curves.total)


def test_another_number_of_the_bootstrap_draws_anew():
    evidence = tables(run("base", scatter=1.0))
    other = evidence.under(Settings(seed=1))
    assert np.array_equal(evidence.counts[:13], other.counts[:13])
    assert not np.array_equal(evidence.counts[13:], other.counts[13:])


def test_missing_rows_are_named():
    with pytest.raises(Untestable, match="no run 'bass' was evaluated"):
        found("penalty_small_throughout", run("base"), baseline="bass")
    with pytest.raises(Untestable, match="run 'base' was not evaluated with ema weights"):
        found("penalty_small_throughout", run("base"), weights="ema")
    with pytest.raises(Untestable, match="there is no hessian analysis"):
        found("better_conditioned", run("base"))
    foreign = pd.DataFrame({"run": ["other"], **HERE, "step": 0})
    with pytest.raises(Untestable, match="no rows of run 'base' with raw weights, but raw"):
        found("tracks_head_deviation", run("base"), analyses={("head", FORCE): foreign})


def test_a_task_without_null_loss_is_judged_of_the_rest():
    (design, rows), control = run("base"), run("control", (0,) * 11, model="control-net")
    base = design, rows.assign(null_energy=np.nan)
    for claim in ("falls_with_skill", "learned_faster", "silent_at_first", "equivariant_at_skill_0.5", "wins_per_flop"):
        with pytest.raises(Untestable, match="the null loss is not known"):
            found(claim, base, control)
    assert found("penalty_small_throughout", base).value == pytest.approx(100 * 1.5 / 98.5)


@pytest.mark.parametrize(
    ("name", "claim", "word"),
    [
        ("null_energy", "learned_faster", "null loss"),
        ("prediction_energy", "equivariant_at_skill_0.5", "predictions' energy"),
        ("equivariance", "learned_faster", "equivariance error"),
    ],
)
def test_a_sum_that_one_cluster_lacks_is_not_known(name, claim, word):
    design, rows = run("base")
    rows.loc[rows["cluster"] == 3, name] = np.nan
    with pytest.raises(Untestable, match=f"the {word} is not known"):
        found(claim, (design, rows))


def test_other_weights_may_have_been_evaluated_at_other_steps():
    runs = []
    for name, loss, options in (("base", 1, {}), ("control", 1.25, {"model": "control-net"})):
        design, rows = run(name, SHARE, [loss * each for each in LOSS], **options)
        raw, ema = rows[rows["step"] != STEPS[4]], rows[rows["step"] != STEPS[-1]].assign(weights="ema")
        runs.append((design, pd.concat([raw, ema])))
    alone, evidence = tables(*runs, weights="ema"), tables(*runs)
    evidence.trainings("FLOP")
    after = evidence.of(alone.choice).trainings("FLOP").ours[0]
    assert after.costs.tolist() == alone.trainings("FLOP").ours[0].costs.tolist()
    assert after.costs[-1] == 1e6 * STEPS[-2]


def test_what_competes_follows_the_settings():
    """Also where it competes under another comparison than the one that is judged."""
    design, rows = run("base", task=VOXELS, comparison="trilinear", scatter=0.3)
    other = rows.assign(comparison="voxels", group="cube")
    pairs = {"pairs": (("so3", "trilinear"), ("cube", "voxels")), "exact": ("cube", "voxels")}
    evidence = tables(
        (design, pd.concat([rows.assign(group="so3"), other])), group="so3", comparison="trilinear", **pairs
    )
    percent = [
        each.trainings("FLOP").ours[0].curves.percent[0, 0, 2]
        for each in (evidence, evidence.under(Settings(ratios=True)))
    ]
    assert percent[0] != percent[1]


def test_the_usual_estimate_is_taken():
    design, rows = run("base", task=VOXELS, comparison="trilinear")
    others = [
        rows.assign(equivariance=rows["total"], **{name: value})
        for name, value in (("weights", "ema"), ("estimator", "sampled"), ("comparison", "voxels"))
    ]
    expected = found("falls_below_2_percent", (design, rows))
    assert found("falls_below_2_percent", (design, pd.concat([*others, rows]))) == expected
    assert found("falls_below_2_percent", (design, rows.assign(estimator="sampled"))) == expected


def test_refuses_tables_that_do_not_fit():
    base, (design, rows) = run("base"), run("larger", model="larger")
    claim = "robust_to_model_size"
    with pytest.raises(ValueError, match="'larger' was evaluated on other clusters than 'base'"):
        found(claim, base, (design, rows[rows["cluster"] > 0]))
    with pytest.raises(ValueError, match="'larger' must have one row for each flow time, step and cluster"):
        found(claim, base, (design, pd.concat([rows, rows])))
    with pytest.raises(ValueError, match="'larger' must have one row"):
        found(claim, base, (design, rows[1:]))
    other = flow("larger", (SHARE, SHARE), times=(0.0, 0.7), model="larger")
    with pytest.raises(ValueError, match="'larger' was evaluated at other flow times than 'base'"):
        found(claim, flow("base", (SHARE, SHARE)), other)
