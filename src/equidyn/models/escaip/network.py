"""EScAIP with direct forces, in the generation that the paper trained.

An attention network over the neighbour lists of atoms. It sees a molecule only through invariants
(distances, cosines between bonds, bond-orientational order), so its hidden states do not rotate with the
molecule. Lab-frame directions enter once, in the force head, where the three components of a learned edge
vector v multiply the three components of the unit edge vector u:

    F_i = m_i * sum_j v_ij ∘ u_ij = diag(T_i),      T_i = m_i * sum_j v_ij ⊗ u_ij.

The 3x3 *head tensor* T_i is invariant in its rows and a vector in its columns. It therefore fixes the
prediction for every rotation of the input, F(Rx)_k = sum_b T_kb R_kb, which is what makes the group average and
the equivariance error of this model exact (:func:`equidyn.core.decomposition.decompose_exact`).

Source: Qu & Krishnapriyan 2024 (arXiv 2406.09797), as used by Shen et al. 2025 (arXiv 2512.02303).

Work that does not depend on the running features is done ahead of the network's own, in `prepare`, or once for all
blocks: the neighbour graph, the Gaussian expansion, and the edge attributes, whose parts are computed where they are
defined, on unordered pairs and on atoms. So are the readouts, which nothing but the last layers need.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.escaip.sizes import EScAIPConfig
from equidyn.models.graph import (
    Graph,
    GraphNetwork,
    from_slots,
    mean_over_atoms,
    mean_over_neighbours,
    neighbour_graph,
    on_edges,
    sum_over_edges,
    to_slots,
)

RMS_EPSILON = torch.finfo(torch.float32).eps
"""Epsilon of the norms, whatever the dtype, as in the published model."""

GAUSSIAN_REACH = 6.0
"""Standard deviations after which a Gaussian of the distance expansion is zero (below 1.5e-8 of its height)."""


@dataclass(frozen=True)
class AngularGraph(Graph):
    """Neighbour graph with the invariants of its angles.

    Attributes:
        cosine: (N, K, K) u_ij · u_ij' between slots, zero where one is empty.
        closed: (N, K, 1) zero where a slot holds a neighbour, and minus infinity where it is empty.
        order: (N, V) bond-orientational order, degrees 0 .. V-1.
        bands: For portions of the pairs, `gaussian_bands`; empty where the product with the expansion is taken in full.
    """

    cosine: Tensor
    closed: Tensor
    order: Tensor
    bands: tuple[tuple[int, int, int], ...] = ()


@torch.no_grad()
def angular_graph(
    batch: MoleculeBatch, *, max_neighbors: int, max_radius: float, degrees: int, slots: int | None = None
) -> AngularGraph:
    """Neighbour graph of a batch with its angular invariants; arguments as of `neighbour_graph`.

    Angles are computed in float64 and returned in the positions' dtype: the bond-orientational order is a root of a
    sum that often cancels to zero, where float32 would leave errors of 1e-3 that change with orientation.
    """
    dtype = batch.positions.dtype
    graph = neighbour_graph(batch, max_neighbors=max_neighbors, max_radius=max_radius, slots=slots)
    directions = to_slots(graph.direction, graph).view(*graph.mask.shape, 3)
    cosine = directions @ directions.mT
    order = bond_orientational_order(cosine, graph.mask, degrees)
    closed = torch.zeros_like(cosine[:, :, :1]).masked_fill_(~graph.mask[:, :, None], -torch.inf)
    found = {field.name: getattr(graph, field.name) for field in fields(graph)}
    return AngularGraph(**found, cosine=cosine, closed=closed, order=order).to_dtype(dtype)


def bond_orientational_order(cosine: Tensor, mask: Tensor, degrees: int) -> Tensor:
    """Norms of the mean spherical harmonics of each atom's bonds, b_l = |mean_j Y_l(u_j)|.

    By the addition theorem b_l² = (2l+1) mean_jj' P_l(u_j · u_j'), which needs Legendre polynomials only
    (harmonics in the normalisation |Y_l|² = 2l+1).

    Args:
        cosine: (N, K, K) u_j · u_j', zero where a slot is empty.
        mask: (N, K) true slots.
        degrees: Number of degrees, l = 0 .. degrees-1.

    Returns:
        (N, degrees); the first column is 1.
    """
    current = (mask[:, :, None] & mask[:, None]).to(cosine.dtype)
    following = cosine * current
    sums = []
    for degree in range(degrees):
        sums.append((2 * degree + 1) * current.sum((1, 2)))
        # (l+2) P_{l+2}(c) = (2l+3) c P_{l+1}(c) - (l+1) P_l(c), in the place of P_l.
        current.mul_(-(degree + 1) / (degree + 2))
        current.addcmul_(cosine, following, value=(2 * degree + 3) / (degree + 2))
        current, following = following, current
    return torch.stack(sums, -1).clamp(min=0).sqrt() / mask.sum(1, keepdim=True)


def gaussian_bands(distance: Tensor, step: float, columns: int, width: int) -> tuple[tuple[int, int, int], ...]:
    """Rows, first and last but one Gaussian that is not zero of portions of sorted distances.

    Args:
        distance: (P,) Å, ascending.
        step: Å between the Gaussians.
        columns: Number of Gaussians.
        width: Of the linear layer; the smaller the product, the fewer the portions.
    """
    reach = 2 * GAUSSIAN_REACH
    portions = distance.split(max(192, 2**22 // (columns * width)))
    ends = [(len(rows), float(rows[0]) / step, float(rows[-1]) / step) for rows in portions]
    return tuple((rows, max(0, int(low - reach)), min(columns, int(high + reach) + 2)) for rows, low, high in ends)


def gaussian(x: Tensor) -> Tensor:
    """Gaussian of the distance expansion, x in grid spacings; its standard deviation is two of them.

    It is cut, since numbers with fewer digits (below 1e-38) would slow a CPU down tenfold.
    """
    lowest = -0.5 * GAUSSIAN_REACH**2
    return F.threshold(x.square().mul_(-0.125).clamp_(min=lowest - 1).exp_(), math.exp(lowest), 0.0)


class _BandedGaussianLinear(torch.autograd.Function):
    """Linear layer on the Gaussians of sorted distances, multiplying only the band that is not zero.

    A Gaussian of width 2δ on a grid of spacing δ touches some two dozen of the expansion's centres, so of the
    dense product (P, S) @ (S, D) a narrow band is left when rows are sorted by distance.
    """

    @staticmethod
    def forward(ctx, distance, weight, bias, step, limits):
        sizes = [rows for rows, _, _ in limits]
        centres = torch.arange(weight.shape[1], device=distance.device, dtype=distance.dtype)
        output = distance.new_empty(len(distance), weight.shape[0])
        bands = []
        for rows, result, (_, low, high) in zip(
            (distance / step)[:, None].split(sizes), output.split(sizes), limits, strict=True
        ):
            band = gaussian(rows - centres[low:high])
            torch.addmm(bias, band, weight[:, low:high].T, out=result)
            bands.append(band)
        ctx.bands, ctx.limits, ctx.shape = bands, limits, weight.shape
        return output

    @staticmethod
    def backward(ctx, gradient):
        weight_gradient = gradient.new_zeros(ctx.shape)
        portions = gradient.split([len(band) for band in ctx.bands])
        for rows, band, (_, low, high) in zip(portions, ctx.bands, ctx.limits, strict=True):
            weight_gradient[:, low:high].addmm_(rows.T, band)
        return None, weight_gradient, gradient.sum(0), None, None


class Dropout(nn.Module):
    """Dropout that spends 16 random bits on an element instead of a random float.

    Drawing Bernoulli floats took a fifth of a training step on a CPU. The probability is rounded to a multiple of
    2⁻¹⁶ and the kept elements are scaled by the rounded value's, so the mean is exact.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.dropped = round(probability * 2**16)

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        if not self.training or not self.dropped:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.dropped / 2**16)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = (bits >= self.dropped - 2**15).to(x.dtype)
        return x * kept.mul_(2**16 / (2**16 - self.dropped))


