"""Hessians of the two parts of the held-out loss: extreme eigenvalues, trace, spectral density.

Blocks of up to `DENSE_LIMIT` parameters are computed in full, so that their smallest positive eigenvalue, and with it
the condition number, is known. Larger ones are known by products with vectors alone: Lanczos (ARPACK, by SciPy) finds
their largest and smallest eigenvalues, Hutchinson's probes the traces of H and H², and stochastic Lanczos quadrature
(Golub and Meurant 1994; Lin, Saad and Yang, SIAM Review 58, 34, 2016) the density. Those have no smallest positive
eigenvalue to speak of: it lies where eigenvalues crowd around zero, which no such method resolves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from equidyn.analysis.losses import PARTS, HeldOutLoss
from equidyn.evaluation import Protocol
from equidyn.models.anatomy import block_parameters
from equidyn.seeding import seed_for

DENSE_LIMIT = 4096
"""Largest block whose Hessian is computed in full."""

_COLUMNS = 256  # of a dense Hessian at once


def measure(
    task: Any,
    model: nn.Module,
    indices: np.ndarray,
    protocol: Protocol,
    condition: Mapping[str, Any],
    *,
    blocks: Sequence[str],
    probes: int,
    lanczos_steps: int,
    tolerance: float = 1e-6,
) -> list[dict[str, Any]]:
    """The Hessians of a checkpoint, one row per block and part of the loss.

    Args:
        task: See `equidyn.tasks.contract.Task`.
        model: Its network, in double precision.
        indices: (n,) examples.
        protocol: See `equidyn.analysis.losses.HeldOutLoss`.
        condition: See `Task.inputs`.
        blocks: See `equidyn.models.anatomy.block_parameters`.
        probes: See `spectrum`.
        lanczos_steps: ``steps`` of `spectrum`.
        tolerance: See `spectrum`.

    Returns:
        ``loss``, ``block``, ``block_parameters``, the summary of each `Spectrum`, and as lists its ``eigenvalue``,
        ``weight`` and ``probe``.
    """
    loss = HeldOutLoss(task, model, indices, protocol, condition)
    rows = []
    for block in blocks:
        for part in PARTS:
            hessian = Hessian(loss, part, block_parameters(model, block))
            seed = seed_for(protocol.seed, "probes", block)
            found = spectrum(hessian, probes=probes, steps=lanczos_steps, tolerance=tolerance, seed=seed)
            rows.append(
                {
                    "loss": part,
                    "block": block,
                    "block_parameters": hessian.size,
                    **loss.estimator,
                    **found.summary,
                    "eigenvalue": found.eigenvalues,
                    "weight": found.weights,
                    "probe": found.probe,
                }
            )
    return rows


class Hessian:
    """Hessian of one part of a loss with respect to some parameters, at the present weights.

    The first derivatives' graphs of all batches are kept: memory grows with the number of examples.

    Args:
        loss: Held-out loss; its model should be in double precision.
        part: "twirled", "equivariance" or "total".
        parameters: The block's, by name; all other parameters are held fixed.
    """

    def __init__(self, loss: HeldOutLoss, part: str, parameters: Mapping[str, nn.Parameter]):
        for parameter in loss.model.parameters():
            parameter.requires_grad_(False)
        self.parameters = [parameter.requires_grad_() for parameter in parameters.values()]
        self.size = sum(parameter.numel() for parameter in self.parameters)
        self.products, self.value = 0, 0.0
        self._first = []
        for contribution in loss:
            scalar = getattr(contribution, part)
            self.value += float(scalar.detach())
            self._first.append(self._flat(self._derivative(scalar, create_graph=True)))

    @property
    def gradient(self) -> Tensor:
        """(P,) first derivatives."""
        return sum(first.detach() for first in self._first)

    def product(self, vectors: Tensor) -> Tensor:
        """H v: (..., P) -> (..., P)."""
        batched = vectors.ndim > 1
        self.products += vectors.numel() // self.size
        result = torch.zeros_like(vectors)
        for first in self._first:
            if first.requires_grad:  # else the loss is linear in these parameters
                found = self._derivative(first, grad_outputs=vectors, retain_graph=True, is_grads_batched=batched)
                result += self._flat(found, batched)
        return result

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
        matrix = torch.cat([self.product(rows) for rows in identity.split(_COLUMNS)])
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
    """What is known of a Hessian.

    Attributes:
        summary: Numbers: ``dense``; ``largest``, ``smallest``, and for dense ones ``smallest_positive``, ``condition``
            (largest / smallest positive), ``zeros`` and ``negative`` (how many eigenvalues); ``trace`` with its
            standard error ``trace_error``, ``square_trace`` of H², ``effective_rank`` (trace² / square trace);
            ``residual_largest`` and ``residual_smallest``, |H v − λ v| / |λ|max; ``products``, ``loss_value``,
            ``gradient_norm``.
        eigenvalues: (n,) all of them, or nodes of the quadrature.
        weights: (n,) how many eigenvalues each stands for.
        probe: (n,) int64, which random vector a node comes from; 0 if dense.
        vectors: (P, n) eigenvectors in the order of the eigenvalues, if dense.
    """

    summary: dict[str, Any]
    eigenvalues: np.ndarray
    weights: np.ndarray
    probe: np.ndarray
    vectors: np.ndarray | None = None

    def positive(self) -> np.ndarray:
        """Places of the eigenvalues that are positive beyond rounding, ascending, if dense."""
        return np.flatnonzero(self.eigenvalues > _rounding(self.eigenvalues))


def spectrum(
    hessian: Hessian, *, probes: int, steps: int, tolerance: float = 1e-6, dense: bool | None = None, seed: int = 0
) -> Spectrum:
    """The eigenvalues of a Hessian, all of them or what products with vectors tell.

    Args:
        hessian: Of at least three parameters.
        probes: Random vectors of the trace and the density.
        steps: Of Lanczos from each, at most the number of parameters.
        tolerance: Relative, of the extreme eigenvalues by Lanczos.
        dense: Whether to compute all of it; if not said, where it is small enough.
        seed: Of the probes.
    """
    if dense or (dense is None and hessian.size <= DENSE_LIMIT):
        return _dense(hessian)
    random = np.random.default_rng(seed)
    operator = hessian.operator()
    start = random.standard_normal(hessian.size)
    pairs = {}
    for name, which in (("largest", "LA"), ("smallest", "SA")):
        values, vectors = eigsh(operator, k=1, which=which, tol=tolerance, v0=start)
        pairs[name] = float(values[0]), vectors[:, 0]
    scale = max(abs(value) for value, _ in pairs.values())
    residuals = {
        f"residual_{name}": float(np.linalg.norm(operator @ vector - value * vector) / scale)
        for name, (value, vector) in pairs.items()
    }
    signs = random.choice([-1.0, 1.0], (probes, hessian.size))
    images = np.stack([operator @ sign for sign in signs])
    traces = (signs * images).sum(1)
    summary = _summary(traces.mean(), np.square(images).sum(1).mean(), hessian) | {
        "dense": False,
        **{name: value for name, (value, _) in pairs.items()},
        "smallest_positive": np.nan,
        "condition": np.nan,
        "zeros": np.nan,
        "negative": np.nan,
        "trace_error": float(traces.std(ddof=1) / np.sqrt(probes)) if probes > 1 else np.nan,
        **residuals,
    }
    rules = [lanczos_quadrature(operator, sign / np.sqrt(hessian.size), steps) for sign in signs]
    return Spectrum(
        summary | {"products": hessian.products},
        np.concatenate([nodes for nodes, _ in rules]),
        np.concatenate([weights for _, weights in rules]) * hessian.size / probes,
        np.repeat(np.arange(probes), [len(nodes) for nodes, _ in rules]),
    )


def lanczos_quadrature(operator: LinearOperator, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the spectral measure of a unit vector, by Lanczos with full reorthogonalisation.

    Args:
        operator: Symmetric, (P, P).
        start: (P,) unit vector.
        steps: Most nodes; fewer if the vector lies in a smaller invariant subspace.

    Returns:
        (n,) Ritz values and (n,) weights that add up to 1.
    """
    basis, diagonal, off = [start], [], []
    for _ in range(min(steps, len(start))):
        image = operator @ basis[-1]
        diagonal.append(float(basis[-1] @ image))
        known = np.stack(basis)
        for _ in range(2):  # once is not enough in floating point
            image = image - known.T @ (known @ image)
        length = float(np.linalg.norm(image))
        if length <= 1e-12 * max(map(abs, [*diagonal, *off])) or len(diagonal) == steps:
            break
        off.append(length)
        basis.append(image / length)
    nodes, vectors = eigh_tridiagonal(np.array(diagonal), np.array(off[: len(diagonal) - 1]))
    return nodes, np.square(vectors[0])


