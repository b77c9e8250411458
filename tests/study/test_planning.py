"""Plans: what is made of a network's costs, and what jobs ask for."""

import math
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.data.card import Typical
from equidyn.models.costs import work
from equidyn.run.distributed import World
from equidyn.run.loader import portions
from equidyn.run.protocol import KEPT_GB
from equidyn.study import planning
from equidyn.study.plan_report import report
from equidyn.study.planning import (
    accelerator,
    analysis_gb,
    batch_size,
    evaluation_gb,
    plan,
    resources,
    training_gb,
)
from equidyn.study.reading import merge, read_study

ROOT = Path(__file__).parents[2]
ANALYSES = cards("equidyn.analysis")
CLUSTER = {
    "accelerator": {
        "name": "X1",
        "memory_gb": 40,
        "bandwidth": 1e9,
        "tflops": {"fp64": 6.25, "fp32": 100, "tf32": 100, "bf16": 200},
        "utilisation": 0.25,
    },
    "max_runtime": 600,
}


@pytest.fixture
def study(monkeypatch):
    """The default study, on a CPU."""
    monkeypatch.chdir(ROOT)
    return read_study(["config/config.yaml"], ANALYSES)


@pytest.fixture
def config(study):
    """The default study on a cluster."""
    return study[0] | {"cluster": deepcopy(CLUSTER)}


def row_of(model, task, **changes):
    row = {"name": "run", "task": task, "model": model, "train_subset": "all", "batch_size": 8, "steps": 1000}
    return row | {"optimiser": "adamw", "lr": 1e-3, "augmentation": 1.0, "seed": 0} | changes


ATOMS = row_of("escaip-6M", "force_field", batch_size=64)
CHAINS = row_of("proteina-400M-tri", "flow_matching")
GRIDS = row_of("voxmol-111M", "voxel_denoising")
SIDE = 24  # of the default study's grids


