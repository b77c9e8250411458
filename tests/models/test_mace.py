"""MACE: the shared suite of exactly equivariant force fields, and that it trains and is evaluated like any network."""

import os
import sys
from copy import deepcopy
from importlib.util import find_spec

import pytest
import torch
from suite import TOLERANCE, ForceFieldModelSuite, assert_close, molecules, neopentane

from equidyn.core.batch import MoleculeBatch
from equidyn.models.mace.network import MACE, MACEConfig
from equidyn.models.registry import configuration
from equidyn.run.evaluation import evaluate_run
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField

INSTALLED = find_spec("mace") is not None
pytestmark = pytest.mark.slow  # e3nn takes seconds to make a network
installed = pytest.mark.skipif(not INSTALLED, reason="needs mace-torch: pip install 'equidyn[mace]'")
SMALL = {"channels": 4, "harmonics": 2, "correlation": 2, "bessel": 4, "radial": 8, "readout": 4, "max_radius": 4.0}
ELEMENTS = (1, 6, 7, 8)


@installed
class TestMACE(ForceFieldModelSuite):
    network = MACE
    config = MACEConfig(**SMALL, atomic_numbers=ELEMENTS)
    is_equivariant = True
    has_head_tensor = False
    has_energy = False
    is_compiled = False
    small = {}  # noqa: RUF012 (forces do not depend on all weights of a single layer)

    def make(self, dtype=torch.float32, **changes):
        """In double precision from the beginning, as e3nn rounds its constants to the precision of the day."""
        torch.set_default_dtype(dtype)
        try:
            return super().make(dtype, **changes)
        finally:
            torch.set_default_dtype(torch.float32)

    def test_equally_distant_atoms_compete_alike_however_the_molecule_lies(self):
        # None is left out, so that there is nothing to compete for.
        model, batch = self.make(), neopentane()
        assert self.equivariance_deviation(model, batch) <= TOLERANCE[torch.float32]

    def test_compiling_changes_nothing(self):
        model, batch = self.make(), self.batch()
        expected = self.run(model, batch).forces
        model.compile(dynamic=True)
        assert torch.equal(self.run(model, model.prepare(batch, few_shapes=True)).forces, expected)

    def test_single_precision_where_others_take_less(self):
        model, batch = self.make(), self.batch()
        with torch.autocast("cpu", torch.bfloat16):
            assert_close(model(batch).forces, self.run(model, batch).forces, TOLERANCE[torch.float32])
            self.loss(model).backward()

    def test_forces_are_a_gradient(self):
        # The work along a closed path vanishes; trapezoids leave errors of second order in the step.
        model, batch = self.make(torch.float64), self.batch(torch.float64)
        generator = torch.Generator().manual_seed(6)
        first, second = 1e-3 * torch.randn(2, *batch.positions.shape, generator=generator, dtype=torch.float64)

        def work(start, step):
            ends = [self.run(model, batch.with_positions(x)).forces for x in (start, start + step)]
            return float(((ends[0] + ends[1]) / 2 * step).sum())

        x = batch.positions
        around = work(x, first) + work(x + first, second) - work(x + second, first) - work(x, second)
        assert abs(around) < 1e-3 * max(abs(work(x, first)), abs(work(x, second)))

    def test_vanishes_at_the_cutoff(self):
        model = self.make(torch.float64)
        forces = []
        for distance in (self.config.max_radius - 1e-3, self.config.max_radius + 1e-3):
            positions = torch.tensor([[0.0, 0, 0], [0, 1.2, 0], [0.6, 0.8, 0]], dtype=torch.float64)
            positions[2] *= distance
            batch = MoleculeBatch(positions, torch.tensor([6, 8, 1]), torch.tensor([3]))
            forces.append(self.run(model, batch).forces)
        torch.testing.assert_close(*forces, atol=1e-4, rtol=1e-3)

    def test_positions_are_left_as_they_were(self):
        batch = self.batch()
        self.make()(batch)
        assert not batch.positions.requires_grad
        assert not self.run(self.make(), batch).forces.requires_grad

    def test_a_copy_is_the_same_network_and_draws_nothing(self):
        model, batch = self.make(torch.float64), self.batch(torch.float64)
        state = torch.get_rng_state()
        copy = deepcopy(model).requires_grad_(False)
        assert torch.equal(torch.get_rng_state(), state)
        assert copy.state_dict().keys() == model.state_dict().keys()
        assert torch.equal(self.run(copy, batch).forces, self.run(model, batch).forces)
        next(copy.parameters()).add_(1)
        assert not torch.equal(next(copy.parameters()), next(model.parameters()))

    def test_unknown_elements_are_refused(self):
        with pytest.raises(
            ValueError, match=r"atomic numbers \[2, 5\] are unknown to the model, which knows 1, 6, 7, 8"
        ):
            self.make().prepare(molecules(elements=(1, 2, 5, 6)))

    def test_the_package_leaves_no_setting_behind(self):
        from e3nn import get_optimization_defaults

        assert get_optimization_defaults()["jit_script_fx"]
        assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ


def recipe(**changes):
    sizes = SMALL | {"atomic_numbers": list(ELEMENTS)}
    fields = {"model": "small", "network": "equidyn.models.mace.network:MACE", "sizes": sizes, "ema": 0.5}
    row = {"steps": 4, "batch_size": 6, "optimiser": "adamw", "lr": 0.01, "augmentation": 1.0, "seed": 0}
    return Recipe(**fields, **row, warmup_steps=1, **changes)


@installed
def test_resumed_training_is_the_same_to_the_bit_and_its_error_is_at_the_floor(
    store, train_indices, validation_indices, tmp_path, monkeypatch
):
    task = ForceField.fit(store, train_indices)

    def run(name, **more):
        train(task, train_indices, recipe(), [0, 4], output=tmp_path / name, state=tmp_path / f"{name}-state", **more)

    run("straight", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("equidyn.run.training.tqdm.update", interrupted_at(3))
        with pytest.raises(KeyboardInterrupt):
            run("resumed", state_every=2)
    run("resumed", progress=False)
    for weights in ("raw", "ema"):
        files = [tmp_path / name / weights / "00000004.safetensors" for name in ("straight", "resumed")]
        assert files[0].read_bytes() == files[1].read_bytes()

    rows, _ = evaluate_run(
        ForceField,
        store,
        validation_indices,
        tmp_path / "straight",
        [0, 4],
        EvaluationSettings(rotations=3, resamples=100),
        state=tmp_path / "found",
        labels={"run": "opponent"},
        control=configuration("control-small").built_from,
        progress=False,
    )
    assert set(rows["estimator"]) == {"sampled"}
    assert rows["percent"].between(0, 1e-6).all()
    assert rows["equivariance"].gt(0).all(), "rounding is never zero"
    assert rows["floor_control"].lt(1e-6).all()


def interrupted_at(step):
    """A progress bar's `update` that interrupts training in a step."""
    seen = []

    def update(*_):
        seen.append(1)
        if len(seen) == step:
            raise KeyboardInterrupt

    return update


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mace", None)
    with pytest.raises(ModuleNotFoundError, match=r"need the package mace-torch: pip install 'equidyn\[mace\]'"):
        MACE(MACEConfig(**SMALL))


@pytest.mark.parametrize("numbers", [(6, 1), (1, 1), (0, 1)])
def test_elements_ascend(numbers):
    with pytest.raises(ValueError, match="atomic_numbers must be positive and ascend"):
        MACEConfig(atomic_numbers=numbers)
