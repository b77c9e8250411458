"""EScAIP: the shared suite, and the parts that it is built of."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import sph_harm_y
from suite import DTYPES, TOLERANCE, ForceFieldModelSuite, assert_close, molecules

from equidyn.models.escaip.network import (
    Dropout,
    EScAIP,
    EScAIPConfig,
    _BandedGaussianLinear,
    bond_orientational_order,
    gaussian,
    gaussian_bands,
)


class TestEScAIP(ForceFieldModelSuite):
    network = EScAIP
    config = EScAIPConfig(
        layers=2,
        hidden=16,
        heads=2,
        max_neighbors=7,  # fewer than the largest molecule has
        max_radius=6.0,
        elements=12,
        atom_embedding=6,
        distance_expansion=50,
        distance_embedding=12,
        order_expansion=6,
        order_embedding=5,
    )
    is_equivariant = False
    has_head_tensor = True

    @DTYPES
    def test_equal_head_rows_restore_equivariance(self, dtype):
        model = self.make(dtype)
        with torch.no_grad():
            model.direction.linear.weight.copy_(model.direction.linear.weight.mean(0).expand(3, -1))
        assert self.equivariance_deviation(model, molecules(dtype=dtype)) <= TOLERANCE[dtype]

    def test_symmetric_environments_stay_invariant(self):
        # The orders of perfect tetrahedra and chains are roots of sums that cancel.
        corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.63
        line = torch.tensor([[0.0, 0, 0], [1.2, 0, 0], [-1.2, 0, 0]])
        batch = molecules((5, 3)).with_positions(torch.cat([corners, line]))
        model = self.make()
        with torch.no_grad():
            model.direction.linear.weight.copy_(model.direction.linear.weight.mean(0).expand(3, -1))
        assert self.equivariance_deviation(model, batch) <= 1e-5

    def test_without_energy_head(self):
        output = self.make(energy=False)(molecules())
        assert output.energy is None
        model = self.make(energy=False)
        self.loss(model).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_dropout_only_in_training(self):
        model, batch = self.make(mlp_dropout=0.1, attention_dropout=0.2), molecules()
        without = self.make(mlp_dropout=0.0, attention_dropout=0.0)
        assert torch.equal(self.run(model, batch).forces, self.run(without, batch).forces)
        model.train()
        torch.manual_seed(1)
        first = self.run(model, batch).forces
        assert not torch.equal(first, self.run(model, batch).forces)
        torch.manual_seed(1)
        assert torch.equal(first, self.run(model, batch).forces)
        model.eval()
        assert torch.equal(self.run(model, batch).forces, self.run(without, batch).forces)

    @pytest.mark.parametrize("kind", ["mlp_dropout", "attention_dropout"])
    def test_each_dropout_acts(self, kind):
        model = self.make(**({"mlp_dropout": 0.0, "attention_dropout": 0.0} | {kind: 0.3})).train()
        assert not torch.equal(*(self.run(model, molecules()).forces for _ in range(2)))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"heads": 3}, "hidden=16 is not a multiple of heads=3"),
            ({"layers": 0}, "layers must be positive, found 0"),
            ({"max_radius": -1.0}, "max_radius must be positive, found -1.0"),
            ({"distance_expansion": 1}, "at least two Gaussians"),
        ],
    )
    def test_impossible_sizes(self, change, message):
        with pytest.raises(ValueError, match=message):
            replace(self.config, **change)

    def test_initialisation_of_the_public_model(self):
        torch.manual_seed(0)
        model = EScAIP(EScAIPConfig())
        H = 128
        weights = model.state_dict()
        for name, value in weights.items():
            if "norm" in name or name.endswith("angle_scale"):
                assert (value == 1).all(), name
            elif name.endswith("bias"):
                assert (value == 0).all(), name
            else:
                bound = 0.001 if "_element" in name else (6 / sum(value.shape)) ** 0.5
                bound *= 0.01 if name.startswith("energy.") else 1
                assert value.abs().max() <= bound, name
                expected = bound / 3**0.5
                assert value.std().item() == pytest.approx(expected, rel=4 / value.numel() ** 0.5), name
        # The fingerprint of the published runs: variance of the three rows near (2/3) 2 / (H + 3).
        row_variance = weights["direction.linear.weight"].var(0, correction=0).mean().item()
        assert row_variance == pytest.approx(4 / 3 / (H + 3), rel=0.2)


# --- invariants of EScAIP -------------------------------------------------------------------------------------------


def real_harmonics(degree, directions):
    """(n, 2l+1) real spherical harmonics of unit vectors, whose squares sum to 2l+1."""
    polar = np.arccos(np.clip(directions[:, 2], -1, 1))
    azimuth = np.arctan2(directions[:, 1], directions[:, 0])
    columns = [sph_harm_y(degree, 0, polar, azimuth).real]
    for order in range(1, degree + 1):
        value = np.sqrt(2) * sph_harm_y(degree, order, polar, azimuth)
        columns += [value.real, value.imag]
    return np.sqrt(4 * np.pi) * np.stack(columns, 1)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 2**31))
def test_bond_orientational_order_is_that_of_harmonics(counts, seed):
    degrees, width = 10, max(counts)
    rng = np.random.default_rng(seed)
    slots, mask = np.zeros((len(counts), width, 3)), np.zeros((len(counts), width), bool)
    expected = np.zeros((len(counts), degrees))
    for atom, count in enumerate(counts):
        u = rng.standard_normal((count, 3))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        taken = rng.permutation(width)[:count]
        slots[atom, taken], mask[atom, taken] = u, True
        for degree in range(degrees):
            harmonics = real_harmonics(degree, u)
            np.testing.assert_allclose((harmonics**2).sum(1), 2 * degree + 1)
            expected[atom, degree] = np.linalg.norm(harmonics.mean(0))
    slots = torch.from_numpy(slots)
    found = bond_orientational_order(slots @ slots.mT, torch.from_numpy(mask), degrees)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)  # a root of what may cancel to 1e-15
    np.testing.assert_allclose(found[:, 0], 1, rtol=1e-12)


def dense_product(distance, weight, bias, step):
    centres = torch.arange(weight.shape[1], dtype=distance.dtype)
    return gaussian(distance[:, None] / step - centres) @ weight.T + bias


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.one_of(st.integers(1, 20), st.integers(180, 400)),
    columns=st.integers(2, 200),
    radius=st.floats(2.0, 12.0),
    seed=st.integers(0, 2**31),
    width=st.sampled_from([100, 10**6]),  # few portions and many
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_banded_gaussian_linear_is_the_dense_product(dtype, pairs, columns, radius, seed, width):
    generator = torch.Generator().manual_seed(seed)
    distance = (radius * torch.rand(pairs, generator=generator, dtype=dtype)).sort().values
    weight = torch.randn(5, columns, generator=generator, dtype=dtype).requires_grad_()
    bias = torch.randn(5, generator=generator, dtype=dtype).requires_grad_()
    upstream = torch.randn(pairs, 5, generator=generator, dtype=dtype)
    step = radius / (columns - 1)
    results = []
    bands = gaussian_bands(distance, step, columns, width)
    inputs = distance, weight, bias, step
    for product in (partial(_BandedGaussianLinear.apply, *inputs, bands), partial(dense_product, *inputs)):
        weight.grad = bias.grad = None
        value = product()
        value.backward(upstream)
        results.append((value.detach(), weight.grad, bias.grad))
    # Gaussians are cut six standard deviations out, at 1.5e-8 of their height.
    for found, expected in zip(*results, strict=True):
        assert_close(found, expected, 1e-5 if dtype == torch.float32 else 1e-6)


def test_gaussian_is_two_spacings_wide():
    assert float(gaussian(torch.tensor(2.0, dtype=torch.float64))) == pytest.approx(np.exp(-0.5), rel=1e-12)


# --- dropout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5, 0.9])
def test_dropout_statistics(probability):
    torch.manual_seed(0)
    count = 400_000
    layer = Dropout(probability).train()
    output = layer(torch.ones(count, dtype=torch.float64))
    rounded = round(probability * 2**16) / 2**16
    values = output.unique()
    assert len(values) == 2
    assert values[0] == 0
    assert float(values[1]) == pytest.approx(1 / (1 - rounded), rel=1e-12)
    # in each of the four lanes of a random word, and for neighbours within a word
    kept = (output != 0).double().view(-1, 4)
    sigma = (rounded * (1 - rounded)) ** 0.5
    lanes = kept.mean(0) - (1 - rounded)
    assert lanes.abs().max() < 5 * sigma / (count / 4) ** 0.5
    deviations = kept - (1 - rounded)
    correlation = (deviations.T @ deviations) / (count / 4) / sigma**2
    assert (correlation - torch.eye(4)).abs().max() < 5 / (count / 4) ** 0.5 * max(1, 1 / sigma)
    assert float(output.mean()) == pytest.approx(1, abs=5 * sigma / (1 - rounded) / count**0.5)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 11])
def test_dropout_of_any_size(size):
    torch.manual_seed(0)
    x = torch.full((size, 3), 2.0)
    output = Dropout(0.5).train()(x)
    assert output.shape == x.shape
    assert set(output.unique().tolist()) <= {0.0, 4.0}


def test_dropout_passes_gradient_where_it_keeps():
    torch.manual_seed(0)
    x = torch.ones(64, requires_grad=True)
    output = Dropout(0.25).train()(x)
    output.sum().backward()
    assert torch.equal(x.grad, output.detach())


def test_dropout_does_nothing_in_evaluation_or_at_zero():
    x = torch.randn(7)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
