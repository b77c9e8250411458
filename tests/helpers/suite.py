"""What every network must do: inherit its task's suite, say which network, get all tests."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from equidyn.core.actions import rotate, rotate_grid_exactly
from equidyn.core.batch import ForceOutput, MoleculeBatch, ProteinBatch
from equidyn.core.rotations import haar, octahedral_group
from equidyn.core.voxels import Grid, voxelise
from equidyn.run.checkpoints import load_checkpoint, save_checkpoint
from equidyn.tasks.flow_matching.task import auxiliary_loss, centred, clean_prediction, flow_loss
from equidyn.tasks.force_field.task import ForceField, ForceFieldBatch, Normalisation

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


def neopentane():
    """C(CH3)4 of tetrahedral symmetry: from its middle all four C are equally distant, and all twelve H."""
    corners = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64) / 3**0.5
    numbers, positions = [6], [torch.zeros(3, dtype=torch.float64)]
    for place, corner in enumerate(corners):
        others = torch.cat([corners[:place], corners[place + 1 :]])
        numbers += [6, 1, 1, 1]
        positions += [1.54 * corner, *(1.54 * corner - 1.09 * others)]
    return MoleculeBatch(torch.stack(positions).float(), torch.tensor(numbers), torch.tensor([17]))


def choose(batch, order):
    """The molecules of a batch in some order, and the rows of their atoms."""
    rows = torch.cat([(batch.molecule == molecule).nonzero()[:, 0] for molecule in order])
    sizes = batch.atoms_per_molecule[torch.as_tensor(order)]
    return MoleculeBatch(batch.positions[rows], batch.atomic_numbers[rows], sizes), rows


def chains(lengths=(9, 12, 5, 12), *, seed=0, dtype=torch.float32, x_sc=True):
    """Noisy random chains at four flow times, residue numbers that start anywhere and jump, padded to the longest."""
    generator = torch.Generator().manual_seed(seed)
    count, longest = len(lengths), max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]

    def noise(scale):
        return torch.randn(count, longest, 3, generator=generator, dtype=torch.float64).to(dtype) * scale

    x = centred(noise(0.4).cumsum(1), mask)
    jumps = torch.randint(1, 4, (count, longest), generator=generator)
    index = (jumps.cumsum(1) + torch.randint(-20, 90, (count, 1), generator=generator)).masked_fill(~mask, -1)
    return ProteinBatch(
        centred(x + noise(0.3), mask),
        torch.linspace(0.1, 0.95, count, dtype=dtype),
        mask,
        index,
        (jumps > 2) & mask,
        centred(x + noise(0.2), mask) if x_sc else None,
    )


def rotation(seed=3, dtype=torch.float64):
    return haar(1, generator=torch.Generator().manual_seed(seed))[0].to(dtype)


def deviation(found, expected):
    """Largest difference relative to the largest expected value, or to 1 if that is larger."""
    return float((found - expected).detach().abs().max() / expected.detach().abs().max().clamp(min=1))


def assert_close(found, expected, tolerance):
    __tracebackhide__ = True
    assert found.shape == expected.shape
    assert deviation(found, expected) <= tolerance, f"deviation {deviation(found, expected):.1e} > {tolerance:.0e}"


class ModelSuite:
    """Tests of one network; subclasses set the attributes.

    Attributes:
        network: The class.
        config: An instance of its `Config`.
        small: Changes that make it as small as its parts allow.
        is_equivariant: Whether the vectors it predicts turn with the input for any weights.
        batching_tolerance: How far an example's results may depend on the rest of its batch.

    A task's suite has the methods `batch` (four examples), `chosen` (some of a batch's examples, in some order),
    `chosen_output` (what the output for a batch says about them), `turned` (a batch rotated), `vectors` (what is
    predicted, (N, 3)) and `loss` (of a model; all weights have a part in it).
    """

    network: type
    config: object
    small: dict
    is_equivariant: bool
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

    def assert_outputs_close(self, found, expected, tolerance):
        __tracebackhide__ = True
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert_close(ours, theirs, tolerance)

    # --- interface ---

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
        model, batch = self.make(), self.batch()
        save_checkpoint(tmp_path / "weights.safetensors", model.state_dict(), {})
        other = self.network(self.config).eval()
        assert not torch.equal(self.run(other, batch)[0], self.run(model, batch)[0])
        other.load_state_dict(load_checkpoint(tmp_path / "weights.safetensors")[0])
        self.assert_outputs_close(self.run(other, batch), self.run(model, batch), 0)

    # --- training ---

    def test_gradients_reach_every_parameter(self):
        model = self.make().train()
        self.loss(model).backward()
        without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not without
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())

    def test_gradient_is_that_of_the_loss(self):
        model = self.make(torch.float64, **self.small)
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

    # --- batching ---

    @DTYPES
    def test_example_alone_is_as_in_a_batch(self, dtype):
        model, batch = self.make(dtype), self.batch(dtype)
        together = self.run(model, batch)
        for example in range(4):
            alone = self.run(model, self.chosen(batch, [example]))
            expected = self.chosen_output(together, batch, [example])
            self.assert_outputs_close(alone, expected, self.batching_tolerance[dtype])

    @DTYPES
    def test_order_of_examples(self, dtype):
        model, batch, order = self.make(dtype), self.batch(dtype), [2, 0, 3, 1]
        expected = self.chosen_output(self.run(model, batch), batch, order)
        self.assert_outputs_close(self.run(model, self.chosen(batch, order)), expected, TOLERANCE[dtype])

    # --- symmetry ---

    def equivariance_deviation(self, model, batch):
        """|F(R x) - R F(x)| / |F(x)|."""
        vectors = self.vectors(self.run(model, batch), batch)
        turned = self.vectors(self.run(model, self.turned(batch, rotation())), batch)
        return float((turned - rotate(vectors, rotation())).norm() / vectors.norm())

    @DTYPES
    def test_vectors_turn_as_declared(self, dtype):
        error = self.equivariance_deviation(self.make(dtype), self.batch(dtype))
        if self.is_equivariant:
            assert error <= TOLERANCE[dtype]
        else:
            assert error > 0.1


class ForceFieldModelSuite(ModelSuite):
    """Tests of one force field.

    Attributes:
        has_head_tensor: Whether the network has a closed form for all rotations.
        has_energy: Whether it predicts energies too.
        is_compiled: Whether PyTorch can compile it, for which batches are padded.
    """

    has_head_tensor: bool
    has_energy = True
    is_compiled = True
    small = {"layers": 1}  # noqa: RUF012

    def batch(self, dtype=torch.float32):
        return molecules(dtype=dtype)

    def chosen(self, batch, order):
        return choose(batch, order)[0]

    def chosen_output(self, output, batch, order):
        rows = choose(batch, order)[1]
        return ForceOutput(
            *(None if value is None else value[place] for value, place in zip(output, (rows, order, rows), strict=True))
        )

    def turned(self, batch, R):
        return batch.with_positions(rotate(batch.positions, R))

    def vectors(self, output, batch):
        return output.forces

    def loss(self, model, dtype=torch.float32):
        batch = self.batch(dtype)
        generator = torch.Generator().manual_seed(5)
        forces = torch.randn(batch.positions.shape, generator=generator).to(dtype)
        energy = torch.randn(batch.molecules, generator=generator, dtype=torch.float64)
        task = ForceField(SimpleNamespace(), Normalisation(force_scale=1.3, energy_mean=0.2, energy_scale=0.7))
        return task.loss(model, ForceFieldBatch(batch, forces, energy))

    # --- interface ---

    @DTYPES
    def test_shapes(self, dtype):
        batch = molecules(dtype=dtype)
        output = self.run(self.make(dtype), batch)
        atoms = len(batch.positions)
        assert output.forces.shape == (atoms, 3)
        assert (output.energy is not None) == self.has_energy
        assert (output.head_tensor is not None) == self.has_head_tensor
        if self.has_head_tensor:
            assert output.head_tensor.shape == (atoms, 3, 3)
        if self.has_energy:
            assert output.energy.shape == (batch.molecules,)
            assert output.energy.std() > 1e-3
        values = [value for value in output if value is not None]
        assert {value.dtype for value in values} == {dtype}
        assert all(value.isfinite().all() for value in values)
        assert output.forces.std() > 1e-3

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

    # --- order and elements ---

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
        tensor = expected.head_tensor[rows] if self.has_head_tensor else None
        self.assert_outputs_close(found, (expected.forces[rows], expected.energy, tensor), TOLERANCE[dtype])

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
        self.assert_outputs_close((*found[:2], None), (*expected[:2], None), 10 * TOLERANCE[dtype])

    @DTYPES
    def test_energy_blind_to_rotation(self, dtype):
        if not self.has_energy:
            pytest.skip("the network predicts no energies")
        model, batch = self.make(dtype), molecules(dtype=dtype)
        turned = batch.with_positions(rotate(batch.positions, rotation()))
        assert_close(self.run(model, turned).energy, self.run(model, batch).energy, TOLERANCE[dtype])

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

    @pytest.mark.parametrize("max_neighbors", [3, 5, 8])
    def test_equally_distant_atoms_compete_alike_however_the_molecule_lies(self, max_neighbors):
        model, batch = self.make(max_neighbors=max_neighbors), neopentane()
        output = self.run(model, batch)
        for seed in range(3):
            R = rotation(seed, torch.float32)
            turned = self.run(model, batch.with_positions(rotate(batch.positions, R)))
            head = torch.einsum("nkb,kb->nk", output.head_tensor, R) if self.has_head_tensor else None
            assert_close(turned.forces, rotate(output.forces, R) if head is None else head, TOLERANCE[torch.float32])
            assert_close(turned.energy, output.energy, TOLERANCE[torch.float32])

    # --- preparation ---

    def gradients(self, model, network, batch):
        """Outputs for the suite's molecules, and gradients of a function of them."""
        model.zero_grad()
        forces, energy, _ = network(batch)
        forces, energy = forces[: sum(self.batch().atoms_per_molecule)], energy[: self.batch().molecules]
        (forces * torch.linspace(-1, 1, 3 * len(forces)).view(forces.shape)).sum().add(energy.square().sum()).backward()
        return [forces.detach(), energy.detach(), *(parameter.grad.clone() for parameter in model.parameters())]

    def test_prepared_batches_give_the_same(self):
        model, batch = self.make(), self.batch()
        self.assert_outputs_close(self.run(model, model.prepare(batch)), self.run(model, batch), 0)

    def test_other_positions_need_another_graph(self):
        model, batch = self.make(), self.batch()
        moved = batch.with_positions(2 * batch.positions)
        found = self.run(model, model.prepare(batch).with_positions(2 * batch.positions))
        self.assert_outputs_close(found, self.run(model, moved), 0)

    def skip_unless_compiled(self):
        if not self.is_compiled:
            pytest.skip("the network is not compiled")

    @DTYPES
    def test_few_shapes_change_nothing_but_shapes(self, dtype):
        self.skip_unless_compiled()
        model, batch = self.make(dtype), self.batch(dtype)
        padded = model.prepare(batch, few_shapes=True)
        assert len(padded.positions) > len(batch.positions)
        for found, expected in zip(
            self.gradients(model, model, padded), self.gradients(model, model, batch), strict=True
        ):
            assert_close(found, expected, 2 * TOLERANCE[dtype])

    @pytest.mark.parametrize("few_shapes", [False, True])
    def test_no_graph_breaks(self, few_shapes):
        self.skip_unless_compiled()
        model = self.make(**self.small).train()
        torch._dynamo.reset()
        found = torch._dynamo.explain(model)(model.prepare(self.batch(), few_shapes=few_shapes))
        assert found.graph_break_count == 0, found.break_reasons

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # inductor uses what PyTorch deprecates
    @pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
    def test_compiled_is_as_it_was(self, backend):
        self.skip_unless_compiled()
        model = self.make(**self.small)
        torch._dynamo.reset()
        compiled = torch.compile(model, backend=backend, fullgraph=True)
        batch = model.prepare(self.batch(), few_shapes=True)
        for found, expected in zip(
            self.gradients(model, compiled, batch), self.gradients(model, model, batch), strict=True
        ):
            assert_close(found, expected, 3e-5)


