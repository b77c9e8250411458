"""Losses at equal cost are those of the best that was trained in full."""

import numpy as np
import pytest
from claim_tables import LOSS, SHARE, STEPS, flow, found, run, tables

from equidyn.claims import budgets
from equidyn.claims.evidence import EXAMPLES, INTERVAL, Untestable


def cut(name, steps, **options):
    """A training of a schedule of its own."""
    return run(name, SHARE[: steps + 1], LOSS[: steps + 1], steps=STEPS[: steps + 1], **options)


def test_schedules_that_fall_are_compared_at_their_ends():
    control = {"model": "control-net"}
    runs = [
        run("base"),
        cut("short", 3),
        run("control", (0,) * 11, [1.25 * x for x in LOSS], **control),
        cut("short-control", 4, **control),
    ]
    ratio = found("wins_per_flop", *runs)
    assert (ratio.value, ratio.kind) == (pytest.approx(0.1 / 0.125), EXAMPLES)
    assert "ratio by budget in FLOP: 1.5e9: " in ratio.notes[1]
    assert "base and control, whose longest trainings reach 1.5e10 and 1.5e10" in ratio.notes[2]
    assert found("averaged_wins_per_flop", *runs).value == pytest.approx(0.8 * 0.997)
    # Schedules of the baseline end at 1e9 and 1.5e10, the largest common budget is 1.5e9.
    ratio = found("wins_per_flop", *runs, flops={"control": 1e5, "short-control": 1e5})
    between = 0.4 * (0.1 / 0.4) ** (np.log(1.5) / np.log(15))
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((between / 0.125, 0.1 / 0.125, 0.4 / 0.125))
    assert "ratio by budget in FLOP: 1e9: 1.33 to 3.2, 1.5e9: 0.8 to 3.2" in ratio.notes
    assert "compared: short and control, whose longest trainings reach 1.5e10 and 1.5e9" in ratio.notes
    with pytest.raises(Untestable, match=r"base has no whole schedule within 1\.5e8 FLOP, the largest common budget"):
        found("wins_per_flop", runs[0], runs[2], flops={"control": 1e4})


def test_between_schedules_of_nearly_equal_cost_losses_are_straight_in_logarithms():
    """The control's schedules end at 1e10 and 1.5e10 FLOP, the baseline's at 1.25e10."""
    runs = [run("base"), run("control", (0,) * 11, (*LOSS[:-1], 0.05), model="control-net")]
    ratio = found("wins_per_flop", *runs, cut("short", 9, model="control-net"), flops={"base": 1.25e10 / 15_000})
    part = np.log(1.25) / np.log(1.5)
    assert [ratio.value, ratio.low, ratio.high] == pytest.approx([2**part] * 3)


@pytest.mark.parametrize("anneals", [True, False])
def test_controls_of_equal_cost_compete(anneals):
    base, control = run("base"), run("control", (0,) * 11, LOSS, model="control-net")
    expected = found("wins_per_flop", base, control, anneals=anneals).value
    for factor, lr, best in ((1.5, 1.0, 1), (0.8, 1.0, 0.8), (0.8, 1e-9, 0.8), (1.5, 1e-9, 1)):
        other = run("other", (0,) * 11, [factor * x for x in LOSS], model="control-net", lr=lr)
        ratio = found("wins_per_flop", base, control, other, anneals=anneals)
        assert ratio.value == pytest.approx(expected / best)
        assert f"base and {'other' if best < 1 else 'control'}, whose longest trainings" in ratio.notes[2]


def test_a_win_needs_three_seeds():
    runs = [run(f"{model}{seed}", model=model, seed=seed) for model in ("net", "control-net") for seed in range(3)]
    assert found("wins_per_flop", *runs, baseline="net0").kind == INTERVAL


def test_every_seed_must_predict_something():
    pairs = [run(f"{model}{seed}", model=model, seed=seed) for model in ("net", "control-net") for seed in range(2)]
    silent = run("control-net1", (0,) * 11, [0.97] * 11, model="control-net", seed=1)
    with pytest.raises(Untestable, match=r"at 1\.5e10 FLOP control-net1 predicts nothing"):
        found("wins_per_flop", *pairs[:3], silent, baseline="net0")


