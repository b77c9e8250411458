"""The estimators against models whose twirl and equivariance error are known in closed form."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equidyn.core import decomposition as module
from equidyn.core.actions import inverse, rotate
from equidyn.core.decomposition import (
    Decomposition,
    concatenate,
    decompose,
    decompose_exact,
    interval,
    jensen_gap,
    summarise,
    twist_from_tensor,
)
from equidyn.core.rotations import (
    haar,
    icosahedral_group,
    octahedral_group,
    quadrature,
    randomised_cosets,
    tetrahedral_group,
)

MATRIX = torch.tensor([[1.0, 0.4, -0.2], [0.1, 0.5, 0.3], [-0.6, 0.2, 1.4]], dtype=torch.float64)
A, C = torch.tensor([[0.8, -0.5, 0.3], [1.1, 0.4, -0.7]], dtype=torch.float64)
X = torch.tensor([0.7, -1.1, 0.5], dtype=torch.float64)
Y = torch.tensor([0.2, -0.9, 1.0], dtype=torch.float64)

# name: (model of rows x, its twirl at X, E|h|² at X)
MODELS = {
    # Twirled, Rᵀ A R is isotropic with the trace of A; |A R x|² averages to |A|² |x|² / 3.
    "linear": (
        lambda x: x @ MATRIX.T,
        MATRIX.trace() / 3 * X,
        MATRIX.square().sum() * X.square().sum() / 3,
    ),
    # No direction survives the average.
    "constant": (lambda x: C.expand_as(x), 0 * X, C.square().sum()),
    # c (a·x)³: the twirl is along x, and E[(c·Rx)(a·Rx)³] = (c·a) |a|² |x|⁴ / 5; E (a·Rx)⁶ = |a|⁶|x|⁶ / 7.
    "cubic": (
        lambda x: C * (x @ A)[..., None] ** 3,
        (C @ A) * (A @ A) * (X @ X) / 5 * X,
        (C @ C) * (A @ A) ** 3 * (X @ X) ** 3 / 7,
    ),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def truth(name):
    _, twirl, energy = MODELS[name]
    twirled = (twirl - Y).square().sum().item()
    equivariance = (energy - twirl.square().sum()).item()
    return {"total": twirled + equivariance, "twirled": twirled, "equivariance": equivariance}


def twist(model, x, R):
    """Twisted predictions (K, N, 3) of rows x (N, 3) under rotations R (K, N, 3, 3)."""
    K, N = R.shape[:2]
    flat, own = R.flatten(0, 1), torch.arange(K * N)
    prediction = model(rotate(x.repeat(K, 1), flat, own))
    return rotate(prediction, inverse(flat), own).unflatten(0, (K, N))


def repeats(name, R, **options):
    """Decompose X again and again: each column of R (K, repeats, 3, 3) is one experiment."""
    count = R.shape[1]
    h = twist(MODELS[name][0], X.expand(count, 3), R)
    return decompose(h, Y.expand(count, 3), torch.arange(count), count, **options)


def coset_repeats(name, group, cosets, count, seed=0):
    R = randomised_cosets(group, cosets * count, generator=seeded(seed))
    R = R.unflatten(0, (cosets, count)).transpose(1, 2).flatten(0, 1)
    return repeats(name, R, cosets=cosets)


def deviation(values, expected):
    """Distance of the mean of repeated estimates from the truth, in standard errors."""
    return abs(values.mean() - expected) / (values.std(ddof=1) / len(values) ** 0.5)


# Unbiasedness


@pytest.mark.parametrize("K", [2, 4, 10])
@pytest.mark.parametrize("name", MODELS)
def test_independent_rotations_are_unbiased(name, K):
    estimate = repeats(name, haar(K * 4000, generator=seeded(K)).reshape(K, -1, 3, 3))
    for key, expected in truth(name).items():
        assert deviation(getattr(estimate, key), expected) < 4


@pytest.mark.parametrize("K", [2, 4, 10])
@pytest.mark.parametrize("name", MODELS)
def test_plug_in_is_biased_by_the_known_factor(name, K):
    estimate = repeats(name, haar(K * 8000, generator=seeded(K)).reshape(K, -1, 3, 3))
    exact = truth(name)
    shrunk = (K - 1) / K * exact["equivariance"]
    assert deviation(estimate.equivariance_plugin, shrunk) < 4
    assert deviation(estimate.equivariance_plugin, exact["equivariance"]) > 6
    inflated = exact["twirled"] + exact["equivariance"] / K
    assert deviation(estimate.twirled_plugin, inflated) < 4
    np.testing.assert_allclose(estimate.equivariance_plugin, (K - 1) / K * estimate.equivariance, rtol=1e-12)


@pytest.mark.parametrize("cosets", [2, 5])
@pytest.mark.parametrize("name", ["constant", "cubic"])
def test_cosets_are_unbiased(name, cosets):
    """The cubic model has degree 4, beyond the tetrahedral group: its coset means vary."""
    estimate = coset_repeats(name, tetrahedral_group(), cosets, 2000)
    for key, expected in truth(name).items():
        values = getattr(estimate, key)
        if name == "cubic":
            assert values.std() > 1e-3 * expected
            assert deviation(values, expected) < 4
        else:
            np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_one_coset_is_biased_low_by_the_variance_of_its_mean():
    one = coset_repeats("cubic", tetrahedral_group(), 1, 16000)
    h = twist(
        MODELS["cubic"][0],
        X.expand(16000, 3),
        randomised_cosets(tetrahedral_group(), 16000, generator=seeded(1)).transpose(0, 1),
    )
    missing = h.mean(0).var(0).sum().item()
    exact = truth("cubic")["equivariance"]
    assert missing > 0.01 * exact
    assert deviation(one.equivariance, exact - missing) < 4
    assert deviation(one.equivariance, exact) > 6


@pytest.mark.parametrize("cosets", [1, 3])
@pytest.mark.parametrize("group", [tetrahedral_group, octahedral_group, icosahedral_group])
def test_cosets_are_exact_for_linear_maps(group, cosets):
    """Rᵀ A R has degree 2, which all three groups average exactly."""
    estimate = coset_repeats("linear", group(), cosets, 5)
    for key in ("equivariance", "equivariance_plugin"):
        np.testing.assert_allclose(getattr(estimate, key), truth("linear")["equivariance"])
    for key in ("twirled", "twirled_plugin"):
        np.testing.assert_allclose(getattr(estimate, key), truth("linear")["twirled"])


def test_cosets_vary_less_than_as_many_independent_rotations():
    K = 24
    independent = repeats("cubic", haar(K * 500, generator=seeded()).reshape(K, -1, 3, 3))
    cosets = coset_repeats("cubic", tetrahedral_group(), 2, 500)
    assert cosets.equivariance.std() < 0.9 * independent.equivariance.std()


def test_equivariant_map_has_no_equivariance_error():
    x = torch.randn(50, 3, generator=seeded(), dtype=torch.float64)
    R = haar(6 * 50, generator=seeded(1)).reshape(6, 50, 3, 3)
    h = twist(lambda x: x * x.square().sum(-1, keepdim=True), x, R)
    estimate = decompose(h, 2 * x, torch.arange(50), 50)
    np.testing.assert_allclose(estimate.total, (h[0] - 2 * x).square().sum(1))
    for key in ("equivariance", "equivariance_plugin"):
        assert (getattr(estimate, key) < 1e-28 * estimate.prediction_energy).all()
    for key in ("gap_mae", "gap_huber"):
        assert np.abs(getattr(estimate, key)).max() < 1e-13


# Identities


shapes = st.tuples(st.integers(2, 6), st.integers(1, 8), st.integers(1, 4))


@given(shape=shapes, seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_identities_of_any_predictions(shape, seed, scale):
    K, N, C = shape
    generator = seeded(seed)
    h = scale * torch.randn(K, N, C, generator=generator, dtype=torch.float64)
    y = torch.randn(N, C, generator=generator, dtype=torch.float64)
    example = torch.randint(3, (N,), generator=generator)
    estimate = decompose(h, y, example, 3)
    tolerance = 1e-12 * estimate.total.max()

    def sums(rows):
        return np.bincount(example.numpy(), weights=rows.numpy(), minlength=3)

    total = sums((h - y).square().sum(-1).mean(0))
    twirled_plugin = sums((h.mean(0) - y).square().sum(-1))
    np.testing.assert_allclose(estimate.total, total, atol=tolerance)
    np.testing.assert_allclose(estimate.twirled + estimate.equivariance, total, atol=tolerance)
    np.testing.assert_allclose(estimate.twirled_plugin, twirled_plugin, atol=tolerance)
    np.testing.assert_allclose(estimate.equivariance, sums(h.var(0).sum(-1)), atol=tolerance)
    np.testing.assert_allclose(estimate.prediction_energy, sums(h.square().sum(-1).mean(0)))
    np.testing.assert_allclose(estimate.null_energy, sums(y.square().sum(-1)))
    assert estimate.gap_weight.tolist() == torch.bincount(example, minlength=3).tolist()
    assert (estimate.weight == C * estimate.gap_weight).all()


@given(shape=shapes, seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_jensen_gaps_are_not_negative(shape, seed, scale):
    K, N, C = shape
    generator = seeded(seed)
    h = scale * torch.randn(K, N, C, generator=generator, dtype=torch.float64)
    y = scale * torch.randn(N, C, generator=generator, dtype=torch.float64)
    estimate = decompose(h, y, torch.zeros(N, dtype=torch.int64), 1)
    for loss in ("mae", "huber"):
        gap = jensen_gap(h, y, loss)
        assert (gap >= -1e-12 * scale).all()
        assert getattr(estimate, f"gap_{loss}").item() == pytest.approx(gap.sum().item(), abs=1e-12 * scale)


def test_squared_error_has_the_equivariance_error_as_gap():
    h = torch.randn(5, 6, 3, generator=seeded(), dtype=torch.float64)
    y = torch.zeros(6, 3, dtype=torch.float64)
    gap = jensen_gap(h, y, torch.square)
    torch.testing.assert_close(gap, h.var(0, correction=0).sum(-1))


def test_huber_is_quadratic_then_linear():
    r = torch.tensor([0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    expected = torch.nn.functional.huber_loss(r, 0 * r, reduction="none", delta=1.0)
    torch.testing.assert_close(module.huber(r), expected)


def test_large_offset_costs_no_precision():
    """Float32 predictions near 1e4: E[h²] - E[h]² would lose half the digits."""
    h = 1e4 + torch.randn(10, 300, 3, generator=seeded())
    y = torch.full((300, 3), 1e4)
    assert h.dtype == torch.float32
    estimate = decompose(h, y, torch.arange(300), 300)
    centred = h.double().numpy() - 1e4  # exact
    variance = centred.var(0, ddof=1).sum(-1)
    np.testing.assert_allclose(estimate.equivariance, variance, rtol=1e-12)
    np.testing.assert_allclose(estimate.total, (centred**2).sum(-1).mean(0), rtol=1e-12)


def test_chunks_do_not_change_the_result(monkeypatch):
    h = torch.randn(4, 30, 3, generator=seeded(), dtype=torch.float64)
    T = torch.randn(30, 3, 3, generator=seeded(1), dtype=torch.float64)
    y, example = torch.ones(30, 3, dtype=torch.float64), torch.arange(30) % 7
    whole = decompose(h, y, example, 7), decompose_exact(T, y, example, 7)
    monkeypatch.setattr(module, "_CHUNK", 1)
    parts = decompose(h, y, example, 7), decompose_exact(T, y, example, 7)
    for one, other in zip(whole, parts, strict=True):
        for field in fields(Decomposition):
            np.testing.assert_allclose(getattr(one, field.name), getattr(other, field.name), rtol=1e-12)


def test_batches_concatenate_and_select():
    h = torch.randn(4, 30, 3, generator=seeded())
    y, example = torch.zeros(30, 3), torch.arange(30) // 5
    whole = decompose(h, y, example, 6)
    parts = [
        decompose(h[:, :10], y[:10], example[:10], 2),
        decompose(h[:, 10:], y[10:], example[10:] - 2, 4),
    ]
    joined = concatenate(parts)
    assert len(joined) == 6
    for field in fields(Decomposition):
        assert np.array_equal(getattr(joined, field.name), getattr(whole, field.name))
        assert getattr(whole, field.name).dtype == np.float64
    assert np.array_equal(whole.select([4, 1]).total, whole.total[[4, 1]])
    assert len(whole.select(whole.total > whole.total[0])) < 6
    assert len(whole.select(slice(2))) == 2


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": torch.zeros(1, 4, 3)}, "1 rotation shows no equivariance error"),
        ({"predictions": torch.zeros(1, 4, 3), "cosets": 1}, "1 rotation shows no equivariance"),
        ({"predictions": torch.zeros(6, 5, 3)}, "do not fit"),
        ({"cosets": 4}, "6 rotations cannot form 4 cosets"),
        ({"cosets": 0}, "6 rotations cannot form 0 cosets"),
        ({"example": torch.zeros(3, dtype=torch.int64)}, r"example has shape \(3,\)"),
        ({"example": torch.tensor([0, 1, 2, 2])}, "runs from 0 to 2; expected 0 to 1"),
        ({"example": torch.tensor([0, 1, -1, 0])}, "runs from -1 to 1; expected 0 to 1"),
        ({"target": torch.tensor([0, 0, 0, np.nan])[:, None] * torch.ones(3)}, "first is example 1"),
    ],
)
def test_wrong_input_is_named(changes, message):
    arguments = {
        "predictions": torch.zeros(6, 4, 3),
        "target": torch.zeros(4, 3),
        "example": torch.tensor([0, 0, 1, 1]),
        "examples": 2,
    }
    with pytest.raises(ValueError, match=message):
        decompose(**arguments | changes)


def test_other_wrong_input_is_named():
    with pytest.raises(ValueError, match="unknown loss 'mse'"):
        jensen_gap(torch.zeros(2, 1, 3), torch.zeros(1, 3), "mse")
    with pytest.raises(ValueError, match=r"expected \(N, 3, 3\)"):
        decompose_exact(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2).long(), 1)
    with pytest.raises(ValueError, match="one shape"):
        Decomposition(*[np.zeros(2)] * 8, np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        interval([1.0, np.nan], [1.0, 1.0], [0, 1], seed=0)


# Closed form


def bilinear(seed=0, atoms=24, edges=5):
    """Edge weights v and directions u (N, edges, 3), the tensor T (N, 3, 3) and targets (N, 3)."""
    v, u = torch.randn(2, atoms, edges, 3, generator=seeded(seed), dtype=torch.float64)
    v = 0.3 * v + torch.randn(atoms, edges, 1, generator=seeded(seed + 1), dtype=torch.float64)
    u = u / u.norm(dim=-1, keepdim=True)
    T = torch.einsum("njk,njb->nkb", v, u)
    noise = torch.randn(atoms, 3, generator=seeded(seed + 2), dtype=torch.float64)
    return v, u, T, T.mean(1) + 0.5 * noise


def test_twist_from_tensor_is_the_twist_of_the_model():
    v, u, T, _ = bilinear()
    R = haar(4, generator=seeded(3))
    twists = twist_from_tensor(T, R)
    for k in range(4):
        prediction = (v * (u @ R[k].T)).sum(1)
        torch.testing.assert_close(twists[k], rotate(prediction, inverse(R[k])))
    torch.testing.assert_close(twist_from_tensor(T, R[0]), twists[0])
    upright = twist_from_tensor(T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(upright, T.diagonal(dim1=1, dim2=2))


def test_exact_agrees_with_quadrature():
    _, _, T, y = bilinear()
    example = torch.arange(24) % 5
    exact = decompose_exact(T, y, example, 5)
    R, weights = quadrature(4)  # |h|² has degree 4 in R
    h = twist_from_tensor(T, R)
    twirl = torch.einsum("q,qna->na", weights, h)
    torch.testing.assert_close(twirl, T.mean(1))

    def sums(rows):
        return np.bincount(example.numpy(), weights=rows.numpy())

    np.testing.assert_allclose(exact.total, sums(weights @ (h - y).square().sum(-1)))
    np.testing.assert_allclose(exact.twirled, sums((twirl - y).square().sum(-1)))
    np.testing.assert_allclose(exact.prediction_energy, sums(weights @ h.square().sum(-1)))
    np.testing.assert_array_equal(exact.equivariance_plugin, exact.equivariance)


def test_exact_gaps_agree_with_a_finer_quadrature():
    _, _, T, y = bilinear(atoms=300)
    exact = decompose_exact(T, y, torch.arange(300), 300)
    R, weights = quadrature(29)
    r = (twist_from_tensor(T, R) - y).norm(dim=-1)
    twirled = (T.mean(1) - y).norm(dim=-1)
    for name, loss in module.LOSSES.items():
        fine = (weights @ loss(r) - loss(twirled)).numpy()
        gap = getattr(exact, f"gap_{name}")
        np.testing.assert_allclose(gap, fine, rtol=2e-2, atol=1e-5)
        assert gap.sum() == pytest.approx(fine.sum(), rel=2e-4)


def test_exact_agrees_with_sampling():
    _, _, T, y = bilinear()
    count, K = 4000, 4
    R = haar(K * count, generator=seeded(7)).reshape(K, count, 3, 3)
    h = twist_from_tensor(T, R).flatten(1, 2)  # all atoms of one repeat share a rotation
    sampled = decompose(h, y.repeat(count, 1), torch.arange(count).repeat_interleave(len(T)), count)
    exact = decompose_exact(T, y, torch.zeros(len(T), dtype=torch.int64), 1)
    for key in ("total", "twirled", "equivariance", "prediction_energy"):
        assert deviation(getattr(sampled, key), getattr(exact, key)[0]) < 4
    for key in ("gap_mae", "gap_huber"):  # sampled gaps are too low
        assert 0.6 < getattr(sampled, key).mean() / getattr(exact, key)[0] < 1


def test_exact_sees_that_equal_weights_are_equivariant():
    """v_j the same in all components: F = Σ_j v_j u_j turns with the input."""
    _, u, _, y = bilinear()
    T = u.sum(1, keepdim=True).expand(-1, 3, -1)
    exact = decompose_exact(T, y, torch.zeros(len(T), dtype=torch.int64), 1)
    assert exact.equivariance[0] < 1e-25
    assert exact.gap_mae[0] == pytest.approx(0, abs=1e-12)
    assert exact.total[0] == pytest.approx((u.sum(1) - y).square().sum().item())


# Intervals


def studies(count, clusters, per, K, spread, seed=0):
    """Simulate studies of a linear model on molecules of very different size; the truth is known.

    f(x) = x + S x / 2 with S symmetric, traceless and |S|² = 3 has the twirl x and the equivariance
    error |x|² / 4. Lengths of x and of the noise in y = x + noise are log-normal, with a factor that
    all conformers of a molecule share.

    Returns the sums per cluster (count, clusters) of s² and of the total, and the true ratio.
    """
    rng = np.random.default_rng(seed)
    shape = (count, clusters, per)

    def vectors(lengths):
        directions = rng.standard_normal((*shape, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return torch.from_numpy((lengths[..., None] * directions).reshape(-1, 3))

    molecule = np.exp(1.3 * spread * rng.standard_normal((count, clusters, 1)))
    x = vectors(molecule * np.exp(spread * rng.standard_normal(shape)))
    noise = vectors(0.7 * molecule * np.exp(spread * rng.standard_normal(shape)))
    S = 1.5**0.5 * torch.diag(torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64))
    R = haar(K * len(x), generator=seeded(seed)).reshape(K, len(x), 3, 3)
    estimate = decompose(twist(lambda x: x + x @ S / 2, x, R), x + noise, torch.arange(len(x)), len(x))
    numerator, denominator = (values.reshape(shape).sum(-1) for values in (estimate.equivariance, estimate.total))
    return numerator, denominator, 0.25 / (0.25 + 0.49)


# The second has heavier tails than real losses.
@pytest.mark.parametrize(("clusters", "per", "spread", "least"), [(50, 3, 0.3, 0.92), (40, 1, 0.5, 0.9)])
def test_interval_covers_the_truth(clusters, per, spread, least):
    numerator, denominator, expected = studies(600, clusters, per, K=4, spread=spread)
    hits = 0
    for above, below in zip(numerator, denominator, strict=True):
        low, high = interval(above, below, np.arange(clusters), resamples=600, seed=1)
        hits += low <= expected <= high
    assert least <= hits / 600 <= 0.98


def test_interval_of_many_clusters_is_that_of_the_linearised_ratio():
    rng = np.random.default_rng(0)
    above, below = 1 + rng.random(2000), 1 + rng.random(2000)
    ratio = above.sum() / below.sum()
    error = np.sqrt(2000) * (above - ratio * below).std() / below.sum()
    found = interval(above, below, np.arange(2000), seed=0)
    assert found == pytest.approx((ratio - 1.96 * error, ratio + 1.96 * error), abs=0.15 * error)


def test_interval_resamples_clusters_not_examples():
    """Copies of the same example in a cluster tell nothing new."""
    rng = np.random.default_rng(0)
    above, below = rng.random(30), 1 + rng.random(30)
    once = interval(above, below, np.arange(30), seed=3)
    copied = interval(np.repeat(above, 4), np.repeat(below, 4), np.repeat(np.arange(30), 4), seed=3)
    naive = interval(np.repeat(above, 4), np.repeat(below, 4), np.arange(120), seed=3)
    assert copied == pytest.approx(once)
    assert naive[1] - naive[0] < 0.7 * (once[1] - once[0])


def test_interval_is_reproducible_and_widens_with_level():
    rng = np.random.default_rng(0)
    arguments = rng.random(30), 1 + rng.random(30), [f"molecule {i}" for i in range(30)]
    narrow, wide = (interval(*arguments, level=level, seed=1) for level in (0.5, 0.99))
    assert narrow == interval(*arguments, level=0.5, seed=1)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("clusters", [2, 3, 4])
def test_resamples_of_one_cluster_alone_do_not_count(clusters):
    """They have no spread but rounding, by which nothing must be divided."""
    for seed in range(10):
        below, factors = np.random.default_rng(seed).lognormal(size=(2, clusters))
        low, high = interval(below * factors, below, np.arange(clusters), resamples=200, seed=0)
        assert high - low < 1000 * factors.max()


def test_degenerate_intervals():
    assert np.isnan(interval([1.0, 2.0], [2.0, 3.0], ["a", "a"], seed=0)).all()
    assert np.isnan(interval([0.0, 0.0], [0.0, 0.0], ["a", "b"], seed=0)).all()
    assert np.isnan(interval([], [], [], seed=0)).all()
    assert interval([0.3, 0.6, 0.1], [3.0, 6.0, 1.0], [0, 1, 2], seed=0) == pytest.approx((0.1, 0.1))
    assert interval([0.0, 0.0], [1.0, 2.0], [0, 1], seed=0) == (0, 0)
    low, high = interval([1.0, 2.0], [3.0, 4.0], [0, 1], seed=0)  # two clusters tell hardly anything
    assert low == 0
    assert high > 1


# Summary


def test_summary_is_ratios_of_sums():
    h = 1 + torch.randn(4, 20, 3, generator=seeded(), dtype=torch.float64)
    y = torch.ones(20, 3, dtype=torch.float64)
    example = torch.arange(20) // 2
    d = decompose(h, y, example, 10)
    row = summarise(d, np.arange(10) // 2, resamples=200, seed=1)
    assert all(type(value) in (int, float) for value in row.values())
    assert (row["examples"], row["clusters"]) == (10, 5)
    assert row["total"] == pytest.approx((h - y).square().mean().item())
    assert row["total"] == pytest.approx(row["twirled"] + row["equivariance"])
    assert row["total"] == pytest.approx(row["twirled_plugin"] + row["equivariance_plugin"])
    assert row["equivariance"] == pytest.approx(h.var(0).mean().item())
    assert row["percent"] == pytest.approx(100 * row["equivariance"] / row["total"])
    assert row["percent_plugin"] == pytest.approx(0.75 * row["percent"])
    assert row["percent_low"] < row["percent"] < row["percent_high"]
    assert row["null_loss"] == pytest.approx(1)
    assert row["skill"] == pytest.approx(1 - row["total"])
    assert row["prediction_energy"] == pytest.approx(h.square().mean().item())
    for name in ("total", "equivariance"):
        values = getattr(d, name)
        assert row[f"{name}_in_worst"] == pytest.approx(100 * values.max() / values.sum())
    assert row["relative_equivariance"] == pytest.approx(row["equivariance"] / row["prediction_energy"])
    assert row["gap_mae"] == pytest.approx(jensen_gap(h, y, "mae").mean().item())
    assert row["gap_huber"] == pytest.approx(jensen_gap(h, y, "huber").mean().item())


def test_null_prediction():
    """It changes what predictions and skill are compared with, and nothing else."""
    _, _, T, y = bilinear()
    example, null = torch.arange(24) % 5, 0.5 * y + 0.1
    rotations, weights = quadrature(4)
    h = twist_from_tensor(T, rotations)
    for plain, found in (
        (decompose_exact(T, y, example, 5), decompose_exact(T, y, example, 5, null=null)),
        (decompose(h, y, example, 5), decompose(h, y, example, 5, null=null)),
    ):
        energies = {"null_energy", "prediction_energy"}
        for field in fields(Decomposition):
            same = np.array_equal(getattr(found, field.name), getattr(plain, field.name))
            assert same == (field.name not in energies), field.name
        expected = np.bincount(example.numpy(), weights=(null - y).square().sum(-1).numpy())
        np.testing.assert_allclose(found.null_energy, expected)
        row = summarise(found, np.arange(5), resamples=100)
        assert row["skill"] == pytest.approx(1 - found.total.sum() / expected.sum())
    exact = decompose_exact(T, y, example, 5, null=null)
    expected = np.bincount(example.numpy(), weights=(weights @ (h - null).square().sum(-1)).numpy())
    np.testing.assert_allclose(exact.prediction_energy, expected)
    with pytest.raises(ValueError, match=r"null \(3, 3\) and target \(24, 3\) do not fit"):
        decompose(h, y, example, 5, null=null[:3])


def test_summary_of_a_model_that_predicts_nothing():
    """No equivariance error, no skill, and no relative error to speak of."""
    y = torch.randn(6, 3, generator=seeded())
    row = summarise(decompose(torch.zeros(3, 6, 3), y, torch.arange(6), 6), np.arange(6))
    assert (row["percent"], row["percent_low"], row["percent_high"]) == (0, 0, 0)
    assert row["skill"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(row["relative_equivariance"])


def test_summary_of_a_perfect_model_is_undefined_not_an_error():
    d = decompose(torch.zeros(3, 6, 3), torch.zeros(6, 3), torch.arange(6), 6)
    row = summarise(d, np.arange(6))
    assert row["total"] == 0
    assert np.isnan([row["percent"], row["percent_low"], row["skill"]]).all()


def test_summary_names_wrong_lengths():
    d = decompose(torch.zeros(3, 6, 3), torch.zeros(6, 3), torch.arange(6), 6)
    with pytest.raises(ValueError, match=r"each of 6 > 0 examples, found shape \(5,\)"):
        summarise(d, np.arange(5))
    with pytest.raises(ValueError, match="each of 0 > 0 examples"):
        summarise(d.select(slice(0)), [])
