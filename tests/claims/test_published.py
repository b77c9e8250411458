"""What the authors have published passes the ranges of the claims that they make."""

import numpy as np
import pandas as pd
import pytest
from project import ROOT

from equidyn.analysis.authors import published_curves, published_landscapes
from equidyn.analysis.pilot import pilot_curves
from equidyn.claims.definitions import CLAIMS, PAPER, judged_of_published
from equidyn.claims.evidence import EXAMPLES
from equidyn.claims.published import Pilot, Published
from equidyn.claims.verdicts import NOT_TESTABLE, REPRODUCED
from equidyn.study.choice import MODEL_SIZE, OPTIMISER, TRAIN_SIZE
from equidyn.tasks.registry import task_cards

VOXMOL = ROOT / "results/cpu/tables/published_tables.parquet"


@pytest.fixture(scope="module")
def evidence():
    curves = pd.concat([published_curves(), pd.read_parquet(VOXMOL)])
    return {task: Published(task, curves, published_landscapes()) for task in task_cards()}


def test_every_claim_of_the_paper_passes_or_is_listed(evidence):
    for task, published in evidence.items():
        for name, (found, decision, reason) in judged_of_published(published).items():
            claim = CLAIMS[name]
            unshown = claim.unshown.get(task, claim.unshown.get("", ""))
            if claim.by == PAPER:
                assert decision == (NOT_TESTABLE if unshown else REPRODUCED), (task, name, found, reason)
            if unshown:
                assert decision == NOT_TESTABLE, (task, name, found)  # nothing that can be shown is excused


def test_falls_are_those_of_the_figures(evidence):
    def fall(task, *sizes):
        claim = {(): "falls_below_2_percent", MODEL_SIZE: "robust_to_model_size", TRAIN_SIZE: "robust_to_data_size",
                 OPTIMISER: "robust_to_optimiser"}[sizes]  # fmt: skip
        return CLAIMS[claim].find(evidence[task])

    forces = fall("force_field")  # read as 1,680 to 1,900 by the unbinned points
    assert (1_600, 2_000) <= (forces.low, forces.high) <= (1_900, 2_100)
    assert fall("flow_matching").high == 1_139
    voxels = fall("voxel_denoising")
    assert (voxels.value, voxels.low) == (6_561, pytest.approx(5_832))
    assert fall("force_field", *OPTIMISER).value == pytest.approx(2_850, rel=0.01)  # SGD
    assert fall("flow_matching", *TRAIN_SIZE).value == 2_425
    assert "50 % not seen" in fall("voxel_denoising", *TRAIN_SIZE).notes[0]


def test_numbers_of_the_figures_come_out(evidence):
    flow = evidence["flow_matching"]
    assert CLAIMS["ends_above_2_percent_late"].find(flow).value == pytest.approx(3.21, rel=0.01)
    assert CLAIMS["penalty_small_throughout"].find(flow).value == pytest.approx(100 * 18.0 / 82.0, rel=0.02)
    assert CLAIMS["late_return"].find(flow).value == pytest.approx(8.89, rel=0.01)
    roughness = CLAIMS["smoother_landscape_as_published"].find
    assert roughness(evidence["force_field"]).value == pytest.approx(19.1, rel=0.01)
    assert roughness(flow).value == pytest.approx(24.1, rel=0.01)
    curves = evidence["force_field"].curves("replicate 1")
    assert curves.null == pytest.approx(1.03, abs=0.02)  # of predicting nothing
    first = curves.percent[0, 0, 0]
    assert first == pytest.approx(20.15, rel=0.02)


def test_curves_between_their_points_are_straight_in_logarithms(evidence):
    curves = evidence["force_field"].curves("replicate 1")
    table = published_curves().query("figure == 'escaip-default-losscurves' and quantity == 'total'")
    known = np.isin(curves.steps, table["step"])
    assert known.sum() > 80
    expected = np.interp(np.log(curves.steps), np.log(table["step"]), np.log(table["value"]))
    np.testing.assert_allclose(curves.total[0, 0], np.exp(expected), rtol=1e-12)


