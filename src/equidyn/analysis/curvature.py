"""Hessians of the two parts of the held-out loss: extreme eigenvalues, trace, spectral density.

Blocks of up to `DENSE_LIMIT` parameters are computed in full. Larger ones are known only by products with vectors:
Lanczos (ARPACK, by SciPy) finds their largest and their smallest eigenvalue; in the orthogonal complement of these
eigenvectors, Hutchinson's probes give the traces of H and H², and stochastic Lanczos quadrature (Golub and Meurant
1994; Lin, Saad and Yang, SIAM Review 58, 34, 2016) gives the density.

Where rotations are sampled, entries and traces of these Hessians are unbiased and extreme eigenvalues are not: with few
rotations the largest are too large, and those of the twirled loss can be negative by sampling alone. The same Hessian
from fewer rotations, nested in these, tells how far they have converged (`equidyn.analysis.hessian.measure`).

The condition number, largest over smallest positive eigenvalue, is meaningful only where no eigenvalue is negative.
Elsewhere, eigenvalues of both signs crowd around zero, and the smallest positive one is a matter of chance; the largest
over the mean magnitude is the number to compare, or over the median magnitude of those that are not zero, which rewards
a large bulk of both signs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from equidyn.analysis.losses import HeldOutLoss, Loss
from equidyn.analysis.steps import step

DENSE_LIMIT = 8192
"""Largest block whose Hessian is computed in full."""

EIGENPAIR = -1
"""Stands in place of the number of a probe for an eigenvalue that is known."""

_COLUMNS = 256  # columns of a dense Hessian computed at once
_DEFLATED = 6  # largest eigenvalues to find by Lanczos
_RESTARTS = 300  # most restarts of Lanczos


class Hessian:
    """Hessian of one part of a loss with respect to some parameters, at the present weights.

    Args:
        loss: Held-out loss; its model should be in double precision.
        part: "twirled", "equivariance" or "total".
        parameters: Parameters of the block by name; all others are held fixed.
        keep: Keep the first derivatives' graphs of all batches, for which memory grows with the number of examples;
            else each product makes those of one batch at a time anew.

    Raises:
        ValueError: The loss does not depend on the block.
    """

    def __init__(self, loss: HeldOutLoss, part: str, parameters: Mapping[str, nn.Parameter], *, keep: bool = True):
        self._loss, self._part, self._names = loss, part, ", ".join(parameters)
        self.parameters = list(parameters.values())
        self.size = sum(parameter.numel() for parameter in self.parameters)
        self.products, self.value, self.batched = 0, 0.0, True
        self._kept: list[Tensor] | None = None
        first = []
        for scalar, derivative in self._derivatives():
            self.value += scalar
            first.append(derivative if keep else derivative.detach())
        self.gradient: Tensor = sum((each.detach() for each in first[1:]), first[0].detach())
        """(P,) first derivatives."""
        if keep:
            self._kept = first

    def _derivatives(self) -> Iterator[tuple[float, Tensor]]:
        """For each batch its part of the loss and the (P,) first derivatives, with their graph."""
        for contribution in self._loss_of_block():
            scalar = getattr(contribution, self._part)
            if not scalar.requires_grad:
                raise ValueError(f"the {self._part} loss does not depend on {self._names}: choose another block")
            yield float(scalar.detach()), self._flat(self._derivative(scalar, create_graph=True))

    def _loss_of_block(self) -> Iterator[Loss]:
        """The loss of each batch, as a function of the block's parameters alone."""
        everything = list(self._loss.model.parameters())
        before = [parameter.requires_grad for parameter in everything]
        contributions = iter(self._loss)
        while True:
            for parameter in everything:
                parameter.requires_grad_(any(parameter is own for own in self.parameters))
            try:
                contribution = next(contributions, None)
            finally:
                for parameter, required in zip(everything, before, strict=True):
                    parameter.requires_grad_(required or any(parameter is own for own in self.parameters))
            if contribution is None:
                return
            yield contribution

    def _first(self) -> Iterator[Tensor]:
        """(P,) first derivatives of each batch, with their graph."""
        if self._kept is not None:
            yield from self._kept
        else:
            for _, derivative in self._derivatives():
                yield derivative

    def product(self, vector: Tensor) -> Tensor:
        """H v: (P,) -> (P,)."""
        self.products += 1
        result = torch.zeros_like(vector)
        for first in self._first():
            if first.requires_grad:  # else the loss is linear in these parameters
                result += self._flat(self._derivative(first, grad_outputs=vector, retain_graph=True))
        return result

    def rows(self, vectors: Tensor) -> Tensor:
        """H v of several vectors (n, P), all at once where PyTorch can; some layers' derivatives cannot be batched."""
        if self.batched:
            try:
                result = torch.zeros_like(vectors)
                for first in self._first():
                    if first.requires_grad:
                        found = self._derivative(first, grad_outputs=vectors, retain_graph=True, is_grads_batched=True)
                        result += self._flat(found, batched=True)
                self.products += len(vectors)
                return result
            except RuntimeError:
                self.batched = False
        return torch.stack([self.product(vector) for vector in vectors])

    def dense(self) -> Tensor:
        """(P, P) the whole Hessian, made exactly symmetric.

        Raises:
            ValueError: The block is too large.
        """
        if self.size > DENSE_LIMIT:
            raise ValueError(
                f"a Hessian of {self.size:,} parameters is too large to compute in full (at most {DENSE_LIMIT:,}): "
                "choose a smaller block"
            )
        identity = torch.eye(self.size, dtype=self.parameters[0].dtype, device=self.parameters[0].device)

        def columns(vectors: Tensor) -> list[np.ndarray]:
            return [self.rows(vectors).cpu().numpy()]

        found = [_step(self, partial(columns, vectors)) for vectors in identity.split(_COLUMNS)]
        matrix = torch.from_numpy(np.concatenate([array for (array,) in found])).to(identity)
        return (matrix + matrix.T) / 2

    def operator(self) -> LinearOperator:
        """The Hessian for SciPy."""
        like = self.parameters[0]

        def product(vector: np.ndarray) -> np.ndarray:
            return self.product(torch.from_numpy(vector.ravel()).to(like)).cpu().numpy()

        return LinearOperator((self.size, self.size), matvec=product, dtype=np.float64)

    def _derivative(self, outputs: Tensor, **arguments: Any) -> Sequence[Tensor]:
        found = torch.autograd.grad(outputs, self.parameters, allow_unused=True, **arguments)
        count = len(arguments["grad_outputs"]) if arguments.get("is_grads_batched") else None
        return [
            parameter.new_zeros(parameter.shape if count is None else (count, *parameter.shape))
            if gradient is None
            else gradient
            for parameter, gradient in zip(self.parameters, found, strict=True)
        ]

    @staticmethod
    def _flat(tensors: Sequence[Tensor], batched: bool = False) -> Tensor:
        return torch.cat([tensor.flatten(1) if batched else tensor.flatten() for tensor in tensors], -1)


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of a Hessian, as far as it is known.

    Attributes:
        summary: Numbers: ``dense``; ``largest``, ``smallest``, and for dense ones ``smallest_positive``, ``condition``
            (largest / smallest positive, NaN if some are negative), ``median_condition`` (largest / median magnitude),
            ``zeros`` and ``negative`` (numbers of eigenvalues); ``trace`` with its standard error ``trace_error`` over
            ``probes`` random vectors, ``square_trace`` of H², ``effective_rank`` (trace² / square trace);
            ``residual_largest`` and ``residual_smallest``, |H v − λ v| / |λ|max; ``products``, ``loss_value``,
            ``gradient_norm``.
        eigenvalues: (n,) all eigenvalues, or nodes of the quadrature.
        weights: (n,) number of eigenvalues that each stands for.
        probe: (n,) int64, which random vector a node comes from, or `EIGENPAIR` where it is an eigenvalue.
        vectors: (P, n) eigenvectors in the order of the eigenvalues, if dense.
    """

    summary: dict[str, Any]
    eigenvalues: np.ndarray
    weights: np.ndarray
    probe: np.ndarray
    vectors: np.ndarray | None = None

    @property
    def mean_magnitude(self) -> float:
        """Mean of |λ| over all eigenvalues; by quadrature where they are not all known."""
        return float(self.weights @ np.abs(self.eigenvalues) / self.weights.sum())

    def positive(self) -> np.ndarray:
        """Places of the eigenvalues that are positive beyond rounding, ascending, if dense."""
        return np.flatnonzero(self.eigenvalues > rounding(self.eigenvalues))


def spectrum(
    hessian: Hessian, *, probes: int, steps: int, tolerance: float = 1e-6, dense: bool | None = None, seed: int = 0
) -> Spectrum:
    """The spectrum of a Hessian, in full or from products with vectors.

    Args:
        hessian: A Hessian of at least three parameters.
        probes: Number of random vectors for the trace and the density, two or more.
        steps: Steps of Lanczos from each random vector.
        tolerance: Relative tolerance of the extreme eigenvalues by Lanczos.
        dense: Whether to compute it in full; None to do so if it is small enough.
        seed: Seed of the random vectors.
    """
    if dense or (dense is None and hessian.size <= DENSE_LIMIT):
        return _dense(hessian)
    random = np.random.default_rng(seed)
    operator, size = hessian.operator(), hessian.size
    start = random.standard_normal(size)
    values, vectors = _step(hessian, lambda: largest_eigenpairs(operator, min(_DEFLATED, size - 2), tolerance, start))
    # The smallest is the largest of a shifted operator: relative to the scale it converges where it is zero, too.
    shift = values[-1]
    shifted = LinearOperator((size, size), matvec=lambda vector: shift * vector - operator @ vector, dtype=np.float64)
    lowest, direction = _step(hessian, lambda: largest_eigenpairs(shifted, 1, tolerance, start))
    values, vectors = np.append(shift - lowest, values), np.column_stack([direction, vectors])
    scale = np.abs(values).max()
    residual = [np.linalg.norm(operator @ vectors[:, i] - values[i] * vectors[:, i]) / scale for i in (-1, 0)]
    # The contribution of these eigenpairs is known; probes cover only the rest, which makes them far less noisy.
    vectors, _ = np.linalg.qr(vectors)
    traces, squares, lengths, rules = [], [], [], []
    for _ in range(probes):
        sign = random.choice([-1.0, 1.0], size)
        rest = sign - vectors @ (vectors.T @ sign)

        def probe(rest: np.ndarray = rest) -> list[np.ndarray]:
            rule = lanczos_quadrature(operator, rest / np.linalg.norm(rest), steps, vectors)
            return [operator @ rest, *rule]

        image, nodes, parts = _step(hessian, probe)
        traces.append(rest @ image)
        squares.append(image @ image)
        lengths.append(rest @ rest)
        rules.append((nodes, parts))
    trace, error = values.sum() + np.mean(traces), np.std(traces, ddof=1) / np.sqrt(probes)
    summary = _summary(trace, error, np.square(values).sum() + np.mean(squares), probes, hessian) | {
        "dense": False,
        "largest": float(values[-1]),
        "smallest": float(values[0]),
        **dict.fromkeys(("smallest_positive", "condition", "median_condition", "zeros", "negative"), np.nan),
        "residual_largest": float(residual[0]),
        "residual_smallest": float(residual[1]),
        "products": hessian.products,
    }
    share = (size - len(values)) * np.array(lengths) / np.sum(lengths)
    return Spectrum(
        summary,
        np.concatenate([values, *(nodes for nodes, _ in rules)]),
        np.concatenate(
            [np.ones(len(values)), *(part * weights for part, (_, weights) in zip(share, rules, strict=True))]
        ),
        np.concatenate([np.full(len(values), EIGENPAIR), *(np.full(len(n), i) for i, (n, _) in enumerate(rules))]),
    )


def _step(hessian: Hessian, find: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """A step of an analysis (`equidyn.analysis.steps`); its products with vectors count, whoever has made them."""
    before = hessian.products
    *found, products = step(lambda: [*find(), np.array(hessian.products - before)])
    hessian.products = before + int(products)
    return found


def lanczos_quadrature(
    operator: LinearOperator, start: np.ndarray, steps: int, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the spectral measure of a unit vector, by Lanczos with full reorthogonalisation.

    Args:
        operator: Symmetric, (P, P).
        start: (P,) unit vector.
        steps: Largest number of nodes; fewer if the vector lies in a smaller invariant subspace.
        known: (P, k) orthonormal eigenvectors to stay orthogonal to, as the start must be.

    Returns:
        (n,) Ritz values and (n,) weights that add up to 1.
    """
    nodes, vectors, _ = lanczos(operator, start, steps, known)
    return nodes, np.square(vectors[0])


