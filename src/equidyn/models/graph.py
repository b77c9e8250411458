"""Neighbour graphs of batches of molecules, and sums over neighbours."""

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from equidyn.core.batch import MoleculeBatch

MEAN_EPSILON = 1e-5
"""Added to the neighbour count in means over neighbours, as the published EScAIP does."""

MIN_SQUARED_DISTANCE = 1e-4
"""Å²; closer atoms are not neighbours."""


@dataclass(frozen=True)
class Graph:
    """Directed neighbour graph: N atoms, E edges, P unordered pairs, K slots per atom.

    Edges are ordered by centre, then by neighbour.

    Attributes:
        centre: (E,) atom i that receives.
        neighbour: (E,) atom j that sends.
        slot: (E,) i * K + the place of j among i's neighbours.
        mask: (N, K) true where a slot holds an edge.
        degree: (N, 1) neighbours per atom.
        direction: (E, 3) unit vectors (x_i - x_j) / d_ij, from the neighbour to the centre.
        pair: (E,) unordered pair of each edge.
        pair_distance: (P,) Å, ascending.
    """

    centre: Tensor
    neighbour: Tensor
    slot: Tensor
    mask: Tensor
    degree: Tensor
    direction: Tensor
    pair: Tensor
    pair_distance: Tensor

    def to_dtype(self, dtype: torch.dtype) -> Self:
        """The graph with its floating-point tensors in a dtype."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: v.to(dtype) for k, v in tensors.items() if v.is_floating_point()})


@torch.no_grad()
def neighbour_graph(batch: MoleculeBatch, *, max_neighbors: int, max_radius: float) -> Graph:
    """Directed k-nearest-neighbour graph within each molecule, open boundaries; geometry in float64.

    Args:
        batch: Molecules, positions in Å.
        max_neighbors: Number of nearest atoms of its molecule that each centre keeps; j may be a neighbour of i without
            the reverse.
        max_radius: Å; atoms farther away are no neighbours.

    Raises:
        ValueError: An atom has no neighbour, so that nothing defines a direction for its force.
    """
    device = batch.positions.device
    molecule, local, size = batch.molecule, batch.local_index, batch.max_atoms
    dense = torch.zeros(batch.molecules, size, 3, dtype=torch.float64, device=device)
    dense[molecule, local] = batch.positions.double()
    real = torch.zeros(batch.molecules, size, dtype=torch.bool, device=device)
    real[molecule, local] = True

    difference = dense[:, :, None] - dense[:, None]
    squared = difference.square().sum(-1)
    candidate = real[:, :, None] & real[:, None]
    candidate &= (squared <= max_radius**2) & (squared > MIN_SQUARED_DISTANCE)
    squared = squared.masked_fill(~candidate, torch.inf)
    nearest = squared.topk(min(max_neighbors, size), largest=False).indices
    adjacent = torch.zeros_like(candidate).scatter_(2, nearest, True) & candidate

    degree = adjacent.sum(-1)[molecule, local]
    if not bool(degree.all()):
        raise ValueError(
            f"{int((degree == 0).sum())} atom(s) have no neighbour within {max_radius} Å; every molecule needs two "
            "or more atoms within reach of each other"
        )
    width = int(degree.max())
    first = batch.atoms_per_molecule.cumsum(0) - batch.atoms_per_molecule
    b, i, j = adjacent.nonzero(as_tuple=True)
    centre = first[b] + i
    slot = centre * width + adjacent.cumsum(-1)[b, i, j] - 1
    mask = torch.zeros(len(degree), width, dtype=torch.bool, device=device)
    mask.view(-1)[slot] = True

    pb, pi, pj = (adjacent | adjacent.mT).triu().nonzero(as_tuple=True)
    pair_distance, ascending = squared[pb, pi, pj].sqrt().sort(stable=True)
    pb, pi, pj = pb[ascending], pi[ascending], pj[ascending]
    pair = torch.zeros_like(adjacent, dtype=torch.long)
    pair[pb, pi, pj] = pair[pb, pj, pi] = torch.arange(len(pb), device=device)
    pair = pair[b, i, j]
    return Graph(
        centre=centre,
        neighbour=first[b] + j,
        slot=slot,
        mask=mask,
        degree=degree[:, None].double(),
        direction=difference[b, i, j] / pair_distance[pair, None],
        pair=pair,
        pair_distance=pair_distance,
    )


def sum_over_neighbours(x: Tensor, graph: Graph) -> Tensor:
    """(E, ...) edge features summed over each centre's edges, (N, ...)."""
    return x.new_zeros(len(graph.mask), *x.shape[1:]).index_add(0, graph.centre, x)


def mean_over_neighbours(x: Tensor, graph: Graph) -> Tensor:
    """(E, C) edge features averaged over each centre's edges, (N, C)."""
    return sum_over_neighbours(x, graph) / (graph.degree + MEAN_EPSILON)


def to_slots(x: Tensor, graph: Graph) -> Tensor:
    """(E, C) edges laid out in N x K slots, (N*K, C), zero where a slot is empty."""
    if len(x) == graph.mask.numel():
        return x
    return x.new_zeros(graph.mask.numel(), x.shape[1]).index_copy(0, graph.slot, x)


def from_slots(x: Tensor, graph: Graph) -> Tensor:
    """The edges of (N*K, C) slots, (E, C)."""
    return x if len(graph.slot) == len(x) else x.index_select(0, graph.slot)
