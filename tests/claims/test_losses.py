"""Statistics of losses are those known by hand."""

import numpy as np
import pytest
from claim_tables import LOSS, SHARE, STEPS, flow, found, run

from equidyn.claims.definitions import CLAIMS
from equidyn.claims.evidence import Untestable
from equidyn.claims.verdicts import NOT_REPRODUCED, verdict

HIGH = (50.0, 9.0, *[6.0] * 9)


def test_a_fall_lies_between_two_evaluations():
    fall = found("falls_below_2_percent", run("base", scatter=0.1))
    assert (fall.value, fall.low, fall.high) == (100, pytest.approx(10, rel=1e-12), 100)
    assert fall.low > 10


def test_what_never_falls_is_refuted_by_long_and_dense_evaluation_alone():
    fall = found("falls_below_2_percent", run("base", HIGH, dense=True))
    assert (fall.value, fall.low, fall.high) == (np.inf, pytest.approx(15_000), np.inf)
    fall = found("falls_below_2_percent", run("base", HIGH[:5], LOSS[:5], steps=STEPS[:5], dense=True))
    assert (fall.low, fall.high) == (pytest.approx(1500), np.inf)
    some = [0, 1, 2, 3, 6, 9, 10]
    seldom = [np.array(values)[some] for values in (HIGH, LOSS, STEPS)]
    fall = found("falls_below_2_percent", run("base", *seldom[:2], steps=seldom[2]))
    assert (fall.low, fall.high) == (0, np.inf)


def test_what_rare_evaluations_can_have_missed_is_not_refuted():
    """No fall is seen until step 15,000, or none, but nobody looked in between, or soon."""
    for share, kept in (([6.0] * 10 + [1.0], [0, 1, 2, 3, 9, 10]), (HIGH, [0, 1, *range(4, 11)])):
        seldom = [np.array(values)[kept] for values in (share, LOSS, STEPS)]
        assert found("falls_below_2_percent", run("base", *seldom[:2], steps=seldom[2], dense=True)).low == 0
    assert found("falls_below_2_percent", run("base", HIGH)).low == 0
    late = found("falls_below_2_percent", run("base", [6.0] * 10 + [1.0], dense=True))
    assert (late.low, late.high) == (pytest.approx(10_000), 15_000)


def test_nothing_lasts_that_the_next_evaluation_refutes():
    """A network that starts as zero has no equivariance error."""
    assert found("falls_to_stay", run("base", (0.0, 50.0, *SHARE[2:]))).value == 100
    assert found("falls_to_stay", run("base", (50.0, 1.0, 9.0, *SHARE[3:]))).value == 1000


def test_a_fall_that_does_not_last_is_passed_over():
    share = list(SHARE)
    share[STEPS.index(1500)] = 3.0
    assert found("falls_below_2_percent", run("base", share)).value == 100
    fall = found("falls_to_stay", run("base", share))  # however long it lasted before
    assert (fall.value, fall.low) == (2250, pytest.approx(1500))
    late = (50.0,) * 9 + (1.0,) * 2
    fall = found("falls_to_stay", run("base", late, dense=True))  # at 10,000, but 20,000 is not seen
    assert (fall.value, fall.low) == (np.inf, pytest.approx(7500))


def test_what_is_large_at_the_end_stays_small_later_or_never():
    fall = found("falls_to_stay", run("base", (*SHARE[:-1], 6.0)))
    assert (fall.value, fall.low) == (np.inf, pytest.approx(15_000))
    assert verdict(CLAIMS["falls_to_stay"].expected, fall.low, fall.high, fall.kind)[0] == NOT_REPRODUCED


def test_skill_is_that_of_the_run_itself():
    fall = found("falls_with_skill", run("base"))
    assert fall.value == 1000  # loss 0.4, between 1 and 0.1
    poor = [max(loss, 0.79) for loss in LOSS]
    poor[2] = 0.89
    assert found("falls_with_skill", run("base", loss=poor)).value == 100  # more than half of the way to 0.79
    assert found("falls_with_skill", run("base"), run("other", loss=poor, model="larger")).value == 1000
    with pytest.raises(Untestable, match=r"too little is learned: the best skill is 0\.19, not 0\.2"):
        found("falls_with_skill", run("base", loss=[max(loss, 0.81) for loss in LOSS]))