def lanczos(
    operator: LinearOperator, start: np.ndarray, steps: int, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) Ritz values, ascending, (n, n) Ritz vectors in a basis, and that orthonormal basis (n, P).

    Arguments are those of `lanczos_quadrature`.
    """
    steps = min(steps, len(start) - (0 if known is None else known.shape[1]))
    basis = np.empty((steps, len(start)))
    diagonal: list[float] = []
    off: list[float] = []
    basis[0] = start
    for place in range(steps):
        image = operator @ basis[place]
        diagonal.append(float(basis[place] @ image))
        for _ in range(2):  # a single pass is not enough in floating point
            image = image - basis[: place + 1].T @ (basis[: place + 1] @ image)
            if known is not None:
                image = image - known @ (known.T @ image)
        length = float(np.linalg.norm(image))
        if place + 1 == steps or length <= 1e-12 * max(map(abs, [*diagonal, *off])):
            break
        off.append(length)
        basis[place + 1] = image / length
    nodes, vectors = eigh_tridiagonal(np.array(diagonal), np.array(off[: len(diagonal) - 1]))
    return nodes, vectors, basis[: len(nodes)]


def largest_eigenpairs(
    operator: LinearOperator, count: int, tolerance: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues, ascending, and their vectors; those that have converged when the restarts are used up.

    Raises:
        ValueError: No eigenvalue has converged.
    """
    try:
        values, vectors = eigsh(operator, count, which="LA", tol=tolerance, v0=start, maxiter=_RESTARTS)
    except ArpackNoConvergence as unfinished:
        values, vectors = unfinished.eigenvalues, unfinished.eigenvectors
        if not len(values):
            raise ValueError(f"Lanczos found no eigenvalue to a tolerance of {tolerance:g}: raise it") from None
    order = np.argsort(values)
    return values[order], vectors[:, order]