class RMSNorm(nn.Module):
    """Root-mean-square norm with a scale and no bias, x / rms(x) * weight over the last dimension."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return unit_rms(x) * self.weight.to(x.dtype)


def unit_rms(x: Tensor) -> Tensor:
    """x / rms(x) over the last dimension.

    PyTorch has no kernel for it on CPUs and composes it from a dozen operations in each pass; ours needs half as many.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        return _UnitRMS.apply(x)[0]
    return F.rms_norm(x, x.shape[-1:], None, RMS_EPSILON)


class _UnitRMS(torch.autograd.Function):
    """The normed x and the factor, an output so that second derivatives know of its dependence on x."""

    @staticmethod
    def forward(ctx, x):
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=_WIDER.get(x.dtype))
        torch.addcmul(_EPSILON, inverse, inverse, value=1 / x.shape[-1], out=inverse).rsqrt_()
        normed = (x * inverse).to(x.dtype)
        ctx.save_for_backward(normed, inverse)
        ctx.set_materialize_grads(False)
        return normed, inverse

    @staticmethod
    def backward(ctx, of_normed, of_inverse):
        normed, inverse = ctx.saved_tensors
        projection = torch.linalg.vecdot(of_normed, normed)[..., None]
        if of_inverse is not None:
            projection = projection + of_inverse * inverse
        return torch.addcmul(of_normed, normed, projection, value=-1 / normed.shape[-1]).mul_(inverse)


