"""Groups: their axioms, what averages over them, and how they act on each kind of value."""

import importlib

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from equidyn.core.decomposition import decompose, decompose_exact, twist_from_tensor
from equidyn.core.groups.so3.orientations import orientations
from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.core.rotations import haar, octahedral_group
from equidyn.core.symmetry import MatrixGroup, symmetry

CARDS = cards("equidyn.core.groups")
GROUPS = list(CARDS)
MATRICES = ["SO(3)", "O(3)", "cube"]
EXAMPLE = torch.tensor([2, 0, 0, 2, 1, 1])
KINDS = ["points", "vectors", "pseudovectors"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def values(kind, seed=7):
    shape = (len(EXAMPLE), 3, 3) if kind == "tensors" else (len(EXAMPLE), 3)
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def act(group, kind, of, elements):
    return getattr(group, f"act_on_{kind}")(of, elements, EXAMPLE)


def test_groups_are_found_in_order_and_called_by_their_names():
    assert GROUPS == ["SO(3)", "O(3)", "cube", "translations"]
    for name, card in CARDS.items():
        assert symmetry(name) is load(card.symmetry)
        assert symmetry(name).name == name
    with pytest.raises(ValueError, match=r"unknown group 'SO\(2\)'; known groups: SO\(3\), O\(3\), cube, translations"):
        symmetry("SO(2)")


def test_draws_are_those_of_the_known_samplers_bit_for_bit():
    assert torch.equal(symmetry("SO(3)").sample(9, generator=seeded(3)), haar(9, generator=seeded(3)))
    cube = octahedral_group()[torch.randint(24, (9,), generator=seeded(3))]
    assert torch.equal(symmetry("cube").sample(9, generator=seeded(3)), cube)


def test_orientations_are_those_of_scipy_bit_for_bit():
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    for count in (1, 3):
        np.testing.assert_array_equal(orientations(count, one), Rotation.random(count, rng=other).as_matrix())
    np.testing.assert_array_equal(orientations(1, one)[0], Rotation.random(rng=other).as_matrix())


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("kind", KINDS)
def test_group_axioms_hold_in_every_action(name, kind):
    group, of = symmetry(name), values(kind)
    a, b, c = (group.sample(3, generator=seeded(seed)) for seed in range(3))
    together = act(group, kind, of, group.compose(b, a))
    torch.testing.assert_close(act(group, kind, act(group, kind, of, a), b), together)
    left, right = group.compose(group.compose(c, b), a), group.compose(c, group.compose(b, a))
    torch.testing.assert_close(left, right)
    assert torch.equal(act(group, kind, of, group.identity(3)), of)
    torch.testing.assert_close(act(group, kind, act(group, kind, of, a), group.inverse(a)), of)
    torch.testing.assert_close(group.compose(a, group.inverse(a)), group.identity(3))


@pytest.mark.parametrize("name", MATRICES)
def test_averages_of_vectors_vanish_and_of_tensors_are_a_third_of_the_trace(name):
    group, count = symmetry(name), 20_000
    elements, each = group.sample(count, generator=seeded()), torch.arange(count)
    vector, tensor = values("vectors")[0], values("tensors")[0]
    error = 5 * (3 * count) ** -0.5
    mean = group.act_on_vectors(vector.expand(count, 3), elements, each).mean(0)
    assert mean.abs().max() < error * vector.norm()
    mean = (elements @ tensor @ elements.mT).mean(0)
    assert (mean - tensor.trace() / 3 * torch.eye(3)).abs().max() < error * tensor.norm()


def test_the_average_over_translations_leaves_points_where_they_are():
    group, count = symmetry("translations"), 20_000
    points = torch.ones(count, 3, dtype=torch.float64)
    moved = group.act_on_points(points, group.sample(count, generator=seeded()), torch.arange(count))
    assert (moved.mean(0) - 1).abs().max() < 5 * count**-0.5
    torch.testing.assert_close(moved.var(0), torch.ones(3, dtype=torch.float64), rtol=0.05, atol=0)


def test_half_of_the_elements_of_o3_are_improper():
    signs = torch.linalg.det(symmetry("O(3)").sample(10_000, generator=seeded())).round()
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 5 * 10_000**-0.5
    for name in ("SO(3)", "cube"):
        assert (torch.linalg.det(symmetry(name).sample(100, generator=seeded())) > 0).all()


def test_pseudovectors_are_what_cross_products_become():
    group = symmetry("O(3)")
    elements = torch.cat([-torch.eye(3)[None].double(), group.sample(2, generator=seeded(1))])
    a, b = values("vectors", 1), values("vectors", 2)
    turned = torch.linalg.cross(*(group.act_on_vectors(v, elements, EXAMPLE) for v in (a, b)))
    torch.testing.assert_close(turned, group.act_on_pseudovectors(torch.linalg.cross(a, b), elements, EXAMPLE))
    inverted = -group.identity(3)
    assert torch.equal(group.act_on_pseudovectors(a, inverted, EXAMPLE), a)
    assert torch.equal(group.act_on_vectors(a, inverted, EXAMPLE), -a)


@pytest.mark.parametrize("name", GROUPS)
def test_scalars_do_not_change(name):
    group, of = symmetry(name), values("vectors")[:, 0]
    assert torch.equal(group.act_on_scalars(of, group.sample(3, generator=seeded())), of)


def test_translations_move_points_alone():
    group = symmetry("translations")
    elements = group.sample(3, generator=seeded())
    of = values("points")
    assert torch.equal(group.act_on_points(of, elements, EXAMPLE), of + elements[EXAMPLE])
    assert torch.equal(group.act_on_vectors(of, elements, EXAMPLE), of)
    with pytest.raises(ValueError, match="needs `example`"):
        group.act_on_points(of, elements)
    with pytest.raises(ValueError, match="leaves the origin fixed"):
        group.act_on_grids(torch.zeros(3, 1, 2, 2, 2), elements, 0.5, 0)


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("kind", ["points", "vectors"])
def test_padded_values_move_as_those_end_to_end(name, kind):
    group, elements = symmetry(name), symmetry(name).sample(3, generator=seeded())
    padded = torch.randn(3, 4, 3, generator=seeded(1), dtype=torch.float64)
    moved = getattr(group, f"act_on_{kind}")(padded, elements)
    flat = getattr(group, f"act_on_{kind}")(padded.flatten(0, 1), elements, torch.arange(3).repeat_interleave(4))
    torch.testing.assert_close(moved.flatten(0, 1), flat)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.permutes_voxels])
