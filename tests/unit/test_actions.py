"""The action of rotations on row vectors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equidyn.actions import inverse, rotate
from equidyn.rotations import haar

QUARTER_TURN = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y, about z


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
