"""Costs of a pass through Proteína."""

from typing import Any

from equidyn.models.proteina.sizes import DISTOGRAM_CLASSES, TRIANGLE_WIDTH, ProteinaConfig
from equidyn.models.work import INTEGER, Work, kept, linear, product


def costs(residues: int, **sizes: Any) -> Work:
    """Work of a pass for one chain, padding included, with self-conditioning.

    Copies of weights, which are as large whatever the batch, are left out of the numbers kept.
    """
    c = ProteinaConfig(**sizes)
    tokens = residues + c.registers
    updates = len(c.updated_after)
    alike = c.update_every or c.layers  # layers that see the same pairs, which share their norm

    def swiglu(rows: float, wide: int, expansion: int) -> Work:
        hidden = expansion * wide
        return linear(rows, wide, 2 * hidden) + kept(3 * rows * hidden) + linear(rows, hidden, wide)

    def adaptive_norm(rows: float, wide: int, kinds: int) -> Work:
        return kinds * linear(1, c.conditioning, 2 * wide) + kept(2 * rows * wide + (kinds > 1) * rows * wide)

    def gate() -> Work:
        return 2 * linear(1, c.conditioning, c.width) + kept(2 * tokens * c.width)

    def attention() -> Work:
        # Norms of tokens, queries and keys; queries and keys again, scaled; the gate and what it multiplies.
        features = linear(tokens, c.width, 4 * c.width) + linear(tokens, c.width, c.width) + kept(10 * tokens * c.width)
        bias = product(2 * residues**2 * c.pair * c.heads)
        return features + bias + product(4 * tokens**2 * c.width) + kept(c.heads * tokens**2)

    def layer() -> Work:
        gated = 2 * (adaptive_norm(tokens, c.width, 2) + gate())
        own = gated + attention() + swiglu(tokens, c.width, 4)
        return own.beside(residues**2 * c.pair + alike * c.heads * tokens**2)

    def triangle() -> Work:
        hidden = min(c.pair, TRIANGLE_WIDTH)
        inputs = linear(tokens**2, c.pair, 4 * hidden + c.pair) + kept(tokens**2 * (c.pair + 4 * hidden))
        contraction = product(2 * tokens**3 * hidden) + kept(3 * tokens**2 * hidden)
        outputs = linear(tokens**2, hidden, c.pair) + kept(2 * tokens**2 * c.pair)
        return (inputs + contraction + outputs).beside(2 * tokens**2 * c.pair)

    def update() -> Work:
        looked = kept(tokens * c.width) + linear(tokens, c.width, 2 * c.pair)
        transition = linear(tokens**2, c.pair, 2 * c.pair) + linear(tokens**2, 2 * c.pair, c.pair)
        return looked + 2 * triangle() + transition + kept(tokens**2 * c.pair)

    told = linear(1, c.time_embedding + len(c.fold_classes) * c.fold_embedding, c.conditioning, constant=True)
    told += 2 * swiglu(1, c.conditioning, 2) + linear(1, c.time_embedding, c.conditioning, constant=True)
    inputs = linear(residues, 3 + c.index_embedding + 4, c.width, constant=True)
    pairs = adaptive_norm(residues**2, c.pair, 1) + kept(residues**2 * (c.pair + 3 * INTEGER))
    pairs = pairs.beside(residues**2 * c.pair)
    biases = (updates + 1) * kept(2 * residues**2 * c.pair).beside(2 * alike * c.heads * tokens**2)
    decoder = kept(residues * c.width) + linear(residues, c.width, 3)
    distogram = kept(residues**2 * (c.pair + DISTOGRAM_CLASSES)) + linear(residues**2, c.pair, DISTOGRAM_CLASSES)
    decoder += distogram if updates else Work()
    return told + inputs + pairs + biases + c.layers * layer() + updates * update() + decoder