def test_constant_rates_are_compared_all_along():
    runs = run("base"), run("control", (0,) * 11, LOSS, model="control-net")
    ratio = found("wins_per_flop", *runs, flops={"control": 1e5}, anneals=False)
    assert ratio.value == pytest.approx(0.3 / 0.1)  # the control ends where the baseline is at step 1,500


def test_seconds_are_of_steps_timed_in_turns():
    runs = run("base"), run("control", (0,) * 11, LOSS, model="control-net")
    with pytest.raises(Untestable, match="what a step of run 'base' costs in s is not known"):
        found("wins_per_second", *runs)
    with pytest.raises(Untestable, match="what a step of run 'control' costs in s is not known"):
        found("wins_per_second", *runs, seconds={"base": 0.1})
    seconds = {"base": 1.0, "control": 0.1}
    assert found("wins_per_second", *runs, seconds=seconds, anneals=False).value == pytest.approx(3)


def test_the_strongest_opponent_counts_and_none_is_said():
    base = run("base")
    weak, strong = (
        run(name, (0,) * 11, [factor * x for x in LOSS], model=name)
        for name, factor in (("control-weak", 2), ("control-strong", 0.5))
    )
    assert found("wins_per_flop", base, weak, strong).value == pytest.approx(2)
    for design in ({"train_subset": "100"}, {"batch_size": 4}, {"augmentation": 1.0}, {"optimiser": "sgd"}):
        odd = run("odd", (0,) * 11, LOSS[-1:] * 11, model="control-odd", **design)
        with pytest.raises(Untestable, match="no equivariant network was trained like 'base', but for its learning"):
            found("wins_per_flop", base, odd)
        assert found("wins_per_flop", base, weak, strong, odd).value == pytest.approx(2)
    silent = run("control", (0,) * 11, [0.97] * 11, model="control-net")
    with pytest.raises(Untestable, match="control predicts nothing"):
        found("wins_per_flop", base, silent)


def test_an_opponent_without_timing_or_seed_is_left_out_alone():
    base = run("base")
    weak, strong = (
        run(name, (0,) * 11, [factor * x for x in LOSS], model=f"{name}-net", lr=lr, seed=seed)
        for name, factor, lr, seed in (("control", 2, 0.5, 0), ("control-strong", 0.5, 1e-3, 7))
    )
    seconds = {"base": 1.0, "control": 1.0}
    ratio = found("wins_per_second", base, weak, strong, seconds=seconds)
    assert ratio.value == pytest.approx(0.5)
    lack = "control-strong-net is not compared: what a step of run 'control-strong' costs in s is not known"
    assert lack in ratio.notes
    ratio = found("wins_per_flop", base, weak, strong)
    assert "control-strong-net is not compared: it was trained with no seed of 'base'" in ratio.notes


def test_an_opponent_that_ends_early_leaves_the_budget_to_others():
    base, control = run("base"), run("control", (0,) * 11, [0.9 * x for x in LOSS], model="control-net")
    short = run("short", (0,) * 5, [0.8 * x for x in LOSS[:5]], steps=STEPS[:5], model="control-short")
    several = [found("wins_per_flop", base, *others, anneals=False).value for others in ([control], [control, short])]
    assert several == [pytest.approx(1 / 0.9)] * 2


def test_losses_of_flow_times_are_weighted_as_in_training():
    ours, theirs = ([[factor * x for x in LOSS] for factor in factors] for factors in ((8, 1), (4, 3)))
    base = flow("base", (SHARE, SHARE), ours, (0.0, 0.5))
    control = flow("control", (SHARE, SHARE), theirs, (0.0, 0.5), model="control-chain")
    ratio = budgets.wins(tables(base, control), averaged=False, unit="FLOP")
    assert ratio.value == pytest.approx((8 + 4 * 1) / (4 + 4 * 3))
