"""Distances between all residues of a chain, and the classes they fall into."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def pair_distances(x: Float[Tensor, "*several L 3"]) -> Float[Tensor, "*several L L"]:
    """Distances (..., L, L) between points (..., L, 3), as norms of differences, so that the diagonal is exactly 0."""
    distance: Tensor = torch.linalg.vector_norm(x.unsqueeze(-2) - x.unsqueeze(-3), dim=-1)
    return distance


def distance_class(distance: Float[Tensor, "*any"], low: float, high: float, classes: int) -> Int64[Tensor, "*any"]:
    """Class of each distance, int64: how many of `classes` - 1 limits, evenly spaced from low to high, lie below it.

    The limit nearest to a distance decides alone, and is found without a search. There are two classes at least.
    """
    limits = torch.linspace(low, high, classes - 1, device=distance.device, dtype=distance.dtype)
    nearest = ((distance - low) * ((classes - 2) / (high - low))).round_().long().clamp_(0, classes - 2)
    return nearest + (limits.index_select(0, nearest.flatten()).view_as(distance) < distance)
