"""Proteína on Cα traces: a transformer over residues, biased by a representation of their pairs.

Coordinates enter in two ways. Distances between residues, sorted into classes, make the pair representation: invariant.
The coordinates themselves enter the residues' features through a linear layer, as three ordinary numbers, and
velocities leave through another: nothing forces them to rotate with the chain, so the network must learn it. A pair
representation that is updated sees the residues' features and is no longer invariant either.

Source: Geffner et al. 2025 (arXiv 2503.00710), as trained by Shen et al. 2025 (arXiv 2512.02303): Cα atoms only,
without conditioning on the fold.

The arithmetic takes advantage of structure: the conditioning is one vector per chain (and zero at the registers), so
functions of it are computed on two rows, not on every residue; classes are looked up, not multiplied one-hot; layers
that see the same pair representation get their attention biases from one product. Values at padding are arbitrary but
isolated: they are not attended to, not summed over, and zero in the output.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ProteinBatch, VelocityOutput
from equidyn.core.pairs import distance_class, pair_distances
from equidyn.models.proteina.sizes import DISTOGRAM_CLASSES, TRIANGLE_WIDTH, ProteinaConfig

DISTANCE_RANGE = (0.1, 3.0)  # nm
INDEX_PERIOD = 2056
TIME_SCALE = 2000

_CUT_NORMAL_DEVIATION = 0.8796256610342398  # standard deviation of a standard normal distribution cut at ±2


def time_embedding(t: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of the flow time at geometrically falling frequencies from 2000 to 1, (B,) -> (B, width).

    Always in single precision and in this order of operations: angles reach 2000, where rounding shows, and published
    weights were trained with that rounding.
    """
    half = width // 2
    k = torch.arange(half, device=t.device, dtype=torch.float32)
    frequency = torch.exp(k * (-math.log(TIME_SCALE) / (half - 1)))
    return _sines_and_cosines((TIME_SCALE * t.float())[:, None] * frequency, t.dtype)


