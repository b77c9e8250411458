"""What every force-field network must do: inherit `ForceFieldModelSuite`, say which network, get all tests."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from equidyn.actions import rotate
from equidyn.checkpoints import load_checkpoint, save_checkpoint
from equidyn.models.batch import MoleculeBatch
from equidyn.rotations import haar
from equidyn.tasks.force_field import ForceField, ForceFieldBatch, Normalisation

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Largest deviation where two results should agree: round-off, in either precision."""

DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float32", "float64"])


def molecules(sizes=(9, 2, 14, 5), *, seed=0, dtype=torch.float32, elements=(1, 6, 7, 8)):
    """Random branched chains: each atom 1.1 to 1.6 Å from an earlier one and 0.9 Å or more from all; no ties."""
    generator = torch.Generator().manual_seed(seed)
    positions = []
    for size in sizes:
        chain = torch.zeros(1, 3, dtype=torch.float64)
        while len(chain) < size:
            step = torch.randn(3, generator=generator, dtype=torch.float64)
            parent = int(torch.randint(len(chain), (), generator=generator))
            length = 1.1 + 0.5 * float(torch.rand((), generator=generator))
            new = chain[parent] + length * step / step.norm()
            if (chain - new).norm(dim=1).min() >= 0.9:
                chain = torch.cat([chain, new[None]])
        positions.append(chain - chain.mean(0))
    numbers = torch.tensor(elements)[torch.randint(len(elements), (sum(sizes),), generator=generator)]
    return MoleculeBatch(torch.cat(positions).to(dtype), numbers, torch.tensor(sizes))


def choose(batch, order):
    """The molecules of a batch in some order, and the rows of their atoms."""
    rows = torch.cat([(batch.molecule == molecule).nonzero()[:, 0] for molecule in order])
    sizes = batch.atoms_per_molecule[torch.as_tensor(order)]
    return MoleculeBatch(batch.positions[rows], batch.atomic_numbers[rows], sizes), rows


def rotation(seed=3, dtype=torch.float64):
    return haar(1, generator=torch.Generator().manual_seed(seed))[0].to(dtype)


def deviation(found, expected):
    """Largest difference relative to the largest expected value, or to 1 if that is larger."""
    return float((found - expected).detach().abs().max() / expected.detach().abs().max().clamp(min=1))


def assert_close(found, expected, tolerance):
    __tracebackhide__ = True
    assert found.shape == expected.shape
    assert deviation(found, expected) <= tolerance, f"deviation {deviation(found, expected):.1e} > {tolerance:.0e}"


