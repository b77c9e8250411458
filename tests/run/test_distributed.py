"""Training in portions and in several processes: the same sums for any division, and after any interruption."""

import math
import shutil
import signal
import subprocess
import time
from functools import partial, partialmethod

import numpy as np
import pandas as pd
import pytest
import torch
import torch._dynamo
from changes import replace
from hypothesis import given, settings
from hypothesis import strategies as st
from training_jobs import (
    Diverging,
    DoubleFlowMatching,
    DoubleForceField,
    DoubleVoxelDenoising,
    SlowFlowMatching,
    default_dtype,
    die_in_one_process,
    fail_in_one_process,
    loss_of,
    program,
    train_all,
)

from equidyn.core.process import termination_noted
from equidyn.models.registry import build
from equidyn.run.checkpoints import checkpoint_name, load_checkpoint, load_state
from equidyn.run.distributed import WorkerError, World, launch
from equidyn.run.loader import portions
from equidyn.run.recipe import Recipe
from equidyn.run.training import Terminated, train
from equidyn.tasks.flow_matching.task import FlowMatching
from equidyn.tasks.force_field.task import ForceField
from equidyn.tasks.voxel_denoising.task import VoxelDenoising

pytestmark = pytest.mark.slow

TASKS = ("force_field", "flow_matching", "voxel_denoising")
COMMON = {"optimiser": "adamw", "lr": 1e-3, "augmentation": 0.5, "seed": 0, "warmup_steps": 3, "weight_decay": 0.1}
# Batches do not divide evenly, and the last one of an epoch has a single example, but for the voxels.
RECIPES = {
    "force_field": Recipe(model="escaip-tiny", steps=12, batch_size=7, **COMMON),
    "flow_matching": Recipe(model="proteina-0.5M", steps=12, batch_size=5, **COMMON),
    "voxel_denoising": Recipe(model="voxmol-0.3M", steps=12, batch_size=5, **COMMON),
}
EXAMPLES = {"force_field": 29, "flow_matching": 16, "voxel_denoising": 8}
GRID = {"side": 8, "spacing": 0.75, "noise": 0.4}


@pytest.fixture(scope="module")
def single(store, chains, conformers):
    """Each task, for networks in single precision."""
    return {
        "force_field": ForceField.fit(store, np.arange(29)),
        "flow_matching": FlowMatching.fit(chains, np.arange(16)),
        "voxel_denoising": VoxelDenoising.fit(conformers, np.arange(8), **GRID),
    }


@pytest.fixture(scope="module")
def double(single):
    """Each task, for networks in double precision."""
    classes = (DoubleForceField, DoubleFlowMatching, DoubleVoxelDenoising)
    return {name: kind.restore(single[name].store, single[name].state()) for name, kind in zip(TASKS, classes)}  # noqa: B905


def job(task, folder, recipe=None, **options):
    """Keyword arguments of `train`."""
    recipe = recipe or RECIPES[task.name]
    paths = {"output": folder / "out", "state": folder / "state"}
    job = {"task": task, "indices": np.arange(EXAMPLES[task.name]), "recipe": recipe}
    return job | {"checkpoint_steps": [0, recipe.steps]} | paths | options


def metrics(folder):
    return pd.read_parquet(folder / "out" / "metrics.parquet")


def weights(folder, kind="raw", step=12):
    return load_checkpoint(folder / "out" / kind / checkpoint_name(step))[0]


def assert_same_losses(found, expected, tolerance):
    __tracebackhide__ = True
    np.testing.assert_allclose(metrics(found)["loss"], metrics(expected)["loss"], rtol=tolerance)
    np.testing.assert_allclose(metrics(found)["gradient_norm"], metrics(expected)["gradient_norm"], rtol=20 * tolerance)


def assert_identical(found, expected):
    """The same losses and weights, to the bit."""
    __tracebackhide__ = True
    pd.testing.assert_frame_equal(metrics(found), metrics(expected), check_exact=True)
    for kind in ("raw", "ema"):
        mine, theirs = weights(found, kind, LONG.steps), weights(expected, kind, LONG.steps)
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


# --- portions -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 200), st.none() | st.integers(1, 50), st.integers(1, 9))
def test_portions_are_the_whole_and_as_even_as_can_be(examples, microbatch, size):
    found = portions(examples, microbatch, World(size=size))
    assert np.concatenate(found).tolist() == list(range(examples))
    lengths = [len(places) for places in found]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == (math.ceil(examples / microbatch) if microbatch else min(size, examples))


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=10)
@given(cuts=st.sets(st.integers(1, 5)), seed=st.integers(0, 99))
def test_shares_add_up_to_the_loss(double, name, cuts, seed):
    task, chosen = double[name], np.array([7, 0, 3, 2, 6, 5])
    with default_dtype(torch.float64), torch.no_grad():
        torch.manual_seed(0)
        model = build(RECIPES[name].model)
        whole = loss_of(task, model, task.batch(chosen), seed, range(6))
        shares = [
            loss_of(task, model, task.batch(chosen[places]), seed, places, task.whole(chosen))
            for places in np.split(np.arange(6), sorted(cuts))
        ]
    assert float(sum(shares)) == pytest.approx(float(whole), rel=1e-7)


