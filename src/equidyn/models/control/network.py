"""Exactly equivariant networks, one for each task: the numeric floor of every measurement, and baselines to train.

Scalars and vectors are separate channels, in the manner of PaiNN (Schütt et al. 2021, arXiv 2102.03150). Vectors are
only ever scaled by scalars, mixed linearly among channels and added, so the networks are equivariant for any weights,
up to rounding. Written here rather than built from e3nn: vectors need no spherical harmonics, start-up costs nothing,
and they train as fast as the networks they are compared with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch, ProteinBatch, VelocityOutput
from equidyn.core.pairs import pair_distances
from equidyn.models.graph import Graph, neighbour_graph, sum_over_neighbours


class _Sizes:
    """Base of the networks' sizes, all of which are positive."""

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")


class Exchange(nn.Module):
    """Scalars and vectors of one atom or residue tell each other their products and lengths."""

    def __init__(self, hidden: int):
        super().__init__()
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)
        self.update = _mlp(2 * hidden, 3 * hidden)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(..., H) scalars, (..., 3, H) vectors -> scalars, vectors."""
        left, right = self.mix(vectors).chunk(2, dim=-1)
        lengths = (right.square().sum(-2) + 1e-8).sqrt()
        scale, product, shift = self.update(torch.cat([scalars, lengths], -1)).chunk(3, dim=-1)
        scalars = scalars + product * (left * right).sum(-2) + shift
        return scalars, vectors + scale.unsqueeze(-2) * left


class VectorHead(nn.Module):
    """One vector from the channels, weighted as the scalars say."""

    def __init__(self, hidden: int):
        super().__init__()
        self.scale = _mlp(hidden, hidden)

    def forward(self, scalars: Tensor, vectors: Tensor) -> Tensor:
        """(..., H) scalars, (..., 3, H) vectors -> (..., 3)."""
        return (vectors * self.scale(scalars).unsqueeze(-2)).sum(-1)


def _mlp(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width_in), nn.SiLU(), nn.Linear(width_in, width_out))


# --- force fields ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ControlConfig(_Sizes):
    """Sizes of the force-field control."""

    layers: int = 3
    hidden: int = 64
    radial: int = 20
    max_neighbors: int = 20
    max_radius: float = 6.0  # Å
    elements: int = 110


class Control(nn.Module):
    """A force field whose atoms exchange scalars and vectors with their neighbours; same interface as EScAIP."""

    Config = ControlConfig

    def __init__(self, config: ControlConfig):
        super().__init__()
        self.config = config
        self.element = nn.Embedding(config.elements, config.hidden)
        self.layers = nn.ModuleList(ControlLayer(config) for _ in range(config.layers))
        self.force = VectorHead(config.hidden)
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
        # No head tensor: the closed form would call the error zero, and a control is there to be measured.
        return ForceOutput(self.force(scalars, vectors), batch.mean(self.energy(scalars)[:, 0]), None)


class ControlLayer(nn.Module):
    """One exchange of scalars and vectors among neighbours, then one within each atom."""

    def __init__(self, config: ControlConfig):
        super().__init__()
        hidden = config.hidden
        self.message = _mlp(hidden, 3 * hidden)
        self.filter = nn.Linear(config.radial, 3 * hidden)
        self.exchange = Exchange(hidden)

    def forward(
        self, scalars: Tensor, vectors: Tensor, radial: Tensor, cutoff: Tensor, graph: Graph
    ) -> tuple[Tensor, Tensor]:
        """(N, H) scalars, (N, 3, H) vectors, (E, radial), (E, 1) -> scalars, vectors."""
        message = self.message(scalars).index_select(0, graph.neighbour)
        message = message * self.filter(radial) * cutoff
        to_scalar, from_vector, from_direction = message.chunk(3, dim=1)
        arriving = vectors.index_select(0, graph.neighbour) * from_vector[:, None]
        arriving = arriving + graph.direction[:, :, None] * from_direction[:, None]
        return self.exchange(
            scalars + sum_over_neighbours(to_scalar, graph), vectors + sum_over_neighbours(arriving, graph)
        )


# --- flow matching of chains ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChainControlConfig(_Sizes):
    """Sizes of the flow-matching control."""

    layers: int = 3
    hidden: int = 32
    kernels: int = 6  # ways in which residues weight each other
    radial: int = 16
    max_distance: float = 3.0  # nm; longer ones look alike
    separation: int = 8  # residues; pairs farther apart along the chain look alike
    waves: int = 8  # of the flow time


class ChainControl(nn.Module):
    """Velocities of Cα traces from differences of positions; same interface as Proteína, without distogram.

    All pairs of a chain are weighted by a few kernels, functions of their distances and of their separation along the
    chain, made once for all layers. A layer then sums over the chain by matrix products, and nothing is ever stored
    for each pair and each channel.
    """

    Config = ChainControlConfig

    def __init__(self, config: ChainControlConfig):
        super().__init__()
        self.config = config
        width = 2 * config.kernels
        self.time = nn.Linear(2 * config.waves, config.hidden)
        self.chain_break = nn.Embedding(2, config.hidden)
        self.separation = nn.Embedding(2 * config.separation + 1, width)
        self.distance = nn.ModuleList(nn.Linear(config.radial, width) for _ in range(2))  # of x_t, of x_sc
        self.kernel = nn.Sequential(nn.SiLU(), nn.Linear(width, config.kernels))
        self.layers = nn.ModuleList(ChainControlLayer(config) for _ in range(config.layers))
        self.velocity = VectorHead(config.hidden)

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay."""
        return name.endswith("bias") or name.startswith(("chain_break.", "separation."))

    def forward(self, batch: ProteinBatch) -> VelocityOutput:
        """Velocities of a batch of chains (positions in nm)."""
        mask, dtype = batch.mask, batch.x_t.dtype
        traces = [x for x in (batch.x_t, batch.x_sc) if x is not None]
        kernels = self._kernels(batch, traces) * (mask / mask.sum(1, keepdim=True)).to(dtype)[:, None, None]
        directions = []
        for x in traces:
            difference = x[:, None] - x[:, :, None]
            direction = difference / (1 + torch.linalg.vector_norm(difference, dim=-1, keepdim=True))
            directions.append((kernels[:, :, None] * direction.transpose(2, 3)[:, :, :, None]).flatten(1, 2))

        k = torch.arange(1, self.config.waves + 1, device=mask.device, dtype=dtype)
        angle = 0.5 * math.pi * k * batch.t[:, None]
        broken = torch.zeros_like(mask) if batch.chain_break is None else batch.chain_break
        scalars = self.time(torch.cat([angle.sin(), angle.cos()], 1))[:, None] + self.chain_break(broken.long())
        vectors = scalars.new_zeros(*mask.shape, 3, self.config.hidden)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, kernels, directions)
        return VelocityOutput(self.velocity(scalars, vectors) * mask[..., None], None)

    def _kernels(self, batch: ProteinBatch, traces: Sequence[Tensor]) -> Tensor:
        """(B, L, K, L) weights of residue j (last) for residue i."""
        config, index = self.config, batch.residue_index
        if index is None:
            index = torch.arange(batch.mask.shape[1], device=batch.mask.device)[None]
        separation = (index[:, None] - index[:, :, None]).clamp(-config.separation, config.separation)
        pairs = self.separation(separation + config.separation)
        centres = torch.linspace(0, config.max_distance, config.radial, device=index.device, dtype=batch.x_t.dtype)
        for x, linear in zip(traces, self.distance, strict=False):  # x_sc, the second, may be missing
            distance = pair_distances(x).clamp(max=config.max_distance)
            pairs = pairs + linear(torch.exp(-0.5 * ((distance[..., None] - centres) / centres[1]).square()))
        return self.kernel(pairs).transpose(2, 3)


