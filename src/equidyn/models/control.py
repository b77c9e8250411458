"""An exactly equivariant force field: the numeric floor of every measurement, and a baseline to train.

Scalars and vectors are separate channels, in the manner of PaiNN (Schütt et al. 2021, arXiv 2102.03150). Vectors are
only ever scaled by scalars, mixed linearly among channels and added, so the network is equivariant for any weights, up
to rounding. Written here rather than built from e3nn: vectors need no spherical harmonics, start-up costs nothing,
and it trains as fast as the networks it is compared with.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equidyn.models.batch import ForceOutput, MoleculeBatch
from equidyn.models.graph import Graph, neighbour_graph, sum_over_neighbours


@dataclass(frozen=True)
class ControlConfig:
    """Sizes of the control network."""

    layers: int = 3
    hidden: int = 64
    radial: int = 20
    max_neighbors: int = 20
    max_radius: float = 6.0  # Å
    elements: int = 110

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")


class Control(nn.Module):
    """Scalar and vector channels exchanged among neighbours; same interface as EScAIP."""

    Config = ControlConfig

    def __init__(self, config: ControlConfig):
        super().__init__()
        self.config = config
        self.element = nn.Embedding(config.elements, config.hidden)
        self.layers = nn.ModuleList(ControlLayer(config) for _ in range(config.layers))
        self.force_scale = _mlp(config.hidden, config.hidden)
        self.energy = _mlp(config.hidden, 1)

    @property
    def elements(self) -> int:
        """Atomic numbers from 1 up to, not including, this are known."""
        return self.config.elements

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay."""
        return name.endswith("bias") or name.startswith("element.")

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces and energies of a batch of molecules (positions in Å)."""
        config, dtype = self.config, batch.positions.dtype
        graph = neighbour_graph(batch, max_neighbors=config.max_neighbors, max_radius=config.max_radius).to_dtype(dtype)
        frequencies = torch.arange(1, config.radial + 1, device=graph.direction.device, dtype=dtype)
        distance = graph.pair_distance[graph.pair, None]
        # Sine waves that vanish at the cutoff, damped by a cosine that vanishes smoothly there.
        radial = torch.sin(frequencies * math.pi * distance / config.max_radius) / distance
        cutoff = 0.5 * (torch.cos(math.pi * distance / config.max_radius) + 1)

        scalars = self.element(batch.atomic_numbers)
        vectors = scalars.new_zeros(len(scalars), 3, config.hidden)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, radial, cutoff, graph)
        forces = (vectors * self.force_scale(scalars)[:, None]).sum(-1)
        # No head tensor: the closed form would call the error zero, and a control is there to be measured.
        return ForceOutput(forces, batch.mean(self.energy(scalars)[:, 0]), None)


class ControlLayer(nn.Module):
    """One exchange of scalars and vectors among neighbours, then one within each atom."""

    def __init__(self, config: ControlConfig):
        super().__init__()
        hidden = config.hidden
        self.message = _mlp(hidden, 3 * hidden)
        self.filter = nn.Linear(config.radial, 3 * hidden)
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)
        self.update = _mlp(2 * hidden, 3 * hidden)

    def forward(
        self, scalars: Tensor, vectors: Tensor, radial: Tensor, cutoff: Tensor, graph: Graph
    ) -> tuple[Tensor, Tensor]:
        """(N, H) scalars, (N, 3, H) vectors, (E, radial), (E, 1) -> scalars, vectors."""
        message = self.message(scalars).index_select(0, graph.neighbour)
        message = message * self.filter(radial) * cutoff
        to_scalar, from_vector, from_direction = message.chunk(3, dim=1)
        arriving = vectors.index_select(0, graph.neighbour) * from_vector[:, None]
        arriving = arriving + graph.direction[:, :, None] * from_direction[:, None]
        scalars = scalars + sum_over_neighbours(to_scalar, graph)
        vectors = vectors + sum_over_neighbours(arriving, graph)

        left, right = self.mix(vectors).chunk(2, dim=2)
        lengths = (right.square().sum(1) + 1e-8).sqrt()
        scale, product, shift = self.update(torch.cat([scalars, lengths], 1)).chunk(3, dim=1)
        scalars = scalars + product * (left * right).sum(1) + shift
        return scalars, vectors + scale[:, None] * left


def _mlp(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width_in), nn.SiLU(), nn.Linear(width_in, width_out))
