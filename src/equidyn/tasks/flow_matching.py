"""Flow matching of Cα traces: predict the velocity that turns noise into a protein backbone.

Noise x_0 flows to data x_1 along x_t = (1 - t) x_0 + t x_1, so the velocity is x_1 - x_0. What is measured is the clean
prediction x̂_1 = x_t + (1 - t) v, against x_1, in nm². Objective and constants are those of Proteína (Geffner et al. 2025,
arXiv 2503.00710), which Shen et al. 2025 (arXiv 2512.02303) train.
"""

import torch
from torch import Tensor
from torch.nn import functional

from equidyn.models.pairs import distance_class, pair_distances

WEIGHT_FLOOR = 1e-5
DISTOGRAM_RANGE = (0.0, 1.0)  # nm
DISTOGRAM_AFTER = 0.3  # flow time; earlier, distances are still noise
CONTACT = 0.6  # nm


def centred(x: Tensor, mask: Tensor) -> Tensor:
    """Positions (B, L, 3) minus each chain's mean over its residues; zero at padding."""
    mask = mask[..., None]
    return torch.where(mask, x - (x * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True), 0.0)


def interpolate(x_0: Tensor, x_1: Tensor, t: Tensor) -> Tensor:
    """x_t (B, L, 3) at flow times t (B,)."""
    t = t[:, None, None]
    return (1 - t) * x_0 + t * x_1


def clean_prediction(x_t: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
    """x̂_1 (B, L, 3): where a straight flow with this velocity ends."""
    return x_t + (1 - t[:, None, None]) * velocity


def flow_loss(prediction: Tensor, x_1: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """Squared error of x̂_1 per coordinate, weighted by 1 / ((1 - t)² + 1e-5), for each chain: (B,)."""
    squared = ((prediction - x_1).square().sum(-1) * mask).sum(1) / (3 * mask.sum(1))
    return squared / ((1 - t).square() + WEIGHT_FLOOR)


def distogram_loss(logits: Tensor, x_1: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the true distances' classes, mean over all pairs of residues, for each chain: (B,).

    Both orders of a pair count, and the diagonal.
    """
    target = distance_class(pair_distances(x_1), *DISTOGRAM_RANGE, logits.shape[-1])
    entropy = functional.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="none").view_as(target)
    pairs = mask[:, :, None] & mask[:, None, :]
    return (entropy * pairs).sum((1, 2)) / (pairs.sum((1, 2)) + 1e-10)


def auxiliary_loss(logits: Tensor | None, x_1: Tensor, t: Tensor, mask: Tensor) -> Tensor:
    """The distogram loss where t > 0.3, else zero, for each chain: (B,); all zero without logits."""
    if logits is None:
        return torch.zeros_like(t)
    return distogram_loss(logits, x_1, mask) * (t > DISTOGRAM_AFTER)


def distance_matrix_loss(prediction: Tensor, x_1: Tensor, mask: Tensor) -> Tensor:
    """Squared error of the distances between residues closer than 0.6 nm, in nm², for each chain: (B,).

    Part of no loss: published logs hold it.
    """
    true = pair_distances(x_1)
    near = mask[:, :, None] & mask[:, None, :] & (true < CONTACT)
    squared = ((true - pair_distances(prediction)).square() * near).sum((1, 2))
    return squared / (near.sum((1, 2)) - mask.sum(1))
