"""Equivariance error by angle of rotation, and the local error that a Lie derivative measures.

Let h_g be the twisted prediction and r a rotation by the angle ω about a random axis. The variogram

    D(ω) = E_{g, r, x} |h_{g r} − h_g|² / 2

is zero at ω = 0, and its mean over Haar-distributed r, whose angles have the density (1 − cos ω) / π, is the
equivariance error. Divided by the total loss it is the percent by angle. For small angles D(ω) = ω² L² / 2, where
L² = E |∂_a h|² is the local error, the mean squared derivative along the three generators of rotations.

Where h depends on g through matrix elements of degree l alone, D(ω) is the equivariance error times
1 − χ_l(ω) / (2l + 1) with the character χ_l(ω) = sin((2l+1)ω/2) / sin(ω/2), and L² is l(l + 1) / 3 times the error. In
general, l(l + 1) becomes its mean over degrees, weighted by their share of the error. So 3 L² / error tells how finely
the error depends on orientation. EScAIP's error is of degree 2 alone: its twisted predictions depend on products of two
entries of one row of g, which have degrees 0 and 2. The closed forms are ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.analysis.losses import inputs, sampled
from equidyn.core.decomposition import interval
from equidyn.core.rotations import about_axis
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry
from equidyn.run.batches import in_batches
from equidyn.run.evaluation import draw_elements, twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task

LOCAL_ANGLE = 1e-3
"""Angle (radians) at which the local error is read off the variogram; in double precision, truncation and rounding
errors are both about 1e-6."""


def effective_degree(ratio: float) -> float:
    """l with l(l + 1) = 3 L² / equivariance error, from the ratio of these two."""
    return float((np.sqrt(1 + 12 * ratio) - 1) / 2)


def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    angles: Sequence[float],
    local: bool,
) -> list[dict[str, float]]:
    """The variogram at given angles, with the equivariance error and the local error of the same predictions.

    Each example has K base rotations, and for each a random axis, the same at all angles.

    Args:
        task: The task, which makes batches and compares predictions.
        model: The network, in double precision if the local error is wanted.
        indices: (n,) examples.
        protocol: Number K of base rotations, batch size, seed, level of intervals.
        condition: See `Task.symmetry` and `Task.inputs`.
        angles: Degrees, above 0 up to 180.
        local: Whether predictions are differentiable in the rotation.

    Returns:
        One dictionary per angle: ``angle``, ``variogram`` per component, ``percent_angle``, both with ``_low`` and
        ``_high``; ``haar`` and ``haar_percent``, ``local`` and ``degree`` with ``_low`` and ``_high``, the
        same at all angles.

    Raises:
        ValueError: The condition's group is not that of all rotations.
    """
    symmetry = task.symmetry(condition)
    if not symmetry.card.has_angles:
        raise ValueError(f"elements of the group {symmetry.name!r} do not all differ by angles: use 'SO(3)'")
    radians = [*([LOCAL_ANGLE] if local else []), *np.radians(angles)]
    model.eval()
    sums = []
    for chosen in in_batches(indices, protocol):
        batch = inputs(task, model, chosen, protocol, condition)
        sums.append(_sums(task, model, batch, chosen, protocol, symmetry, radians))
    variogram, total, haar, weight = (np.concatenate(parts, -1) for parts in zip(*sums, strict=True))
    cluster = task.cluster(indices)

    def ends(values: np.ndarray, below: np.ndarray) -> tuple[float, float]:
        seed = seed_for(protocol.seed, "bootstrap")
        return interval(values, below, cluster, level=protocol.confidence, resamples=protocol.resamples, seed=seed)

    shared = {"haar": haar.sum() / weight.sum(), "haar_percent": 100 * haar.sum() / total.sum()}
    shared |= dict.fromkeys(("local", "degree", "degree_low", "degree_high"), np.nan)
    if local:
        squared, variogram = 2 * variogram[0] / LOCAL_ANGLE**2, variogram[1:]
        shared["local"] = squared.sum() / weight.sum()
        if shared["haar"] > 0:
            ratios = shared["local"] / shared["haar"], *ends(squared, haar)
            shared |= {
                f"degree{end}": effective_degree(r) for end, r in zip(("", "_low", "_high"), ratios, strict=True)
            }
    rows = []
    for angle, values in zip(angles, variogram, strict=True):
        row = {"angle": float(angle)}
        for name, below, unit in (("variogram", weight, 1), ("percent_angle", total, 100)):
            low, high = ends(values, below)
            row |= {name: unit * values.sum() / below.sum(), f"{name}_low": unit * low, f"{name}_high": unit * high}
        rows.append(row | shared | sampled(protocol))
    return rows


@torch.no_grad()
def _sums(
    task: Task,
    model: nn.Module,
    batch: Any,
    chosen: np.ndarray,
    protocol: EvaluationSettings,
    symmetry: Symmetry,
    radians: Sequence[float],
) -> tuple[np.ndarray, ...]:
    """Per example: half squared differences (A, B) at each angle, total, equivariance error, components (B,)."""
    target, example = task.target(batch), task.example(batch)
    base = draw_elements(symmetry, chosen, protocol.rotations, protocol.seed)
    axes = torch.stack([_axes(protocol, int(number)) for number in chosen], 1)
    twisted = twisted_predictions(task, model, batch, base, symmetry)

    def per_example(values: Tensor) -> np.ndarray:
        """(N, C) summed over the rows of each example."""
        rows = values.sum(-1).double()
        return rows.new_zeros(len(chosen)).index_add(0, example, rows).cpu().numpy()

    variogram, totals, spreads = [], [], []
    for angle in [0.0, *radians]:
        turned = twisted
        if angle:
            turned = twisted_predictions(task, model, batch, symmetry.compose(about_axis(axes, angle), base), symmetry)
        variogram.append(per_example((turned - twisted).square().mean(0) / 2))
        # At every angle the K rotations are independent and Haar distributed.
        totals.append(per_example((turned - target).square().mean(0)))
        spreads.append(per_example(turned.var(0)))
    return (
        np.stack(variogram[1:]),
        np.mean(totals, axis=0),
        np.mean(spreads, axis=0),
        per_example(torch.ones_like(target)),
    )


def _axes(protocol: EvaluationSettings, example: int) -> Tensor:
    """(K, 3) random unit vectors of one example, float64."""
    generator = torch.Generator().manual_seed(seed_for(protocol.seed, "axes", example))
    return nn.functional.normalize(torch.randn(protocol.rotations, 3, generator=generator, dtype=torch.float64), dim=-1)