class TestTraining:
    """Operations, time and memory of training."""

    def test_operations_of_grids_are_those_of_the_network(self, config):
        grid = work("voxmol-111M", SIDE)
        found = plan(config, GRIDS | {"batch_size": 64}, ANALYSES)
        assert found.operations == 1000 * 64 * (grid.forward + grid.backward)
        assert found.hours == pytest.approx(found.operations / (100e12 * 0.25) / 3600)

    def test_autocast_is_faster_where_the_task_has_it(self, config):
        config["training"]["voxel_denoising"]["precision"] = "bf16"
        found = plan(config, GRIDS | {"batch_size": 128}, ANALYSES)
        assert found.hours == pytest.approx(found.operations / (200e12 * 0.25) / 3600)

    def test_self_conditioning_is_half_a_forward_pass(self, config):
        config["data"]["flow_matching"] |= {"min_length": 70, "max_length": 70}
        chain = work("proteina-400M-tri", 70)
        assert plan(config, CHAINS, ANALYSES).operations == pytest.approx(
            1000 * 8 * (1.5 * chain.forward + chain.backward)
        )

    def test_chains_cost_more_together_as_they_are_padded(self, config):
        alone, together = (plan(config, CHAINS | {"batch_size": size}, ANALYSES).operations / size for size in (1, 32))
        shortest, longest = (work("proteina-400M-tri", length) for length in (51, 80))
        assert 1000 * 1.5 * shortest.forward < alone < together < 1000 * (1.5 * longest.forward + longest.backward)

    def test_mean_over_lengths_of_one_chain(self, config):
        data = config["data"]["flow_matching"]
        lengths = range(data["min_length"], data["max_length"] + 1)
        costs = [1.5 * one.forward + one.backward for one in (work("proteina-400M-tri", length) for length in lengths)]
        found = plan(config, CHAINS | {"batch_size": 1, "steps": 1}, ANALYSES).operations
        assert found == pytest.approx(sum(costs) / len(costs), rel=2e-3)

    def test_a_small_step_takes_the_time_of_its_launch(self, config):
        row = row_of("escaip-tiny", "force_field")
        launch = planning.LAUNCH * work("escaip-tiny", 17.5).pieces
        assert plan(config, row, ANALYSES).hours == pytest.approx(1000 * launch / 3600)

    def test_a_large_step_takes_the_time_of_its_traffic(self, config):
        config["cluster"]["accelerator"] |= {"bandwidth": 0.01, "utilisation": 1}
        kept = 64 * 4 * work("escaip-6M", 17.5).kept
        assert plan(config, ATOMS, ANALYSES).hours == pytest.approx(
            1000 * planning.TRAFFIC * kept / 1e10 / 3600, rel=0.01
        )

    @pytest.mark.parametrize(
        ("compile", "steps", "gpu", "compiles"),
        [("auto", 4999, True, False), ("auto", 5000, True, True), ("auto", 5000, False, False), (True, 9, False, True),
         (False, 5000, True, False)],
    )  # fmt: skip
    def test_compiling_takes_time_once_and_saves_launches(self, config, compile, steps, gpu, compiles):
        config["training"] |= {"compile": compile, "device": "cuda" if gpu else "cpu"}
        row, pieces = row_of("escaip-1M", "force_field", steps=steps, batch_size=1), work("escaip-1M", 17.5).pieces
        launch = planning.LAUNCH if gpu else planning.CORE.launch
        found = 3600 * plan(config, row, ANALYSES).hours
        if compiles:
            least = planning.COMPILING * pieces + steps * planning.COMPILED * launch * pieces
            assert found >= least * (1 - 1e-9)
            assert not gpu or found < steps * launch * pieces
        elif gpu:
            assert found == pytest.approx(steps * launch * pieces)

    @pytest.mark.parametrize(
        ("devices", "microbatch", "portions", "portion", "rounds"),
        [(1, None, 1, 10, 1), (4, None, 4, 3, 1), (1, 4, 3, 4, 3), (2, 4, 3, 4, 2), (16, None, 10, 1, 1)],
    )
    def test_batches_are_cut_and_shared_out(self, config, devices, microbatch, portions, portion, rounds):
        config["training"]["devices"] = devices
        if microbatch:
            config["training"]["voxel_denoising"]["microbatch"] = microbatch
        found, grid = plan(config, GRIDS | {"batch_size": 10}, ANALYSES), work("voxmol-111M", SIDE)
        assert (found.portions, found.portion, found.devices) == (portions, portion, devices)
        launch = planning.LAUNCH * grid.pieces
        seconds = 1000 * rounds * max(portion * (grid.forward + grid.backward) / 25e12, launch)
        assert found.hours * 3600 == pytest.approx(seconds)
        assert found.device_hours == pytest.approx(devices * found.hours)

    def test_devices_by_model(self, config):
        config["training"]["devices"] = {"voxmol-111M": 4}
        assert plan(config, GRIDS, ANALYSES).devices == 4
        assert plan(config, CHAINS, ANALYSES).devices == 1

    @pytest.mark.parametrize(("optimiser", "bytes_each"), [("adamw", 20), ("adam", 20), ("sgd", 12)])
    def test_memory_is_that_of_weights_and_activations(self, config, optimiser, bytes_each):
        kept = 4 * planning.SLACK * 8 * work("voxmol-111M", SIDE).kept
        weights = bytes_each * 111_520_424
        found = plan(config, GRIDS | {"optimiser": optimiser}, ANALYSES).memory_gb
        assert found == pytest.approx(planning.RESERVE_GB + 1e-9 * (weights + kept))

    def test_memory_is_for_the_longest_chains(self, config):
        kept = 4 * planning.SLACK * 8 * work("proteina-400M-tri", 80).kept
        assert plan(config, CHAINS, ANALYSES).memory_gb == pytest.approx(1.5 + 1e-9 * (20 * 397_545_472 + kept))

    def test_many_molecules_are_average_ones_together(self, config):
        def activations(count):
            return training_gb(config, ATOMS, count) - planning.RESERVE_GB - 20e-9 * 6_137_222

        largest, average = (4e-9 * planning.SLACK * work("escaip-6M", atoms).kept for atoms in (40, 17.5))
        assert activations(1) == pytest.approx(largest)
        assert average < activations(10_000) / 10_000 < 1.03 * average

    @pytest.mark.parametrize(("molecules", "largest", "examples"), [(206, 40, 3_296), ("all", 60, 20_320)])
    def test_the_number_of_molecules_decides_their_sizes(self, config, molecules, largest, examples):
        config["data"]["force_field"]["molecules"] = molecules
        assert planning.sizes(config, "force_field", 1).largest == largest
        assert planning.held_out(config, "force_field") == examples / 4

    def test_the_largest_portion_that_fits(self, config):
        found = plan(config, GRIDS | {"batch_size": 1000}, ANALYSES)
        assert 0 < found.fitting < found.portion == 1000
        assert training_gb(config, GRIDS, found.fitting) <= 40 < training_gb(config, GRIDS, found.fitting + 1)

    def test_nothing_may_fit(self, config):
        config["cluster"]["accelerator"]["memory_gb"] = 3
        assert plan(config, GRIDS, ANALYSES).fitting == 0


