"""Proteína as one would first write it: every residue's conditioning, one-hot features, masks after every step.

It borrows the weights of :class:`equidyn.models.proteina.network.Proteina` and repeats its arithmetic as the
architecture is usually described. It exists to be compared with: for speed in `proteina_speed.py`, for numbers there
too.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ProteinBatch, VelocityOutput
from equidyn.core.pairs import distance_class, pair_distances
from equidyn.models.proteina.network import (
    DISTANCE_RANGE,
    AdaptiveNorm,
    Attention,
    Gate,
    PairUpdate,
    Proteina,
    TriangleProduct,
    index_embedding,
    time_embedding,
)


class PlainProteina(nn.Module):
    """Same weights and results as the given model, computed plainly."""

    def __init__(self, model: Proteina):
        super().__init__()
        self.model = copy.deepcopy(model)

    def forward(self, batch: ProteinBatch) -> VelocityOutput:
        """Velocities and logits of distances of a batch of chains."""
        model, config, mask = self.model, self.model.config, batch.mask[..., None]
        chains, length = batch.mask.shape
        registers = config.registers
        index = batch.residue_index
        if index is None:
            index = torch.arange(1, length + 1).expand(chains, -1)
        real = (batch.mask[:, :, None] & batch.mask[:, None])[..., None]

        time = time_embedding(batch.t, config.time_embedding)
        told = [time[:, None].expand(-1, length, -1)]
        told += [table.weight[-1].expand(chains, length, -1) for table in model.fold]
        conditioning = model.conditioning(torch.cat(told, -1) * mask) * mask
        for transition in model.condition_transitions:
            conditioning = transition(conditioning) * mask
        missing = torch.zeros(chains, length, 1)
        features = [
            index_embedding(index, config.index_embedding, torch.float32),
            missing if batch.chain_break is None else batch.chain_break[..., None].float(),
            missing.expand(-1, -1, 3) if batch.x_sc is None else batch.x_sc,
        ]
        tokens = (model.position(batch.x_t) + model.sequence(torch.cat(features, -1) * mask) * mask) * mask
        pairs = self._pairs(batch, index, time, real)

        tokens = torch.cat([model.registers.expand(chains, -1, -1), tokens], 1)
        conditioning = F.pad(conditioning, (0, 0, registers, 0))
        pairs = F.pad(pairs, (0, 0, registers, 0, registers, 0))
        mask = F.pad(mask, (0, 0, registers, 0), value=True)
        real = F.pad(real, (0, 0, registers, 0, registers, 0), value=True) & mask[:, :, None] & mask[:, None]
        for place, layer in enumerate(model.layers):
            attended = _attend(layer.attention, _adapt(layer.attention_norm, tokens, conditioning, mask), pairs, real)
            tokens = (tokens + _gate(layer.attention_gate, attended, conditioning, mask)) * mask
            changed = layer.transition(_adapt(layer.transition_norm, tokens, conditioning, mask)) * mask
            tokens = (tokens + _gate(layer.transition_gate, changed, conditioning, mask)) * mask
            if str(place) in model.pair_updates:
                pairs = _update(model.pair_updates[str(place)], tokens, pairs, mask, real)
        velocity = model.decoder(tokens[:, registers:]) * mask[:, registers:]
        logits = model.distogram(pairs[:, registers:, registers:]) if model.distogram is not None else None
        return VelocityOutput(velocity, logits)

    def _pairs(self, batch: ProteinBatch, index: Tensor, time: Tensor, real: Tensor) -> Tensor:
        config, builder = self.model.config, self.model.pair_builder
        length, reach = index.shape[1], config.separation_classes // 2
        separation = (index[:, :, None] - index[:, None]).clamp(-reach, reach) + reach

        def one_hot(x: Tensor | None, classes: int) -> Tensor:
            if x is None:
                return torch.zeros(*separation.shape, classes)
            return F.one_hot(distance_class(pair_distances(x), *DISTANCE_RANGE, classes), classes).float()

        features = [
            F.one_hot(separation, config.separation_classes).float(),
            one_hot(batch.x_sc, config.sc_distance_classes),
            one_hot(batch.x_t, config.distance_classes),
        ]
        pairs = builder.norm(builder.classes(torch.cat(features, -1) * real)) * real
        told = time[:, None, None].expand(-1, length, length, -1)
        told = builder.time_norm(builder.time(told * real)) * real
        return _adapt(builder.adapt, pairs, told, real)


def _adapt(layer: AdaptiveNorm, x: Tensor, conditioning: Tensor, mask: Tensor) -> Tensor:
    told = layer.norm(conditioning)
    return (F.layer_norm(x, x.shape[-1:]) * layer.scale(told).sigmoid() + layer.shift(told)) * mask


def _gate(layer: Gate, x: Tensor, conditioning: Tensor, mask: Tensor) -> Tensor:
    return x * layer.scale(conditioning).sigmoid() * mask


def _attend(layer: Attention, x: Tensor, pairs: Tensor, real: Tensor) -> Tensor:
    x = layer.norm(x)
    q, k, v = layer.project_in(x).chunk(3, -1)
    q, k, v = (y.unflatten(-1, (layer.heads, -1)) for y in (layer.query_norm(q), layer.key_norm(k), v))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / q.shape[-1] ** 0.5
    scores = scores.masked_fill(~real[..., 0][:, None], torch.finfo(scores.dtype).min)
    scores = scores + layer.pair_bias(layer.pair_norm(pairs)).permute(0, 3, 1, 2)
    mixed = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2)
    return layer.project_out(layer.gate(x).sigmoid() * mixed)


def _update(layer: PairUpdate, tokens: Tensor, pairs: Tensor, mask: Tensor, real: Tensor) -> Tensor:
    of_column, of_row = layer.tokens(layer.norm(tokens * mask)).chunk(2, -1)
    pairs = (pairs + of_column[:, None] + of_row[:, :, None]) * real
    pairs = (pairs + _triangle(layer.outgoing, "bikc,bjkc->bijc", pairs, real)) * real
    pairs = (pairs + _triangle(layer.incoming, "bkic,bkjc->bijc", pairs, real)) * real
    return (pairs + layer.transition(pairs) * real) * real


def _triangle(layer: TriangleProduct, product: str, pairs: Tensor, real: Tensor) -> Tensor:
    normed = layer.norm_in(pairs)
    left = layer.left(normed) * layer.left_gate(normed).sigmoid() * real
    right = layer.right(normed) * layer.right_gate(normed).sigmoid() * real
    changed = layer.project_out(layer.norm_out(torch.einsum(product, left, right)))
    return changed * layer.gate(normed).sigmoid() * real
