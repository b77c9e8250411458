"""What tests of training share with processes of their own, which find it by this module's name."""

import gc
import os
import pickle
import signal
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch

from equidyn.core import process
from equidyn.core.streams import keys_for
from equidyn.core.transfer import map_tensors
from equidyn.run.distributed import launch
from equidyn.run.training import train
from equidyn.tasks.contract import Draws
from equidyn.tasks.flow_matching.task import FlowMatching
from equidyn.tasks.force_field.task import ForceField
from equidyn.tasks.voxel_denoising.task import VoxelDenoising


def seeded_draws(seed, places):
    """Random numbers of a step, for some places of its batch."""
    return Draws(np.random.default_rng(seed), keys_for(seed, examples=np.array(places)))


def loss_of(task, model, batch, seed, places, whole=None):
    """The training loss of a batch that still has to be prepared."""
    return task.loss(model, task.prepare(model, batch, seeded_draws(seed, places)), whole)


@contextmanager
def default_dtype(dtype):
    """Networks are made in this precision."""
    former = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(former)


def train_all(jobs, world):
    """Train by keyword arguments, one run after another, each network in the precision of its task."""
    for job in jobs:
        with default_dtype(torch.float64 if isinstance(job["task"], Double) else torch.float32):
            train(**job, progress=False, world=world)


def fail_in_one_process(world):
    if world.rank == 1:
        raise LookupError("nobody knows")
    world.barrier()


def die_in_one_process(world):
    if world.rank == 1:
        os.kill(os.getpid(), 9)
    time.sleep(60)  # until the others' end is noticed


# --- tasks ----------------------------------------------------------------------------------------------------------


def doubled(batch):
    """A batch in double precision."""
    return map_tensors(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor, batch)


class Double:
    """For networks in double precision."""

    def batch(self, indices, device="cpu"):
        with default_dtype(torch.float32):
            return doubled(super().batch(indices, device))


class DoubleForceField(Double, ForceField):
    pass


class DoubleFlowMatching(Double, FlowMatching):
    pass


class DoubleVoxelDenoising(Double, VoxelDenoising):
    pass


class Slow:
    """Takes long enough over a step to be interrupted."""

    def loss(self, *arguments):
        time.sleep(0.04)
        return super().loss(*arguments)


class SlowForceField(Slow, ForceField):
    pass


class SlowFlowMatching(Slow, FlowMatching):
    pass


class WeighedForceField(ForceField):
    """Notes the pages of memory of the process at steps 200 and 2,000, on Linux."""

    steps = 0

    def loss(self, *arguments):
        self.steps += 1
        if self.steps in (200, 2000):
            gc.collect()
            with Path(os.environ["WEIGHED"]).open("a", encoding="utf-8") as file:
                file.write(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1] + "\n")
        return super().loss(*arguments)


class DyingWorkers(ForceField):
    """The task, whose worker processes are killed while they prepare some batch."""

    def prepare(self, model, batch, draws, **options):
        if torch.utils.data.get_worker_info() is not None and draws.shared.random() < 0.2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare(model, batch, draws, **options)


class Diverging(ForceField):
    """The loss of one process is not a number, from the third step on."""

    calls = 0

    def loss(self, *arguments):
        self.calls += 1
        wrong = self.calls > 2 and os.environ["RANK"] == "1"
        return super().loss(*arguments) * (float("nan") if wrong else 1.0)


# --- a program ------------------------------------------------------------------------------------------------------


def program(jobs, devices, log, file):
    """The command that trains on some devices, and the environment it needs; `file` is made for it."""
    file.write_bytes(pickle.dumps((jobs, devices, str(log))))
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    code = "import sys, training_jobs; training_jobs.main(sys.argv[1])"
    return [sys.executable, "-c", code, str(file)], os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def main(file):
    jobs, devices, log = pickle.loads(Path(file).read_bytes())
    process.start(log, devices)
    launch(partial(train_all, jobs), devices, log=log, threads=devices)