class TestEvaluation:
    """Operations of evaluations, whose numeric floors are measured once per job."""

    def floors(self, config, row, forward, examples, conditions):
        rotations = config["evaluation"]["rotations"]
        return min(32, examples) * rotations * forward * conditions

    def test_closed_form_needs_one_pass(self, config):
        config["training"]["checkpoint_steps"] = [0, 500]  # and the last
        forward = work("escaip-6M", 17.5).forward
        expected = 3 * 2 * 200 * forward + self.floors(config, ATOMS, forward, 200, 1)
        assert plan(config, ATOMS, ANALYSES).evaluation_operations == pytest.approx(expected)

    def test_sampled_estimator_besides(self, config):
        config["training"]["checkpoint_steps"] = [0]
        config["evaluation"] |= {"sampled": True, "rotations": 5, "weights": ["ema"]}
        forward = work("escaip-6M", 17.5).forward
        expected = 2 * 200 * (1 + 5) * forward + self.floors(config, ATOMS, forward, 200, 1)
        assert plan(config, ATOMS, ANALYSES).evaluation_operations == pytest.approx(expected)

    def test_rotations_conditions_and_jobs(self, config):
        config["training"]["checkpoint_steps"] = [0, 10, 100]
        config["evaluation"]["checkpoints_per_job"] = 1
        forward = work("voxmol-111M", SIDE).forward
        # 4 checkpoints, 2 kinds of weights, 3 comparisons, 2 rotations; as many floors as jobs
        expected = 4 * 2 * 3 * 12 * 2 * forward + 4 * self.floors(config, GRIDS, forward, 12, 3)
        found = plan(config, GRIDS, ANALYSES)
        assert found.checkpoints == 4
        assert found.evaluation_operations == pytest.approx(expected)

    def test_self_conditioning_is_another_pass(self, config):
        config["training"]["checkpoint_steps"] = [0]
        config["data"]["flow_matching"] |= {"min_length": 70, "max_length": 70}
        evaluation = config["evaluation"]["flow_matching"]
        conditions = evaluation["conditions"]
        conditions |= {"t": [0.5], "self_conditioning": [False]}
        without = plan(config, CHAINS, ANALYSES).evaluation_operations
        conditions["self_conditioning"] = [True]
        found = plan(config, CHAINS, ANALYSES).evaluation_operations
        assert found - without == pytest.approx(2 * 2 * evaluation["examples"] * work("proteina-400M-tri", 70).forward)

    def test_no_more_examples_than_there_are(self, config):
        config["evaluation"]["voxel_denoising"]["examples"] = 10**9
        many = plan(config, GRIDS, ANALYSES).evaluation_operations
        config["evaluation"]["voxel_denoising"]["examples"] = "all"
        assert plan(config, GRIDS, ANALYSES).evaluation_operations == many
        config["data"]["voxel_denoising"]["molecules"] *= 2
        assert plan(config, GRIDS, ANALYSES).evaluation_operations == pytest.approx(2 * many, rel=0.2)


def test_an_analysis_of_several_weights_takes_its_time_for_each(study):
    config, runs = study
    settings = {"runs": ["augmented"], "steps": "all", "examples": 64, "rotations": 2, "weights": "all"}
    config["analysis"] = {"averages": {"force_field": settings}}
    row, card = runs["augmented"], ANALYSES["averages"]
    two, longest = plan(config, row, ANALYSES).analysis_hours, planning.step_hours(config, row, card)
    assert two == pytest.approx(2 * len(planning.kept_steps(config, row)) * longest)
    config["training"]["force_field"]["averages"] = [0.9, 0.99, 0.9999]
    assert plan(config, row, ANALYSES).analysis_hours == pytest.approx(2.5 * two)
    assert planning.step_hours(config, row, card) == longest


