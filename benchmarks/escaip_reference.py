"""A plain implementation of EScAIP: every edge, every block, every slot, nothing shared.

It borrows the weights of :class:`equidyn.models.escaip.network.EScAIP` and repeats its arithmetic slot by slot, as the
architecture is usually drawn. It serves as a reference for speed and for numbers in `escaip_speed.py`.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.escaip.network import (
    RMS_EPSILON,
    Dropout,
    EdgeAttribute,
    EScAIP,
    Projection,
    Readout,
    RMSNorm,
    TransformerBlock,
)
from equidyn.models.graph import MEAN_EPSILON, mean_over_atoms


class PlainEScAIP(nn.Module):
    """Same weights and results as the given model, computed plainly on (N, K) slots, by PyTorch's own layers."""

    def __init__(self, model: EScAIP):
        super().__init__()
        self.model = _with_stock_layers(copy.deepcopy(model))
        self.dropout = nn.Dropout(model.config.mlp_dropout)

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces, energies and head tensors of a batch."""
        model, config = self.model, self.model.config
        graph = model.graph(batch)
        atoms, slots = graph.mask.shape
        rows, columns = graph.centre, graph.slot - graph.centre * slots
        neighbours = torch.zeros(atoms, slots, dtype=torch.long, device=graph.mask.device)
        neighbours[rows, columns] = graph.neighbour
        distance = batch.positions.new_full((atoms, slots), torch.inf)
        distance[rows, columns] = graph.pair_distance[graph.pair]
        direction = batch.positions.new_zeros(atoms, slots, 3)
        direction[rows, columns] = graph.direction
        mask = graph.mask[..., None]
        centres = torch.linspace(0, config.max_radius, config.distance_expansion)
        width = 2 * config.max_radius / (config.distance_expansion - 1)
        expansion = torch.exp(-0.5 * ((distance[..., None] - centres) / width) ** 2)
        source_order, target_order = (
            graph.order[neighbours],
            graph.order[:, None].expand(-1, slots, -1),
        )
        source_z = batch.atomic_numbers[neighbours]
        target_z = batch.atomic_numbers[:, None].expand(-1, slots)

        def mean(x: Tensor) -> Tensor:
            return (x * mask).sum(1) / (mask.sum(1) + MEAN_EPSILON)

        def attribute(layer: EdgeAttribute) -> Tensor:
            x = torch.cat(
                [
                    self.dropout(F.gelu(layer.distance(expansion))),
                    self.dropout(F.gelu(layer.source_order(source_order))),
                    layer.source_element(source_z),
                    self.dropout(F.gelu(layer.target_order(target_order))),
                    layer.target_element(target_z),
                ],
                -1,
            )
            return self.dropout(F.gelu(layer.edge(x)))

        def attend(block: TransformerBlock, message: Tensor) -> Tensor:
            layer = block.attention
            split = (atoms, slots, 3, config.heads, -1)
            q, k, v = layer.project_in(message).view(split).permute(2, 0, 3, 1, 4)
            bias = layer.angle_scale * graph.cosine[:, None]
            bias = bias.masked_fill(~graph.mask[:, None, None], -torch.inf)
            dropout = config.attention_dropout if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
            return layer.project_out(mixed.transpose(1, 2).reshape(atoms, slots, -1))

        def project(layer: Projection, readouts: list[Tensor]) -> Tensor:
            return layer.norm_out(F.gelu(layer.linear(layer.norm_in(torch.cat(readouts, -1)))))

        def read_out(layer: Readout, x: Tensor) -> Tensor:
            return x + layer.ffn(layer.norm(x))

        edges = attribute(model.input.attribute)
        edges = edges + model.input.ffn(model.input.norm(edges))
        nodes, edges = model.input.node_norm(mean(edges)), model.input.edge_norm(edges)
        node_readouts, edge_readouts = (
            [read_out(model.node_readouts[0], nodes)],
            [read_out(model.edge_readouts[0], edges)],
        )
        for index, block in enumerate(model.blocks, start=1):
            normed = block.norm(nodes)
            both = torch.cat([normed[neighbours], normed[:, None].expand(-1, slots, -1)], -1)
            pair = self.dropout(F.gelu(block.node(both)))
            message = F.gelu(block.message(torch.cat([attribute(block.attribute), pair], -1)))
            attended = attend(block, message)
            nodes, edges = nodes + mean(attended), edges + attended
            nodes = nodes + block.node_ffn(block.node_norm(nodes))
            edges = edges + block.edge_ffn(block.edge_norm(edges))
            node_readouts.append(read_out(model.node_readouts[index], nodes))
            edge_readouts.append(read_out(model.edge_readouts[index], edges))
        nodes = project(model.node_projection, node_readouts)
        edges = project(model.edge_projection, edge_readouts)
        vector = model.direction(edges) * mask
        tensor = model.magnitude(nodes)[..., None] * torch.einsum("nki,nkj->nij", vector, direction)
        return ForceOutput(
            tensor.diagonal(dim1=1, dim2=2), mean_over_atoms(model.energy(nodes)[:, 0], batch, graph), tensor
        )


def _with_stock_layers(module: nn.Module) -> nn.Module:
    """The module with our faster dropout and norm replaced by PyTorch's."""
    for name, child in module.named_children():
        if isinstance(child, Dropout):
            setattr(module, name, nn.Dropout(child.dropped / 2**16))
        elif isinstance(child, RMSNorm):
            norm = nn.RMSNorm(len(child.weight), eps=RMS_EPSILON)
            norm.weight = child.weight
            setattr(module, name, norm)
        else:
            _with_stock_layers(child)
    return module
