"""Costs are those of plans, and losses have theirs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from equidyn.core.rooms import cards
from equidyn.models.costs import work
from equidyn.study.costs import MEASURED, losses_by_compute, spent, with_measured, with_timings
from equidyn.study.planning import plan, run_costs
from equidyn.study.reading import read_study

ROOT = Path(__file__).parents[2]
COSTS = pd.DataFrame({"run": ["a", "b"], "seed": [5, 6], "step_flops": [10.0, 3.0], "prediction_flops": [2.0, 1.0]})
EVALUATION = pd.DataFrame({"run": ["b", "a", "a"], "seed": [1, 0, 0], "step": [7, 0, 100], "total": [3.0, 2.0, 1.0]})
THROUGHPUT = {
    "seconds": 12.5, "seconds_per_step": 0.125, "peak_host_bytes": 10**9, "device": "cpu", "devices": 1, "threads": 2,
    "compiled": False, "torch": "2.13.0+cpu",
}  # fmt: skip


@pytest.fixture
def study(monkeypatch):
    monkeypatch.chdir(ROOT)
    return read_study(["config/config.yaml"], cards("equidyn.analysis"))


class TestTimings:
    COSTS = COSTS.assign(task="voxels", model=["small", "large"], batch_size=4)
    TIMINGS = pd.DataFrame({"name": ["a", "b"], "seconds_per_step": [0.1, 0.3], "least": [0.08, 0.2], "most": 0.4})

    def test_runs_of_one_network_and_batch_share_them(self):
        costs = pd.concat(
            [self.COSTS, self.COSTS.tail(1).assign(run="c"), self.COSTS.tail(1).assign(run="d", batch_size=8)]
        )
        found = with_timings(costs, self.TIMINGS).set_index("run")
        assert list(found["timed_seconds_per_step"].round(9).fillna(-1)) == [0.1, 0.3, 0.3, -1]
        assert list(found.loc["c", ["timed_least", "timed_most"]]) == [0.2, 0.4]

    def test_losses_have_the_seconds_spent(self):
        assert list(losses_by_compute(EVALUATION, with_timings(self.COSTS, self.TIMINGS))["training_seconds"]) == [
            pytest.approx(2.1), 0, pytest.approx(10),
        ]  # fmt: skip
        assert losses_by_compute(EVALUATION, self.COSTS)["training_seconds"].isna().all()

    def test_of_one_run_or_of_many(self):
        costs = with_timings(self.COSTS, self.TIMINGS)
        assert list(spent(costs, "b", [0, 10], "s")) == pytest.approx([0, 3])
        assert list(spent(costs, "b", [0, 10], "FLOP")) == [0, 30]
        assert list(spent(costs, ["b", "a"], [1, 1], "FLOP")) == [3, 10]
        assert np.isnan(spent(costs, "c", [1], "FLOP")).all()
        assert np.isnan(spent(self.COSTS, "a", [1], "s")).all()


class TestRunCosts:
    def test_rows_are_the_runs(self, study):
        config, runs = study
        found = pd.DataFrame(run_costs(config, runs))
        assert list(found["run"]) == list(runs)
        assert set(found["study"]) == {"mini"}
        for name in ("task", "model", "train_subset", "batch_size", "steps", "optimiser", "lr", "augmentation", "seed"):
            assert list(found[name]) == [row[name] for row in runs.values()]
        assert found.set_index("run").loc["voxels", "parameters"] == 262_860

    def test_all_steps_are_what_is_planned(self, study):
        config, runs = study
        found = pd.DataFrame(run_costs(config, runs))
        assert list(found["steps"] * found["step_flops"]) == [plan(config, row, {}).operations for row in runs.values()]

    def test_a_step_goes_there_and_back_for_the_whole_batch(self, study):
        config, runs = study
        grid = work("voxmol-0.3M", 24)
        row = run_costs(config, {"voxels": runs["voxels"]})[0]
        assert row["step_flops"] == pytest.approx(4 * (grid.forward + grid.backward))
        assert row["prediction_flops"] == pytest.approx(grid.forward)

    def test_self_conditioning_is_half_a_pass_in_training_and_none_in_prediction(self, study):
        config, runs = study
        config["data"]["flow_matching"] |= {"min_length": 70, "max_length": 70}
        chain = work("proteina-0.5M", 70)
        row = run_costs(config, {"proteins": runs["proteins"]})[0]
        assert row["step_flops"] == pytest.approx(4 * (1.5 * chain.forward + chain.backward))
        assert row["prediction_flops"] == pytest.approx(chain.forward)


class TestMeasured:
    def test_is_beside_the_costs(self):
        found = with_measured(COSTS, {"b": THROUGHPUT | {"seconds": 7.0}, "a": THROUGHPUT, "c": {}})
        pd.testing.assert_frame_equal(found[COSTS.columns], COSTS)
        assert list(found.columns) == [*COSTS.columns, *MEASURED]
        assert list(found["seconds"]) == [12.5, 7.0]
        assert list(found["torch"]) == ["2.13.0+cpu"] * 2

    @pytest.mark.parametrize(
        ("measured", "message"),
        [
            ({"a": THROUGHPUT}, "run 'b': no measured seconds, seconds_per_step, .* finished training"),
            ({"a": {k: v for k, v in THROUGHPUT.items() if k != "devices"}, "b": THROUGHPUT}, "'a': no .* devices;"),
        ],
    )
    def test_must_be_complete(self, measured, message):
        with pytest.raises(ValueError, match=message):
            with_measured(COSTS, measured)


class TestLosses:
    def test_cost_steps_times_a_step(self):
        found = losses_by_compute(EVALUATION, COSTS)
        pd.testing.assert_frame_equal(found[EVALUATION.columns], EVALUATION)  # the seed is the evaluation's
        assert list(found["training_flops"]) == [21.0, 0.0, 1000.0]
        assert list(found["prediction_flops"]) == [1.0, 2.0, 2.0]

    def test_every_run_has_one_cost(self):
        with pytest.raises(ValueError, match=r"no costs of run\(s\) b: take both tables from the same study"):
            losses_by_compute(EVALUATION, COSTS[:1])
        with pytest.raises(ValueError, match="many-to-one"):
            losses_by_compute(EVALUATION, pd.concat([COSTS, COSTS[:1]]))


def test_torch_is_not_imported():
    modules = "equidyn.study.costs, equidyn.figures.families.compute.draw, equidyn.study.manifest"
    check = f"import sys, {modules}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
