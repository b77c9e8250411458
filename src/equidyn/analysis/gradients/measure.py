"""Gradients of the two parts of the held-out loss: norms, their ratio and the angle between them.

The norm of a noisy gradient is too large on average: with ĝ = g + noise, E|ĝ|² = |g|² + tr Cov ĝ. The examples are
therefore divided into F folds, with no cluster in two of them, and inner products are taken between folds only:
E⟨ĝ_f, ĝ_f'⟩ = |g|² for f ≠ f'. So |g|² and ⟨g, g'⟩ are estimated without the bias of noise, for the population that
clusters and rotations are drawn from (folds of unequal size leave a relative bias of their squared coefficient of
variation over F − 1). The norm itself, ratio and cosine are curved functions of these estimates and keep a bias of
the order of the estimates' relative variance. Plug-in norms, as Shen et al. 2025 (arXiv 2512.02303) report them, are
given beside them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from equidyn.analysis.anatomy import parameter_groups
from equidyn.analysis.losses import PARTS, HeldOutLoss
from equidyn.core.seeding import seed_for
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    folds: int,
) -> list[dict[str, Any]]:
    """The gradient split of a checkpoint, one row per group of parameters.

    Args:
        task: The task, which makes batches and compares predictions.
        model: Its network.
        indices: (n,) examples.
        protocol: See `equidyn.analysis.losses.HeldOutLoss`; level of the intervals.
        condition: See `Task.symmetry` and `Task.inputs`.
        folds: Number F of folds; as many gradients of both parts are held in memory.
    """
    parts = deal(indices, task.cluster(indices), folds, protocol.seed)
    losses = [HeldOutLoss(task, model, part, protocol, condition) for part in parts]
    components = sum(loss.components for loss in losses) / folds
    for loss in losses:
        loss.components = components
    groups, sizes = parameter_groups(model), {name: p.numel() for name, p in model.named_parameters()}
    return [
        {
            "parameter_group": group,
            "group_parameters": sum(sizes[name] for name in groups[group]),
            "folds": folds,
            **losses[0].estimator,
            **split(gram, protocol.confidence),
        }
        for group, gram in gradients(losses, groups).items()
    ]


def deal(indices: np.ndarray, cluster: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Examples in `count` parts of about equal size, whole clusters in one part each.

    Args:
        indices: (n,) examples.
        cluster: (n,) their clusters.
        count: Number of parts.
        seed: Seed of the order in which clusters are dealt out, the largest first.

    Raises:
        ValueError: There are fewer clusters than parts.
    """
    labels, sizes = np.unique(cluster, return_counts=True)
    if len(labels) < count:
        raise ValueError(f"{len(labels)} clusters cannot form {count} folds: use fewer folds or more examples")
    order = np.random.default_rng(seed_for(seed, "folds")).permutation(len(labels))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load, place = np.zeros(count), {}
    for label in order:
        place[labels[label]] = least = int(load.argmin())
        load[least] += sizes[label]
    fold = np.array([place[label] for label in cluster])
    return [indices[fold == number] for number in range(count)]