class TestResources:
    """What jobs ask for."""

    def test_of_the_default_study_are_modest(self, study):
        config, runs = study
        for row in runs.values():
            assert resources(config, row, "training") == {
                "gpu": 0, "gpu_share": 0, "cpus_per_task": 1, "mem_mb": 2000, "runtime": 120,
            }  # fmt: skip
            assert resources(config, row, "evaluation")["mem_mb"] == 3000
        for analysis in ANALYSES.keys() & config["analysis"].keys():
            asked = resources(config, runs["augmented"], ANALYSES[analysis])
            assert (asked["gpu"], asked["mem_mb"], asked["runtime"]) == (0, 4000, 240)

    def test_large_networks_need_more_without_a_gpu(self, study):
        asked = resources(study[0], CHAINS, "training")
        assert asked["mem_mb"] == pytest.approx(1e3 * plan(study[0], CHAINS, ANALYSES).memory_gb, abs=1)
        assert asked["runtime"] == planning.MAX_RUNTIME

    def test_each_device_is_a_gpu_with_memory_of_the_host(self, config):
        config["training"]["devices"] = 4
        assert resources(config, GRIDS, "training") == {
            "gpu": 4,
            "gpu_share": 400,
            "cpus_per_task": 16,
            "mem_mb": 4 * 6000 + 2231,  # 20 bytes for each of 111,520,424 parameters
            "runtime": 30,
        }
        assert resources(config, GRIDS, "evaluation")["gpu"] == 1

    @pytest.mark.parametrize(
        ("device", "has_cluster", "gpus"),
        [("auto", False, 0), ("auto", True, 1), ("cpu", True, 0), ("cuda", False, 1), ("cuda", True, 1)],
    )
    def test_gpus_are_asked_for_where_the_study_is_for_them(self, config, device, has_cluster, gpus):
        config["training"]["device"] = device
        if not has_cluster:
            del config["cluster"]
        assert resources(config, GRIDS, "training")["gpu"] == gpus
        expected = {(0, False): "one CPU core", (0, True): "one CPU core", (1, False): "A100-80GB", (1, True): "X1"}
        assert accelerator(config).name == expected[gpus, has_cluster]

    def test_time_is_twice_the_estimate_and_grows_up_to_the_limit(self, config):
        row = GRIDS | {"steps": 50_000}
        hours = plan(config, row, ANALYSES).hours
        asked = [resources(config, row, "training", late)["runtime"] for late in (0, 1, 30)]
        assert asked[:2] == [pytest.approx(120 * hours, abs=1), pytest.approx(240 * hours, abs=1)]
        assert asked[2] == CLUSTER["max_runtime"]

    def test_memory_grows_with_attempts_that_lacked_it(self, config):
        first, second = (resources(config, GRIDS, "evaluation", 0, large)["mem_mb"] for large in (0, 1))
        assert second == 2 * first

    def test_folds_of_gradients_are_held_in_double_precision(self, config):
        settings = config["analysis"]["gradients"]["force_field"]
        asked = []
        for folds in (2, 12):
            settings["folds"] = folds
            asked.append(resources(config, ATOMS, ANALYSES["gradients"])["mem_mb"])
        assert asked[1] - asked[0] == pytest.approx(8e-6 * 2 * 10 * 6_137_222, abs=1)

    def test_a_run_asks_for_the_share_of_a_gpu_that_it_fills(self, config):
        config["training"]["compile"] = False
        config["cluster"]["accelerator"] |= {"utilisation": 1, "memory_gb": 16}
        found = resources(config, GRIDS, "training")
        assert found["gpu_share"] == math.ceil(100 * training_gb(config, GRIDS, 8) / 16)
        assert 0 < found["gpu_share"] < 100
        config["cluster"]["accelerator"]["memory_gb"] = 1
        assert resources(config, GRIDS, "training")["gpu_share"] == 100

    def test_a_run_asks_for_the_share_of_a_gpu_that_it_keeps_busy(self, config):
        config["training"]["compile"] = False
        config["cluster"]["accelerator"]["memory_gb"] = 1000
        grid = work("voxmol-111M", SIDE)
        launch, busy = planning.LAUNCH * grid.pieces, (grid.forward + grid.backward) / 25e12
        asked = [resources(config, GRIDS | {"batch_size": size}, "training")["gpu_share"] for size in (1, 100)]
        assert asked == [math.ceil(100 * busy / launch), 100]
        assert busy < launch

    def test_small_runs_share_a_gpu(self, config):
        row = row_of("escaip-tiny", "force_field")
        assert resources(config, row, "training")["gpu_share"] <= 5
        assert resources(config, row, "evaluation")["gpu_share"] <= 10


