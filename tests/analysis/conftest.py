"""Networks of all tasks in double precision, untrained but for one, with what they are measured on."""

import copy

import numpy as np
import pytest
import torch

from equidyn.models.registry import build
from equidyn.run.evaluation import restore
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.flow_matching.task import FlowMatching
from equidyn.tasks.force_field.task import ForceField
from equidyn.tasks.voxel_denoising.task import VoxelDenoising


@pytest.fixture(scope="session")
def checkpoint(store, split, tmp_path_factory):
    """Task and EScAIP after 40 steps of training, in double precision."""
    training = split[0]
    folder = tmp_path_factory.mktemp("run")
    recipe = Recipe(
        model="escaip-tiny",
        steps=40,
        batch_size=8,
        optimiser="adamw",
        lr=3e-3,
        augmentation=1.0,
        seed=0,
        warmup_steps=5,
    )
    task = ForceField.fit(store, training)
    train(task, training, recipe, [40], output=folder / "out", state=folder / "state", progress=False)
    _, task, model = restore(ForceField, store, folder / "out", 40, "raw")
    return task, model.double()


@pytest.fixture
def trained(checkpoint):
    """Task and a copy of the trained network."""
    task, model = checkpoint
    return task, copy.deepcopy(model)


def voxel_case(conformers):
    torch.manual_seed(0)
    task = VoxelDenoising.fit(conformers, np.arange(8), side=8, spacing=0.7, radius=0.9)
    return task, build("voxmol-0.3M").double(), {"group": "cube", "comparison": "voxels"}


def chain_case(chains):
    torch.manual_seed(0)
    return (
        FlowMatching.fit(chains, np.arange(16)),
        build("proteina-0.5M").double(),
        {"t": 0.6, "self_conditioning": False},
    )


@pytest.fixture
def voxels(conformers):
    return voxel_case(conformers)


@pytest.fixture
def flow(chains):
    return chain_case(chains)