_EPSILON = torch.tensor(RMS_EPSILON, device="cpu")
_WIDER = {torch.bfloat16: torch.float32}


class FeedForward(nn.Module):
    """Linear, GELU, linear, with dropout after both; no residual inside."""

    def __init__(self, hidden: int, multiplier: int, dropout: float):
        super().__init__()
        self.up = nn.Linear(hidden, multiplier * hidden)
        self.down = nn.Linear(multiplier * hidden, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, norm: RMSNorm | None = None) -> Tensor:
        """(..., H) -> (..., H), of norm(x) if there is a norm, whose weight is moved into the first layer."""
        weight = self.up.weight
        if norm is not None:
            x, weight = unit_rms(x), weight * norm.weight
        return self.dropout(self.down(self.dropout(F.gelu(F.linear(x, weight, self.up.bias)))))


class EdgeAttribute(nn.Module):
    """Weights for edge features of distance, elements and bond-orientational order; every block owns such."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.source_element = nn.Embedding(config.elements, config.atom_embedding)
        self.target_element = nn.Embedding(config.elements, config.atom_embedding)
        self.source_order = nn.Linear(config.order_expansion, config.order_embedding)
        self.target_order = nn.Linear(config.order_expansion, config.order_embedding)
        self.distance = nn.Linear(config.distance_expansion, config.distance_embedding)
        of_atom = config.order_embedding + config.atom_embedding
        self.edge = nn.Linear(config.distance_embedding + 2 * of_atom, config.hidden)


def edge_attributes(
    blocks: Sequence[Any], elements: Tensor, graph: AngularGraph, step: float, dropout: Dropout
) -> Tensor:
    """Edge attributes of all blocks.

    The last layer acts on a concatenation, so it is the sum of what it does to the parts, and each part is computed
    where it is defined: distances on pairs, source and target on atoms.

    Args:
        blocks: G `EdgeAttribute`s.
        elements: (N,) atomic numbers.
        graph: Neighbour graph.
        step: Å between the Gaussians of the distance expansion.
        dropout: Dropout after each activation.

    Returns:
        (G, E, H).
    """
    groups, width = len(blocks), blocks[0].distance.out_features
    # Sources first, and then targets.
    orders = [block.source_order for block in blocks] + [block.target_order for block in blocks]
    tables = [block.source_element for block in blocks] + [block.target_element for block in blocks]
    last = torch.stack([block.edge.weight for block in blocks]).mT
    bias = torch.stack([block.edge.bias for block in blocks])[:, None]
    of_distance, *of_atoms = last.split([width, *2 * [(last.shape[1] - width) // 2]], dim=1)

    distance = dropout(F.gelu(_embed_distances([block.distance for block in blocks], graph, step)))
    of_pairs = torch.bmm(distance.unflatten(1, (groups, width)).transpose(0, 1), of_distance)
    order = F.linear(
        graph.order, torch.cat([part.weight for part in orders]), torch.cat([part.bias for part in orders])
    )
    element = F.embedding(elements, torch.cat([table.weight for table in tables], 1))
    parts = [part.unflatten(1, (2 * groups, -1)) for part in (dropout(F.gelu(order)), element)]
    atoms = torch.bmm(torch.cat(parts, 2).transpose(0, 1), torch.cat(of_atoms))
    x = on_edges(atoms[:groups], atoms[groups:] + bias, graph)
    x += of_pairs.index_select(1, graph.pair)
    return dropout(F.gelu(x))


def _embed_distances(layers: Sequence[nn.Linear], graph: AngularGraph, step: float) -> Tensor:
    """All blocks' linear embeddings of the expanded pair distances, (P, G * D), in one product."""
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    distance = graph.pair_distance
    if graph.bands and distance.device.type == "cpu" and not torch.compiler.is_compiling():
        return _BandedGaussianLinear.apply(distance, weight, bias, step, graph.bands)
    centres = torch.arange(weight.shape[1], device=distance.device, dtype=distance.dtype)
    return F.linear(gaussian(distance[:, None] / step - centres), weight, bias)