def _dense(hessian: Hessian) -> Spectrum:
    matrix = hessian.dense().double().cpu().numpy()
    values, vectors = np.linalg.eigh(matrix)
    found = Spectrum({}, values, np.ones(len(values)), np.full(len(values), EIGENPAIR), vectors)
    positive, floor, magnitude = found.positive(), rounding(values), np.abs(values)
    nonzero = magnitude > floor
    least = float(values[positive[0]]) if len(positive) else np.nan
    median = float(np.median(magnitude[nonzero])) if nonzero.any() else np.nan
    scale = magnitude.max() or 1.0
    residual = np.linalg.norm(matrix @ vectors[:, [-1, 0]] - vectors[:, [-1, 0]] * values[[-1, 0]], axis=0) / scale
    found.summary.update(
        _summary(values.sum(), 0.0, np.square(values).sum(), 0, hessian)
        | {
            "dense": True,
            "largest": float(values[-1]),
            "smallest": float(values[0]),
            "smallest_positive": least,
            # Eigenvalues of both signs crowd around zero, so that the smallest positive one is a matter of chance.
            "condition": np.nan if (values < -floor).any() else float(values[-1]) / least,
            "median_condition": float(values[-1]) / median,
            "zeros": int((~nonzero).sum()),
            "negative": int((values < -floor).sum()),
            "residual_largest": float(residual[0]),
            "residual_smallest": float(residual[1]),
            "products": hessian.products,
        }
    )
    return found


def _summary(trace: float, error: float, square: float, probes: int, hessian: Hessian) -> dict[str, float]:
    """Traces and the effective rank, corrected for the bias that the error of the trace gives its square."""
    return {
        "trace": float(trace),
        "trace_error": float(error),
        "square_trace": float(square),
        "effective_rank": float((trace**2 - error**2) / square) if square else np.nan,
        "probes": probes,
        "loss_value": hessian.value,
        "gradient_norm": float(hessian.gradient.norm()),
    }


def rounding(values: np.ndarray) -> float:
    """Magnitude below which an eigenvalue is zero up to rounding."""
    return len(values) * np.finfo(np.float64).eps * float(np.abs(values).max())
