"""What several test files share: one thread per process, and a small force-field store without xtb."""

import os
from pathlib import Path

# Before torch is imported: tiny tensors gain nothing from threads, and child processes must add up in the same order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import hypothesis
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from equidyn.data import chains as chains_module
from equidyn.data.sources.offline_conformers import build as conformers_module
from equidyn.data.sources.offline_molecules.build import FIELDS
from equidyn.data.store import Store, StoreWriter
from equidyn.data.subsets import split_by_cluster
from equidyn.models.registry import build
from equidyn.tasks.force_field.task import ForceField

# A busy machine is no failure, and every run tries the same examples.
hypothesis.settings.register_profile("equidyn", deadline=None, derandomize=True)
hypothesis.settings.load_profile("equidyn")

TESTS = Path(__file__).parent
FIRST = ("workflow/test_workflow.py", "run/test_distributed.py", "workflow", "contributing")
"""Files and folders that take longest, in this order; in parallel, each must start before the short ones."""


def pytest_collection_modifyitems(items):
    """Put the longest files first."""

    def place(item):
        path = item.path.relative_to(TESTS)
        return next((place for place, first in enumerate(FIRST) if path.is_relative_to(first)), len(FIRST))

    items.sort(key=place)


MOLECULES, CONFORMERS = 12, 6
STIFFNESS = {1: 0.6, 6: 2.0, 7: 1.5, 8: 1.2}  # eV/Å² of a pair: the geometric mean of its atoms'


def branched_chain(rng, atoms):
    """(atoms, 3) positions in Å: each atom 1.4 Å from an earlier one and 1 Å or more from all."""
    positions = np.zeros((1, 3))
    while len(positions) < atoms:
        step = rng.standard_normal(3)
        new = positions[rng.integers(len(positions))] + 1.4 * step / np.linalg.norm(step)
        if np.linalg.norm(positions - new, axis=1).min() >= 1.0:
            positions = np.vstack([positions, new])
    return positions


def springs(numbers, positions, rest):
    """Energy and forces of a spring between every two atoms, relaxed at the distances of `rest`."""
    first, second = np.triu_indices(len(numbers), 1)
    stiffness = np.array([STIFFNESS[int(number)] for number in numbers])
    stiffness = np.sqrt(stiffness[first] * stiffness[second])
    difference = positions[first] - positions[second]
    distance = np.linalg.norm(difference, axis=1)
    stretch = distance - np.linalg.norm(rest[first] - rest[second], axis=1)
    pull = (stiffness * stretch / distance)[:, None] * difference
    forces = np.zeros_like(positions)
    np.add.at(forces, first, -pull)
    np.add.at(forces, second, pull)
    return float((0.5 * stiffness * stretch**2).sum()), forces


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """72 conformers of 12 molecules of 3 to 9 atoms, elements H C N O, forces about 1 eV/Å."""
    rng = np.random.default_rng(7)
    path = tmp_path_factory.mktemp("data") / "springs"
    with StoreWriter(path, FIELDS) as writer:
        for cluster in range(MOLECULES):
            rest = branched_chain(rng, int(rng.integers(3, 10)))
            numbers = rng.choice([1, 6, 7, 8], len(rest))
            for _ in range(CONFORMERS):
                positions = rest + 0.2 * rng.standard_normal(rest.shape)
                energy, forces = springs(numbers, positions, rest)
                writer.append(
                    positions=(positions - positions.mean(0)).astype(np.float32),
                    atomic_numbers=numbers.astype(np.uint8),
                    forces=forces.astype(np.float32),
                    energy=energy,
                    cluster=cluster,
                )
        writer.finish(source="springs, for tests")
    return Store(path)


@pytest.fixture(scope="session")
def split(store):
    """Training and validation examples, no molecule on both sides."""
    return split_by_cluster(store.scalar("cluster"), validation_fraction=0.25, seed=0)


@pytest.fixture(scope="session")
def train_indices(split):
    return split[0]


@pytest.fixture(scope="session")
def validation_indices(split):
    return split[1]


@pytest.fixture(scope="session")
def chains(tmp_path_factory):
    """16 chains of 9 to 20 residues in 8 families, steps of 3.8 Å that keep their distance."""
    rng = np.random.default_rng(11)
    path = tmp_path_factory.mktemp("data") / "chains"
    with StoreWriter(path, chains_module.FIELDS) as writer:
        for number in range(16):
            length = int(rng.integers(9, 21))
            walk = [np.zeros(3)]
            while len(walk) < length:
                step = rng.standard_normal(3)
                new = walk[-1] + 3.8 * step / np.linalg.norm(step)
                if min(np.linalg.norm(np.array(walk) - new, axis=1)) > 3.5:
                    walk.append(new)
            writer.append(
                positions=np.array(walk, np.float32) + 5,
                residue_index=np.arange(3, 3 + length, dtype=np.int32),
                residue=rng.choice(np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8), length),
                chain_break=np.zeros(length, bool),
                name=f"made_{number}",
                cluster=number // 2,
            )
        writer.finish(source="random walks, for tests")
    return Store(path)


@pytest.fixture(scope="session")
def conformers(tmp_path_factory):
    """8 conformers of 4 molecules of 5 to 8 atoms within 2.5 Å of their centre."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "conformers"
    with StoreWriter(path, conformers_module.FIELDS) as writer:
        for number in range(8):
            positions = [np.zeros(3)]
            while len(positions) < 5 + number // 2:
                new = rng.uniform(-1.4, 1.4, 3)
                if min(np.linalg.norm(np.array(positions) - new, axis=1)) > 0.9:
                    positions.append(new)
            positions = np.array(positions)
            values = {
                "positions": (positions - positions.mean(0)).astype(np.float32),
                "atomic_numbers": rng.choice([1, 6, 7, 8], len(positions)).astype(np.uint8),
                "smiles": f"made {number // 2}",
                "cluster": number // 2,
            }
            writer.append(**{name: values[name] for name in conformers_module.FIELDS})
        writer.finish(source="made up, for tests")
    return Store(path)


@pytest.fixture(scope="module")
def task(store, train_indices):
    return ForceField.fit(store, train_indices)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build("escaip-tiny").eval()


class LargestTensor(TorchDispatchMode):
    """Numbers in the largest tensor that any operation makes."""

    numbers = 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for value in tree_leaves(result):
            # What is expanded takes no memory.
            if isinstance(value, torch.Tensor) and 0 not in value.stride():
                self.numbers = max(self.numbers, value.numel())
        return result


@pytest.fixture(scope="session")
def largest_tensor():
    return LargestTensor
