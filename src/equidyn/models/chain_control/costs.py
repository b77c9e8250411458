"""Costs of a pass through the exactly equivariant network of chains."""

from typing import Any

from equidyn.models.chain_control.sizes import ChainControlConfig
from equidyn.models.work import INTEGER, Work, exchange, kept, linear, mlp, product


def costs(residues: int, **sizes: Any) -> Work:
    """Work of a pass for one chain, padding included, with self-conditioning."""
    c = ChainControlConfig(**sizes)
    pairs = residues**2
    weights = 2 * linear(pairs, c.radial, 2 * c.kernels, constant=True) + kept(pairs * 2 * c.kernels)
    weights += linear(pairs, 2 * c.kernels, c.kernels) + kept(pairs * INTEGER)
    directions = kept(2 * 3 * pairs * (c.kernels + 1) + pairs * c.kernels)

    def summed(rows: int, columns: int) -> Work:
        return product(2 * rows * c.kernels * residues * columns, (1 + c.kernels) * residues * columns)

    layer = mlp(residues, c.hidden, 4 * c.hidden) + summed(residues, 4 * c.hidden)
    layer += 2 * summed(3 * residues, c.hidden) + exchange(residues, c.hidden) + kept(4 * residues * c.hidden)
    head = mlp(residues, c.hidden, c.hidden) + kept(4 * residues * c.hidden)
    return weights + directions + c.layers * layer.beside(directions.kept) + head
