"""Twirled loss and equivariance error: estimators, closed form, Jensen gaps, intervals.

For a model f, a rotation g and h_g(x) = g⁻¹ f(g x), with the twirl f̄(x) = E_g h_g(x) over Haar
rotations, the squared error against a target y splits in two:

    E_g ‖h_g - y‖²   =   ‖f̄ - y‖²   +   E_g ‖h_g - f̄‖²
    total            =   twirled    +   equivariance

This is the decomposition of Shen et al. 2025 (arXiv 2512.02303); ``percent`` is its equivariance
error as a percentage of its total loss. Every example contributes sums over its components; ratios
of sums over many examples come last (`summarise`).

Energies and squared errors have the squared unit of the target; the gap of the MAE has its unit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import ArrayLike
from scipy import special
from torch import Tensor

from equidyn.core.rotations import quadrature
from equidyn.core.shares import worst_percent

ESTIMATOR_VERSION = 2  # raise it whenever the same input gives different numbers; tables carry it
HUBER_DELTA = 1.0  # error length where the Huber loss becomes linear, unit of the target
GAP_DEGREE = 11  # degree of the quadrature behind the gaps of `decompose_exact`; see there
_ROUNDING = 1e-12  # a sum of squares of deviations is zero if it is less than this times that of the values

_CHUNK = 2**21  # numbers per temporary array


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The split of the squared error, one entry per example, as sums over the example's components.

    All fields are float64 arrays (E,).

    Attributes:
        weight: number of scalar components compared.
        total: squared error, mean over rotations.
        equivariance: unbiased estimate of the equivariance error.
        equivariance_plugin: mean squared distance to the mean of the sampled rotations; too small
            on average, by the factor (K - 1) / K for K independent rotations.
        prediction_energy: ‖h - n‖², mean over rotations: the energy of the prediction beyond the null prediction n.
        null_energy: ‖n - y‖², squared error of the null prediction.
        gap_weight: number of vectors compared, over which the gaps sum.
        gap_mae: Jensen gap of the length of the error vector.
        gap_huber: Jensen gap of the Huber loss of that length, threshold `HUBER_DELTA`.
    """

    weight: Float64[np.ndarray, " E"]
    total: Float64[np.ndarray, " E"]
    equivariance: Float64[np.ndarray, " E"]
    equivariance_plugin: Float64[np.ndarray, " E"]
    prediction_energy: Float64[np.ndarray, " E"]
    null_energy: Float64[np.ndarray, " E"]
    gap_weight: Float64[np.ndarray, " E"]
    gap_mae: Float64[np.ndarray, " E"]
    gap_huber: Float64[np.ndarray, " E"]

    def __post_init__(self) -> None:
        shapes = {field.name: np.shape(getattr(self, field.name)) for field in fields(self)}
        if len(set(shapes.values())) != 1 or len(shapes["total"]) != 1:
            raise ValueError(f"fields must all have one shape (E,), found {shapes}")

    def __len__(self) -> int:
        return len(self.total)

    @property
    def twirled(self) -> Float64[np.ndarray, " E"]:
        """Unbiased twirled loss (E,); sampling can make it slightly negative."""
        twirled: np.ndarray = self.total - self.equivariance
        return twirled

    @property
    def twirled_plugin(self) -> Float64[np.ndarray, " E"]:
        """Plug-in twirled loss (E,): ‖h̄ - y‖² of the mean h̄ of the sampled rotations; too large."""
        twirled: np.ndarray = self.total - self.equivariance_plugin
        return twirled

    def select(self, examples: ArrayLike) -> "Decomposition":
        """Return the examples picked by an index array, a boolean mask (E,) or a slice."""
        return Decomposition(*(getattr(self, field.name)[examples] for field in fields(self)))