def _dense(hessian: Hessian) -> Spectrum:
    matrix = hessian.dense().double().cpu().numpy()
    values, vectors = np.linalg.eigh(matrix)
    found = Spectrum({}, values, np.ones(len(values)), np.zeros(len(values), np.int64), vectors)
    positive, floor = found.positive(), _rounding(values)
    least = float(values[positive[0]]) if len(positive) else np.nan
    scale = np.abs(values).max() or 1.0
    residual = np.linalg.norm(matrix @ vectors[:, [-1, 0]] - vectors[:, [-1, 0]] * values[[-1, 0]], axis=0) / scale
    found.summary.update(
        _summary(values.sum(), np.square(values).sum(), hessian)
        | {
            "dense": True,
            "largest": float(values[-1]),
            "smallest": float(values[0]),
            "smallest_positive": least,
            "condition": float(values[-1]) / least,
            "zeros": int((np.abs(values) <= floor).sum()),
            "negative": int((values < -floor).sum()),
            "trace_error": 0.0,
            "residual_largest": float(residual[0]),
            "residual_smallest": float(residual[1]),
            "products": hessian.products,
        }
    )
    return found


def _summary(trace: float, square: float, hessian: Hessian) -> dict[str, float]:
    return {
        "trace": float(trace),
        "square_trace": float(square),
        "effective_rank": float(trace**2 / square) if square else np.nan,
        "loss_value": hessian.value,
        "gradient_norm": float(hessian.gradient.norm()),
    }


def _rounding(values: np.ndarray) -> float:
    """Below this an eigenvalue of a dense matrix is zero to rounding."""
    return len(values) * np.finfo(np.float64).eps * float(np.abs(values).max())