@pytest.mark.parametrize("microbatch", [1, 3])
@pytest.mark.parametrize("name", TASKS)
def test_accumulated_gradients_are_those_of_the_whole_batch(double, tmp_path, name, microbatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    jobs = [job(double[name], whole), job(double[name], cut, microbatch=microbatch)]
    train_all(jobs, World())
    assert_same_losses(cut, whole, 1e-7)


@pytest.mark.parametrize("name", TASKS)
def test_in_single_precision_only_rounding_tells_portions(single, tmp_path, name):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # At a hundred times the paper's learning rate, one unit in the last place of EScAIP's initial weights changes later
    # losses by 4e-6.
    recipe = replace(RECIPES[name], lr=1e-5) if name == "force_field" else RECIPES[name]
    train_all([job(single[name], whole, recipe), job(single[name], cut, recipe, microbatch=2)], World())
    assert_same_losses(cut, whole, 1e-6)


def test_microbatch_below_one(single, tmp_path):
    with pytest.raises(ValueError, match="microbatch must be at least 1, found 0"):
        train(**job(single["force_field"], tmp_path, microbatch=0))
    assert not list(tmp_path.iterdir())


# --- compiled networks ----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # PyTorch hides warnings of its own, which pytest shows again
def test_compiled_networks_learn_the_same(single, tmp_path, monkeypatch):
    # The usual backend needs a C++ compiler, and minutes.
    quickly = partialmethod(torch.nn.Module.compile, backend="aot_eager")
    monkeypatch.setattr(torch.nn.Module, "compile", quickly)
    recipe = replace(RECIPES["force_field"], steps=4)
    usual, compiled = tmp_path / "usual", tmp_path / "compiled"
    frames = torch._dynamo.utils.counters["frames"]
    train_all([job(single["force_field"], usual, recipe)], World())
    assert not frames["ok"]
    train_all([job(single["force_field"], compiled, replace(recipe, compile=True))], World())
    assert frames["ok"]
    assert_same_losses(compiled, usual, 1e-5)
    assert weights(compiled, step=4).keys() == weights(usual, step=4).keys()


@pytest.mark.parametrize(("name", "dynamic"), [("flow_matching", True), ("voxel_denoising", None)])
def test_networks_are_compiled_for_the_shapes_they_will_see(single, tmp_path, monkeypatch, name, dynamic):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network, **options: compiled.append(options))
    train_all([job(single[name], tmp_path, replace(RECIPES[name], steps=1, compile=True))], World())
    assert compiled == [{"dynamic": dynamic}]


# --- several processes ----------------------------------------------------------------------------------------------


PORTIONS = [(name, microbatch) for name in TASKS for microbatch in (None, 1)]


@pytest.fixture(scope="module")
def folders(single, double, tmp_path_factory):
    """Where runs of one and of two processes are, one folder for each number of processes."""
    reduced = replace(RECIPES["flow_matching"], precision="bf16", steps=8)
    found = {}
    for devices in (1, 2):
        folder = found[devices] = tmp_path_factory.mktemp(f"devices{devices}")
        jobs = [job(double[name], folder / f"{name}-{size}", microbatch=size) for name, size in PORTIONS]
        jobs.append(job(single["flow_matching"], folder / "reduced", reduced, microbatch=2))
        launch(partial(train_all, jobs), devices, log=folder / "log")
    return found


@pytest.mark.parametrize(("name", "microbatch"), PORTIONS)
def test_two_processes_train_as_one(folders, name, microbatch):
    one, two = (folders[devices] / f"{name}-{microbatch}" for devices in (1, 2))
    assert_same_losses(two, one, 1e-7)
    start, end, expected = weights(one, step=0), weights(two), weights(one)
    untouched = {key for key in start if torch.equal(start[key], expected[key])}
    assert {key for key in start if torch.equal(start[key], end[key])} == untouched, "without gradient nothing decays"
    assert bool(untouched) == (name == "voxel_denoising")


def test_two_processes_in_reduced_precision_train_as_one(folders):
    one, two = (metrics(folders[devices] / "reduced")["loss"] for devices in (1, 2))
    assert two[0] == pytest.approx(one[0], rel=1e-6)
    np.testing.assert_allclose(two, one, rtol=2e-3)
    exact = metrics(folders[1] / "flow_matching-None")["loss"]
    assert one[0] != pytest.approx(exact[0], rel=1e-6)


def test_an_error_in_one_process_ends_all_and_is_told(tmp_path):
    with pytest.raises(WorkerError, match="process 1: LookupError: nobody knows") as caught:
        launch(fail_in_one_process, 2, log=tmp_path / "log")
    assert "in fail_in_one_process" in caught.value.__notes__[0]