def test_grids_are_permuted_exactly(name):
    group = symmetry(name)
    grids = torch.randn(24, 2, 5, 5, 5, generator=seeded())
    elements = group.sample(24, generator=seeded(1))
    turned = group.act_on_grids(grids, elements, 2.0, 0)
    assert torch.equal(turned.flatten(1).sort().values, grids.flatten(1).sort().values)
    assert torch.equal(group.act_on_grids(turned, group.inverse(elements), 2.0, 0), grids)
    torch.testing.assert_close(group.act_on_grids(grids, elements, 2.0, 1), turned, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["SO(3)", "O(3)"])
def test_linear_functions_on_grids_turn_as_vectors_do(name):
    group, elements = symmetry(name), symmetry(name).sample(4, generator=seeded())
    axis = torch.arange(9, dtype=torch.float64) - 4
    slope = torch.randn(3, generator=seeded(1), dtype=torch.float64)
    grid = torch.einsum("i,ixyz->xyz", slope, torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")))
    turned = group.act_on_grids(grid.expand(4, 1, 9, 9, 9), elements, 4.0, 1)[:, 0, 3:6, 3:6, 3:6]
    near = torch.stack(torch.meshgrid(*[axis[3:6]] * 3, indexing="ij"))
    expected = torch.einsum("bi,ixyz->bxyz", group.act_on_vectors(slope.expand(4, 3), elements, torch.arange(4)), near)
    torch.testing.assert_close(turned, expected)


# --- decompositions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "error"), [("SO(3)", 0.0), ("O(3)", 1.0)])
def test_a_model_of_a_pseudovector_errs_under_reflections_alone(name, error):
    # Two vectors make a cross product: f = a + b + a × b for forces. The last term has the wrong parity, so that under
    # O(3) the average prediction is a + b and the equivariance error |a × b|², under SO(3) there is none.
    group, K, count = symmetry(name), 4, 4000
    g, each = group.sample(K * count, generator=seeded()), torch.arange(K * count)
    a, b = (values("vectors")[i].expand(K * count, 3) for i in (0, 1))
    turned = [group.act_on_vectors(v, g, each) for v in (a, b)]
    f = turned[0] + turned[1] + torch.linalg.cross(*turned)
    h = group.act_on_vectors(f, group.inverse(g), each).unflatten(0, (K, count))
    found = decompose(h, (a + b)[:count], torch.zeros(count, dtype=torch.int64), 1)
    square = float(torch.linalg.cross(a[0], b[0]).square().sum())
    assert found.equivariance[0] / count == pytest.approx(error * square, rel=0.05, abs=1e-20)
    assert found.total[0] / count == pytest.approx(square, rel=1e-10)


@pytest.mark.parametrize("name", [name for name in MATRICES if symmetry(name).has_closed_form])
def test_the_closed_form_is_what_samples_tend_to(name):
    group, K, count = symmetry(name), 2, 20_000
    tensor, target = values("tensors")[:1], values("vectors")[:1]
    zero = torch.zeros(1, dtype=torch.int64)
    exact = decompose_exact(tensor, target, zero, 1)
    h = torch.stack([twist_from_tensor(tensor, g)[0] for g in group.sample(K * count, generator=seeded())])
    h = h.unflatten(0, (K, count))
    sampled = decompose(h, target.expand(count, 3), torch.zeros(count, dtype=torch.int64), 1)
    for quantity in ("total", "equivariance", "prediction_energy", "gap_mae", "gap_huber"):
        found = getattr(sampled, quantity)[0] / count
        bias = 2 if quantity.startswith("gap") else 1  # about K / (K - 1), see `jensen_gap`
        assert found * bias == pytest.approx(getattr(exact, quantity)[0], rel=0.4 if bias == 2 else 0.03)


def test_only_groups_with_the_averages_of_so3_claim_the_closed_form():
    # Jensen gaps of the closed form integrate functions of every even degree, which 24 rotations do not.
    assert [name for name in GROUPS if symmetry(name).has_closed_form] == ["SO(3)", "O(3)"]
    v = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    fourth = {
        name: float((symmetry(name).sample(40_000, generator=seeded()) @ v)[:, 0].pow(4).mean()) for name in MATRICES
    }
    haar_mean = float(v.norm() ** 4) / 5
    assert fourth["SO(3)"] == pytest.approx(haar_mean, rel=0.03)
    assert fourth["O(3)"] == pytest.approx(haar_mean, rel=0.03)
    assert fourth["cube"] == pytest.approx(float(v.pow(4).mean()), rel=0.03)
    assert abs(fourth["cube"] / haar_mean - 1) > 0.1


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_one_room(name):
    room = CARDS[name].symmetry.rpartition(".")[0]
    assert importlib.import_module(f"{room}.card").CARD is CARDS[name]
    assert isinstance(symmetry(name), MatrixGroup) == (name in MATRICES)