class FlowMatchingModelSuite(ModelSuite):
    """Tests of one network for flow matching.

    Attributes:
        has_distogram: Whether the network predicts distances too.
    """

    has_distogram: bool

    def batch(self, dtype=torch.float32):
        return chains(dtype=dtype)

    def chosen(self, batch, order):
        length = int(batch.mask[order].sum(1).max())
        values = {field.name: getattr(batch, field.name)[order] for field in fields(batch)}
        return ProteinBatch(**{name: x if x.ndim == 1 else x[:, :length] for name, x in values.items()})

    def chosen_output(self, output, batch, order):
        length = int(batch.mask[order].sum(1).max())
        distogram = None if output.distogram is None else output.distogram[order][:, :length, :length]
        return output.velocity[order][:, :length], distogram

    def turned(self, batch, R):
        R = R.to(batch.x_t)
        return replace(batch, x_t=batch.x_t @ R.T, x_sc=batch.x_sc @ R.T)

    def vectors(self, output, batch):
        return output.velocity[batch.mask]

    def loss(self, model, dtype=torch.float32):
        batch, x_1 = self.batch(dtype), chains(seed=1, dtype=dtype).x_t
        velocity, distogram = model(batch)
        flow = flow_loss(clean_prediction(batch.x_t, batch.t, velocity), x_1, batch.t, batch.mask)
        return (flow + auxiliary_loss(distogram, x_1, batch.t, batch.mask)).mean()

    def changes(self, **inputs):
        """How far the velocities move when some of the inputs are replaced."""
        model, batch = self.make(), self.batch()
        return deviation(self.run(model, replace(batch, **inputs)).velocity, self.run(model, batch).velocity)

    # --- interface ---

    @DTYPES
    @pytest.mark.parametrize("x_sc", [True, False], ids=["self-conditioned", "first"])
    def test_shapes(self, dtype, x_sc):
        batch = chains(dtype=dtype, x_sc=x_sc)
        velocity, distogram = self.run(self.make(dtype), batch)
        assert velocity.shape == batch.x_t.shape
        assert velocity.dtype == dtype
        assert velocity.isfinite().all()
        assert velocity[batch.mask].std() > 1e-3
        assert (velocity[~batch.mask] == 0).all()
        assert (distogram is not None) == self.has_distogram
        if self.has_distogram:
            assert distogram.shape == (*batch.mask.shape, batch.mask.shape[1], 64)
            assert distogram.dtype == dtype
            assert distogram.isfinite().all()

    def test_two_residues(self):
        batch = chains((2,))
        velocity, distogram = self.run(self.make(), batch)
        assert velocity.isfinite().all()
        assert distogram is None or distogram.isfinite().all()

    def test_residue_numbers_and_breaks_may_be_missing(self):
        model, batch = self.make(), chains((9, 9), x_sc=False)
        counted = torch.arange(1, 10).expand(2, -1)
        given = replace(batch, residue_index=counted, chain_break=torch.zeros_like(batch.mask))
        missing = replace(batch, residue_index=None, chain_break=None)
        self.assert_outputs_close(self.run(model, missing), self.run(model, given), 0)

    def test_every_input_matters(self):
        batch = self.batch()
        assert self.changes(x_t=batch.x_t.roll(1, 1) * batch.mask[..., None]) > 1e-3
        assert self.changes(x_sc=None) > 1e-3
        assert self.changes(x_sc=2 * batch.x_sc) > 1e-3
        assert self.changes(t=batch.t.flip(0)) > 1e-3
        assert self.changes(residue_index=None) > 1e-3
        assert self.changes(chain_break=~batch.chain_break & batch.mask) > 1e-3

    def test_where_residue_numbers_start_does_not_matter(self):
        batch = self.batch()
        assert self.changes(residue_index=batch.residue_index + torch.tensor([[7], [-40], [0], [1000]])) <= 1e-5

    # --- padding ---

    @DTYPES
    def test_nothing_comes_from_padding(self, dtype):
        model, batch = self.make(dtype), self.batch(dtype)
        generator = torch.Generator().manual_seed(1)
        mask = torch.nn.functional.pad(batch.mask, (0, 3))

        def strewn(x, junk):
            wider = torch.nn.functional.pad(x, (0, 0, 0, 3) if x.ndim == 3 else (0, 3))
            return torch.where(mask if x.ndim == 2 else mask[..., None], wider, junk)

        junk = 9 * torch.randn(*mask.shape, 3, generator=generator).to(dtype)
        padded = ProteinBatch(
            strewn(batch.x_t, junk),
            batch.t,
            mask,
            strewn(batch.residue_index, torch.tensor(77)),
            strewn(batch.chain_break, torch.tensor(True)),
            strewn(batch.x_sc, -junk),
        )
        velocity, distogram = self.run(model, padded)
        assert (velocity[~mask] == 0).all()
        if distogram is not None:
            distogram = distogram[:, :-3, :-3]
        self.assert_outputs_close((velocity[:, :-3], distogram), self.run(model, batch), TOLERANCE[dtype])

    # --- compiling ---

    @pytest.mark.slow
    def test_compiled_once_for_all_lengths(self):
        """In one piece each with and without self-conditioning, for output and gradients of the network itself."""
        model, counter = self.make(**self.small).train(), CompileCounter()
        torch._dynamo.reset()
        compiled = torch.compile(model, backend=counter, fullgraph=True, dynamic=True)
        for x_sc in (True, False):
            for lengths in ((9, 12, 5, 12), (20, 31, 8, 17), (7, 40, 33)):
                batch, results = chains(lengths, x_sc=x_sc), []
                for network in (model, compiled):
                    outputs = [value for value in network(batch) if value is not None]
                    loss = sum(value.square().mean() for value in outputs)
                    gradients = torch.autograd.grad(loss, model.parameters(), allow_unused=True)
                    results.append(torch.cat([x.flatten() for x in (*outputs, *gradients) if x is not None]).detach())
                assert_close(*results, 1e-5)
        assert counter.frame_count == 2


