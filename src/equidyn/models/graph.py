"""Neighbour graphs of batches of molecules, and sums over neighbours."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import MoleculeBatch
from equidyn.core.transfer import map_tensors

MEAN_EPSILON = 1e-5
"""Added to the neighbour count in means over neighbours, as the published EScAIP does."""

MIN_DISTANCE = 1e-2
"""Å; closer atoms are not neighbours."""

TIE = 1e-4
"""Å; atoms whose distances differ by less are equally distant. Rotations in single precision change distances by up to
2e-6 Å in a molecule of 20 Å around the origin, and by 3e-5 Å in one that lies 100 Å off."""

MOSTLY_FULL = 0.9
"""Share of slots with an edge from which on the empty ones are kept: passing over them costs less than leaving them
out."""


@dataclass(frozen=True)
class Graph:
    """Directed neighbour graph: N atoms, K slots for the neighbours of each, E edges, P unordered pairs.

    Edges are ordered by centre, then by neighbour. A dense graph has an edge for each slot, E = N * K, so that sums
    over neighbours need no look-up. Where there is no neighbour, the atom itself stands for it; the direction is zero.

    Attributes:
        molecule: (N,) molecule of each atom.
        centre: (E,) atom i that receives.
        neighbour: (E,) atom j that sends.
        slot: (E,) i * K + the place of j among i's neighbours.
        mask: (N, K) true where a slot holds a neighbour.
        share: (E, 1) weight of an edge in a mean over neighbours, zero where there is none.
        direction: (E, 3) unit vectors (x_i - x_j) / d_ij, from the neighbour to the centre.
        pair: (E,) unordered pair of each edge.
        pair_distance: (P,) Å, ascending.
    """

    molecule: Tensor
    centre: Tensor
    neighbour: Tensor
    slot: Tensor
    mask: Tensor
    share: Tensor
    direction: Tensor
    pair: Tensor
    pair_distance: Tensor

    @property
    def is_dense(self) -> bool:
        """Whether each slot has an edge."""
        return len(self.slot) == self.mask.numel()

    @property
    def real(self) -> Tensor:
        """(E,) true where an edge leads to a neighbour."""
        return self.mask.view(-1)[self.slot]

    def to_dtype(self, dtype: torch.dtype) -> Self:
        """The graph with its floating-point tensors in a dtype."""
        graph: Self = map_tensors(lambda x: x.to(dtype) if x.is_floating_point() else x, self)
        return graph


G = TypeVar("G", bound=Graph)


@torch.no_grad()
def neighbour_graph(batch: MoleculeBatch, *, max_neighbors: int, max_radius: float, slots: int | None = None) -> Graph:
    """Directed k-nearest-neighbour graph within each molecule, open boundaries; geometry in float64.

    Atoms that are equally distant, up to `TIE`, are neighbours together or not at all, since rounding, and so the
    orientation of the molecule, would decide between them. Those that do not all fit at the end of a list are left out;
    if they are the nearest, all are kept, and the list is longer. Picking some by a rule, such as the first by index,
    would not depend on rounding either, but on the order of atoms, and the lists of a symmetric molecule would not have
    its symmetry; keeping all instead would make lists of up to three times the length. One case is left in which
    rounding decides, that two distances differ by `TIE` itself: no symmetry brings it about.

    Args:
        batch: Molecules, positions in Å.
        max_neighbors: Number of nearest atoms of its molecule that each centre keeps; j may be a neighbour of i without
            the reverse.
        max_radius: Å; atoms farther away, by `TIE` or more, are no neighbours.
        slots: Makes a dense graph with this many slots, at least `max_neighbors`, or more where equally distant atoms
            need them. Without it there are as many as some atom has neighbours, and the graph is dense if most of them
            are taken.

    Raises:
        ValueError: An atom has no neighbour, so that nothing defines a direction for its force.
    """
    device, atoms = batch.positions.device, len(batch.positions)
    molecule, local, size = batch.molecule, batch.local_index, batch.max_atoms
    positions = batch.positions.double()
    laid_out = torch.full((batch.molecules, size, 3), torch.nan, dtype=torch.float64, device=device)
    laid_out[molecule, local] = positions
    distance = torch.cdist(laid_out, laid_out, compute_mode="donot_use_mm_for_euclid_dist")
    candidate = (distance < max_radius + TIE) & (distance > MIN_DISTANCE)  # false where there is no atom
    distance.masked_fill_(~candidate, torch.inf)
    nearest = distance.topk(min(max_neighbors + 1, size), largest=False, sorted=False).values
    end = torch.maximum(nearest.amax(-1) - TIE, nearest.amin(-1) + TIE)
    chosen = candidate & (distance < end[..., None])
    degree = chosen.sum(-1)[molecule, local]

    if not bool(degree.all()):
        raise ValueError(
            f"{int((degree == 0).sum())} atom(s) have no neighbour within {max_radius} Å; every "
            "molecule needs two or more atoms within reach of each other"
        )
    pb, pi, pj = (chosen | chosen.mT).triu().nonzero(as_tuple=True)
    pair_distance, ascending = distance[pb, pi, pj].sort(stable=True)
    pb, pi, pj = pb[ascending], pi[ascending], pj[ascending]
    pair = torch.zeros(batch.molecules, size, size, dtype=torch.long, device=device)
    pair[pb, pi, pj] = pair[pb, pj, pi] = torch.arange(len(pb), device=device)

    width = max(slots or 0, int(degree.max()))
    mask = torch.arange(width, device=device) < degree[:, None]
    slot, local_neighbour = mask.view(-1).nonzero()[:, 0], chosen.nonzero()[:, 2]
    if slots is not None or len(slot) >= MOSTLY_FULL * mask.numel():
        local_neighbour = local.repeat_interleave(width).index_copy(0, slot, local_neighbour)
        slot = torch.arange(atoms * width, device=device)
    centre = slot // width
    real = mask.view(-1)[slot]
    neighbour = centre + local_neighbour - local[centre]
    pair = pair[molecule[centre], local[centre], local_neighbour]
    difference = positions[centre] - positions[neighbour]
    return Graph(
        molecule=molecule,
        centre=centre,
        neighbour=neighbour,
        slot=slot,
        mask=mask,
        share=(real / (degree[centre] + MEAN_EPSILON))[:, None].double(),
        direction=difference / pair_distance[pair, None],
        pair=pair,
        pair_distance=pair_distance,
    )


def with_few_shapes(batch: MoleculeBatch, graph: G) -> tuple[MoleculeBatch, G]:
    """Batch and dense graph with one more molecule, of atoms without neighbours, such that few different sizes occur.

    The number of atoms becomes the next of a series whose members are 6 to 12 % apart, and that of the pairs a multiple
    of an eighth of the edges. Nothing that is computed for the other molecules sees the last one.
    """
    atoms, slots = graph.mask.shape
    step = 2 ** max(3, (atoms + 1).bit_length() - 4)
    size = -(-(atoms + 1) // step) * step
    eighth = size * slots // 8
    pairs = -(-len(graph.pair_distance) // eighth) * eighth

    def pad(x: Tensor, rows: int) -> Tensor:
        return F.pad(x, (0, 0) * (x.ndim - 1) + (0, rows - len(x)))

    rows = {atoms: size, atoms * slots: size * slots}
    tensors = {field.name: getattr(graph, field.name) for field in fields(graph)}
    changed = {name: pad(x, rows[len(x)]) for name, x in tensors.items() if isinstance(x, Tensor) and len(x) in rows}
    slot = torch.arange(size * slots, device=graph.slot.device)
    centre = slot // slots
    changed["molecule"] = F.pad(graph.molecule, (0, size - atoms), value=batch.molecules)
    changed |= {
        "slot": slot,
        "centre": centre,
        "neighbour": torch.cat([graph.neighbour, centre[len(graph.neighbour) :]]),
    }
    last = graph.pair_distance[-1:].expand(pairs - len(graph.pair_distance))
    changed["pair_distance"] = torch.cat([graph.pair_distance, last])
    padded = MoleculeBatch(
        pad(batch.positions, size),
        F.pad(batch.atomic_numbers, (0, size - atoms), value=1),
        F.pad(batch.atoms_per_molecule, (0, 1), value=size - atoms),
    )
    return padded, replace(graph, **changed)


class GraphNetwork(nn.Module, ABC):
    """A network of the neighbour graphs of molecules, which may be made ahead of its forward pass."""

    config: Any  # has `max_neighbors`

    @abstractmethod
    def graph(self, batch: MoleculeBatch, *, slots: int | None = None) -> Graph:
        """Neighbour graph of a batch, dense if the number of slots is given."""

    def prepare(self, batch: MoleculeBatch, *, few_shapes: bool = False) -> MoleculeBatch:
        """The batch with its graph, which `forward` needs.

        Args:
            batch: Molecules, positions in Å.
            few_shapes: Add a molecule of padding at the end, such that tensors have few different shapes.
        """
        graph = self.graph(batch, slots=self.config.max_neighbors if few_shapes else None)
        if few_shapes:
            batch, graph = with_few_shapes(batch, graph)
        return replace(batch, graph=graph)


def on_edges(of_neighbour: Tensor, of_centre: Tensor, graph: Graph) -> Tensor:
    """Features (..., N, C) of both ends of each edge, added; (..., E, C)."""
    x = of_neighbour.index_select(-2, graph.neighbour)
    if graph.is_dense:
        return (x.unflatten(-2, graph.mask.shape) + of_centre.unsqueeze(-2)).flatten(-3, -2)
    return x + of_centre.index_select(-2, graph.centre)


def sum_over_neighbours(x: Tensor, graph: Graph) -> Tensor:
    """(E, ...) edge features, summed over the neighbours of each atom, (N, ...)."""
    if graph.is_dense:
        x = x * graph.mask.view(-1, *(1,) * (x.ndim - 1))
    return sum_over_edges(x, graph)


def sum_over_edges(x: Tensor, graph: Graph) -> Tensor:
    """(E, ...) edge features that are zero where there is no neighbour, summed over each atom's edges, (N, ...)."""
    if graph.is_dense:
        return x.unflatten(0, graph.mask.shape).sum(1)
    return x.new_zeros(len(graph.mask), *x.shape[1:]).index_add(0, graph.centre, x)


def mean_over_neighbours(x: Tensor, graph: Graph) -> Tensor:
    """(E, C) edge features, averaged over the neighbours of each atom, (N, C)."""
    return sum_over_edges(x * graph.share, graph)


def mean_over_atoms(x: Tensor, batch: MoleculeBatch, graph: Graph) -> Tensor:
    """(N,) atomic values, averaged over each molecule, (B,)."""
    sums = x.new_zeros(batch.molecules).index_add(0, graph.molecule, x)
    return sums / batch.atoms_per_molecule.to(x.dtype)


def to_slots(x: Tensor, graph: Graph) -> Tensor:
    """(E, C) edges laid out in N x K slots, (N*K, C), zero where a slot is empty and the graph not dense."""
    if graph.is_dense:
        return x
    return x.new_zeros(graph.mask.numel(), x.shape[1]).index_copy(0, graph.slot, x)


def from_slots(x: Tensor, graph: Graph) -> Tensor:
    """The edges of (N*K, C) slots, (E, C)."""
    return x if graph.is_dense else x.index_select(0, graph.slot)
