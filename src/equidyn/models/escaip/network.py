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

Work that does not depend on the running features is done once per forward for all blocks: the neighbour graph,
the Gaussian expansion, the distance embeddings (per unordered pair, in bands of the expansion) and the edge
attributes' atomic parts (per atom instead of per edge).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidyn.core.batch import ForceOutput, MoleculeBatch
from equidyn.models.escaip.sizes import EScAIPConfig
from equidyn.models.graph import (
    Graph,
    from_slots,
    mean_over_neighbours,
    neighbour_graph,
    sum_over_neighbours,
    to_slots,
)

RMS_EPSILON = torch.finfo(torch.float32).eps
"""Epsilon of the norms, whatever the dtype, as in the published model."""

GAUSSIAN_REACH = 6.0
"""Standard deviations after which a Gaussian of the distance expansion is dropped (1.5e-8 of its height)."""


@dataclass(frozen=True)
class AngularGraph(Graph):
    """Neighbour graph with the invariants of its angles.

    Attributes:
        cosine: (N, K, K) u_ij · u_ij' between slots, zero where one is empty.
        order: (N, V) bond-orientational order, degrees 0 .. V-1.
    """

    cosine: Tensor
    order: Tensor


@torch.no_grad()
def angular_graph(batch: MoleculeBatch, *, max_neighbors: int, max_radius: float, degrees: int) -> AngularGraph:
    """Neighbour graph of a batch with its angular invariants; arguments as of `neighbour_graph`.

    Angles are computed in float64 and returned in the positions' dtype: the bond-orientational order is a root of a
    sum that often cancels to zero, where float32 would leave errors of 1e-3 that change with orientation.
    """
    dtype = batch.positions.dtype
    graph = neighbour_graph(batch, max_neighbors=max_neighbors, max_radius=max_radius)
    slots = to_slots(graph.direction, graph).view(*graph.mask.shape, 3)
    cosine = slots @ slots.mT
    order = bond_orientational_order(cosine, graph.mask, degrees)
    fields = {name: getattr(graph, name) for name in graph.__dataclass_fields__}
    return AngularGraph(**fields, cosine=cosine, order=order).to_dtype(dtype)


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


class _BandedGaussianLinear(torch.autograd.Function):
    """Linear layer on the Gaussians of sorted distances, multiplying only the band that is not zero.

    A Gaussian of width 2δ on a grid of spacing δ touches some two dozen of the expansion's centres, so of the
    dense product (P, S) @ (S, D) a narrow band is left when rows are sorted by distance.
    """

    ROWS = 192

    @staticmethod
    def forward(ctx, distance, weight, bias, step):
        columns = weight.shape[1]
        reach = 2 * GAUSSIAN_REACH
        bands = []
        output = distance.new_empty(len(distance), weight.shape[0])
        for rows in distance.split(_BandedGaussianLinear.ROWS):
            low = max(0, int(rows[0].item() / step - reach))
            high = min(columns, int(rows[-1].item() / step + reach) + 2)
            centres = torch.arange(low, high, device=distance.device, dtype=distance.dtype)
            # In units of the spacing: exp(-(d - mu)² / (2 (2δ)²)).
            bands.append((low, high, gaussian(rows[:, None] / step - centres)))
        start = 0
        for low, high, band in bands:
            torch.addmm(bias, band, weight[:, low:high].T, out=output[start : start + len(band)])
            start += len(band)
        ctx.bands, ctx.shape = bands, weight.shape
        return output

    @staticmethod
    def backward(ctx, gradient):
        weight_gradient = gradient.new_zeros(ctx.shape)
        start = 0
        for low, high, band in ctx.bands:
            weight_gradient[:, low:high] += gradient[start : start + len(band)].T @ band
            start += len(band)
        return None, weight_gradient, gradient.sum(0), None


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
        if x.device.type != "cpu":
            return F.dropout(x, self.dropped / 2**16)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = (bits >= self.dropped - 2**15).to(x.dtype)
        return x * kept.mul_(2**16 / (2**16 - self.dropped))


class RMSNorm(nn.Module):
    """Root-mean-square norm with a scale and no bias, x / rms(x) * weight over the last dimension.

    PyTorch has no kernel for it on CPUs and composes it from a dozen operations in each pass; this one needs half as
    many, which pays off where passes over memory cost more than calls.
    """

    LARGE = 2**17  # numbers

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        if x.device.type == "cpu" and x.numel() >= self.LARGE:
            return _RMSNormFunction.apply(x, self.weight)
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), RMS_EPSILON)