class InputBlock(nn.Module):
    """First node and edge features."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.attribute = EdgeAttribute(config)
        self.norm = RMSNorm(config.hidden)
        self.ffn = FeedForward(config.hidden, 1, config.mlp_dropout)
        self.node_norm = RMSNorm(config.hidden)
        self.edge_norm = RMSNorm(config.hidden)

    def forward(self, attribute: Tensor, graph: AngularGraph) -> tuple[Tensor, Tensor]:
        """(E, H) edge attributes -> (N, H) nodes, (E, H) edges."""
        edges = attribute + self.ffn(attribute, self.norm)
        return self.node_norm(mean_over_neighbours(edges, graph)), self.edge_norm(edges)


class Attention(nn.Module):
    """Multi-head self-attention among the edges of each centre, biased by the angles between them."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.heads = config.heads
        self.project_in = nn.Linear(config.hidden, 3 * config.hidden)
        self.project_out = nn.Linear(config.hidden, config.hidden)
        self.dropout = Dropout(config.attention_dropout)
        self.angle_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, message: Tensor, graph: AngularGraph) -> Tensor:
        """(E, H) -> (E, H)."""
        atoms, slots = graph.mask.shape
        qkv = to_slots(self.project_in(message), graph).view(atoms, slots, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, atoms * self.heads, slots, -1).unbind()
        # Keys come before queries: a softmax over the last of two short dimensions is three times as slow on a CPU.
        scores = torch.bmm(k, q.mT).view(atoms, self.heads, slots, slots)
        bias = torch.addcmul(graph.closed, graph.cosine, self.angle_scale)
        weights = torch.add(bias[:, None], scores, alpha=q.shape[-1] ** -0.5).softmax(-2)
        mixed = torch.bmm(self.dropout(weights).flatten(0, 1).mT, v)
        mixed = mixed.view(atoms, self.heads, slots, -1).transpose(1, 2).reshape(atoms * slots, -1)
        return self.project_out(from_slots(mixed, graph))


class TransformerBlock(nn.Module):
    """Pre-norm block: messages from nodes and fresh edge attributes, attention, two feed-forwards."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        hidden, dropout = config.hidden, config.mlp_dropout
        self.attribute = EdgeAttribute(config)
        self.norm = RMSNorm(hidden)
        self.node = nn.Linear(2 * hidden, hidden)
        self.message = nn.Linear(2 * hidden, hidden)
        self.attention = Attention(config)
        self.node_norm = RMSNorm(hidden)
        self.edge_norm = RMSNorm(hidden)
        self.node_ffn = FeedForward(hidden, config.ffn_multiplier, dropout)
        self.edge_ffn = FeedForward(hidden, config.ffn_multiplier, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, nodes: Tensor, edges: Tensor, attribute: Tensor, graph: AngularGraph) -> tuple[Tensor, Tensor]:
        """(N, H) nodes, (E, H) edges, (E, H) attributes -> nodes, edges."""
        normed = self.norm(nodes)
        of_neighbour, of_centre = self.node.weight.chunk(2, dim=1)
        pair = on_edges(F.linear(normed, of_neighbour), F.linear(normed, of_centre, self.node.bias), graph)
        pair = self.dropout(F.gelu(pair))
        of_attribute, of_pair = self.message.weight.chunk(2, dim=1)
        message = _add_linear(F.linear(attribute, of_attribute, self.message.bias), pair, of_pair)
        attended = self.attention(F.gelu(message), graph)
        nodes = nodes + mean_over_neighbours(attended, graph)
        edges = edges + attended
        nodes = nodes + self.node_ffn(nodes, self.node_norm)
        edges = edges + self.edge_ffn(edges, self.edge_norm)
        return nodes, edges


def _add_linear(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """x + y @ weight.T, in the place of x; the dtype of x decides (autocast leaves this operation alone)."""
    return x.addmm_(y.to(x.dtype), weight.T.to(x.dtype))


class Readout(nn.Module):
    """Weights for a residual feed-forward on the features that leave a block."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.norm = RMSNorm(config.hidden)
        self.ffn = FeedForward(config.hidden, config.readout_multiplier, config.mlp_dropout)


def read_out(readouts: Iterable[Any], features: Sequence[Tensor]) -> Tensor:
    """G `Readout`s of the features (R, H) that leave as many blocks, side by side, (R, G * H)."""
    ffns, x = [readout.ffn for readout in readouts], torch.stack(list(features))
    up = torch.stack([readout.ffn.up.weight * readout.norm.weight for readout in readouts])
    down = torch.stack([ffn.down.weight for ffn in ffns])
    bias_up = torch.stack([ffn.up.bias for ffn in ffns])[:, None]
    bias_down = torch.stack([ffn.down.bias for ffn in ffns])[:, None]
    dropout = ffns[0].dropout
    inner = dropout(F.gelu(torch.baddbmm(bias_up, unit_rms(x), up.mT)))
    return (x + dropout(torch.baddbmm(bias_down, inner, down.mT))).transpose(0, 1).flatten(1)


