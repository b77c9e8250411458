"""Costs of a pass through EScAIP."""

from typing import Any

from equidyn.models.escaip.sizes import EScAIPConfig
from equidyn.models.work import BYTE, Work, kept, linear, product

PAIRS_PER_EDGE = 0.6
"""Unordered pairs in lists of nearest neighbours, per directed edge: half if all neighbourhoods were mutual; molecules
of 12 to 90 atoms have 0.56 to 0.64."""


def costs(atoms: int, **sizes: Any) -> Work:
    """Work of a pass for one molecule whose atoms are all within reach of each other.

    The product of Gaussians and distance embedding is counted in full, as accelerators compute it.
    """
    c = EScAIPConfig(**sizes)
    neighbours = min(c.max_neighbors, atoms - 1)
    edges = atoms * neighbours
    pairs = min(PAIRS_PER_EDGE * edges, atoms * (atoms - 1) / 2)
    mask = BYTE if c.mlp_dropout else 0.0

    def activation(rows: float, width: int) -> Work:
        return kept((1 + mask) * rows * width)

    def feed_forward(rows: float, multiplier: int) -> Work:
        """Work of a feed-forward network, with the norm before it and the addition after it."""
        up = multiplier * c.hidden
        both = linear(rows, c.hidden, up) + activation(rows, up) + linear(rows, up, c.hidden)
        return both + kept((1 + mask) * rows * c.hidden)

    def order() -> Work:
        embedded = linear(atoms, c.order_expansion, c.order_embedding, constant=True) + activation(
            atoms, c.order_embedding
        )
        return embedded + linear(atoms, c.order_embedding + c.atom_embedding, c.hidden)

    def attribute() -> Work:
        embedded = product(2 * pairs * c.distance_expansion * c.distance_embedding, constant=True)
        embedded += activation(pairs, c.distance_embedding) + linear(pairs, c.distance_embedding, c.hidden)
        own = embedded + 2 * order() + activation(edges, c.hidden)
        return own.beside((c.layers + 1) * (pairs * c.distance_embedding + edges * c.hidden))

    def block() -> Work:
        scores = atoms * c.heads * neighbours**2
        pair = kept(atoms * c.hidden) + linear(atoms, c.hidden, 2 * c.hidden) + activation(edges, c.hidden)
        message = 2 * linear(edges, c.hidden, c.hidden) + kept(edges * c.hidden)
        attention = linear(edges, c.hidden, 3 * c.hidden) + kept(3 * edges * c.hidden)
        attention += product(4 * edges * neighbours * c.hidden) + linear(edges, c.hidden, c.hidden)
        attention += kept(scores * (2 + BYTE if c.attention_dropout else 1)) + kept(edges * c.hidden)
        both = feed_forward(atoms, c.ffn_multiplier) + feed_forward(edges, c.ffn_multiplier)
        own = pair + message + attention + both
        return attribute() + own.beside(2 * (c.layers + 1) * edges * c.hidden)  # attributes and what readouts read

    def features(rows: float) -> Work:
        """Readouts and their projection."""
        readout = feed_forward(rows, c.readout_multiplier) + linear(rows, c.hidden, c.hidden)
        return ((c.layers + 1) * readout + kept(3 * rows * c.hidden)).beside((c.layers + 1) * rows * c.hidden)

    def output(rows: float, width: int) -> Work:
        return feed_forward(rows, c.output_multiplier) + product(2 * rows * c.hidden * width)

    first = attribute() + feed_forward(edges, 1) + kept((atoms + edges) * c.hidden)
    heads_out = output(edges, 3) + (2 if c.energy else 1) * output(atoms, 1)
    geometry = kept(pairs * c.distance_expansion + edges * neighbours)
    return geometry + first + c.layers * block() + features(atoms) + features(edges) + heads_out