class TestBatches:
    """Examples at once in evaluations and analyses, which change no result."""

    def test_a_number_that_is_given_counts(self, config, study):
        config["analysis"]["hessian"]["force_field"]["batch_size"] = 9
        for which in (config, study[0]):
            assert batch_size(which, GRIDS) == which["evaluation"]["voxel_denoising"]["batch_size"]
            assert batch_size(which, ATOMS, ANALYSES["hessian"]) == 9

    def test_a_cpu_takes_a_few(self, study):
        config = study[0]
        for task in ("force_field", "voxel_denoising"):
            del config["evaluation"][task]["batch_size"]
        assert batch_size(config, ATOMS) == planning.ON_CPU
        assert batch_size(config, GRIDS) == 12, "there are no more"

    def test_a_gpu_takes_what_fills_half_of_it(self, config):
        del config["evaluation"]["voxel_denoising"]["batch_size"]
        config["evaluation"]["voxel_denoising"]["examples"] = "all"
        config["cluster"]["accelerator"]["memory_gb"] = 10
        found = batch_size(config, GRIDS)
        assert evaluation_gb(config, GRIDS, found) <= 5 < evaluation_gb(config, GRIDS, found + 1)
        assert resources(config, GRIDS, "evaluation")["batch_size"] == found
        assert resources(config, GRIDS, "evaluation")["gpu_share"] in (49, 50)

    def test_an_analysis_takes_what_fills_half_of_it(self, config):
        card = ANALYSES["head"]
        del config["analysis"]["head"]["force_field"]["batch_size"]
        config["cluster"]["accelerator"]["memory_gb"] = 8
        row = ATOMS | {"name": "augmented"}
        found = batch_size(config, row, card)
        assert analysis_gb(config, row, card, found) <= 4 < analysis_gb(config, row, card, found + 1)
        assert resources(config, row, card)["batch_size"] == found

    def test_one_example_is_the_least(self, config):
        del config["evaluation"]["voxel_denoising"]["batch_size"]
        config["cluster"]["accelerator"]["memory_gb"] = 1
        assert batch_size(config, GRIDS) == 1

    @pytest.mark.parametrize(("fits", "expected"), [(0.5, 0), (1, 1), (6.9, 6), (7, 7), (99, 7)])
    def test_what_fits(self, fits, expected):
        assert planning.fitting(fits, 7, float) == expected

    def test_closed_forms_need_one_copy_but_for_their_floors(self, config):
        def copies(count):
            activations = evaluation_gb(config, ATOMS, count) - planning.RESERVE_GB - KEPT_GB - 4e-9 * 6_137_222
            return activations / (4e-9 * planning.SLACK * work("escaip-6M", 40).peak)

        config["evaluation"]["force_field"]["examples"] = 3000
        assert copies(10) == pytest.approx(10 * config["evaluation"]["rotations"])
        assert copies(50) == pytest.approx(32 * config["evaluation"]["rotations"], rel=0.4)
        config["evaluation"]["sampled"] = True
        assert copies(50) == pytest.approx(50 * config["evaluation"]["rotations"], rel=0.4)


H200 = {
    "name": "H200",
    "memory_gb": 141,
    "bandwidth": 4.8,
    "tflops": {"fp64": 67, "fp32": 67, "tf32": 494, "bf16": 989},
    "utilisation": 0.15,
}
MEASURED = [
    # task, model, batch, atoms, precision, seconds of a step, 10⁹ bytes
    ("force_field", "escaip-6M", 64, 35, "fp32", 0.078, 6.0),
    ("force_field", "escaip-6M", 64, 35, "tf32", 0.089, 6.0),
    ("force_field", "escaip-6M", 64, 35, "bf16", 0.100, 3.7),
    ("force_field", "escaip-6M", 64, 18, "fp32", 0.060, None),
    ("force_field", "escaip-6M", 1, 35, "tf32", 0.073, None),
    ("force_field", "escaip-6M", 512, 35, "tf32", 0.193, 46),
    ("force_field", "escaip-1M", 64, 35, "fp32", 0.025, 1.1),
    ("force_field", "escaip-1M", 64, 35, "tf32", 0.027, 1.1),
    ("force_field", "escaip-1M", 64, 35, "bf16", 0.056, None),
    ("flow_matching", "proteina-60M", 4, None, "bf16", 0.108, 3.3),
    ("flow_matching", "proteina-60M", 4, None, "tf32", 0.081, 3.3),
    ("flow_matching", "proteina-60M", 32, None, "bf16", 0.146, 16),
    ("flow_matching", "proteina-400M-tri", 4, None, "bf16", 0.353, 45),
    # On the GPU; the other half of the step drew noise on the CPU, as networks do no more.
    ("voxel_denoising", "voxmol-111M", 32, None, "tf32", 0.860, 19),
]
"""Training on one NVIDIA H200 in November 2026, at commit 5a10f86 with PyTorch 2.11 and CUDA 13."""