class Projection(nn.Module):
    """All blocks' readouts, concatenated and normed, back to the hidden width."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        width = (config.layers + 1) * config.hidden
        self.norm_in = RMSNorm(width)
        self.linear = nn.Linear(width, config.hidden)
        self.norm_out = RMSNorm(config.hidden)

    def forward(self, readouts: Tensor) -> Tensor:
        """(..., G * H) -> (..., H)."""
        x = F.linear(unit_rms(readouts), self.linear.weight * self.norm_in.weight, self.linear.bias)
        return self.norm_out(F.gelu(x))


class OutputLayer(nn.Module):
    """Residual feed-forward and a linear map without bias, W (x + FFN(x))."""

    def __init__(self, config: EScAIPConfig, width: int):
        super().__init__()
        self.ffn = FeedForward(config.hidden, config.output_multiplier, config.mlp_dropout)
        self.linear = nn.Linear(config.hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., width)."""
        return self.linear(x + self.ffn(x))


class EScAIP(GraphNetwork):
    """The network; call it on a :class:`~equidyn.core.batch.MoleculeBatch`.

    Positions enter without gradient: forces are predicted, never differentiated.
    """

    Config = EScAIPConfig

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.config = config
        self.input = InputBlock(config)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.node_readouts = nn.ModuleList(Readout(config) for _ in range(config.layers + 1))
        self.edge_readouts = nn.ModuleList(Readout(config) for _ in range(config.layers + 1))
        self.node_projection = Projection(config)
        self.edge_projection = Projection(config)
        self.direction = OutputLayer(config, 3)
        self.magnitude = OutputLayer(config, 1)
        self.energy = OutputLayer(config, 1) if config.energy else None
        self._initialise()

    @property
    def elements(self) -> int:
        """Atomic numbers from 1 up to, not including, this are known."""
        return self.config.elements

    def _initialise(self):
        """Xavier-uniform weights, zero biases, small element tables; a quiet energy head."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.uniform_(module.weight, -0.001, 0.001)
        if self.energy is not None:
            for module in self.energy.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight, gain=0.01)

    def no_decay(self, name: str) -> bool:
        """Whether the recipe exempts a parameter from weight decay: biases and all embedding layers."""
        embedding = ("_element.", "_order.", ".distance.")
        return name.endswith("bias") or any(part in name for part in embedding)

    @property
    def _step(self) -> float:
        """Å between the Gaussians of the distance expansion."""
        return self.config.max_radius / (self.config.distance_expansion - 1)

    def graph(self, batch: MoleculeBatch, *, slots: int | None = None) -> AngularGraph:
        """Neighbour graph and angular invariants of a batch, dense if the number of slots is given."""
        config = self.config
        graph = angular_graph(
            batch,
            max_neighbors=config.max_neighbors,
            max_radius=config.max_radius,
            degrees=config.order_expansion,
            slots=slots,
        )
        if slots is None and batch.positions.device.type == "cpu":
            width = (config.layers + 1) * config.distance_embedding
            bands = gaussian_bands(graph.pair_distance, self._step, config.distance_expansion, width)
            return replace(graph, bands=bands)
        return graph

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces, energies and head tensors of a batch of molecules (positions in Å)."""
        graph = batch.graph or self.graph(batch)
        owners = [self.input.attribute, *(block.attribute for block in self.blocks)]
        dropout = self.input.ffn.dropout
        first, *attributes = edge_attributes(owners, batch.atomic_numbers, graph, self._step, dropout).unbind()
        nodes, edges = self.input(first, graph)
        node_features, edge_features = [nodes], [edges]
        for block, attribute in zip(self.blocks, attributes, strict=True):
            nodes, edges = block(nodes, edges, attribute, graph)
            node_features.append(nodes)
            edge_features.append(edges)
        nodes = self.node_projection(read_out(self.node_readouts, node_features))
        edges = self.edge_projection(read_out(self.edge_readouts, edge_features))

        outer = (self.direction(edges)[:, :, None] * graph.direction[:, None]).flatten(1)
        tensor = sum_over_edges(outer, graph) * self.magnitude(nodes)
        tensor = tensor.view(-1, 3, 3)
        energy = mean_over_atoms(self.energy(nodes)[:, 0], batch, graph) if self.energy is not None else None
        return ForceOutput(tensor.diagonal(dim1=1, dim2=2), energy, tensor)