def index_embedding(index: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Sines, then cosines, of residue numbers that start at 1 in each chain, (B, L) -> (B, L, width).

    In single precision and in this order of operations, as `time_embedding`.
    """
    k = torch.arange(width // 2, device=index.device, dtype=torch.float32)
    position = (index - index[:, :1] + 1).float()
    return _sines_and_cosines((position * math.pi)[..., None] / INDEX_PERIOD ** (2 * k / width), dtype)


def _sines_and_cosines(angle: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.cat([angle.sin(), angle.cos()], -1).to(dtype)


def plain_norm(x: Tensor) -> Tensor:
    """Layer norm without weights, (..., D) -> (..., D).

    On the CPU it is given weights that do nothing: without any, PyTorch's loop is not vectorised and takes 1.7 times as
    long.
    """
    width = x.shape[-1:]
    return F.layer_norm(x, width, *((x.new_ones(width), x.new_zeros(width)) if x.device.type == "cpu" else ()))


class AdaptiveNorm(nn.Module):
    """Layer norm without weights of its own, scaled and shifted by functions of the conditioning."""

    def __init__(self, width: int, conditioning: int):
        super().__init__()
        self.norm = nn.LayerNorm(conditioning)
        self.scale = nn.Linear(conditioning, width)
        self.shift = nn.Linear(conditioning, width, bias=False)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.adapted(plain_norm(x), scale, shift)

    @staticmethod
    def adapted(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """(..., D) -> (..., D), of what is normed."""
        y = x * scale
        y += shift  # addcmul would multiply by its factor of 1 in the backward pass
        return y

    def of(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift (..., D) for a conditioning (..., C)."""
        told = self.norm(told)
        return self.scale(told).sigmoid(), self.shift(told)


class Gate(nn.Module):
    """Multiplication by a function of the conditioning, which is initially 0.12 throughout."""

    def __init__(self, width: int, conditioning: int):
        super().__init__()
        self.scale = nn.Linear(conditioning, width)
        nn.init.zeros_(self.scale.weight)
        nn.init.constant_(self.scale.bias, -2.0)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return x * scale


class Modulation(NamedTuple):
    """What the conditioning does to one half of a layer, attention or transition.

    Attributes:
        scale: (B, n, D), of the norm.
        shift: (B, n, D), of the norm.
        gate: (B, n, D).
    """

    scale: Tensor
    shift: Tensor
    gate: Tensor


class SwiGLU(nn.Module):
    """Two linear layers around a gated unit, W₂ (a ∘ silu(g)); no norm and no residual inside."""

    def __init__(self, width: int, expansion: int):
        super().__init__()
        self.up = nn.Linear(width, 2 * expansion * width, bias=False)
        self.down = nn.Linear(expansion * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        value, gate = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class PairBuilder(nn.Module):
    """The first pair representation: separations along the chain and distances, adapted to the flow time."""

    def __init__(self, config: ProteinaConfig):
        super().__init__()
        self.config = config
        classes = config.separation_classes, config.sc_distance_classes, config.distance_classes
        self.classes = nn.Linear(sum(classes), config.pair, bias=False)
        self.norm = nn.LayerNorm(config.pair)
        self.time = nn.Linear(config.time_embedding, config.conditioning, bias=False)
        self.time_norm = nn.LayerNorm(config.conditioning)
        self.adapt = AdaptiveNorm(config.pair, config.conditioning)

    def forward(self, batch: ProteinBatch, index: Tensor, time: Tensor) -> Tensor:
        """Pairs' features.

        Args:
            batch: Chains.
            index: (B, L) residue numbers.
            time: (B, T) embedded flow times.

        Returns:
            (B, L, L, P).
        """
        config = self.config
        reach = config.separation_classes // 2
        separation = (index[:, :, None] - index[:, None, :]).clamp(-reach, reach) + reach
        counts = [config.separation_classes, config.sc_distance_classes, config.distance_classes]
        # A linear layer on one-hot vectors picks columns.
        of_separation, of_sc_distance, of_distance = self.classes.weight.T.contiguous().split(counts)
        place = distance_class(pair_distances(batch.x_t), *DISTANCE_RANGE, len(of_distance))
        if batch.x_sc is None:  # each kind of pairs is normed once; of all but short chains there are more pairs
            kinds = (of_separation[:, None] + of_distance).flatten(0, 1)
            pairs = F.embedding(separation * len(of_distance) + place, plain_norm(self.norm(kinds)))
        else:
            sc_place = distance_class(pair_distances(batch.x_sc), *DISTANCE_RANGE, len(of_sc_distance))
            of_distances = (of_sc_distance[:, None] + of_distance).flatten(0, 1)
            pairs = F.embedding(separation, of_separation)
            pairs += F.embedding(sc_place * len(of_distance) + place, of_distances)
            pairs = plain_norm(self.norm(pairs))
        return self.adapt.adapted(pairs, *self.adapt.of(self.time_norm(self.time(time))[:, None, None]))


class Attention(nn.Module):
    """Gated multi-head self-attention among tokens, with norms of queries and keys over all heads together."""

    def __init__(self, config: ProteinaConfig):
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 3 * width)
        self.query_norm = nn.LayerNorm(width)
        self.key_norm = nn.LayerNorm(width)
        self.pair_norm = nn.LayerNorm(config.pair)
        self.pair_bias = nn.Linear(config.pair, config.heads, bias=False)
        self.gate = nn.Linear(width, width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Attention's output, (B, n, D).

        Args:
            x: (B, n, D) tokens.
            bias: (B, H, n, n) added to the scores, made of the pair norm and pair bias by `attention_biases`.
        """
        linears = self.project_in, self.gate
        weight, constant = (torch.cat([getattr(linear, name) for linear in linears]) for name in ("weight", "bias"))
        q, k, v, gate = F.linear(self.norm(x), weight, constant).chunk(4, dim=-1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (self.query_norm(q), self.key_norm(k), v))
        return self.project_out(gate.sigmoid() * attend(q, k, v, bias).transpose(1, 2).flatten(2))


def attention_biases(layers: Sequence[Attention], pairs: Tensor, keys: Tensor) -> Sequence[Tensor]:
    """Attention biases of layers that see the same pair representation, from one product.

    The layers' norms differ in weights only, which move into the linear layers. Biases of the norms move all scores of
    a head alike, which does not change the softmax; they are added nevertheless, to the mask.

    Args:
        layers: The attentions.
        pairs: (B, L, L, P), of the last L of n tokens; pairs of the others count as zero.
        keys: (B, n) bool, true for tokens that may be attended to.

    Returns:
        (B, H, n, n) per layer, -inf for keys that may not be attended to.
    """
    norms, linears = [layer.pair_norm for layer in layers], [layer.pair_bias for layer in layers]
    weight = _stacked(linears, "weight")
    constant = weight @ _stacked(norms, "bias")[..., None]
    weight = weight * _stacked(norms, "weight")[:, None]
    # With pairs as columns, biases of a head lie together as attention needs them.
    bias = weight.flatten(0, 1) @ plain_norm(pairs).flatten(0, 2).mT
    missing = keys.shape[1] - pairs.shape[1]
    bias = bias.view(*weight.shape[:2], *pairs.shape[:3]).transpose(1, 2)  # layers before chains before heads
    bias = F.pad(bias, (missing, 0, missing, 0)).contiguous()
    bias += torch.where(keys[:, None, None], constant[:, None, ..., None], -torch.inf)
    return bias.unbind()


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """softmax(q kᵀ / sqrt(d) + bias) v, for q, k, v (B, H, n, d) and a bias (B, H, n, n).

    On the CPU, PyTorch has no fused kernel that gives gradients of the bias, and takes longer than its parts.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    heads = q.shape[1]
    bias, q, k, v = (x.flatten(0, 1) for x in (bias, q, k, v))
    mixed = torch.baddbmm(bias, q, k.mT, alpha=q.shape[-1] ** -0.5).softmax(-1) @ v
    return mixed.unflatten(0, (-1, heads))


class TransformerLayer(nn.Module):
    """Attention and feed-forward, each between a norm and a gate that follow the conditioning."""

    def __init__(self, config: ProteinaConfig):
        super().__init__()
        width, conditioning = config.width, config.conditioning
        self.attention_norm = AdaptiveNorm(width, conditioning)
        self.attention = Attention(config)
        self.attention_gate = Gate(width, conditioning)
        self.transition_norm = AdaptiveNorm(width, conditioning)
        self.transition = SwiGLU(width, 4)
        self.transition_gate = Gate(width, conditioning)

    def forward(self, x: Tensor, first: Modulation, second: Modulation, bias: Tensor) -> Tensor:
        """(B, n, D) tokens, what the conditioning does to attention and to the transition, (B, H, n, n) -> tokens."""
        attended = self.attention(self.attention_norm(x, first.scale, first.shift), bias)
        x = x + self.attention_gate(attended, first.gate)
        moved = self.transition(self.transition_norm(x, second.scale, second.shift))
        return x + self.transition_gate(moved, second.gate)


def modulations(
    layers: Sequence[TransformerLayer], told: Tensor, registers: int, residues: int
) -> list[tuple[Modulation, Modulation]]:
    """What the conditioning does to the halves of each layer, from a few products for all N of them.

    Args:
        layers: The layers.
        told: (B, C) conditioning of each chain's residues; that of registers is zero.
        registers: Number of registers, which are the first tokens.
        residues: Number of residues.
    """
    norms = [norm for layer in layers for norm in (layer.attention_norm, layer.transition_norm)]
    gates = [gate for layer in layers for gate in (layer.attention_gate, layer.transition_gate)]
    rows = F.pad(told[:, None], (0, 0, 1, 0)).flatten(0, 1)  # for registers and residues of each chain
    weight, bias = (_stacked([norm.norm for norm in norms], name)[:, None] for name in ("weight", "bias"))
    normed = plain_norm(rows) * weight + bias  # (2 N, 2 B, C)
    linears = [norm.scale for norm in norms] + [gate.scale for gate in gates]
    inputs = torch.cat([normed, rows.expand_as(normed)])
    scales = torch.baddbmm(_stacked(linears, "bias")[:, None], inputs, _stacked(linears, "weight").mT).sigmoid()
    shifts = torch.bmm(normed, _stacked([norm.shift for norm in norms], "weight").mT)
    kinds = torch.cat([scales, shifts]).unflatten(1, (-1, 2)).split(1, dim=2)
    spread = [kind.expand(-1, -1, count, -1) for kind, count in zip(kinds, (registers, residues), strict=True)]
    scale, gate, shift = (values.unbind() for values in torch.cat(spread, 2).chunk(3))
    halves = [Modulation(*values) for values in zip(scale, shift, gate, strict=True)]
    return [*zip(halves[::2], halves[1::2], strict=True)]


class TriangleProduct(nn.Module):
    """Features of pairs (i, j) from their pairs with every third token k; outgoing: ik and jk, incoming: ki and kj."""

    def __init__(self, config: ProteinaConfig, *, incoming: bool):
        super().__init__()
        hidden = min(config.pair, TRIANGLE_WIDTH)
        self.incoming = incoming
        self.norm_in = nn.LayerNorm(config.pair)
        self.left = nn.Linear(config.pair, hidden)
        self.right = nn.Linear(config.pair, hidden)
        self.left_gate = nn.Linear(config.pair, hidden)
        self.right_gate = nn.Linear(config.pair, hidden)
        self.norm_out = nn.LayerNorm(hidden)
        self.project_out = nn.Linear(hidden, config.pair)
        self.gate = nn.Linear(config.pair, config.pair)
        for linear in (self.left, self.right):
            _cut_normal(linear, gain=1.0)
        for linear in (self.left_gate, self.right_gate, self.gate):
            nn.init.zeros_(linear.weight)
            nn.init.ones_(linear.bias)
        _zero(self.project_out)

    def forward(self, pairs: Tensor, mask: Tensor) -> Tensor:
        """(B, n, n, P) pairs, (B, n) true for tokens that are no padding -> (B, n, n, P)."""
        normed = self.norm_in(pairs)
        linears = self.left, self.right, self.left_gate, self.right_gate
        weight, bias = (torch.cat([getattr(linear, name) for linear in linears]) for name in ("weight", "bias"))
        # Channels first, as the products over tokens need them, straight from the linear layer's.
        channels = torch.baddbmm(bias[:, None], weight.expand(len(pairs), -1, -1), normed.flatten(1, 2).mT)
        left, right = F.glu(channels, dim=1).unflatten(-1, pairs.shape[1:3]).chunk(2, dim=1)
        if self.incoming:
            left, right = left.mT, right.mT
        product = (left * mask[:, None, None]) @ right.mT
        return self.project_out(self.norm_out(product.permute(0, 2, 3, 1))) * self.gate(normed).sigmoid()


class PairTransition(nn.Module):
    """Norm and feed-forward of each pair."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        _cut_normal(self.up, gain=math.sqrt(2))
        _zero(self.down)

    def forward(self, pairs: Tensor) -> Tensor:
        """(..., P) -> (..., P)."""
        return self.down(F.relu(self.up(self.norm(pairs)), inplace=True))


class PairUpdate(nn.Module):
    """Update of the pair representation by the tokens, two triangle products and a feed-forward network."""

    def __init__(self, config: ProteinaConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.tokens = nn.Linear(config.width, 2 * config.pair, bias=False)
        self.outgoing = TriangleProduct(config, incoming=False)
        self.incoming = TriangleProduct(config, incoming=True)
        self.transition = PairTransition(config.pair)

    def forward(self, tokens: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """(B, n, D) tokens, (B, n, n, P) pairs, (B, n) true for tokens that are no padding -> pairs."""
        of_column, of_row = self.tokens(self.norm(tokens)).chunk(2, dim=-1)
        pairs = pairs + of_column[:, None] + of_row[:, :, None]
        pairs = pairs + self.outgoing(pairs, mask)
        pairs = pairs + self.incoming(pairs, mask)
        return pairs + self.transition(pairs)


class Proteina(nn.Module):
    """The network; call it on a :class:`~equidyn.core.batch.ProteinBatch`."""

    Config = ProteinaConfig

    def __init__(self, config: ProteinaConfig):
        super().__init__()
        self.config = config
        self.extra_tokens = config.registers
        self.registers = nn.Parameter(torch.randn(config.registers, config.width) / 20)
        self.position = nn.Linear(3, config.width, bias=False)
        self.sequence = nn.Linear(config.index_embedding + 1 + 3, config.width, bias=False)
        self.fold = nn.ModuleList(nn.Embedding(count + 1, config.fold_embedding) for count in config.fold_classes)
        told = config.time_embedding + len(self.fold) * config.fold_embedding
        self.conditioning = nn.Linear(told, config.conditioning, bias=False)
        self.condition_transitions = nn.Sequential(*(SwiGLU(config.conditioning, 2) for _ in range(2)))
        self.pair_builder = PairBuilder(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.pair_updates = nn.ModuleDict({str(layer): PairUpdate(config) for layer in config.updated_after})
        self.decoder = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 3, bias=False))
        self.distogram = None
        if self.pair_updates:
            self.distogram = nn.Sequential(nn.LayerNorm(config.pair), nn.Linear(config.pair, DISTOGRAM_CLASSES))

    def no_decay(self, name: str) -> bool:
        """Whether a parameter is exempt from weight decay: all but the matrices of linear layers."""
        owner, _, kind = name.rpartition(".")
        return kind != "weight" or not isinstance(self.get_submodule(owner), nn.Linear)

    def forward(self, batch: ProteinBatch) -> VelocityOutput:
        """Velocities, and logits of distances where pairs are updated, of a batch of chains (positions in nm)."""
        mask, dtype, registers = batch.mask, batch.x_t.dtype, self.config.registers
        length = mask.shape[1]
        index = batch.residue_index
        if index is None:
            index = torch.arange(1, length + 1, device=mask.device).expand_as(mask)
        time = time_embedding(batch.t, self.config.time_embedding).to(dtype)

        # Registers come before the residues; no conditioning reaches them.
        told = self.condition_transitions(self.conditioning(torch.cat([time, self._no_fold(len(mask))], -1)))
        modulated = modulations([*self.layers], told, registers, length)
        tokens = torch.cat([self.registers.expand(len(mask), -1, -1), self._residues(batch, index)], 1)
        present = F.pad(mask, (registers, 0), value=True)

        pairs = self.pair_builder(batch, index, time)
        first = 0
        for last in [*self.config.updated_after, self.config.layers - 1]:
            layers = self.layers[first : last + 1]
            biases = attention_biases([layer.attention for layer in layers], pairs, present)
            for layer, halves, bias in zip(layers, modulated[first : last + 1], biases, strict=True):
                tokens = layer(tokens, *halves, bias)
            if str(last) in self.pair_updates:
                pairs = F.pad(pairs, (0, 0, *2 * (present.shape[1] - pairs.shape[1], 0)))
                pairs = self.pair_updates[str(last)](tokens, pairs, present)
            first = last + 1

        velocity = self.decoder(tokens[:, registers:]) * mask[..., None]
        if self.distogram is None:
            return VelocityOutput(velocity, None)
        real = (mask[:, :, None] & mask[:, None])[..., None]
        return VelocityOutput(velocity, self.distogram(pairs[:, registers:, registers:] * real))

    def _no_fold(self, count: int) -> Tensor:
        """(count, 3 F), the embedding of "no fold known": the last row of each table."""
        return torch.cat([table.weight[-1] for table in self.fold]).expand(count, -1)

    def _residues(self, batch: ProteinBatch, index: Tensor) -> Tensor:
        """(B, L, D) initial features of each residue; this is where orientation enters."""
        x = batch.x_t
        chain_break = torch.zeros_like(index) if batch.chain_break is None else batch.chain_break
        x_sc = torch.zeros_like(x) if batch.x_sc is None else batch.x_sc
        place = index_embedding(index, self.config.index_embedding, x.dtype)
        features = torch.cat([place, chain_break[..., None].to(x.dtype), x_sc], -1)
        return self.position(x) + self.sequence(features)


def _stacked(modules: Sequence[nn.Module], name: str) -> Tensor:
    """A parameter of several modules, in a new first dimension."""
    return torch.stack([getattr(module, name) for module in modules])


def _cut_normal(linear: nn.Linear, gain: float) -> None:
    """Weights of deviation gain / sqrt(inputs), from a normal distribution cut at two of its deviations; no bias."""
    deviation = gain / math.sqrt(linear.in_features) / _CUT_NORMAL_DEVIATION
    nn.init.trunc_normal_(linear.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    nn.init.zeros_(linear.bias)


def _zero(linear: nn.Linear) -> None:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
