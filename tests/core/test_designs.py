"""Sets of rotations and their cosets: groups inside groups, exact averages, independent of batches."""

import numpy as np
import pytest
import torch

from equidyn.analysis.card import in_series
from equidyn.core.cosets import SIZES, coset_size, nested
from equidyn.core.designs import chain, draw_cosets, rule, size_of_cosets
from equidyn.core.groups.cube.symmetry import CUBE
from equidyn.core.groups.so3.symmetry import ROTATIONS
from equidyn.core.groups.translations.symmetry import TRANSLATIONS


@pytest.mark.parametrize("size", SIZES)
def test_the_first_of_the_chain_are_a_group(size):
    group = chain()[:size]
    products = (group[:, None] @ group).flatten(0, 1)
    assert len(torch.unique(torch.cat([group, products]), dim=0)) == size


@pytest.mark.parametrize(("count", "size"), [(2, 1), (3, 1), (4, 2), (10, 2), (8, 4), (24, 12), (36, 12), (48, 24)])
def test_cosets_are_as_large_as_two_can_be(count, size):
    assert coset_size(count) == size_of_cosets(ROTATIONS, count) == size
    assert size_of_cosets(TRANSLATIONS, count) == 1


def test_a_series_has_the_copies_of_all_its_groups():
    assert nested(12) == [1, 2, 4, 12]
    assert in_series(24) == 2 + 4 + 8 + 24
    assert (in_series(1), in_series(10)) == (1, 5 + 10)


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 7])
def test_averages_are_exact_up_to_the_degree(degree):
    """The average of ((a·R b)²)ⁿ over rotations is 1 / (2n + 1) for unit vectors a and b, and zero for odd powers."""
    rotations, weights = rule(degree)
    a, b = torch.nn.functional.normalize(torch.tensor([[1.0, 2, 3], [-2, 0.3, 1]], dtype=torch.float64))
    for power in range(1, degree + 1):
        expected = 0 if power % 2 else 1 / (power + 1)
        assert float(weights @ (rotations @ b @ a) ** power) == pytest.approx(expected, abs=1e-14)


def test_each_example_has_cosets_of_its_own_in_any_batch():
    drawn = draw_cosets(ROTATIONS, chain()[:4], 2, np.array([5, 3]), seed=1)
    assert drawn.shape == (2, 4, 2, 3, 3)
    torch.testing.assert_close(draw_cosets(ROTATIONS, chain()[:4], 2, np.array([3]), seed=1)[:, :, 0], drawn[:, :, 1])
    for coset in drawn.transpose(1, 2).flatten(0, 1):
        torch.testing.assert_close(coset @ coset[0].T, chain()[:4])
    assert not torch.isclose(drawn[0, 0], drawn[1, 0]).all()
    assert draw_cosets(TRANSLATIONS, chain()[:1], 3, np.array([0]), seed=1).shape == (3, 1, 1, 3)


def test_a_coset_of_the_cubes_rotations_is_all_of_them():
    (coset,) = draw_cosets(CUBE, chain(), 1, np.array([0]), seed=0)[:, :, 0]
    assert len(torch.unique(torch.cat([coset, chain()]), dim=0)) == 24
