"""An exactly equivariant force field: the numeric floor for other networks, and a baseline to train."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.graph import Graph, GraphNetwork, mean_over_atoms, neighbour_graph
from equidyn.models.molecule_control.sizes import ControlConfig
from equidyn.models.vectors import Exchange, VectorHead, mlp


class Control(GraphNetwork):
    """A force field whose atoms exchange scalars and vectors with their neighbours; same interface as EScAIP."""

    Config = ControlConfig

    def __init__(self, config: ControlConfig):
        super().__init__()
        self.config = config
        self.element = nn.Embedding(config.elements, config.hidden)
        self.layers = nn.ModuleList(ControlLayer(config) for _ in range(config.layers))
        self.force = VectorHead(config.hidden)
        self.energy = mlp(config.hidden, 1)

    @property
    def elements(self) -> int:
        """Atomic numbers from 1 up to, not including, this are known."""
        return self.config.elements

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay."""
        return name.endswith("bias") or name.startswith("element.")

    def graph(self, batch: MoleculeBatch, *, slots: int | None = None) -> Graph:
        """Dense neighbour graph of a batch, with as many slots as an atom has neighbours if no number is given."""
        config = self.config
        graph = neighbour_graph(
            batch, max_neighbors=config.max_neighbors, max_radius=config.max_radius, slots=slots or 0
        )
        return graph.to_dtype(batch.positions.dtype)

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces and energies of a batch of molecules (positions in Å)."""
        config, dtype = self.config, batch.positions.dtype
        graph = batch.graph or self.graph(batch)
        frequencies = torch.arange(1, config.radial + 1, device=graph.direction.device, dtype=dtype)
        distance = graph.pair_distance[:, None]
        # Sine waves that vanish at the cutoff, damped by a cosine that vanishes smoothly there.
        waves = torch.sin(frequencies * math.pi * distance / config.max_radius) / distance
        cutoff = 0.5 * (torch.cos(math.pi * distance / config.max_radius) + 1)
        of_pairs = torch.cat([waves, torch.ones_like(distance)], 1) * cutoff
        radial = of_pairs.index_select(0, graph.pair) * graph.real[:, None]

        scalars = self.element(batch.atomic_numbers)
        vectors = None
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, radial, graph)
        # No head tensor: the closed form would return zero, but the control serves to measure numeric errors.
        return ForceOutput(
            self.force(scalars, vectors), mean_over_atoms(self.energy(scalars)[:, 0], batch, graph), None
        )


class ControlLayer(nn.Module):
    """One exchange of scalars and vectors among neighbours, then one within each atom."""

    def __init__(self, config: ControlConfig):
        super().__init__()
        hidden = config.hidden
        self.message = mlp(hidden, 3 * hidden)
        self.filter = nn.Linear(config.radial, 3 * hidden)
        self.exchange = Exchange(hidden)

    def forward(self, scalars: Tensor, vectors: Tensor | None, radial: Tensor, graph: Graph) -> tuple[Tensor, Tensor]:
        """Scalars and vectors.

        Args:
            scalars: (N, H).
            vectors: (N, 3, H), None for zero.
            radial: (E, radial + 1) waves and one, damped; zero where there is no neighbour.
            graph: Neighbour graph.
        """
        weight = torch.cat([self.filter.weight, self.filter.bias[:, None]], 1)
        message = self.message(scalars).index_select(0, graph.neighbour) * F.linear(radial, weight)
        to_scalar, from_vector, from_direction = message.unflatten(0, graph.mask.shape).chunk(3, dim=-1)
        arrived = graph.direction.unflatten(0, graph.mask.shape).mT @ from_direction
        if vectors is not None:
            of_neighbours = vectors.index_select(0, graph.neighbour).unflatten(0, graph.mask.shape)
            arrived = arrived + vectors + (of_neighbours * from_vector[:, :, None]).sum(1)
        return self.exchange(scalars + to_scalar.sum(1), arrived)
