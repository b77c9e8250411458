"""What networks cost: operations and memory for one example, in closed form, without building anything.

Each function follows its network layer by layer. Counted are the operations of matrix products and convolutions, a
multiplication and an addition being two; norms, activations and neighbour lists move numbers and multiply few. Kept for
the way back is what PyTorch's autograd saves on an accelerator, each tensor once, weights not among them. Without a way
back, the largest block takes about what it would have kept, beside what is carried past it.

Imports nothing heavy. The defaults of each function are those of the network's `Config`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul

from equidyn.models.registry import configuration

PAIRS_PER_EDGE = 0.6
"""Unordered pairs in lists of nearest neighbours, per directed edge: half if all neighbourhoods were mutual; molecules
of 12 to 90 atoms have 0.56 to 0.64."""

# What the networks' modules call so.
TRIANGLE_WIDTH = 196
DISTOGRAM_CLASSES = 64
SCORES = 2**19

_BYTE = 0.25  # of a number, for masks of dropout
_INTEGER = 2.0  # numbers, for indices


@dataclass(frozen=True)
class Work:
    """What a network does for one example.

    Attributes:
        forward: Floating-point operations of a forward pass.
        backward: Those of the way back.
        kept: Numbers kept in between, as many as would be of single precision.
        peak: Numbers at once in a forward pass without a way back, likewise.
    """

    forward: float = 0.0
    backward: float = 0.0
    kept: float = 0.0
    peak: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        sums = self.forward + other.forward, self.backward + other.backward, self.kept + other.kept
        return Work(*sums, max(self.peak, other.peak))

    def __rmul__(self, times: float) -> "Work":
        return Work(times * self.forward, times * self.backward, times * self.kept, self.peak if times else 0.0)

    def beside(self, carried: float) -> "Work":
        """The same as a block that numbers are carried past."""
        return replace(self, peak=self.kept + carried)


def work(model: str, size: int) -> Work:
    """What a configuration does for one example.

    Args:
        model: Name of the configuration.
        size: Atoms of a molecule, residues of a chain, or voxels along an edge of a grid, as its task has it.

    Raises:
        ValueError: If no configuration has that name.
    """
    entry = configuration(model)
    return COSTS[entry.network](size, **entry.sizes)


def escaip(
    atoms: int,
    *,
    layers: int = 6,
    hidden: int = 128,
    heads: int = 8,
    max_neighbors: int = 20,
    atom_embedding: int = 128,
    distance_expansion: int = 600,
    distance_embedding: int = 512,
    order_expansion: int = 10,
    order_embedding: int = 64,
    ffn_multiplier: int = 2,
    readout_multiplier: int = 2,
    output_multiplier: int = 2,
    mlp_dropout: float = 0.05,
    attention_dropout: float = 0.1,
    energy: bool = True,
    **_,
) -> Work:
    """`equidyn.models.escaip.network.EScAIP` on a molecule whose atoms are all within reach of each other.

    The product of Gaussians and distance embedding is counted in full, as accelerators compute it.
    """
    neighbours = min(max_neighbors, atoms - 1)
    edges = atoms * neighbours
    pairs = min(PAIRS_PER_EDGE * edges, atoms * (atoms - 1) / 2)
    mask = _BYTE if mlp_dropout else 0.0

    def activation(rows: float, width: int) -> Work:
        return _kept((1 + mask) * rows * width)

    def feed_forward(rows: float, multiplier: int) -> Work:
        """With what is normed before it, or added behind it."""
        up = multiplier * hidden
        both = _linear(rows, hidden, up) + activation(rows, up) + _linear(rows, up, hidden)
        return both + _kept((1 + mask) * rows * hidden)

    def order() -> Work:
        embedded = _linear(atoms, order_expansion, order_embedding, constant=True) + activation(atoms, order_embedding)
        return embedded + _linear(atoms, order_embedding + atom_embedding, hidden)

    def attribute() -> Work:
        embedded = _product(2 * pairs * distance_expansion * distance_embedding, constant=True)
        embedded += activation(pairs, distance_embedding) + _linear(pairs, distance_embedding, hidden)
        own = embedded + 2 * order() + activation(edges, hidden)
        return own.beside((layers + 1) * (pairs * distance_embedding + edges * hidden))

    def block() -> Work:
        scores = atoms * heads * neighbours**2
        pair = _kept(atoms * hidden) + _linear(atoms, hidden, 2 * hidden) + activation(edges, hidden)
        message = 2 * _linear(edges, hidden, hidden) + _kept(edges * hidden)
        attention = _linear(edges, hidden, 3 * hidden) + _kept(3 * edges * hidden)
        attention += _product(4 * edges * neighbours * hidden) + _linear(edges, hidden, hidden)
        attention += _kept(scores * (2 + _BYTE if attention_dropout else 1)) + _kept(edges * hidden)
        both = feed_forward(atoms, ffn_multiplier) + feed_forward(edges, ffn_multiplier)
        own = pair + message + attention + both
        return attribute() + own.beside(2 * (layers + 1) * edges * hidden)  # attributes and readouts

    def features(rows: float) -> Work:
        """Readouts and their projection."""
        readout = feed_forward(rows, readout_multiplier) + _linear(rows, hidden, hidden)
        return (layers + 1) * readout + _kept(3 * rows * hidden)

    def output(rows: float, width: int) -> Work:
        return feed_forward(rows, output_multiplier) + _product(2 * rows * hidden * width)

    first = attribute() + feed_forward(edges, 1) + _kept((atoms + edges) * hidden)
    heads_out = output(edges, 3) + (2 if energy else 1) * output(atoms, 1)
    geometry = _kept(pairs * distance_expansion + edges * neighbours)
    return geometry + first + layers * block() + features(atoms) + features(edges) + heads_out


def proteina(
    residues: int,
    *,
    layers: int = 10,
    width: int = 512,
    heads: int = 8,
    conditioning: int = 512,
    time_embedding: int = 256,
    index_embedding: int = 128,
    fold_embedding: int = 256,
    fold_classes: Sequence[int] = (5, 43, 1336),
    pair: int = 256,
    registers: int = 10,
    update_every: int = 0,
    **_,
) -> Work:
    """`equidyn.models.proteina.network.Proteina` on a chain, padding included, with self-conditioning."""
    tokens = residues + registers
    updates = len(range(0, layers - 1, update_every)) if update_every else 0
    alike = update_every or layers  # layers that see the same pairs, which share their norm

    def swiglu(rows: float, wide: int, expansion: int) -> Work:
        hidden = expansion * wide
        return _linear(rows, wide, 2 * hidden) + _kept(3 * rows * hidden) + _linear(rows, hidden, wide)

    def adaptive_norm(rows: float, wide: int, kinds: int) -> Work:
        return kinds * _linear(1, conditioning, 2 * wide) + _kept(2 * rows * wide + (kinds > 1) * rows * wide)

    def gate() -> Work:
        return 2 * _linear(1, conditioning, width) + _kept(2 * tokens * width)

    def attention() -> Work:
        # Norms of tokens, queries and keys; queries and keys again, scaled; the gate and what it multiplies.
        features = _linear(tokens, width, 4 * width) + _linear(tokens, width, width) + _kept(10 * tokens * width)
        bias = _product(2 * residues**2 * pair * heads)
        return features + bias + _product(4 * tokens**2 * width) + _kept(heads * tokens**2)

    def layer() -> Work:
        gated = 2 * (adaptive_norm(tokens, width, 2) + gate())
        own = gated + attention() + swiglu(tokens, width, 4)
        return own.beside(residues**2 * pair + alike * heads * tokens**2)

    def triangle() -> Work:
        hidden = min(pair, TRIANGLE_WIDTH)
        inputs = _linear(tokens**2, pair, 4 * hidden + pair) + _kept(tokens**2 * (pair + 4 * hidden))
        product = _product(2 * tokens**3 * hidden) + _kept(3 * tokens**2 * hidden)
        outputs = _linear(tokens**2, hidden, pair) + _kept(2 * tokens**2 * pair)
        return (inputs + product + outputs).beside(2 * tokens**2 * pair)

    def update() -> Work:
        looked = _kept(tokens * width) + _linear(tokens, width, 2 * pair)
        transition = _linear(tokens**2, pair, 2 * pair) + _linear(tokens**2, 2 * pair, pair)
        return looked + 2 * triangle() + transition + _kept(tokens**2 * pair)

    told = _linear(1, time_embedding + len(fold_classes) * fold_embedding, conditioning, constant=True)
    told += 2 * swiglu(1, conditioning, 2) + _linear(1, time_embedding, conditioning, constant=True)
    inputs = _linear(residues, 3 + index_embedding + 4, width, constant=True)
    pairs = adaptive_norm(residues**2, pair, 1) + _kept(residues**2 * (pair + 3 * _INTEGER))
    pairs = pairs.beside(residues**2 * pair)
    biases = (updates + 1) * _kept(2 * residues**2 * pair).beside(2 * alike * heads * tokens**2)
    decoder = _kept(residues * width) + _linear(residues, width, 3)
    distogram = _kept(residues**2 * (pair + DISTOGRAM_CLASSES)) + _linear(residues**2, pair, DISTOGRAM_CLASSES)
    decoder += distogram if updates else Work()
    return told + inputs + pairs + biases + layers * layer() + updates * update() + decoder


def voxmol(
    side: int,
    *,
    channels: int = 8,
    width: int = 32,
    multipliers: Sequence[int] = (1, 2, 2, 4),
    attention: Sequence[bool] = (False, False, True, True),
    blocks: int = 2,
    dropout: float = 0.1,
    **_,
) -> Work:
    """`equidyn.models.voxmol.network.VoxMol` on a grid."""
    widths = [width * factor for factor in accumulate(multipliers, mul)]
    voxels = [(side >> level) ** 3 for level in range(len(widths))]

    def normed_convolution(count: float, width_in: int, width_out: int) -> Work:
        return _kept(2 * count * width_in) + _convolution(count, width_in, width_out)

    def residual(count: float, width_in: int, width_out: int) -> Work:
        both = normed_convolution(count, width_in, width_out) + normed_convolution(count, width_out, width_out)
        shortcut = _product(2 * count * width_in * width_out) if width_in != width_out else Work()
        return both + shortcut + _kept(count * width_out * (_BYTE if dropout else 0.0))

    def attend(count: float, wide: int) -> Work:
        scores = _product(4 * count**2 * wide)
        if count**2 > SCORES:  # scores, though not what they mix, are computed anew on the way back
            scores += Work(backward=scores.forward / 2)
        else:
            scores += _kept(count**2)
        return _linear(count, wide, 3 * wide) + _kept(4 * count * wide) + scores + _linear(count, wide, wide)

    def block(level: int, width_in: int, width_out: int, attends: bool) -> Work:
        # What went down on this level waits for its way up.
        own = residual(voxels[level], width_in, width_out).beside(blocks * voxels[level] * width_out)
        return own + attend(voxels[level], width_out) if attends else own

    total = _convolution(voxels[0], channels, width, constant=True)
    before = width
    for level, (wide, multiplier, attends) in enumerate(zip(widths, multipliers, attention, strict=True)):
        narrow = wide // multiplier
        total += block(level, before, wide, attends) + (blocks - 1) * block(level, wide, wide, attends)
        total += blocks * block(level, 2 * wide, wide, attends) + block(level, wide + narrow, narrow, attends)
        if level:
            down = _product(2 * voxels[level] * 27 * before**2, voxels[level - 1] * before)
            total += down + _convolution(voxels[level], narrow, narrow, kernel=64)
        before = wide
    middle = block(len(widths) - 1, before, before, True) + residual(voxels[-1], before, before)
    return total + middle + normed_convolution(voxels[0], width, channels)


def control(atoms: int, *, layers: int = 3, hidden: int = 64, radial: int = 20, max_neighbors: int = 20, **_) -> Work:
    """`equidyn.models.control.network.Control` on a molecule whose atoms are all within reach of each other."""
    edges = atoms * min(max_neighbors, atoms - 1)
    message = _mlp(atoms, hidden, 3 * hidden) + _linear(edges, radial, 3 * hidden, constant=True)
    # The message, the filter, their product, the neighbours' vectors, and what arrives.
    message += _kept(15 * edges * hidden)
    heads = _mlp(atoms, hidden, hidden) + _mlp(atoms, hidden, 1) + _kept(4 * atoms * hidden)
    return layers * (message + _exchange(atoms, hidden)).beside(0) + heads


def chain_control(residues: int, *, layers: int = 3, hidden: int = 32, kernels: int = 6, radial: int = 16, **_) -> Work:
    """`equidyn.models.control.network.ChainControl` on a chain, padding included, with self-conditioning."""
    pairs = residues**2
    weights = 2 * _linear(pairs, radial, 2 * kernels, constant=True) + _kept(pairs * 2 * kernels)
    weights += _linear(pairs, 2 * kernels, kernels) + _kept(pairs * _INTEGER)
    directions = _kept(2 * 3 * pairs * (kernels + 1))

    def summed(rows: int, columns: int) -> Work:
        return _product(2 * rows * kernels * residues * columns, residues * columns + rows * kernels * columns)

    layer = _mlp(residues, hidden, 4 * hidden) + summed(residues, hidden) + summed(residues, 3 * hidden)
    layer += 2 * summed(3 * residues, hidden) + _exchange(residues, hidden) + _kept(4 * residues * hidden)
    layer += _kept(2 * pairs * kernels)  # laid out anew for each sum
    head = _mlp(residues, hidden, hidden) + _kept(4 * residues * hidden)
    return weights + directions + layers * layer.beside(directions.kept) + head


def grid_control(side: int, *, channels: int = 8, width: int = 16, levels: int = 2, blocks: int = 1, **_) -> Work:
    """`equidyn.models.voxmol.network.GridControl` on a grid."""
    total = _convolution(side**3, channels, width, constant=True)
    total += _kept(side**3 * width) + _convolution(side**3, width, channels)
    for level in range(levels):
        voxels = (side >> level) ** 3
        # On either way two convolutions in each block, each after an activation; pooling keeps what it pools.
        convolution = _kept(voxels * width) + _convolution(voxels, width, width)
        total += 2 * blocks * (2 * convolution).beside(0)
        total += _kept(voxels * width if level + 1 < levels else 0)
    return total


def _exchange(rows: float, hidden: int) -> Work:
    """`equidyn.models.control.network.Exchange`."""
    mixed = _linear(3 * rows, hidden, 2 * hidden) + _kept(6 * rows * hidden)
    return mixed + _mlp(rows, 2 * hidden, 3 * hidden) + _kept(5 * rows * hidden)


def _mlp(rows: float, width_in: int, width_out: int) -> Work:
    """Linear, SiLU, linear; the second keeps what the activation made."""
    return _linear(rows, width_in, width_in) + _kept(rows * width_in) + _linear(rows, width_in, width_out)


def _linear(rows: float, width_in: int, width_out: int, *, constant: bool = False) -> Work:
    return _product(2 * rows * width_in * width_out, rows * width_in, constant=constant)


def _convolution(voxels: float, width_in: int, width_out: int, *, kernel: int = 27, constant: bool = False) -> Work:
    """Of stride 1, or transposed; voxels are those of the input."""
    return _product(2 * voxels * kernel * width_in * width_out, voxels * width_in, constant=constant)


def _product(operations: float, kept: float = 0.0, *, constant: bool = False) -> Work:
    """A product with weights, or of two activations.

    On the way back there is one for each of the factors, but none for an input that is a constant.
    """
    return Work(operations, operations if constant else 2 * operations, kept)


def _kept(numbers: float) -> Work:
    return Work(kept=numbers)


COSTS = {
    "equidyn.models.escaip.network:EScAIP": escaip,
    "equidyn.models.control.network:Control": control,
    "equidyn.models.proteina.network:Proteina": proteina,
    "equidyn.models.control.network:ChainControl": chain_control,
    "equidyn.models.voxmol.network:VoxMol": voxmol,
    "equidyn.models.voxmol.network:GridControl": grid_control,
}
"""What a network does, by the name of its class as in `configurations.toml`."""