class ForceFieldModelSuite:
    """Tests of one network; subclasses set the attributes.

    Attributes:
        network: The class.
        config: An instance of its `Config`.
        is_equivariant: Whether forces turn with the molecule for any weights.
        has_head_tensor: Whether the network has a closed form for all rotations.
        batching_tolerance: How far a molecule's results may depend on the rest of its batch.
    """

    network: type
    config: object
    is_equivariant: bool
    has_head_tensor: bool
    batching_tolerance = TOLERANCE

    def make(self, dtype=torch.float32, **changes):
        """A network with every parameter away from its initial value, in evaluation mode."""
        torch.manual_seed(0)
        model = self.network(replace(self.config, **changes)).to(dtype).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    @torch.no_grad()
    def run(self, model, batch):
        return model(batch)

    def loss_batch(self, dtype=torch.float32):
        batch = molecules(dtype=dtype)
        generator = torch.Generator().manual_seed(5)
        forces = torch.randn(batch.positions.shape, generator=generator).to(dtype)
        energy = torch.randn(batch.molecules, generator=generator, dtype=torch.float64)
        return ForceFieldBatch(batch, forces, energy)

    def loss(self, model, dtype=torch.float32):
        task = ForceField(SimpleNamespace(), Normalisation(force_scale=1.3, energy_mean=0.2, energy_scale=0.7))
        return task.loss(model, self.loss_batch(dtype))

    # --- interface ---

    @DTYPES
    def test_shapes(self, dtype):
        batch = molecules(dtype=dtype)
        output = self.run(self.make(dtype), batch)
        atoms = len(batch.positions)
        assert output.forces.shape == (atoms, 3)
        assert output.energy.shape == (batch.molecules,)
        assert (output.head_tensor is not None) == self.has_head_tensor
        if self.has_head_tensor:
            assert output.head_tensor.shape == (atoms, 3, 3)
        values = [value for value in output if value is not None]
        assert {value.dtype for value in values} == {dtype}
        assert all(value.isfinite().all() for value in values)
        assert output.forces.std() > 1e-3
        assert output.energy.std() > 1e-3

    def test_two_atoms(self):
        output = self.run(self.make(), molecules((2,)))
        assert output.forces.isfinite().all()

    def test_single_atom_is_refused(self):
        with pytest.raises(ValueError, match=r"1 atom\(s\) have no neighbour within .* Å; every molecule needs two"):
            self.make()(molecules((4, 1, 3)))

    def test_atoms_out_of_reach_are_refused(self):
        batch = molecules((2, 3))
        positions = batch.positions.clone()
        positions[0] += 2 * self.config.max_radius
        with pytest.raises(ValueError, match=r"2 atom\(s\) have no neighbour"):
            self.make()(batch.with_positions(positions))

    def test_built_on_meta_device(self):
        with torch.device("meta"):
            model = self.network(self.config)
        built = self.network(self.config)
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
        shapes = {name: value.shape for name, value in built.state_dict().items()}
        assert {name: value.shape for name, value in model.state_dict().items()} == shapes

    def test_same_seed_same_weights(self):
        torch.manual_seed(1)
        first = self.network(self.config)
        torch.manual_seed(1)
        second = self.network(self.config)
        third = self.network(self.config)
        pairs = zip(first.parameters(), second.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), third.parameters(), strict=True))

    def test_weights_saved_and_loaded(self, tmp_path):
        model, batch = self.make(), molecules()
        save_checkpoint(tmp_path / "weights.safetensors", model.state_dict(), {})
        other = self.network(self.config).eval()
        assert not torch.equal(self.run(other, batch).forces, self.run(model, batch).forces)
        other.load_state_dict(load_checkpoint(tmp_path / "weights.safetensors")[0])
        for found, expected in zip(self.run(other, batch), self.run(model, batch), strict=True):
            assert (found is None and expected is None) or torch.equal(found, expected)

    # --- training ---

    def test_gradients_reach_every_parameter(self):
        model = self.make().train()
        self.loss(model).backward()
        without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not without
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    def test_gradient_is_that_of_the_loss(self):
        model = self.make(torch.float64, layers=1)
        self.loss(model, torch.float64).backward()
        generator = torch.Generator().manual_seed(2)
        for _, parameter in model.named_parameters():
            direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            values = []
            for step in (1e-6, -2e-6):  # there, to the other side, and back below
                with torch.no_grad():
                    parameter.add_(direction, alpha=step)
                    values.append(float(self.loss(model, torch.float64)))
            with torch.no_grad():
                parameter.add_(direction, alpha=1e-6)
            slope = (values[0] - values[1]) / 2e-6
            expected = float((parameter.grad * direction).sum())
            assert slope == pytest.approx(expected, rel=1e-3, abs=1e-4)

    def test_one_step_lowers_the_loss(self):
        model = self.make()
        before = self.loss(model)
        before.backward()
        with torch.no_grad():
            squared = sum(parameter.grad.square().sum() for parameter in model.parameters())
            for parameter in model.parameters():
                parameter.sub_(parameter.grad, alpha=1e-3 * float(before.detach() / squared))
        assert self.loss(model) < before * (1 - 1e-4)

    # --- batching and order ---

    @DTYPES
    def test_molecule_alone_is_as_in_a_batch(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        together = self.run(model, batch)
        for molecule in range(batch.molecules):
            single, rows = choose(batch, [molecule])
            alone = self.run(model, single)
            assert_close(alone.forces, together.forces[rows], self.batching_tolerance[dtype])
            if self.has_head_tensor:
                assert_close(alone.head_tensor, together.head_tensor[rows], self.batching_tolerance[dtype])
            assert_close(alone.energy, together.energy[[molecule]], self.batching_tolerance[dtype])

    @DTYPES
    def test_order_of_molecules(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        order = [2, 0, 3, 1]
        shuffled, rows = choose(batch, order)
        expected, found = self.run(model, batch), self.run(model, shuffled)
        assert_close(found.forces, expected.forces[rows], TOLERANCE[dtype])
        if self.has_head_tensor:
            assert_close(found.head_tensor, expected.head_tensor[rows], TOLERANCE[dtype])
        assert_close(found.energy, expected.energy[order], TOLERANCE[dtype])

    @DTYPES
    def test_order_of_atoms_within_molecules(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        generator = torch.Generator().manual_seed(4)
        ends = batch.atoms_per_molecule.cumsum(0).tolist()
        rows = torch.cat(
            [
                end - size + torch.randperm(size, generator=generator)
                for end, size in zip(ends, batch.atoms_per_molecule.tolist(), strict=True)
            ]
        )
        permuted = MoleculeBatch(batch.positions[rows], batch.atomic_numbers[rows], batch.atoms_per_molecule)
        expected, found = self.run(model, batch), self.run(model, permuted)
        assert_close(found.forces, expected.forces[rows], TOLERANCE[dtype])
        if self.has_head_tensor:
            assert_close(found.head_tensor, expected.head_tensor[rows], TOLERANCE[dtype])
        assert_close(found.energy, expected.energy, TOLERANCE[dtype])

    def test_elements_matter(self):
        model, batch = self.make(), molecules()
        other = MoleculeBatch(batch.positions, batch.atomic_numbers.roll(1), batch.atoms_per_molecule)
        assert deviation(self.run(model, other).forces, self.run(model, batch).forces) > 1e-3

    # --- symmetry ---

    @DTYPES
    def test_blind_to_translation(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        shifts = torch.tensor([[3.0, -2.0, 1.0], [0.0, 9.0, 0.0], [-1.0, 4.0, 2.0], [5.0, 5.0, 5.0]], dtype=dtype)
        moved = batch.with_positions(batch.positions + shifts[batch.molecule])
        expected, found = self.run(model, batch), self.run(model, moved)
        # float32 positions far from the origin are rounded ten times more coarsely
        assert_close(found.forces, expected.forces, 10 * TOLERANCE[dtype])
        assert_close(found.energy, expected.energy, 10 * TOLERANCE[dtype])

    @DTYPES
    def test_energy_blind_to_rotation(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        turned = batch.with_positions(rotate(batch.positions, rotation()))
        assert_close(self.run(model, turned).energy, self.run(model, batch).energy, TOLERANCE[dtype])

    def equivariance_deviation(self, model, batch):
        """|F(R x) - R F(x)| / |F(x)|."""
        forces = self.run(model, batch).forces
        turned = self.run(model, batch.with_positions(rotate(batch.positions, rotation()))).forces
        return float((turned - rotate(forces, rotation())).norm() / forces.norm())

    @DTYPES
    def test_forces_turn_as_declared(self, dtype):
        error = self.equivariance_deviation(self.make(dtype), molecules(dtype=dtype))
        if self.is_equivariant:
            assert error <= TOLERANCE[dtype]
        else:
            assert error > 0.1

    @DTYPES
    def test_head_tensor_predicts_forces_of_rotated_inputs(self, dtype):
        if not self.has_head_tensor:
            pytest.skip("the network has no closed form")
        model, batch = self.make(dtype), molecules(dtype=dtype)
        output = self.run(model, batch)
        assert torch.equal(output.head_tensor.diagonal(dim1=1, dim2=2), output.forces)
        for seed in range(3):
            R = rotation(seed, dtype)
            turned = self.run(model, batch.with_positions(rotate(batch.positions, R)))
            assert_close(torch.einsum("nkb,kb->nk", output.head_tensor, R), turned.forces, TOLERANCE[dtype])
