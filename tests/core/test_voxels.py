"""Voxel grids: the density that is written down, nowhere anything else, and gradients that are finite."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equidyn.core import voxels
from equidyn.core.voxels import Grid, check_atoms, element_channels, published_rotation, voxelise


def atoms(count, *, seed=0, spread=1.5, molecules=2, channels=3, dtype=torch.float64):
    """Positions, channels and molecules of random atoms, sorted by nothing."""
    generator = torch.Generator().manual_seed(seed)
    positions = spread * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    channel = torch.randint(channels, (count,), generator=generator)
    return positions.to(dtype), channel, torch.randint(molecules, (count,), generator=generator)


def by_definition(positions, channel, molecule, molecules, grid, channels):
    """The grids from the written definition, an atom at a time."""
    empty = np.ones((molecules, channels, *(grid.side,) * 3))
    index = np.arange(grid.side)
    for position, c, m in zip(positions.tolist(), channel.tolist(), molecule.tolist(), strict=True):
        along = []
        for x in position:
            if grid.centre == "symmetric":
                distance = (index - (grid.side - 1) / 2) * grid.spacing - x
                near = np.abs(distance) <= 2.5 * grid.radius
            else:
                distance = (index - (grid.side / 2 - 1.125)) * 0.25 - x
                offset = index - math.floor(x / 0.25) - (grid.side // 2 - 1)
                near = (offset >= -4) & (offset <= 6)
            along.append(np.exp(-((distance / (0.93 * grid.radius)) ** 2)) * near)
        empty[m, c] *= 1 - along[0][:, None, None] * along[1][:, None] * along[2]
    return 1 - empty


@settings(max_examples=40, deadline=None)
@given(
    side=st.integers(1, 14),
    spacing=st.sampled_from([0.2, 0.25, 0.5, 0.7]),
    radius=st.sampled_from([0.4, 0.5, 1.0]),
    upstream=st.booleans(),
    count=st.integers(0, 12),
    seed=st.integers(0, 2**31),
)
def test_grids_are_those_of_the_definition(side, spacing, radius, upstream, count, seed):
    grid = Grid(2 * side, centre="upstream") if upstream else Grid(side, spacing, radius=radius)
    positions, channel, molecule = atoms(count, seed=seed)
    found = voxelise(positions, channel, molecule, 2, grid, 3)
    expected = by_definition(positions, channel, molecule, 2, grid, 3)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    narrow = voxelise(positions.float(), channel, molecule, 2, grid, 3)
    assert narrow.dtype == torch.float32
    # Where rounding moves an atom, a voxel may come into the window or leave it.
    np.testing.assert_allclose(narrow, expected, rtol=0, atol=2e-3)


def test_single_precision():
    positions, channel, molecule = atoms(60, dtype=torch.float32)
    single = voxelise(positions, channel, molecule, 2, Grid(32), 3)
    double = voxelise(positions.double(), channel, molecule, 2, Grid(32), 3)
    assert (single - double).abs().max() < 2e-6


@pytest.mark.parametrize("centre", ["symmetric", "upstream"])
def test_one_atom_sums_up_to_its_gaussian(centre):
    zero = torch.zeros(1, dtype=torch.int64)
    for seed in range(5):
        position = atoms(1, seed=seed, spread=0.3)[0]
        grid = voxelise(position, zero, zero, 1, Grid(32, centre=centre), 1)
        # (3.4596 π)^(3/2) in voxels, but for what the window cuts off; the square has half the variance.
        assert float(grid.sum()) == pytest.approx((3.4596 * math.pi) ** 1.5, rel=2e-3)
        assert float(grid.square().sum()) == pytest.approx((3.4596 * math.pi / 2) ** 1.5, rel=1e-5)


@pytest.mark.parametrize(
    ("grid", "origin"),
    [
        (Grid(64), 31.5),
        (Grid(7, spacing=0.5), 3),
        (Grid(64, centre="upstream"), 30.875),
        (Grid(32, centre="upstream"), 14.875),
    ],
)
def test_where_the_origin_lies(grid, origin):
    assert grid.origin == origin
    axis = grid.axis(dtype=torch.float64)
    assert len(axis) == grid.side
    assert float(axis[0]) == -origin * grid.spacing
    assert torch.allclose(axis.diff(), torch.tensor(grid.spacing, dtype=torch.float64))
    place = axis[[grid.side // 2, grid.side // 2 + 1, grid.side // 2 - 1]]
    zero = torch.zeros(1, dtype=torch.int64)
    values = voxelise(place[None] + 0.01, zero, zero, 1, grid, 1)[0, 0]
    highest = np.unravel_index(int(values.argmax()), values.shape)
    assert highest == (grid.side // 2, grid.side // 2 + 1, grid.side // 2 - 1)


def test_reach_is_a_length():
    zero = torch.zeros(1, dtype=torch.int64)
    for spacing in (0.1, 0.25, 0.5):
        grid = Grid(41, spacing)
        row = voxelise(torch.zeros(1, 3), zero, zero, 1, grid, 1)[0, 0, :, 20, 20]
        assert float(grid.axis()[row > 0].abs().max()) == pytest.approx(1.25, abs=spacing / 2 + 1e-6)
        assert float(row[row > 0].min()) > 7e-4


def test_atoms_unite_within_channel_and_molecule_only():
    positions = torch.tensor([[0.1, 0, 0], [0.4, 0.2, 0]], dtype=torch.float64)

    def grids(channel, molecule):
        return voxelise(positions, torch.tensor(channel), torch.tensor(molecule), 2, Grid(16), 2)

    apart = grids([0, 1], [0, 0])
    a, b = apart[0]
    assert torch.equal(apart[1], torch.zeros_like(apart[1]))
    torch.testing.assert_close(grids([1, 1], [0, 0])[0, 1], a + b - a * b)
    assert torch.equal(grids([0, 0], [0, 1])[:, 0], torch.stack([a, b]))


def test_order_of_atoms_does_not_matter():
    positions, channel, molecule = atoms(40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    found = voxelise(positions[order], channel[order], molecule[order], 2, Grid(16), 3)
    torch.testing.assert_close(found, voxelise(positions, channel, molecule, 2, Grid(16), 3), rtol=0, atol=1e-14)


def test_molecules_move_with_the_grid():
    positions, channel, molecule = atoms(20, spread=0.3)
    still = voxelise(positions, channel, molecule, 2, Grid(32), 3)
    moved = voxelise(positions + torch.tensor([0.25, 0, -0.5]), channel, molecule, 2, Grid(32), 3)
    torch.testing.assert_close(moved, still.roll((1, -2), (2, 4)), rtol=0, atol=1e-14)


def test_nothing_in_and_nothing_inside():
    none = torch.zeros(0, dtype=torch.int64)
    assert torch.equal(voxelise(torch.zeros(0, 3), none, none, 2, Grid(4), 3), torch.zeros(2, 3, 4, 4, 4))
    one = torch.zeros(1, dtype=torch.int64)
    for far in (3.0, 999.0, 1e30):
        assert not voxelise(torch.tensor([[0.0, 0, far]]), one, one, 1, Grid(8), 1).any()


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [Grid(9, 0.5), Grid(12, centre="upstream")], ids=["symmetric", "upstream"])
def test_gradient_is_that_of_the_grids(grid):
    positions, channel, molecule = atoms(7, spread=0.8)
    positions.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: voxelise(x, channel, molecule, 2, grid, 3), positions, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_at_the_centre_of_a_voxel(dtype):
    # A voxel's centre, the same again, one beside it in a line, and an atom of no special place.
    places = [[0.125] * 3, [0.125] * 3, [0.125, 0.125, 0.375], [0.3, -0.2, 0.1]]
    positions = torch.tensor(places, dtype=dtype).requires_grad_()
    zero = torch.zeros(4, dtype=torch.int64)
    values = voxelise(positions, zero, zero, 1, Grid(16), 1)
    assert float(values.detach().max()) == pytest.approx(1, abs=1e-6)
    # Not at the windows' ends, which a step of any size makes one voxel shorter on one side.
    weight = torch.zeros(values.shape, dtype=dtype)
    weight[..., 5:13, 5:13, 5:13] = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    (values * weight).sum().backward()
    assert positions.grad.isfinite().all()
    near = positions.detach().double() + 1e-5  # where nothing is special
    near.requires_grad_()
    (voxelise(near, zero, zero, 1, Grid(16), 1) * weight.double()).sum().backward()
    torch.testing.assert_close(positions.grad.double(), near.grad, rtol=1e-3, atol=1e-3)


def test_single_atom_on_a_voxel_is_drawn_nowhere():
    zero = torch.zeros(1, dtype=torch.int64)
    position = torch.full((1, 3), 0.125, requires_grad=True)
    voxelise(position, zero, zero, 1, Grid(16), 1)[0, 0, 8, 8, 8].backward()
    assert torch.equal(position.grad, torch.zeros(1, 3))


# --- memory ---------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_atoms(monkeypatch, largest_tensor):
    monkeypatch.setattr(voxels, "_CHUNK", 20_000)
    positions, channel, molecule = atoms(200, dtype=torch.float32)
    positions.requires_grad_()
    with largest_tensor() as made:
        voxelise(positions, channel, molecule, 2, Grid(10), 3).sum().backward()
    assert 2 * 3 * 10**3 <= made.numbers <= 20_000


def test_chunks_change_nothing(monkeypatch):
    positions, channel, molecule = atoms(50)
    positions.requires_grad_()
    results = []
    for chunk in (2**20, 3 * 11**3, 1):
        monkeypatch.setattr(voxels, "_CHUNK", chunk)
        values = voxelise(positions, channel, molecule, 2, Grid(12), 3)
        (gradient,) = torch.autograd.grad(values.square().sum(), positions)
        results.append((values.detach(), gradient))
    for values, gradient in results[1:]:
        torch.testing.assert_close(values, results[0][0], rtol=0, atol=1e-14)
        torch.testing.assert_close(gradient, results[0][1], rtol=0, atol=1e-12)


def test_all_voxels_are_converted_as_those_near_atoms(monkeypatch):
    results = []
    for sparse in (0, 10**6):
        monkeypatch.setattr(voxels, "_SPARSE", sparse)
        results.append(voxelise(*atoms(20), 2, Grid(12), 3))
    torch.testing.assert_close(*results, rtol=0, atol=1e-15)
    assert (results[0] == 0).any()
    assert not any(values.signbit().any() for values in results)


# --- elements and rotations -----------------------------------------------------------------------------------------


def test_channels_of_elements():
    numbers = torch.tensor([6, 1, 8, 7, 9, 16, 17, 35])
    assert element_channels(numbers).tolist() == list(range(8))
    assert element_channels(numbers[[2, 0, 2]], channels=5).tolist() == [2, 0, 2]
    assert element_channels(torch.tensor([15, 53, 5]), channels=11).tolist() == [8, 9, 10]
    assert element_channels(numbers[:0]).shape == (0,)


def test_elements_without_a_channel():
    with pytest.raises(
        ValueError, match=r"atomic numbers \[14, 15\] have no channel among 8: those of \[1, 6, 7, 8, 9"
    ):
        element_channels(torch.tensor([6, 15, 14, 15]))


def test_published_rotations_are_the_written_ones():
    angles = 2 * math.pi * torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = published_rotation(angles)
    torch.testing.assert_close(torch.det(found), torch.ones(5, dtype=torch.float64))
    for R, (a, b, c) in zip(found.numpy(), angles.tolist(), strict=True):
        x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
        y = np.array([[math.cos(b), 0, -math.sin(b)], [0, 1, 0], [math.sin(b), 0, math.cos(b)]])
        z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
        np.testing.assert_allclose(R, z @ y @ x, atol=1e-15)


def test_published_rotations_are_not_uniform():
    angles = 2 * math.pi * torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    R = published_rotation(angles)
    assert float(R[:, 2, 0].square().mean()) == pytest.approx(1 / 2, abs=0.01)  # Haar: 1/3
    assert float(R.diagonal(dim1=1, dim2=2).sum(1).square().mean()) == pytest.approx(7 / 8, abs=0.04)  # Haar: 1


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 0}, "side must be positive, found 0"),
        ({"spacing": -0.25}, "spacing must be positive, found -0.25"),
        ({"radius": math.nan}, "radius must be positive, found nan"),
        ({"centre": "middle"}, "unknown centre 'middle': use symmetric or upstream"),
        ({"centre": "upstream", "spacing": 0.5}, "centre='upstream' needs spacing 0.25, .* found 0.5, 0.5 and 8"),
        ({"centre": "upstream", "side": 7}, "centre='upstream' needs .* an even side, found 0.25, 0.5 and 7"),
    ],
)
def test_impossible_grids(values, message):
    with pytest.raises(ValueError, match=message):
        Grid(**{"side": 8} | values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": torch.zeros(2, 2)}, r"positions have shape \(2, 2\); expected \(N, 3\)"),
        ({"channel": torch.tensor([0])}, r"channel has shape \(1,\); expected \(2,\)"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        voxelise(**two_atoms() | change, molecules=2, grid=Grid(4), channels=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": torch.tensor([[0.0, 0, 0], [0, math.nan, 0]])}, "positions must be finite"),
        ({"channel": torch.tensor([0, 3])}, "channel must lie in 0 to 2, found 0 to 3"),
        ({"molecule": torch.tensor([-1, 0])}, "molecule must lie in 0 to 1, found -1 to 0"),
    ],
)
def test_atoms_without_a_place_are_refused(change, message):
    check_atoms(**two_atoms(), molecules=2, channels=3)
    with pytest.raises(ValueError, match=message):
        check_atoms(**two_atoms() | change, molecules=2, channels=3)


def test_positions_that_are_no_numbers_show_in_the_grid():
    positions = two_atoms()["positions"] + torch.tensor([[0.0], [math.nan]])
    found = voxelise(**two_atoms() | {"positions": positions}, molecules=2, grid=Grid(4), channels=3)
    assert found[0, 0].isfinite().all()
    assert found[0, 1].isnan().any()


def two_atoms():
    zero = torch.zeros(2, dtype=torch.int64)
    return {"positions": torch.zeros(2, 3), "channel": torch.tensor([0, 1]), "molecule": zero}