class _RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * _inverse_rms(x) * weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        inverse = _inverse_rms(x)  # recomputed, so that second derivatives include its dependence on x
        normed = x * inverse
        scaled = gradient * normed
        projection = (scaled @ weight)[..., None] / x.shape[-1]
        return inverse * (gradient * weight - normed * projection), scaled.flatten(0, -2).sum(0)


def _inverse_rms(x: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return (length.square() / x.shape[-1] + RMS_EPSILON).rsqrt()


def gaussian(x: Tensor) -> Tensor:
    """Gaussian of the distance expansion, x in grid spacings; its standard deviation is two of them."""
    return torch.exp(-0.125 * x.square())


class FeedForward(nn.Module):
    """Linear, GELU, linear, with dropout after both; no norm and no residual inside."""

    def __init__(self, hidden: int, multiplier: int, dropout: float):
        super().__init__()
        self.up = nn.Linear(hidden, multiplier * hidden)
        self.down = nn.Linear(multiplier * hidden, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return self.dropout(self.down(self.dropout(F.gelu(self.up(x)))))


class EdgeAttribute(nn.Module):
    """Edge features of distance, elements and bond-orientational order; every block owns one."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.source_element = nn.Embedding(config.elements, config.atom_embedding)
        self.target_element = nn.Embedding(config.elements, config.atom_embedding)
        self.source_order = nn.Linear(config.order_expansion, config.order_embedding)
        self.target_order = nn.Linear(config.order_expansion, config.order_embedding)
        self.distance = nn.Linear(config.distance_expansion, config.distance_embedding)
        self.widths = [
            config.distance_embedding,
            config.order_embedding + config.atom_embedding,
            config.order_embedding + config.atom_embedding,
        ]
        self.edge = nn.Linear(sum(self.widths), config.hidden)
        self.dropout = Dropout(config.mlp_dropout)

    def forward(self, distance: Tensor, elements: Tensor, graph: AngularGraph) -> Tensor:
        """Edge attributes.

        The linear layer acts on a concatenation, so it is the sum of what it does to the parts, and each part is
        computed where it is defined: distances on pairs, source and target on atoms.

        Args:
            distance: (P, D) embedded pair distances, before the activation.
            elements: (N,) atomic numbers.
            graph: Neighbour graph.

        Returns:
            (E, H).
        """
        of_distance, of_source, of_target = self.edge.weight.split(self.widths, dim=1)
        source = torch.cat([self._order(self.source_order, graph), self.source_element(elements)], 1)
        target = torch.cat([self._order(self.target_order, graph), self.target_element(elements)], 1)
        x = F.linear(self.dropout(F.gelu(distance)), of_distance).index_select(0, graph.pair)
        x += F.linear(source, of_source).index_select(0, graph.neighbour)
        x += F.linear(target, of_target, self.edge.bias).index_select(0, graph.centre)
        return self.dropout(F.gelu(x))

    def _order(self, linear: nn.Linear, graph: AngularGraph) -> Tensor:
        return self.dropout(F.gelu(linear(graph.order)))


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
        edges = attribute + self.ffn(self.norm(attribute))
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
        atoms, width = graph.mask.shape
        qkv = to_slots(self.project_in(message), graph)
        q, k, v = qkv.view(atoms, width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = self.angle_scale * graph.cosine
        bias = bias.masked_fill(~graph.mask[:, None], -torch.inf)[:, None]
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.mT) + bias
        weights = self.dropout(scores.softmax(-1))
        mixed = torch.matmul(weights, v).transpose(1, 2).reshape(atoms * width, -1)
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
        pair = F.linear(normed, of_neighbour).index_select(0, graph.neighbour)
        pair += F.linear(normed, of_centre, self.node.bias).index_select(0, graph.centre)
        pair = self.dropout(F.gelu(pair))
        of_attribute, of_pair = self.message.weight.chunk(2, dim=1)
        message = _add_linear(F.linear(attribute, of_attribute, self.message.bias), pair, of_pair)
        attended = self.attention(F.gelu(message), graph)
        nodes = nodes + mean_over_neighbours(attended, graph)
        edges = edges + attended
        nodes = nodes + self.node_ffn(self.node_norm(nodes))
        edges = edges + self.edge_ffn(self.edge_norm(edges))
        return nodes, edges


class Readout(nn.Module):
    """Residual feed-forward on the features that leave a block."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        self.norm = RMSNorm(config.hidden)
        self.ffn = FeedForward(config.hidden, config.readout_multiplier, config.mlp_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., H)."""
        return x + self.ffn(self.norm(x))


class Projection(nn.Module):
    """All blocks' readouts, concatenated and normed, back to the hidden width."""

    def __init__(self, config: EScAIPConfig):
        super().__init__()
        width = (config.layers + 1) * config.hidden
        self.norm_in = RMSNorm(width)
        self.linear = nn.Linear(width, config.hidden)
        self.norm_out = RMSNorm(config.hidden)

    def forward(self, readouts: list[Tensor]) -> Tensor:
        """List of (..., H) -> (..., H).

        Nothing is concatenated: the norm's weight moves into the linear layer, whose output is the sum over the
        readouts, and the norm's factor, one number per row, moves behind it.
        """
        weights = (self.linear.weight * self.norm_in.weight).chunk(len(readouts), dim=1)
        x = F.linear(readouts[0], weights[0])
        for readout, weight in zip(readouts[1:], weights[1:], strict=True):
            x = _add_linear(x, readout, weight)
        square = sum(readout.square().sum(-1, keepdim=True) for readout in readouts)
        x = x * (square / self.linear.in_features + RMS_EPSILON).rsqrt() + self.linear.bias
        return self.norm_out(F.gelu(x))


def _add_linear(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """x + y @ weight.T, in the place of x; the dtype of x decides (autocast leaves this operation alone)."""
    return x.addmm_(y.to(x.dtype), weight.T.to(x.dtype))


class OutputLayer(nn.Module):
    """Residual feed-forward and a linear map without bias, W (x + FFN(x))."""

    def __init__(self, config: EScAIPConfig, width: int):
        super().__init__()
        self.ffn = FeedForward(config.hidden, config.output_multiplier, config.mlp_dropout)
        self.linear = nn.Linear(config.hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., H) -> (..., width)."""
        return self.linear(x + self.ffn(x))


class EScAIP(nn.Module):
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

    def graph(self, batch: MoleculeBatch) -> AngularGraph:
        """Neighbour graph and angular invariants of a batch."""
        return angular_graph(
            batch,
            max_neighbors=self.config.max_neighbors,
            max_radius=self.config.max_radius,
            degrees=self.config.order_expansion,
        )

    def forward(self, batch: MoleculeBatch) -> ForceOutput:
        """Forces, energies and head tensors of a batch of molecules (positions in Å)."""
        graph = self.graph(batch)
        owners = [self.input, *self.blocks]
        distances = self._embed_distances([owner.attribute for owner in owners], graph)
        attributes = [
            owner.attribute(distance, batch.atomic_numbers, graph)
            for owner, distance in zip(owners, distances, strict=True)
        ]
        nodes, edges = self.input(attributes[0], graph)
        node_readouts, edge_readouts = (
            [self.node_readouts[0](nodes)],
            [self.edge_readouts[0](edges)],
        )
        for index, block in enumerate(self.blocks, start=1):
            nodes, edges = block(nodes, edges, attributes[index], graph)
            node_readouts.append(self.node_readouts[index](nodes))
            edge_readouts.append(self.edge_readouts[index](edges))
        nodes = self.node_projection(node_readouts)
        edges = self.edge_projection(edge_readouts)

        outer = (self.direction(edges)[:, :, None] * graph.direction[:, None]).flatten(1)
        tensor = sum_over_neighbours(outer, graph) * self.magnitude(nodes)
        tensor = tensor.view(-1, 3, 3)
        energy = batch.mean(self.energy(nodes)[:, 0]) if self.energy is not None else None
        return ForceOutput(tensor.diagonal(dim1=1, dim2=2), energy, tensor)

    def _embed_distances(self, attributes: list[EdgeAttribute], graph: AngularGraph) -> list[Tensor]:
        """Each block's linear embedding of the expanded pair distances, all in one product; (P, D) each."""
        weight = torch.cat([attribute.distance.weight for attribute in attributes])
        bias = torch.cat([attribute.distance.bias for attribute in attributes])
        step = self.config.max_radius / (self.config.distance_expansion - 1)
        distance = graph.pair_distance
        if distance.device.type == "cpu":
            embedded = _BandedGaussianLinear.apply(distance, weight, bias, step)
        else:  # A dense product beats many small ones, and band limits would wait for the device.
            centres = torch.arange(weight.shape[1], device=distance.device, dtype=distance.dtype)
            embedded = F.linear(gaussian(distance[:, None] / step - centres), weight, bias)
        return embedded.chunk(len(attributes), dim=1)