def concatenate(parts: Sequence[Decomposition]) -> Decomposition:
    """Join the decompositions of several batches, in order, into one."""
    names = [field.name for field in fields(Decomposition)]
    return Decomposition(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@torch.no_grad()
def decompose(
    predictions: Float[Tensor, "K N C"],
    target: Float[Tensor, "N C"],
    example: Int64[Tensor, " N"],
    examples: int,
    *,
    null: Float[Tensor, "N C"] | None = None,
    cosets: int | None = None,
) -> Decomposition:
    """Estimate the decomposition from predictions for sampled rotations.

    The K rotations are B cosets of m = K / B each: independent between cosets, each Haar
    distributed by itself, and freely dependent within one (`rotations.randomised_cosets`). With
    h_bi the prediction for rotation i of coset b, h̄_b the mean of that coset and h̄ that of all,

        s² = mean_bi ‖h_bi - h̄_b‖²  +  Σ_b ‖h̄_b - h̄‖² / (B - 1).

    It is unbiased: the first term has mean E‖h‖² - E‖h̄_b‖², the second
    Var(h̄_b) = E‖h̄_b‖² - ‖f̄‖², and their sum is the equivariance error E‖h‖² - ‖f̄‖². With
    independent rotations (m = 1) only the second term is left, the usual Σ‖h_k - h̄‖² / (K - 1) of
    the paper's percent; the paper's twirled loss is `twirled_plugin`. With a single coset (B = 1)
    the second term cannot be estimated and is left out: s² is then too low by Var(h̄_b), which
    vanishes when averages over the group are exact for the degree of h_g in g, as for the
    tetrahedral group and a linear map of vectors.

    All is computed in float64 from centred values, never as E[h²] - E[h]².

    Args:
        predictions: (K, N, C) the h_k = g_k⁻¹ f(g_k x), rotated back already, any float dtype, unit
            of the target, ordered coset by coset. Rotations should be drawn anew for each example,
            or the examples' estimates are correlated and `interval` is too narrow.
        target: (N, C) y.
        example: (N,) int64, the example in range(examples) to which each row belongs; no padding.
        examples: number of examples E.
        null: (N, C) n, the prediction of a model that has learned nothing, which is equivariant; None for zero.
        cosets: number of cosets B; None for K independent rotations.

    Returns:
        The decomposition, E entries.

    Raises:
        ValueError: if shapes or indices do not fit, K is not a multiple of B, K is 1, or a
            prediction or target is not finite.
    """
    if predictions.ndim != 3 or predictions.shape[1:] != target.shape:
        raise ValueError(
            f"predictions {tuple(predictions.shape)} and target {tuple(target.shape)} do not fit; "
            "expected (K, N, C) and (N, C)"
        )
    count = len(predictions)
    cosets = count if cosets is None else cosets
    if count < 2:
        raise ValueError(f"{count} rotation shows no equivariance error; predict for 2 or more")
    if cosets < 1 or count % cosets:
        raise ValueError(f"{count} rotations cannot form {cosets} cosets of equal size")
    null = _null(null, target)

    def moments(rows: slice) -> dict[str, Tensor]:
        h, y, n = predictions[:, rows].double(), target[rows].double(), null[rows].double()
        residual = h - y
        blocks = residual.unflatten(0, (cosets, -1))
        block_means = blocks.mean(1)
        mean = block_means.mean(0)
        within = (blocks - block_means[:, None]).square().sum(-1).mean((0, 1))
        between = (block_means - mean).square().sum(-1).sum(0)
        return {
            "total": residual.square().sum(-1).mean(0),
            "equivariance": within + between / max(cosets - 1, 1),
            "equivariance_plugin": within + between / cosets,
            "prediction_energy": (h - n).square().sum(-1).mean(0),
            "null_energy": (n - y).square().sum(-1),
            **_gaps(residual.norm(dim=-1), mean.norm(dim=-1)),
        }

    chunk = _CHUNK // (count * target.shape[1])
    return _sum_examples(moments, target, example, examples, chunk=chunk)


@torch.no_grad()
def decompose_exact(
    tensor: Float[Tensor, "N 3 3"],
    target: Float[Tensor, "N 3"],
    example: Int64[Tensor, " N"],
    examples: int,
    *,
    null: Float[Tensor, "N 3"] | None = None,
) -> Decomposition:
    """Compute the decomposition in closed form for predictions that are bilinear in directions.

    The condition: T does not change with rotation but in its columns, which rotate, T(R x) = T(x) Rᵀ, and the forces
    are its diagonal. So nothing but the head may depend on orientation: no neighbour that rounding picks among equally
    distant ones, no frame of the laboratory, no dropout. What does not hold it gives numbers that depend on how the
    examples lie; `equidyn.run.evaluation.closed_form_deviation` compares the two sides of
    F_k(R x) = Σ_b T_kb R_kb for sampled rotations, and every evaluation calls it.

    Some networks break equivariance only by writing per-component weights on edge directions,
    F = m Σ_j v_j ∘ u_j with a scalar m and weights v_j that do not change with rotation and unit
    vectors u_j that rotate with the input. One forward pass gives T_kb = m Σ_j (v_j)_k (u_j)_b, and
    with it the prediction for every rotation: F_k(R x) = Σ_b T_kb R_kb, hence
    (h_R)_a = Σ_k R_ka F_k(R x). From E[R_ka R_kb] = δ_ab / 3,

        f̄_a           =  Σ_k T_ka / 3,
        E‖h‖²         =  Σ_ka T_ka² / 3,
        E‖h - f̄‖²     =  Σ_ka T_ka² / 3 - ‖f̄‖²  =  Σ_ka (T_ka - f̄_a)² / 3,

    the last form being the centred one that is used. Nothing is sampled: the plug-in values equal
    the unbiased ones, as for infinitely many rotations. The Jensen gaps come from a quadrature of
    degree `GAP_DEGREE` over h_R, since no closed form is known; on random tensors their sums are
    right to a few 10⁻⁶, those of single atoms to 10⁻⁴ (median) or, where |f̄ - y| is far below the
    spread, 10⁻² (worst). The closed form is ours; it is what the estimates of Shen et al. 2025
    (arXiv 2512.02303) tend to with many rotations.

    Args:
        tensor: (N, 3, 3) T: row k the output component in the lab frame, column b the input axis;
            the prediction for the unrotated input is its diagonal. Unit of the target.
        target: (N, 3) y.
        example: (N,) int64, the example in range(examples) to which each row belongs; no padding.
        examples: number of examples E.
        null: (N, 3) the null prediction, see `decompose`.

    Returns:
        The decomposition, E entries.

    Raises:
        ValueError: if shapes or indices do not fit, or a prediction or target is not finite.
    """
    if tensor.shape != (len(target), 3, 3) or target.shape != (len(target), 3):
        raise ValueError(
            f"tensor {tuple(tensor.shape)} and target {tuple(target.shape)} do not fit; expected (N, 3, 3) and (N, 3)"
        )
    R, weights = (array.to(target.device) for array in _twist_rule(GAP_DEGREE))
    null = _null(null, target)

    def moments(rows: slice) -> dict[str, Tensor]:
        T, y, n = tensor[rows].double(), target[rows].double(), null[rows].double()
        twirl = T.mean(1)
        equivariance = (T - twirl[:, None]).square().sum((1, 2)) / 3
        error = (twist_from_tensor(T, R) - y).norm(dim=-1)
        twirled_error = (twirl - y).norm(dim=-1)
        return {
            "total": twirled_error.square() + equivariance,
            "equivariance": equivariance,
            "equivariance_plugin": equivariance,
            "prediction_energy": (twirl - n).square().sum(-1) + equivariance,
            "null_energy": (n - y).square().sum(-1),
            **_gaps(error, twirled_error, weights),
        }

    return _sum_examples(moments, target, example, examples, chunk=_CHUNK // (3 * len(R)))


def twist_from_tensor(
    tensor: Float[Tensor, "N 3 3"], R: Float[Tensor, "*several 3 3"]
) -> Float[Tensor, "*several N 3"]:
    """Return the twisted predictions (h_R)_a = Σ_kb R_ka T_kb R_kb of `decompose_exact`.

    Args:
        tensor: (N, 3, 3) T of `decompose_exact`.
        R: (3, 3) one rotation, or (..., 3, 3) several.

    Returns:
        (N, 3) or (..., N, 3), rotated back.
    """
    rotated = torch.einsum("nkb,...kb->...nk", tensor, R)
    return rotated @ R


def huber(error: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Return the Huber loss of lengths r ≥ 0: r²/2 up to δ = `HUBER_DELTA`, then δ (r - δ/2)."""
    near = error.clamp(max=HUBER_DELTA)
    return near * (error - near / 2)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {"mae": lambda error: error, "huber": huber}


def jensen_gap(
    predictions: Float[Tensor, "K N C"], target: Float[Tensor, "N C"], loss: str | Callable[[Tensor], Tensor]
) -> Float64[Tensor, " N"]:
    """Return the gain by twirling per vector: mean_k loss(|h_k - y|) - loss(|h̄ - y|).

    For squared error the gap is the equivariance error. For another convex loss of the error's
    length it is not an error in its own right, hence the name; by Jensen's inequality it is not
    negative, and zero for an equivariant model (both up to rounding). Its mean over draws of K
    rotations is too low, as h̄ is closer to the h_k than f̄ is: for squared error by the factor
    (K - 1) / K.

    Args:
        predictions: (K, N, C) the h_k, rotated back.
        target: (N, C) y.
        loss: "mae" (the length itself), "huber" (see `huber`), or a convex non-decreasing function
            that acts entry by entry on lengths ≥ 0.

    Returns:
        (N,) float64.

    Raises:
        ValueError: if `loss` is an unknown name.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}; expected a function or {sorted(LOSSES)}")
        loss = LOSSES[loss]
    residual = predictions.double() - target.double()
    return loss(residual.norm(dim=-1)).mean(0) - loss(residual.mean(0).norm(dim=-1))


def interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    cluster: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int,
) -> tuple[float, float]:
    """Return a confidence interval of Σ numerator / Σ denominator over a population of clusters.

    Examples are summed per cluster (all conformers of one molecule, say). Noise from the rotations
    is covered as long as each example has its own.

    Two intervals are made and the outer ends taken: Student's, of the linearised ratio, and that of
    the studentised bootstrap, which resamples whole clusters and follows the skewness. Either alone
    covers too little for the heavy tails of real losses; `benchmarks/coverage.py` measures it on
    those of the published study.

    Args:
        numerator: (E,) one value per example.
        denominator: (E,) one value ≥ 0 per example; clusters whose sum is zero are left out.
        cluster: (E,) label of each example's cluster, of any sortable type.
        level: nominal coverage.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The lower and upper end; both NaN with fewer than two clusters, both the ratio itself if it
        is the same in all clusters.

    Raises:
        ValueError: if a value is not finite, or a cluster has a negative denominator.
    """
    _, label = np.unique(cluster, return_inverse=True)
    above, below = (np.bincount(label, weights=values) for values in (numerator, denominator))
    if not np.isfinite(above + below).all() or (below < 0).any():
        raise ValueError("interval needs finite values and denominators that are not negative")
    above, below = above[below > 0], below[below > 0]
    count = len(below)
    if count < 2:
        return float("nan"), float("nan")
    squares = np.stack([above, below, above**2, above * below, below**2], axis=-1)
    (ratio,), (error,) = _linearised(squares.sum(0, keepdims=True), count)
    if error == 0:
        return float(ratio), float(ratio)
    rng, batch = np.random.default_rng(seed), max(1, _CHUNK // count)
    drawn = [
        rng.multinomial(count, np.full(count, 1 / count), min(batch, resamples - start)) @ squares
        for start in range(0, resamples, batch)
    ]
    ratios, errors = _linearised(np.concatenate(drawn), count)
    deviations = ((ratios - ratio)[errors > 0]) / errors[errors > 0]  # none if one cluster alone was drawn
    tail = (1 - level) / 2
    least, most = np.quantile(deviations, [tail, 1 - tail])
    student = special.stdtrit(count - 1, 1 - tail)
    low, high = ratio - error * max(most, student), ratio - error * min(least, -student)
    return float(max(low, 0) if (above >= 0).all() else low), float(high)


def _linearised(sums: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Ratio and its standard error from sums (..., 5) over so many clusters of a, b, a², a b and b²."""
    above, below, *squares = np.moveaxis(sums, -1, 0)
    ratio = above / below
    spread = squares[0] - 2 * ratio * squares[1] + ratio**2 * squares[2]
    spread = np.where(spread > _ROUNDING * squares[0], spread, 0)
    return ratio, np.sqrt(spread * count / (count - 1)) / below


def summarise(
    decomposition: Decomposition,
    cluster: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, float]:
    """Reduce examples to one row of numbers, each a ratio of sums over all examples.

    Args:
        decomposition: E examples.
        cluster: (E,) cluster label of each example, see `interval`.
        level: nominal coverage of the interval of `percent`.
        resamples: number of resamples of its bootstrap.
        seed: seed of the bootstrap.

    Returns:
        Plain numbers; NaN where a denominator is zero:

        - examples, clusters: counts
        - total, twirled, equivariance, twirled_plugin, equivariance_plugin, prediction_energy:
          means per component
        - percent, percent_low, percent_high: 100 Σ equivariance / Σ total and its interval
        - percent_plugin: the same from the plug-in equivariance error
        - null_loss: loss of the null prediction, mean per component
        - skill: 1 - total / null_loss; near zero or below, a small percent says little
        - relative_equivariance: Σ equivariance / Σ prediction_energy, defined while predictions are small too
        - gap_mae, gap_huber: means per vector
        - total_in_worst, equivariance_in_worst: percent of Σ total, and of Σ equivariance, in the 1 % of the examples
          with the largest ones (at least one example)

    Raises:
        ValueError: if there are no examples, or `cluster` has another length.
    """
    d = decomposition
    if not len(d) or np.shape(cluster) != (len(d),):
        raise ValueError(f"expected one cluster for each of {len(d)} > 0 examples, found shape {np.shape(cluster)}")
    low, high = interval(d.equivariance, d.total, cluster, level=level, resamples=resamples, seed=seed)
    return {
        "examples": len(d),
        "clusters": len(np.unique(cluster)),
        "total": _ratio(d.total, d.weight),
        "twirled": _ratio(d.twirled, d.weight),
        "equivariance": _ratio(d.equivariance, d.weight),
        "twirled_plugin": _ratio(d.twirled_plugin, d.weight),
        "equivariance_plugin": _ratio(d.equivariance_plugin, d.weight),
        "percent": 100 * _ratio(d.equivariance, d.total),
        "percent_low": 100 * low,
        "percent_high": 100 * high,
        "percent_plugin": 100 * _ratio(d.equivariance_plugin, d.total),
        "null_loss": _ratio(d.null_energy, d.weight),
        "skill": 1 - _ratio(d.total, d.null_energy),
        "prediction_energy": _ratio(d.prediction_energy, d.weight),
        "relative_equivariance": _ratio(d.equivariance, d.prediction_energy),
        "gap_mae": _ratio(d.gap_mae, d.gap_weight),
        "gap_huber": _ratio(d.gap_huber, d.gap_weight),
        "total_in_worst": worst_percent(d.total),
        "equivariance_in_worst": worst_percent(d.equivariance),
    }


def _null(null: Float[Tensor, "N C"] | None, target: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """Return the null prediction, zero unless given."""
    if null is None:
        return torch.zeros_like(target)
    if null.shape != target.shape:
        raise ValueError(f"null {tuple(null.shape)} and target {tuple(target.shape)} do not fit")
    return null


def _ratio(numerator: Float64[np.ndarray, " E"], denominator: Float64[np.ndarray, " E"]) -> float:
    """Return Σ numerator / Σ denominator, or NaN over zero."""
    below = denominator.sum()
    return float(numerator.sum() / below) if below else float("nan")


def _gaps(
    errors: Float[Tensor, "K N"], mean_error: Float[Tensor, " N"], weights: Float[Tensor, " K"] | None = None
) -> dict[str, Tensor]:
    """Return the gaps (N,) from error lengths (K, N), weighted (K,), and those (N,) of the mean."""
    if weights is None:
        weights = errors.new_full((len(errors),), 1 / len(errors))
    return {f"gap_{name}": weights @ loss(errors) - loss(mean_error) for name, loss in LOSSES.items()}


def _sum_examples(
    moments: Callable[[slice], dict[str, Tensor]],
    target: Float[Tensor, "N C"],
    example: Int64[Tensor, " N"],
    examples: int,
    *,
    chunk: int,
) -> Decomposition:
    """Sum what `moments` returns for rows of the target over examples, `chunk` rows at a time."""
    rows, components = target.shape
    if example.shape != (rows,):
        raise ValueError(f"example has shape {tuple(example.shape)}; expected ({rows},)")
    if rows and not 0 <= int(example.min()) <= int(example.max()) < examples:
        raise ValueError(
            f"example runs from {int(example.min())} to {int(example.max())}; expected 0 to {examples - 1}"
        )
    names = [field.name for field in fields(Decomposition)]
    sums = torch.zeros(len(names), examples, dtype=torch.float64, device=target.device)
    example = example.to(target.device)
    chunk = max(1, chunk)
    for start in range(0, rows, chunk):
        part = slice(start, start + chunk)
        y = target[part].double()
        columns = {
            "weight": y.new_full((len(y),), components),
            "gap_weight": y.new_ones(len(y)),
            **moments(part),
        }
        sums.index_add_(1, example[part], torch.stack([columns[name] for name in names]))
    broken = ~sums.isfinite().all(0)
    if broken.any():
        raise ValueError(
            f"predictions or target of {int(broken.sum())} of {examples} examples are not finite, "
            f"the first is example {int(broken.nonzero()[0])}"
        )
    return Decomposition(*sums.cpu().numpy())


@cache
def _twist_rule(degree: int) -> tuple[Float64[Tensor, "m 3 3"], Float64[Tensor, " m"]]:
    """Return `quadrature(degree)` with rotations of equal twist merged.

    `twist_from_tensor` depends on R only through the products R_ka R_kb: changing the sign of a row
    changes nothing, which makes three quarters of the rotations superfluous.
    """
    R, weights = quadrature(degree)
    products = (R[:, :, :, None] * R[:, :, None, :]).flatten(1).numpy().round(9) + 0.0
    _, first, group = np.unique(products, axis=0, return_index=True, return_inverse=True)
    merged = np.bincount(group.ravel(), weights=weights.numpy())
    return R[torch.from_numpy(first)], torch.from_numpy(merged)
