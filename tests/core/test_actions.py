"""The action of rotations on row vectors and on grids."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equidyn.core.actions import inverse, rotate, rotate_grid, rotate_grid_exactly
from equidyn.core.rotations import haar, octahedral_group
from equidyn.core.voxels import Grid, voxelise

QUARTER_TURN = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y, about z
ROUNDING = {"rtol": 0, "atol": 1e-12}


def test_rotation_is_active_on_row_vectors():
    x = torch.tensor([[1.0, 0, 0]])
    assert torch.equal(rotate(x, QUARTER_TURN), torch.tensor([[0.0, 1, 0]]))
    assert torch.equal(rotate(x, QUARTER_TURN), x @ QUARTER_TURN.T)


@given(seed=st.integers(0, 2**32 - 1), shared=st.booleans())
def test_actions_compose_invert_and_keep_lengths(seed, shared):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    example = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    first, then = haar(6, generator=generator).reshape(2, 3, 3, 3)
    if shared:
        first, then, example = first[0], then[0], None
    turned = rotate(rotate(x, first, example), then, example)
    torch.testing.assert_close(turned, rotate(x, then @ first, example))
    torch.testing.assert_close(rotate(rotate(x, first, example), inverse(first), example), x)
    torch.testing.assert_close(turned.norm(dim=1), x.norm(dim=1))


def test_each_example_turns_by_its_own_rotation():
    generator = torch.Generator().manual_seed(0)
    R = haar(3, generator=generator)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    example = torch.tensor([2, 0, 0, 2, 1])
    turned = rotate(x, R, example)
    for row, index in enumerate(example):
        torch.testing.assert_close(turned[row], R[index] @ x[row])


def test_vectors_keep_their_dtype():
    R = haar(2, generator=torch.Generator().manual_seed(0))
    x = torch.ones(2, 3, dtype=torch.float32)
    assert rotate(x, R[0]).dtype == torch.float32
    assert rotate(x, R, torch.arange(2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("vectors", "R", "example", "message"),
    [
        ((4, 2), (3, 3), None, r"vectors have shape \(4, 2\)"),
        ((4, 3), (3, 2), None, r"R has shape \(3, 2\)"),
        ((4, 3), (2, 3, 3), None, r"needs `example` of shape \(4,\), found None"),
        ((4, 3), (2, 3, 3), 3, r"needs `example` of shape \(4,\), found \(3,\)"),
    ],
)
def test_wrong_shapes_are_named(vectors, R, example, message):
    example = example if example is None else torch.zeros(example, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        rotate(torch.zeros(vectors), torch.zeros(R), example)


# --- grids ----------------------------------------------------------------------------------------------------------


def random_grids(count=2, side=6, seed=0):
    return torch.randn(count, 3, side, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("side", "spacing"), [(24, 0.25), (15, 0.4)])
def test_grid_of_a_turned_molecule_is_the_turned_grid(side, spacing):
    generator = torch.Generator().manual_seed(0)
    positions = 0.9 * torch.randn(30, 3, generator=generator, dtype=torch.float64)
    positions[:3] = torch.tensor([[1, 0, -2], [2, 2, 2], [0, 0, 5]]) * spacing / 2  # centres and faces of voxels
    positions[3, 0] = side * spacing / 2  # at the box's face
    channel = torch.randint(3, (30,), generator=generator)
    molecule = torch.arange(2).repeat_interleave(15)
    grid = Grid(side, spacing)

    def grids(x):
        return voxelise(x, channel, molecule, 2, grid, 3)

    for R in octahedral_group():
        torch.testing.assert_close(rotate_grid_exactly(grids(positions), R), grids(rotate(positions, R)), **ROUNDING)
    # Off its middle, the grid is another.
    grid = Grid(24, centre="upstream")
    R = octahedral_group()[1]
    assert (rotate_grid_exactly(grids(positions), R) - grids(rotate(positions, R))).abs().max() > 0.1


def test_exact_rotations_of_grids_compose():
    values, group = random_grids(), octahedral_group()
    assert torch.equal(rotate_grid_exactly(values, group[0]), values)
    for first in group:
        turned = rotate_grid_exactly(values, first)
        assert torch.equal(rotate_grid_exactly(turned, inverse(first)), values)
        for then in group[::5]:
            assert torch.equal(rotate_grid_exactly(turned, then), rotate_grid_exactly(values, then @ first))


def test_exact_rotations_of_grids_differ():
    values = random_grids(1)
    turned = [rotate_grid_exactly(values, R) for R in octahedral_group()]
    assert not any(torch.equal(turned[i], turned[j]) for i in range(24) for j in range(i))


@pytest.mark.parametrize("action", [rotate_grid_exactly, lambda values, R: rotate_grid(values, R, 2.5)])
def test_each_grid_turns_by_its_own_rotation(action):
    values, R = random_grids(3), octahedral_group()[[5, 0, 17]]
    turned = action(values, R)
    assert turned.dtype == values.dtype
    for example in range(3):
        torch.testing.assert_close(turned[[example]], action(values[[example]], R[example]), rtol=0, atol=0)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_interpolation_agrees_on_the_rotations_of_a_cube(order, dtype):
    values = random_grids(2, side=7).to(dtype)
    for R in octahedral_group():
        turned = rotate_grid(values, R, 3.0, order)
        assert turned.dtype == dtype
        torch.testing.assert_close(turned, rotate_grid_exactly(values, R), rtol=0, atol=1e-5)


@pytest.mark.parametrize("origin", [9.5, 8.875])
def test_trilinear_rotation_of_linear_functions_is_exact(origin):
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    axis = torch.arange(20, dtype=torch.float64) - origin
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    values = (points @ slope.T).movedim(-1, 0)[None]
    R = haar(1, generator=generator)[0]
    inside = points.norm(dim=-1) < 8.5
    # V(R⁻¹ x) = slope · R⁻¹ x
    expected = (points @ (slope @ R.T).T).movedim(-1, 0)[None]
    torch.testing.assert_close(rotate_grid(values, R, origin)[..., inside], expected[..., inside], **ROUNDING)


@pytest.mark.parametrize(("order", "largest"), [(1, 2e-2), (3, 2e-4)])
@pytest.mark.parametrize("centre", ["symmetric", "upstream"])
def test_interpolated_grid_of_a_molecule(order, largest, centre):
    generator = torch.Generator().manual_seed(1)
    positions = 0.7 * torch.randn(8, 3, generator=generator, dtype=torch.float64)
    zero, grid = torch.zeros(8, dtype=torch.int64), Grid(32, centre=centre)
    before = voxelise(positions, zero, zero, 1, grid, 1)
    for R in haar(4, generator=generator):
        after = voxelise(rotate(positions, R), zero, zero, 1, grid, 1)
        error = (rotate_grid(before, R, grid.origin, order) - after).square().sum() / after.square().sum()
        assert largest / 10 < error < largest


@pytest.mark.parametrize(("order", "largest"), [(1, 0), (3, 0.1)])  # splines swing beyond a step
def test_outside_of_a_grid_is_nothing(order, largest):
    eighth = torch.tensor([[0.5**0.5, -(0.5**0.5), 0], [0.5**0.5, 0.5**0.5, 0], [0, 0, 1]], dtype=torch.float64)
    turned = rotate_grid(torch.ones(1, 1, 9, 9, 9, dtype=torch.float64), eighth, 4.0, order)[0, 0]
    assert (turned[[0, 0, -1, -1], [0, -1, 0, -1]].abs() <= largest).all()
    assert float(turned[4, 4, 4]) == pytest.approx(1)


def test_gradient_of_an_interpolated_grid_is_the_transposed_map():
    values, weight = random_grids(1).requires_grad_(), random_grids(1, seed=1)
    R = haar(1, generator=torch.Generator().manual_seed(0))
    (rotate_grid(values, R, 2.5) * weight).sum().backward()
    other = random_grids(1, seed=2)
    expected = (rotate_grid(other, R, 2.5) * weight).sum()
    torch.testing.assert_close((values.grad * other).sum(), expected)


@pytest.mark.parametrize(
    ("values", "R", "message"),
    [
        ((2, 3, 4, 4), (3, 3), r"grids have shape \(2, 3, 4, 4\); expected \(B, C, G, G, G\)"),
        ((2, 3, 4, 4, 5), (3, 3), r"grids have shape \(2, 3, 4, 4, 5\)"),
        ((2, 3, 4, 4, 4), (3, 3, 3), r"R has shape \(3, 3, 3\); expected \(3, 3\) or \(2, 3, 3\)"),
    ],
)
def test_wrong_shapes_of_grids_are_named(values, R, message):
    for action in (rotate_grid_exactly, lambda values, R: rotate_grid(values, R, 1.5)):
        with pytest.raises(ValueError, match=message):
            action(torch.zeros(values), torch.zeros(R))


def test_what_grids_cannot_do_is_told():
    R = haar(1, generator=torch.Generator().manual_seed(0))[0]
    with pytest.raises(ValueError, match="R does not map the axes onto each other; such rotations need `rotate_grid`"):
        rotate_grid_exactly(random_grids(), R)
    with pytest.raises(ValueError, match="R does not map the axes onto each other"):
        rotate_grid_exactly(random_grids(), torch.ones(3, 3))
    with pytest.raises(ValueError, match=r"order is 2; expected 1 \(trilinear\) or 3 \(cubic splines\)"):
        rotate_grid(random_grids(), R, 2.5, order=2)