def test_a_network_that_predicts_little_needs_a_small_relative_error():
    energy = [1e-4] * 5 + [1.0] * 6
    assert found("falls_with_skill", run("base", energy=energy)).value == 2250


def test_the_slowest_flow_time_counts_if_anything_is_learned_there():
    little, left = (0.82,) * 11, "left out, as the best skill is below 0.2: t = 0"
    base = flow("base", ((50, 9, 8, *[1] * 8), SHARE), (little, LOSS))
    fall = found("falls_below_2_percent", base)
    assert fall.value == 1000
    assert "by t: 0: 1,000, 0.6: 100" in fall.notes
    never = flow("base", (HIGH, SHARE), (little, LOSS))
    for claim, value in (("falls_with_skill", 1000), ("equivariant_before_skilled", 0.1), ("silent_at_first", 0.1)):
        fall = found(claim, never)
        assert fall.value == pytest.approx(value)
        assert left in fall.notes
    larger = flow("larger", (HIGH, SHARE), ((0.7,) * 11, LOSS), model="larger")
    assert f"{left} of base" in found("robust_with_skill", never, larger).notes


@pytest.mark.parametrize(
    ("claim", "column", "value"),
    [
        ("robust_to_model_size", "model", "larger"),
        ("robust_to_data_size", "train_subset", "100"),
        ("robust_to_optimiser", "lr", 1.0),
    ],
)
def test_the_slowest_of_several_runs_counts(claim, column, value):
    base = run("base")
    others = {"model": "larger", "train_subset": "100", "lr": 1.0}
    del others[column]
    unlike = [run(f"other-{name}", **{name: other}) for name, other in others.items()]
    unlike += [run("control", model="control-net"), run("shorter", SHARE[:9], LOSS[:9], steps=STEPS[:9])]
    with pytest.raises(Untestable, match="no run differs from 'base'"):
        found(claim, base, *unlike)
    fall = found(claim, base, run("slow", (50, 9, 8, *[1] * 8), **{column: value}))
    assert fall.value == 1000
    assert "by run: base 100, slow 1,000" in fall.notes
    alone = "of one seed, so that ends hold no spread over seeds of it: "
    assert f"{alone}slow" in fall.notes
    again = [run(f"other{seed}", seed=seed, **{column: value}) for seed in range(2)]
    assert not any(note.startswith(alone) for note in found(claim, base, *again).notes)
    assert found(claim, base, run("never", HIGH, **{column: value})).value == np.inf


def test_what_is_left_at_half():
    """The loss comes to half of the way, 0.55, between steps 100 and 1,000."""
    faster, best = found("learned_faster", run("base")), LOSS[-1] * (1 - 0.003)
    before, there = ((loss * (1 - part) - best) / (loss * part) for loss, part in ((0.9, 0.015), (0.4, 0.005)))
    assert (faster.low, faster.value, faster.high) == pytest.approx((before, there, there))
    for upper, lower in ((0.6, 0.5), (0.8, 0.3)):  # midway between these, at steps 1,000 and 1,500
        faster = found("learned_faster", run("base", loss=(2.0, 1.0, 0.9, upper, lower, *LOSS[5:])))
        pairs = (upper, 0.005), (lower, 0.003)
        ends = before, there = [(loss * (1 - part) - best) / (loss * part) for loss, part in pairs]
        if upper - lower < 0.2:
            assert [faster.value, faster.low, faster.high] == pytest.approx([np.sqrt(before * there)] * 3)
        else:  # too much is learned in between
            assert [faster.value, faster.low, faster.high] == pytest.approx([there, min(ends), max(ends)])
    with pytest.raises(Untestable, match="no evaluation lies between half and all of what is learned"):
        found("learned_faster", run("base", SHARE[1:4], LOSS[1:4], steps=STEPS[1:4]))


def test_the_penalty_counts_from_the_first_skill_on():
    share = (50.0, 40.0, 30.0, 5.0, *[0.3] * 7)
    loss = (2.0, 1.0, 0.96, *LOSS[3:])  # a skill of 0.04 at step 100
    assert found("penalty_small_throughout", run("base", share, loss)).value == pytest.approx(100 * 5 / 95)
    assert found("penalty_small_throughout", run("base", share)).value == pytest.approx(100 * 30 / 70)