class TestMeasured:
    """Plans against what was measured on a GPU, within a factor of 1.5."""

    @pytest.fixture
    def planned(self, monkeypatch):
        monkeypatch.chdir(ROOT)
        config, _ = read_study(["config/paper.yaml"], ANALYSES)
        config["cluster"]["accelerator"] = H200
        config["training"]["devices"] = 1

        def one(task, model, batch, atoms, precision, *, compile=False):
            config["training"] |= {"precision": precision, "compile": compile}
            config["training"][task].pop("precision", None)
            if atoms:
                monkeypatch.setattr(planning, "_source", lambda *_: Typical(10**6, mean=atoms, largest=atoms))
            return plan(config, row_of(model, task, batch_size=batch, steps=10**6), ANALYSES)

        return one

    @pytest.mark.parametrize(("task", "model", "batch", "atoms", "precision", "seconds", "gigabytes"), MEASURED)
    def test_steps(self, planned, task, model, batch, atoms, precision, seconds, gigabytes):
        found = planned(task, model, batch, atoms, precision)
        assert 1 / 1.5 < found.hours * 3600 / 10**6 / seconds < 1.5
        if gigabytes:  # of tensors alone
            assert 1 / 1.5 < (found.memory_gb - planning.RESERVE_GB) / gigabytes < 1.5

    def test_compiled(self, planned):
        found = planned("force_field", "escaip-6M", 64, 35, "tf32", compile=True)
        assert 1 / 1.5 < found.hours * 3600 / 10**6 / 0.038 < 1.5
        assert work("escaip-6M", 35).pieces * planning.COMPILING == pytest.approx(100, rel=0.05)


class TestReport:
    """The plan as text."""

    def test_fits_the_page_and_names_every_run(self, study):
        config, runs = study
        runs["a" * 80] = row_of("escaip-tiny", "force_field", name="a" * 80)
        text = report(config, runs, ANALYSES)
        assert max(map(len, text.splitlines())) <= 120
        assert all(name in text for name in runs if len(name) < 20)
        assert "aaa…" in text

    def test_totals_are_sums(self, config, study):
        runs = {"a": GRIDS | {"name": "a"}, "b": GRIDS | {"name": "b", "steps": 3000}}
        plans = [plan(config, row, ANALYSES) for row in runs.values()]
        lines = report(config, runs, ANALYSES).splitlines()
        total = next(line for line in lines if line.lstrip().startswith("in all"))
        assert str(sum(one.checkpoints for one in plans)) in total.split()
        assert f"{sum(one.device_hours for one in plans):.3f}" in total.split()
        assert f"{sum(one.operations for one in plans):.2e} operations" in "\n".join(lines)

    def test_what_does_not_fit_is_named_with_a_remedy(self, config):
        row = GRIDS | {"batch_size": 1000, "name": "big"}
        fitting = plan(config, row, ANALYSES).fitting
        text, needed = " ".join(report(config, {"big": row}, ANALYSES).split()), plan(config, row, ANALYSES).memory_gb
        assert f"! big: training with 1000 at once needs {needed:.0f} of 40 GB; {fitting} would fit" in text
        assert "lower training.voxel_denoising.microbatch" in text
        config["training"]["voxel_denoising"]["microbatch"] = fitting
        assert "! big: training" not in report(config, {"big": row}, ANALYSES)

    def test_evaluations_that_do_not_fit_are_named(self, config):
        config["evaluation"]["voxel_denoising"] |= {"batch_size": 5000, "examples": "all"}
        config["data"]["voxel_denoising"]["molecules"] = 10**6
        text = " ".join(report(config, {"run": GRIDS}, ANALYSES).split())
        assert "! run: evaluation with 5000 at once needs" in text
        assert "lower evaluation.voxel_denoising.batch_size" in text

    def test_analyses_that_do_not_fit_are_named(self, config):
        row = ATOMS | {"name": "augmented", "steps": 1000}
        config["analysis"]["hessian"]["force_field"] |= {"examples": 800, "batch_size": 800}
        text = report(config, {"augmented": row}, ANALYSES)
        assert max(map(len, text.splitlines())) <= 120
        assert "! augmented: analysis.hessian.force_field needs" in text

    def test_assumptions_are_printed(self, study):
        text = report(*study, ANALYSES)
        assert "17.5 atoms on average, 40 at most" in text
        assert "51 to 80 residues" in text
        assert "one CPU core: memory of the host" in text


