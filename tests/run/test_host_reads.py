"""Between a batch and the optimiser's step, no task reads a tensor back to the host, which would wait for a GPU."""

from collections import Counter
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import equidyn.run.training as module
from equidyn.core import streams
from equidyn.run.recipe import Recipe
from equidyn.tasks.flow_matching.task import FlowMatching
from equidyn.tasks.force_field.task import ForceField
from equidyn.tasks.voxel_denoising.task import VoxelDenoising

aten = torch.ops.aten

READS = {aten._local_scalar_dense, aten.nonzero, aten.is_nonzero, aten.masked_select, aten._unique2, aten.unique_dim}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index}
METHODS = {torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.__array__}


class Operations(TorchDispatchMode):
    """Counts operations that would wait for a GPU."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        packet = function.overloadpacket
        masks = packet in INDEXING and [
            index for index in arguments[1] if index is not None and index.dtype in (torch.bool, torch.uint8)
        ]
        if packet in READS or masks:
            self.found[str(packet)] += 1
        return function(*arguments, **keywords or {})


class Methods(TorchFunctionMode):
    """Counts the ways out of a tensor that are no operations."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        if function in METHODS:
            self.found[function.__name__] += 1
        return function(*arguments, **keywords or {})


@pytest.fixture
def reads(monkeypatch):
    """What has been read in training, between batch and optimiser step; noise is drawn as on a GPU."""
    monkeypatch.setattr(streams, "_words", streams._words_by_tensors)
    found, window, steps = Counter(), ExitStack(), Counter()
    original = module._accumulate_gradient

    def watched(*arguments):
        for mode in (Operations(found), Methods(found)):
            window.enter_context(mode)
        steps["begun"] += 1
        return original(*arguments)

    monkeypatch.setattr(module, "_accumulate_gradient", watched)
    with register_optimizer_step_post_hook(lambda *_: window.close()):
        yield found
    assert steps["begun"] == 3


TASKS = {
    "force_field": (ForceField, "store", {}, ("escaip-tiny", "control-small")),
    "flow_matching": (FlowMatching, "chains", {}, ("proteina-0.5M", "proteina-0.5M-tri", "control-chain")),
    "voxel_denoising": (VoxelDenoising, "conformers", {"side": 8, "spacing": 0.75}, ("voxmol-0.2M", "control-voxels")),
}
CASES = [(name, model) for name, (*_, models) in TASKS.items() for model in models]


@pytest.fixture
def train_three_steps(request, tmp_path):
    """Train a model of a task for three steps in two portions each; a task may be wrapped."""

    def run(name, model, wrap=lambda task: task):
        kind, store, options, _ = TASKS[name]
        task = wrap(kind.fit(request.getfixturevalue(store), np.arange(8), **options))
        recipe = Recipe(model=model, steps=3, batch_size=4, optimiser="adamw", lr=1e-3, augmentation=1.0, seed=0)
        folders = {"output": tmp_path / "out", "state": tmp_path / "state"}
        module.train(task, np.arange(8), recipe, [3], **folders, microbatch=2, progress=False)

    return run


@pytest.mark.parametrize(("name", "model"), CASES)
def test_nothing_is_read(reads, train_three_steps, name, model):
    train_three_steps(name, model)
    assert not reads


READING = {
    "item": lambda x: x * x.sum().item(),
    "condition": lambda x: x if x.sum() > 0 else -x,
    "mask": lambda x: x * x[x > -1e9].mean(),
    "list": lambda x: x * x.tolist()[0],
    "numpy": lambda x: x * float(x.numpy()[0]),
    "places": lambda x: x[x.nonzero()[:, 0]],
}


@pytest.mark.parametrize("reading", READING)
def test_what_is_read_is_counted(reads, train_three_steps, reading):
    class Reading(ForceField):
        def loss(self, *arguments):
            loss = super().loss(*arguments)
            READING[reading](loss.detach()[None])
            return loss

    train_three_steps("force_field", "control-small", lambda task: Reading(task.store, task.normalisation))
    assert reads.total() >= 6