def test_silence():
    base = run("base", loss=(2, 1.1, 0.98, *LOSS[3:]))
    assert found("silent_at_first", base).value == pytest.approx(0.02)
    between = found("silent_at_first", run("base", (50, 9, 6, *[0.3] * 8), (2, 1.1, 0.98, *LOSS[3:])))
    assert (between.low, between.high) == pytest.approx((0.02, 0.6))  # at steps 100 and 1,000
    dense = found("silent_at_first", run("base", (50, 9, 6, 4, *[0.0] * 7)))  # midway between skills of 0.6 and 0.7
    assert [dense.value, dense.low, dense.high] == pytest.approx([np.sqrt(0.6 * 0.7)] * 3)
    with pytest.raises(Untestable, match="does not fall to 2 %"):
        found("silent_at_first", run("base", HIGH))
    error = found("equivariant_at_skill_0.5", run("base", energy=0.5))  # between steps 100 and 1,000
    ends = 0.4 * 0.005 / 0.5, 0.9 * 0.015 / 0.5
    assert (error.value, error.low, error.high) == pytest.approx((ends[0], *ends))
    # Losses of 0.6 and 0.4 at steps 1,000 and 1,500, and the skill between.
    dense = found("equivariant_at_skill_0.5", run("base", loss=(2.0, 1.0, 1.0, 0.6, 0.4, *LOSS[5:]), energy=0.5))
    assert dense.value == pytest.approx(np.sqrt(0.6 * 0.005 / 0.5 * 0.4 * 0.003 / 0.5))
    assert dense.low == pytest.approx(dense.value)
    with pytest.raises(Untestable, match=r"does not surely reach a skill of 0\.5: its best is 0\.4"):
        found("equivariant_at_skill_0.5", run("base", loss=[max(loss, 0.6) for loss in LOSS]))
    with pytest.raises(Untestable, match=r"does not surely reach a skill of 0\.5: its best is 0\.501"):
        found("equivariant_at_skill_0.5", run("base", loss=[max(loss, 0.499) for loss in LOSS], scatter=0.3))


def test_the_order_of_two_falls():
    order = found("equivariant_before_skilled", run("base"))  # steps 100 and 1,000
    assert (order.value, order.low, order.high) == pytest.approx((100 / 1000, 10 / 1000, 100 / 100))
    order = found("equivariant_before_skilled", run("base", energy=[1e-4] * 6 + [1.0] * 5))  # steps 3,300 and 1,000
    assert (order.value, order.low) == pytest.approx((3300 / 1000, 2250 / 1000))
    order = found("equivariant_before_skilled", run("base", energy=[1e-4] * 11, dense=True))
    assert (order.value, order.low, order.high) == (np.inf, pytest.approx(7500 / 1000), np.inf)


def test_returns():
    def late(name, share, steps=STEPS):
        n = len(steps)
        return found(name, flow("base", (share[:n], share[:n]), (LOSS[:n], LOSS[:n]), (0.2, 0.6), steps=steps))

    share = (10, 1, 5, 0.8, 3, *[2.5] * 6)
    back = late("late_return", share)  # from 0.8 at the first skill to a mean of 2.5 from step 4,743 on
    assert [back.value, back.low, back.high] == pytest.approx([2.5 / 0.8] * 3)
    end = late("ends_above_2_percent_late", share)
    assert (end.value, end.high) == (pytest.approx(2.5), np.inf)
    assert "before 100,000" in end.notes[1]
    back = late("late_return", (10, 1, 1.5, 0.8, *[0.7] * 7), STEPS[:8])
    assert (back.value, back.high) == (pytest.approx(1), np.inf)
    assert late("ends_above_2_percent_late", (50, 40), STEPS[:2]).low == 0
    scatter = 10.0 ** (0.25 * np.random.default_rng(1).normal(size=40))  # of single evaluations, sevenfold
    steps = tuple(np.geomspace(10, 20_000, 40).astype(int))
    losses = (np.full(40, 0.9), np.full(40, 0.1))
    assert (scatter / np.minimum.accumulate(scatter)).max() > 7
    flat = found("late_return", flow("base", (scatter, scatter), losses, (0.2, 0.6), steps=steps))
    assert flat.value < 2
    assert late("late_return", (0, 10, 1, 0.5, *[2.5] * 7)).value == pytest.approx(5)
    longer = (*STEPS[:-1], 100_000)
    assert late("ends_above_2_percent_late", (*share[:-1], 0.7), longer).high == pytest.approx(0.7)