class TestStudy:
    """Reading what the workflow would read."""

    @pytest.mark.parametrize(
        ("below", "above"),
        [
            ({"a": 1, "b": {"c": 2, "d": [1, 2]}}, {"b": {"d": [3]}, "e": {"f": 4}}),
            ({"a": {"b": {"c": 1}}}, {"a": {"b": {"d": 2}}}),
            ({"a": {"b": 1}}, {"a": 2}),
            ({}, {"a": {"b": 1}}),
        ],
    )
    def test_files_are_merged_as_snakemake_does(self, below, above):
        expected = yaml.safe_load(yaml.safe_dump(below))
        update_config(expected, above)
        kept = yaml.safe_dump(below)
        assert merge(below, above) == expected
        assert yaml.safe_dump(below) == kept

    def test_later_files_count(self, monkeypatch, tmp_path):
        monkeypatch.chdir(ROOT)
        (tmp_path / "mine.yaml").write_text("study: mine\ntraining: {state_every: 7}\n")
        config, runs = read_study(["config/config.yaml", tmp_path / "mine.yaml"], ANALYSES)
        assert (config["study"], config["training"]["state_every"], config["training"]["device"]) == ("mine", 7, "auto")
        assert "augmented" in runs

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, r"mine\.yaml: no such file"),
            ("- 1", r"mine\.yaml: found \[1\], expected keys and values"),
            ("a: [", r"mine\.yaml: not valid YAML"),
            ("stduy: mine", r"mine\.yaml: stduy: unknown key; did you mean 'study'"),
        ],
    )
    def test_mistakes_are_named(self, monkeypatch, tmp_path, text, expected):
        monkeypatch.chdir(ROOT)
        if text is not None:
            (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(StudyError, match=expected):
            read_study(["config/config.yaml", tmp_path / "mine.yaml"], ANALYSES)

    def test_paper_fits_its_accelerator(self, monkeypatch):
        monkeypatch.chdir(ROOT)
        config, runs = read_study(["config/paper.yaml"], ANALYSES)
        for row in runs.values():
            found = plan(config, row, ANALYSES)
            assert found.portion <= found.fitting
            assert found.evaluation_gb <= config["cluster"]["accelerator"]["memory_gb"]

    def test_runs_of_the_gpu_study_take_ten_minutes(self, monkeypatch):
        monkeypatch.chdir(ROOT)
        config, runs = read_study(["config/gpu.yaml"], ANALYSES)
        for name, row in runs.items():
            found = plan(config, row, ANALYSES)
            minutes = 60 * (found.hours + found.evaluation_hours)
            assert minutes <= (45 if row["model"].endswith("-tri") else 10), name  # checkpoints are kept one by one


def test_nothing_heavy_is_imported():
    check = "import sys, equidyn.study.planning; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_space_of_checkpoints(monkeypatch):
    monkeypatch.chdir(ROOT)
    config, runs = read_study([ROOT / "config/config.yaml"], ANALYSES)
    found = plan(config, runs["augmented"], ANALYSES)
    assert found.checkpoint_gb == pytest.approx(2 * 4 * found.parameters * found.checkpoints / 1e9)
    total = sum(plan(config, row, ANALYSES).checkpoint_gb for row in runs.values())
    assert f"checkpoints of {total:,.0f} GB in all" in report(config, runs, ANALYSES)


def test_what_is_planned_is_what_is_done():
    for batch, microbatch, number in [(160, 8, 4), (7, None, 3), (2, None, 4), (5, 2, 1), (64, None, 1)]:
        config = {"training": {"devices": number, "force_field": {"microbatch": microbatch} if microbatch else {}}}
        row = {"task": "force_field", "batch_size": batch, "model": "escaip-tiny"}
        assert planning._portion(config, row) == max(map(len, portions(batch, microbatch, World(size=number))))
