"""An exactly equivariant flow of chains: the numeric floor for other networks, and a baseline to train."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equidyn.core.batch import ProteinBatch, VelocityOutput
from equidyn.core.pairs import pair_distances
from equidyn.models.chain_control.sizes import ChainControlConfig
from equidyn.models.vectors import Exchange, VectorHead, mlp


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
        self.distance = nn.ModuleList(nn.Linear(config.radial, width) for _ in range(2))  # distances in x_t and in x_sc
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
        self.message = mlp(hidden, 4 * hidden)
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
