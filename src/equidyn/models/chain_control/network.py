"""An exactly equivariant flow of chains: the numeric floor for other networks, and a baseline to train."""

import math

import torch
from torch import Tensor, nn

from equidyn.core.batch import ProteinBatch, VelocityOutput
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
        traces = torch.stack([x for x in (batch.x_t, batch.x_sc) if x is not None], 1).mT  # (B, T, 3, L)
        along = traces[..., None, :] - traces[..., None]
        distance = torch.linalg.vector_norm(along, dim=2)
        kernels = self._kernels(batch, distance) * (mask / mask.sum(1, keepdim=True)).to(dtype)[:, None, None]
        along = (along / (1 + distance[:, :, None])).permute(0, 3, 2, 1, 4).contiguous()  # (B, L, 3, T, L)
        directions = (along[..., None, :] * kernels[:, :, None, None]).flatten(3).flatten(1, 2)
        kernels = kernels.flatten(2)

        k = torch.arange(1, self.config.waves + 1, device=mask.device, dtype=dtype)
        angle = 0.5 * math.pi * k * batch.t[:, None]
        broken = torch.zeros_like(mask) if batch.chain_break is None else batch.chain_break
        scalars = self.time(torch.cat([angle.sin(), angle.cos()], 1))[:, None] + self.chain_break(broken.long())
        vectors = scalars.new_zeros(*mask.shape, 3, self.config.hidden)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors, kernels, directions)
        return VelocityOutput(self.velocity(scalars, vectors) * mask[..., None], None)

    def _kernels(self, batch: ProteinBatch, distance: Tensor) -> Tensor:
        """(B, L, K, L) weights of residue j (last) for residue i, by their distances (B, T, L, L) in each trace."""
        config, index, length = self.config, batch.residue_index, distance.shape[-1]
        if index is None:
            index = torch.arange(length, device=distance.device)[None]
        separation = (index[:, None] - index[:, :, None]).clamp(-config.separation, config.separation)
        pairs = self.separation(separation + config.separation).permute(0, 3, 1, 2).flatten(2)
        centres = torch.linspace(0, config.max_distance, config.radial, device=index.device, dtype=distance.dtype)
        from_centre = (distance.clamp(max=config.max_distance)[:, :, None] - centres[:, None, None]) / centres[1]
        radial = torch.exp(-0.5 * from_centre.square()).flatten(1, 2).flatten(2)  # channels first: products are faster
        linears = self.distance[: distance.shape[1]]
        weight, bias = torch.cat([linear.weight for linear in linears], 1), sum(linear.bias for linear in linears)
        pairs = torch.baddbmm(pairs + bias[:, None], weight.expand(len(radial), -1, -1), radial)
        activation, mix = self.kernel
        kernels = torch.baddbmm(mix.bias[:, None], mix.weight.expand(len(radial), -1, -1), activation(pairs))
        return kernels.unflatten(2, (length, length)).transpose(1, 2)


class ChainControlLayer(nn.Module):
    """One exchange of scalars and vectors among the residues of a chain, then one within each residue."""

    def __init__(self, config: ChainControlConfig):
        super().__init__()
        hidden = config.hidden
        self.message = mlp(hidden, 4 * hidden)
        self.weight = nn.Parameter(torch.randn(4, config.kernels, hidden) / math.sqrt(config.kernels))
        self.exchange = Exchange(hidden)

    def forward(self, scalars: Tensor, vectors: Tensor, kernels: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars and vectors after the layer.

        Args:
            scalars: (B, L, H).
            vectors: (B, L, 3, H).
            kernels: (B, L, K L).
            directions: (B, 3 L, T K L) kernels times directions, of the T traces: x_t and, if there is one, x_sc.
        """
        width = scalars.shape[-1]
        to_scalar, from_vector, *from_direction = self.message(scalars).chunk(4, dim=-1)
        values = torch.cat([to_scalar, (vectors * from_vector[:, :, None]).flatten(2)], -1)
        of_scalar, of_vector, *of_direction = self.weight
        arriving = kernels @ _weighted(values, torch.cat([of_scalar, of_vector.repeat(1, 3)], 1))
        scalars = scalars + arriving[..., :width]
        vectors = vectors + arriving[..., width:].unflatten(-1, (3, -1))
        traces = directions.shape[2] // kernels.shape[2]
        sent = [_weighted(*pair) for pair in zip(from_direction[:traces], of_direction[:traces], strict=True)]
        vectors = vectors + (directions @ torch.cat(sent, 1)).view_as(vectors)
        return self.exchange(scalars, vectors)


def _weighted(values: Tensor, weight: Tensor) -> Tensor:
    """Values (B, J, X) of residues times weights (K, X) of kernels, for each kernel and residue: (B, K J, X)."""
    return (values[:, None] * weight[:, None]).flatten(1, 2)