def test_what_steps_count_and_which_seeds_are_not_published_is_said(evidence):
    for task, published in evidence.items():
        _, _, reason = judged_of_published(published)["falls_below_2_percent"]
        assert reason.endswith("published steps are rows of a log, as the paper counts them, and not updates of the "
                               "optimiser") == (task == "flow_matching")  # fmt: skip
    faster = CLAIMS["learned_faster"].find(evidence["force_field"])
    assert "what it needs is not published of replicate 2, replicate 3" in faster.notes


def test_what_is_not_read_is_said():
    published = Published("voxel_denoising", published_curves(), published_landscapes())
    found, decision, reason = judged_of_published(published)["falls_below_2_percent"]
    assert np.isnan(found.value)
    assert (decision, reason) == (NOT_TESTABLE, "the study has not read the authors' curves voxmol-vary-data")
    own = Published("my_task", published_curves(), published_landscapes())
    assert judged_of_published(own)["falls_below_2_percent"][2] == "the authors have no such task"


@pytest.fixture(scope="module")
def pilot():
    """What is found in the pilot run, by weights."""
    return {weights: judged_of_published(Pilot("force_field", pilot_curves(), weights)) for weights in ("raw", "ema")}


def test_one_pilot_run_decides_nothing(pilot):
    for weights, judged in pilot.items():
        for name, (found, decision, reason) in judged.items():
            assert decision == NOT_TESTABLE, (weights, name)
            if not np.isnan(found.value):
                assert found.kind == EXAMPLES
                assert reason.endswith("is an interval of too few seeds")
    lacks = {name: reason for name, (found, _, reason) in pilot["raw"].items() if np.isnan(found.value)}
    assert lacks["robust_to_optimiser"] == "no run differs from 'pilot-escaip-6M' in optimiser alone"
    assert lacks["tracks_head_deviation"] == "no head analysis of the pilot run was made"  # none as printed by authors
    assert lacks["wins_per_flop"] == "no losses of equivariant networks against FLOP are published"


@pytest.mark.parametrize(
    ("weights", "name", "value", "low", "high"),
    [
        ("raw", "falls_below_2_percent", 75, 56, 75),
        ("ema", "falls_below_2_percent", 1000, 750, 1000),
        ("raw", "falls_with_skill", 1778, 1334, 1778),
        ("ema", "falls_with_skill", 3162, 2371, 3162),
        ("raw", "silent_at_first", 0, 0, 0),
        ("raw", "equivariant_at_skill_0.5", 0.00167, 0.00143, 0.00192),
        ("raw", "equivariant_before_skilled", 0.75, 0.562, 1),
        ("ema", "equivariant_before_skilled", np.inf, 0.562, np.inf),
        ("ema", "falls_to_stay", 1000, 750, 1000),
        ("ema", "penalty_small_throughout", 0.335, 0.284, 0.394),
    ],
)
def test_statistics_of_the_pilot_run(pilot, weights, name, value, low, high):
    found = pilot[weights][name][0]
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), rel=0.01, abs=1e-4)


def test_the_pilot_curves_agree_with_themselves():
    for weights, decay in (("raw", None), ("ema", 0.999)):
        curves = Pilot("force_field", pilot_curves(), weights).curves("pilot-escaip-6M")
        table = pd.read_csv(ROOT / "src/equidyn/data/published/pilot/escaip-6M.csv").query("weights == @weights")
        assert set(table["decay"].dropna()) == ({decay} if decay else set())
        for name in ("total", "equivariance", "twirled", "skill"):
            np.testing.assert_allclose(getattr(curves, name)[0, 0], table[name], rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(curves.relative[0, 0], table["relative_equivariance"], rtol=1e-6)
        np.testing.assert_array_equal(curves.percent[:, 0].T, table[["percent", "percent_low", "percent_high"]])