class ChainControlLayer(nn.Module):
    """One exchange of scalars and vectors among the residues of a chain, then one within each residue."""

    def __init__(self, config: ChainControlConfig):
        super().__init__()
        hidden = config.hidden
        self.message = _mlp(hidden, 4 * hidden)
        self.weight = nn.Parameter(torch.randn(4, config.kernels, hidden) / math.sqrt(config.kernels))
        self.exchange = Exchange(hidden)

    def forward(
        self, scalars: Tensor, vectors: Tensor, kernels: Tensor, directions: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Scalars and vectors after the layer.

        Args:
            scalars: (B, L, H).
            vectors: (B, L, 3, H).
            kernels: (B, L, K, L).
            directions: (B, 3 L, K, L) kernels times directions, of x_t and, if there is one, of x_sc.
        """
        to_scalar, from_vector, *from_direction = self.message(scalars).chunk(4, dim=-1)
        of_scalar, of_vector, *of_direction = self.weight
        scalars = scalars + _summed(kernels, to_scalar, of_scalar)
        arriving = _summed(kernels, (vectors * from_vector[:, :, None]).flatten(2), of_vector.repeat(1, 3))
        vectors = vectors + arriving.unflatten(-1, (3, -1))
        for direction, message, weight in zip(directions, from_direction, of_direction, strict=False):
            vectors = vectors + _summed(direction, message, weight).view_as(vectors)
        return self.exchange(scalars, vectors)


def _summed(kernels: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """sum_jk kernels[i, k, j] weight[k, x] values[j, x], for kernels (B, I, K, J) and values (B, J, X): (B, I, X)."""
    by_kernel = (kernels.flatten(1, 2) @ values).unflatten(1, (kernels.shape[1], -1))
    return (by_kernel * weight).sum(2)
