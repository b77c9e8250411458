"""Rotations: samples are uniform, groups are groups, rules integrate what they promise."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.transform import Rotation

from equidyn.core.rotations import (
    about_axis,
    haar,
    icosahedral_group,
    octahedral_group,
    quadrature,
    randomised_cosets,
    tetrahedral_group,
)

GROUPS = [(tetrahedral_group, 12, 2), (octahedral_group, 24, 3), (icosahedral_group, 60, 5)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def assert_rotations(R, tolerance=1e-14):
    identity = torch.eye(3, dtype=R.dtype).expand_as(R)
    torch.testing.assert_close(R @ R.mT, identity, atol=tolerance, rtol=0)
    torch.testing.assert_close(torch.det(R), torch.ones(R.shape[:-2], dtype=R.dtype))


def products(R, degree, seed=3, count=20):
    """Products of `degree` random matrix elements aᵀ R b: (m, count), spanning that degree."""
    a, b = torch.randn(2, degree, count, 3, generator=seeded(seed), dtype=torch.float64)
    return torch.einsum("dci,mij,dcj->mdc", a, R, b).prod(1)


def average(R, weights, degree):
    return weights @ products(R, degree)


def uniform(R):
    return torch.full((len(R),), 1 / len(R), dtype=torch.float64)


def test_haar_gives_rotations_of_the_asked_dtype():
    assert_rotations(haar(100, generator=seeded()))
    assert haar(3, generator=seeded(), dtype=torch.float32).dtype == torch.float32
    assert haar(0, generator=seeded()).shape == (0, 3, 3)


def test_haar_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = haar(10, generator=seeded(5))
    torch.manual_seed(2)
    assert torch.equal(first, haar(10, generator=seeded(5)))
    assert not torch.equal(first, haar(10, generator=seeded(6)))
    narrow = haar(10, generator=seeded(5), dtype=torch.float32)
    assert torch.equal(first.float(), narrow)


def test_haar_advances_the_generator():
    generator = seeded()
    assert not torch.equal(haar(4, generator=generator), haar(4, generator=generator))


def test_haar_angles_follow_the_known_law():
    R = haar(20_000, generator=seeded())
    angle = torch.arccos(((R.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    law = stats.kstest(((angle - angle.sin()) / torch.pi).numpy(), "uniform")
    assert law.pvalue > 0.01


def test_haar_moments_agree_with_scipy_and_quadrature():
    count = 40_000
    ours = haar(count, generator=seeded())
    scipys = torch.from_numpy(Rotation.random(count, rng=0).as_matrix())
    for degree in (1, 2, 3, 4):
        truth = average(*quadrature(degree), degree)
        for sample in (ours, scipys):
            values = products(sample, degree)
            error = values.std(0) / count**0.5
            assert ((values.mean(0) - truth).abs() < 4 * error).all()


@pytest.mark.parametrize(("group", "order", "degree"), GROUPS)
def test_group_axioms(group, order, degree):
    elements = group()
    assert elements.shape == (order, 3, 3)
    assert elements.dtype == torch.float64
    assert torch.equal(elements[0], torch.eye(3, dtype=torch.float64))
    assert_rotations(elements)
    table = (elements[:, None] @ elements[None, :]).flatten(0, 1)
    distance = torch.cdist(table.flatten(1), elements.flatten(1))
    assert (distance.min(1).values < 1e-7).all()
    assert ((distance < 0.1).sum(1) == 1).all()


@pytest.mark.parametrize("group", [tetrahedral_group, octahedral_group])
def test_cubic_groups_are_exact_signed_permutations(group):
    assert set(group().unique().tolist()) == {-1.0, 0.0, 1.0}


def test_callers_cannot_change_a_cached_group():
    octahedral_group().zero_()
    assert octahedral_group()[0].sum() == 3


@pytest.mark.parametrize(("group", "order", "degree"), GROUPS)
def test_groups_integrate_their_degree_and_no_more(group, order, degree):
    elements = group()
    for lower in range(1, degree + 1):
        truth = average(*quadrature(9), lower)
        torch.testing.assert_close(average(elements, uniform(elements), lower), truth)
    beyond = average(elements, uniform(elements), degree + 1) - average(*quadrature(9), degree + 1)
    assert beyond.abs().max() > 1e-2


@pytest.mark.parametrize("degree", [0, 1, 2, 3, 6, 9, 12])
def test_quadrature_integrates_its_degree(degree):
    """An average that no rotation from either side changes is the Haar integral."""
    R, weights = quadrature(degree)
    assert_rotations(R)
    assert (weights > 0).all()
    assert weights.sum().item() == pytest.approx(1)
    left, right = haar(2, generator=seeded())
    for lower in range(1, degree + 1):
        scale = products(R, lower).abs().mean()
        turned = average(left @ R @ right, weights, lower)
        torch.testing.assert_close(average(R, weights, lower) / scale, turned / scale)


def test_quadrature_knows_low_moments():
    """E[R_ia] = 0, E[R_ia R_jb] = δ_ij δ_ab / 3, E[R_ia R_jb R_kc] = ε_ijk ε_abc / 6."""
    R, weights = quadrature(3)
    a, b = torch.randn(2, 3, 20, 3, generator=seeded(3), dtype=torch.float64)
    triple = (torch.det(a.transpose(0, 1)) * torch.det(b.transpose(0, 1))) / 6
    torch.testing.assert_close(average(R, weights, 3), triple)
    pair = torch.einsum("m,mia,mjb->iajb", weights, R, R)
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(pair, torch.einsum("ij,ab->iajb", eye, eye) / 3)
    assert torch.einsum("m,mij->ij", weights, R).abs().max() < 1e-14


def test_quadrature_gives_the_moments_of_a_uniform_direction():
    R, weights = quadrature(20)
    for power in range(0, 21, 2):
        assert (weights @ R[:, 0, 1] ** power).item() == pytest.approx(1 / (power + 1))


@pytest.mark.parametrize("degree", [-1, 132])
def test_quadrature_refuses_other_degrees(degree):
    with pytest.raises(ValueError, match=f"degree is {degree}; expected 0 to 131"):
        quadrature(degree)


def test_cosets_turn_by_the_random_rotation_first():
    group = tetrahedral_group()
    cosets = randomised_cosets(group, 5, generator=seeded(1))
    assert cosets.shape == (5, 12, 3, 3)
    assert_rotations(cosets)
    start = haar(5, generator=seeded(1))
    torch.testing.assert_close(cosets, group @ start[:, None])
    torch.testing.assert_close(cosets[:, 0], start)


def test_rotations_about_an_axis_are_scipys():
    axes = torch.nn.functional.normalize(
        torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    for angle in (1e-3, 1.0, np.pi):
        expected = Rotation.from_rotvec(angle * axes.numpy()).as_matrix()
        np.testing.assert_allclose(about_axis(axes, angle), expected, atol=1e-12)