SIDE, CHANNELS = 8, 3
"""Edge and number of channels of the grids of voxels."""


def clean_grids(dtype=torch.float32):
    batch = molecules(dtype=dtype, elements=(0, 1, 2))
    grid = Grid(SIDE, spacing=1.0, radius=1.0)
    return voxelise(batch.positions, batch.atomic_numbers, batch.molecule, batch.molecules, grid, CHANNELS)


class VoxelModelSuite(ModelSuite):
    """Tests of one network for voxel denoising, which is equivariant, if it is, under the 24 rotations of a cube."""

    def batch(self, dtype=torch.float32):
        noise = torch.randn(4, CHANNELS, *(SIDE,) * 3, generator=torch.Generator().manual_seed(1))
        return clean_grids(dtype) + 0.9 * noise.to(dtype)

    def chosen(self, batch, order):
        return batch[order]

    def chosen_output(self, output, batch, order):
        return output[order]

    def error(self, model, dtype=torch.float32):
        return (model(self.batch(dtype)) - clean_grids(dtype)).square().sum()

    def loss(self, model, dtype=torch.float32):
        # Weights that nothing uses get a gradient of zero, for the shared tests.
        return self.error(model, dtype) + 0 * sum(parameter.sum() for parameter in model.parameters())

    def assert_compiles_in_one_piece(self):
        """A compiled network in training has no graph breaks, and its output and gradients are those of the network."""
        model, batch, weights = self.make().train(), self.batch(), self.batch().roll(1, 0)
        torch._dynamo.reset()
        results = []
        for network in (model, torch.compile(model, backend="aot_eager", fullgraph=True)):
            torch.manual_seed(0)  # of dropout
            output = network(batch)
            gradients = torch.autograd.grad((output * weights).sum(), list(model.parameters()), allow_unused=True)
            results.append([output.detach(), *(gradient for gradient in gradients if gradient is not None)])
        largest = max(float(gradient.norm()) for gradient in results[0][1:])
        for compiled, plain in zip(*reversed(results), strict=True):
            assert_close(compiled, plain, 1e-5 * largest / float(plain.norm()))

    def equivariance_deviation(self, model, batch):
        expected = self.run(model, batch)
        turned = [
            (self.run(model, rotate_grid_exactly(batch, R)) - rotate_grid_exactly(expected, R)).norm()
            for R in octahedral_group()
        ]
        return float(max(turned) / expected.norm())

    # --- interface ---

    @DTYPES
    def test_shapes(self, dtype):
        batch = self.batch(dtype)
        output = self.run(self.make(dtype), batch)
        assert output.shape == batch.shape
        assert output.dtype == dtype
        assert output.isfinite().all()
        assert (output.std((0, 2, 3, 4)) > 1e-3).all()

    def test_twice_as_large_grids(self):
        output = self.run(self.make(), torch.rand(1, CHANNELS, *(2 * SIDE,) * 3))
        assert output.shape == (1, CHANNELS, *(2 * SIDE,) * 3)
        assert output.isfinite().all()

    @pytest.mark.parametrize(
        "shape", [(2, CHANNELS + 1, 8, 8, 8), (CHANNELS, 8, 8, 8), (2, CHANNELS, 8, 8, 4), (2, CHANNELS, 8, 4, 8)]
    )
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"grids have shape \(.*\); expected \(B, 3, G, G, G\)"):
            self.make()(torch.zeros(shape))

    def test_sides_that_cannot_be_halved_are_refused(self):
        model = self.make()
        with pytest.raises(ValueError, match=r"grids of side 9 cannot be halved .*: use a multiple of"):
            model(torch.zeros(1, CHANNELS, 9, 9, 9))

    def test_every_channel_and_voxel_matters(self):
        model, batch = self.make(torch.float64), self.batch(torch.float64).requires_grad_()
        model(batch).square().sum().backward()
        assert (batch.grad != 0).all()

    # --- precision ---

    def test_bfloat16(self):
        # Not down to a side of two: there PyTorch 2.13's convolutions for CPUs leave memory as they find it, at times
        # NaN, in gradients of weights.
        model, batch = self.make(**self.small), self.batch()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(batch)
            loss = self.error(model)
        assert output.dtype == torch.bfloat16
        assert 1e-5 < deviation(output.float(), self.run(model, batch)) < 0.1
        assert float(loss.detach()) == pytest.approx(float(self.error(model).detach()), rel=0.1)
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)

    def test_no_weight_is_exempt_from_decay(self):
        model = self.make()
        assert not any(model.no_decay(name) for name, _ in model.named_parameters())