def test_a_process_that_is_killed_is_named(tmp_path):
    with pytest.raises(WorkerError, match="process 1: killed by SIGKILL"):
        launch(die_in_one_process, 2, log=tmp_path / "log")


def test_a_loss_that_is_not_finite_in_one_process_is_so_in_all(single, tmp_path):
    task = Diverging.restore(single["force_field"].store, single["force_field"].state())
    with pytest.raises(WorkerError, match=r"process [01]: TrainingError: step 2: loss nan, .* on examples \["):
        launch(partial(train_all, [job(task, tmp_path, state_every=1)]), 2, log=tmp_path / "log")
    assert load_state(tmp_path / "state" / "state.pt")["step"] == 2


@pytest.mark.parametrize(
    ("devices", "device", "message"),
    [(0, "cpu", "devices is 0, but it must be at least 1$"), (64, "cuda", "at most 0, the number of visible GPUs$")],
)
def test_devices_that_are_not_there(tmp_path, devices, device, message):
    with pytest.raises(ValueError, match=message):
        launch(train_all, devices, device, log=tmp_path / "log")


# --- signals --------------------------------------------------------------------------------------------------------

LONG = replace(RECIPES["flow_matching"], steps=24)


def signalled(task, folder, devices, number):
    """Start a slow run on some devices, and send its first process a signal after the first save; code and errors."""
    slow = job(SlowFlowMatching(task.store, task.variance), folder, LONG, state_every=3)
    command, environment = program([slow], devices, folder.with_suffix(".log"), folder.with_suffix(".job"))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        state = folder / "state" / "state.pt"
        deadline = time.monotonic() + 60
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        errors = process.stderr.read()
    return process.returncode, errors


def assert_terminated(folder, code, errors):
    """The program left with the right exit code, its state saved, and said where it will resume."""
    __tracebackhide__ = True
    assert code == 128 + signal.SIGTERM, errors
    reached = load_state(folder / "state" / "state.pt")["step"]
    assert 0 < reached < LONG.steps
    assert f"the next start resumes at step {reached} of {LONG.steps}" in folder.with_suffix(".log").read_text()
    assert not (folder / "out").exists()


def test_termination_of_one_process_leaves_no_trace(single, tmp_path):
    task, stopped, whole = single["flow_matching"], tmp_path / "stopped", tmp_path / "whole"
    assert_terminated(stopped, *signalled(task, stopped, 1, signal.SIGTERM))
    train_all([job(task, folder, LONG) for folder in (whole, stopped)], World())
    assert_identical(stopped, whole)


def test_interruptions_of_two_processes_leave_no_trace(single, tmp_path):
    task, folders = single["flow_matching"], [tmp_path / name for name in ("whole", "stopped", "killed", "elsewhere")]
    whole, stopped, killed, elsewhere = folders
    assert_terminated(stopped, *signalled(task, stopped, 2, signal.SIGTERM))
    shutil.copytree(stopped, elsewhere)
    code, errors = signalled(task, killed, 2, signal.SIGKILL)
    assert code == -signal.SIGKILL, errors
    # Its end of standard error is closed only when the processes that it started are gone, too.
    launch(partial(train_all, [job(task, folder, LONG) for folder in folders[:3]]), 2, log=tmp_path / "log")
    assert_identical(stopped, whole)
    assert_identical(killed, whole)
    train_all([job(task, elsewhere, LONG)], World())
    assert_same_losses(elsewhere, whole, 1e-6)


def test_a_run_that_ends_while_it_is_terminated_is_published(single, tmp_path):
    class Stopping(FlowMatching):
        calls = 0

        def loss(self, *arguments):
            self.calls += 1
            if self.calls == at:
                signal.raise_signal(signal.SIGTERM)
            return super().loss(*arguments)

    former, recipe = signal.getsignal(signal.SIGTERM), replace(LONG, steps=3)
    make = partial(Stopping, single["flow_matching"].store, single["flow_matching"].variance)
    at = 3
    train(**job(make(), tmp_path / "last", recipe), progress=False)
    assert (tmp_path / "last" / "out").exists()
    at = 2
    with pytest.raises(Terminated) as caught:
        train(**job(make(), tmp_path / "earlier", recipe), progress=False)
    assert caught.value.code == 143
    assert load_state(tmp_path / "earlier" / "state" / "state.pt")["step"] == 2
    assert signal.getsignal(signal.SIGTERM) is former


def test_handlers_return_even_after_errors():
    former = signal.getsignal(signal.SIGTERM)

    def terminated():
        with termination_noted() as noted:
            assert not noted.is_set()
            signal.raise_signal(signal.SIGTERM)
            assert noted.is_set()
            raise LookupError

    with pytest.raises(LookupError):
        terminated()
    assert signal.getsignal(signal.SIGTERM) is former
