"""Costs of a pass through the exactly equivariant network of molecules."""

from typing import Any

from equidyn.models.molecule_control.sizes import ControlConfig
from equidyn.models.work import Work, exchange, kept, linear, mlp, product


def costs(atoms: int, **sizes: Any) -> Work:
    """Work of a pass for one molecule whose atoms are all within reach of each other."""
    c = ControlConfig(**sizes)
    edges = atoms * min(c.max_neighbors, atoms - 1)
    message = mlp(atoms, c.hidden, 3 * c.hidden) + linear(edges, c.radial + 1, 3 * c.hidden, constant=True)
    message += product(6 * edges * c.hidden, constant=True)  # with the directions
    message += kept(12 * edges * c.hidden)  # the message, the filter, their product, and the neighbours' vectors
    heads = mlp(atoms, c.hidden, c.hidden) + mlp(atoms, c.hidden, 1) + kept(4 * atoms * c.hidden)
    first = kept(-6 * edges * c.hidden)  # no vectors arrive at the first layer
    return first + c.layers * (message + exchange(atoms, c.hidden)).beside(0) + heads