def gradients(losses: Sequence[HeldOutLoss], groups: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Inner products of the gradients of both parts over all folds.

    Args:
        losses: One loss per fold, all of one model, with the same number of components as divisor, so that the mean
            over folds is the gradient of the loss over all examples.
        groups: Names of the parameters of each group.

    Returns:
        For each group (2F, 2F) float64: rows and columns are the F folds' gradients of the twirled loss, then those of
        the equivariance error.
    """
    model: nn.Module = losses[0].model
    names = [name for name, _ in model.named_parameters()]
    parameters = [parameter.requires_grad_() for parameter in model.parameters()]
    sums: dict[str, list[list[torch.Tensor]]] = {part: [] for part in PARTS}
    for fold in losses:
        for part in PARTS:
            sums[part].append([torch.zeros_like(parameter) for parameter in parameters])
        for loss in fold:
            for part in PARTS:
                scalar = getattr(loss, part)
                again = part != PARTS[-1]  # else the graph is freed before the next batch makes its own
                found = torch.autograd.grad(scalar, parameters, retain_graph=again, allow_unused=True)
                for sum_, gradient in zip(sums[part][-1], found, strict=True):
                    if gradient is not None:
                        sum_ += gradient
    vectors = [vector for part in PARTS for vector in sums[part]]
    grams = {}
    for group, members in groups.items():
        gram = np.zeros((len(vectors), len(vectors)))
        for place in [names.index(name) for name in members]:
            stacked = torch.stack([vector[place].flatten() for vector in vectors]).double()
            gram += (stacked @ stacked.T).cpu().numpy()
        grams[group] = gram
    return grams


def split(gram: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Norms, ratio and cosine from the inner products of the folds' gradients.

    Args:
        gram: (2F, 2F), see `gradients`.
        level: Level of the intervals, which are by jackknife over folds (of the ratio's square).

    Returns:
        ``{part}_norm`` without bias in its square (NaN where that is negative) and ``{part}_norm_plugin`` for the two
        parts and the total; ``ratio`` of the equivariance error's norm to the twirled loss's and ``ratio_plugin``;
        ``cosine`` of the angle between the two, NaN where leaving out one fold makes a norm vanish; ``_low`` and
        ``_high`` of ratio and cosine.
    """
    count = len(gram) // 2
    blocks = gram.reshape(2, count, 2, count)
    found: dict[str, float] = {}
    for suffix, products in (("", _between(blocks)), ("_plugin", blocks.mean((1, 3)))):
        squares = {"twirled": products[0, 0], "equivariance": products[1, 1], "total": products.sum()}
        found |= {f"{name}_norm{suffix}": _root(square) for name, square in squares.items()}
        found[f"ratio{suffix}"] = _divided(found[f"equivariance_norm{suffix}"], found[f"twirled_norm{suffix}"])
    found["cosine"] = _cosine(_between(blocks))
    # With fewer than three folds, nothing is left to compare when one is left out.
    left_out = [np.delete(np.delete(blocks, fold, 1), fold, 3) for fold in range(count)] if count > 2 else []
    half = stats.t.ppf((1 + level) / 2, count - 1)
    intervals = {}
    for name, function in (("ratio", _squared_ratio), ("cosine", _cosine)):
        values = [function(_between(part)) for part in left_out]
        error = np.sqrt((count - 1) * np.var(values)) if values else np.nan
        centre = function(_between(blocks))
        # A norm of the equivariance error that is lost in noise still has an upper limit.
        centre = np.maximum(centre, 0.0) if name == "ratio" else centre
        intervals[name] = centre + half * error * np.array([-1.0, 1.0])
    # Without a norm of the twirled loss there is no ratio.
    intervals["ratio"] = np.sqrt(np.maximum(intervals["ratio"], 0.0)) + 0.0 * found["twirled_norm"]
    intervals["cosine"] = np.clip(intervals["cosine"], -1.0, 1.0)
    found["cosine"] = float(np.clip(found["cosine"], -1.0, 1.0))
    if count > 2 and np.isnan(intervals["cosine"]).any():  # some fold decides whether there is an angle at all
        found["cosine"] = np.nan
    for name, ends in intervals.items():
        found |= {f"{name}_{end}": float(value) for end, value in zip(("low", "high"), ends, strict=True)}
    return found


def _between(blocks: np.ndarray) -> np.ndarray:
    """(2, 2) mean inner product of gradients of different folds, symmetric, from blocks (2, F, 2, F)."""
    count = blocks.shape[1]
    return (blocks.sum((1, 3)) - np.einsum("afbf->ab", blocks)) / (count * (count - 1))


def _root(square: float) -> float:
    return float(np.sqrt(square)) if square >= 0 else float("nan")


def _squared_ratio(products: np.ndarray) -> float:
    return _divided(products[1, 1], products[0, 0])


def _cosine(products: np.ndarray) -> float:
    return _divided(products[0, 1], _root(products[0, 0]) * _root(products[1, 1]))


def _divided(above: float, below: float) -> float:
    return float(above / below) if below else float("nan")
