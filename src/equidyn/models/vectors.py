"""Building blocks of exactly equivariant networks of atoms and residues.

Scalars and vectors are separate channels, in the manner of PaiNN (Schütt et al. 2021, arXiv 2102.03150). Vectors are
only ever scaled by scalars, mixed linearly among channels and added, so the networks are equivariant for any weights,
up to rounding. Written here rather than built from e3nn: vectors need no spherical harmonics, start-up costs nothing,
and the networks train as fast as those they are compared with.
"""

import torch
from torch import Tensor, nn


class Exchange(nn.Module):
    """Exchange of information between scalars and vectors of one atom or residue, by products and lengths."""

    def __init__(self, hidden: int):
        super().__init__()
        self.mix = nn.Linear(hidden, 2 * hidden, bias=False)
        self.update = mlp(2 * hidden, 3 * hidden)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """(..., H) scalars, (..., 3, H) vectors -> scalars, vectors."""
        left, right = self.mix(vectors).chunk(2, dim=-1)
        lengths = (right.square().sum(-2) + 1e-8).sqrt()
        scale, product, shift = self.update(torch.cat([scalars, lengths], -1)).chunk(3, dim=-1)
        scalars = scalars + product * (left * right).sum(-2) + shift
        return scalars, vectors + scale.unsqueeze(-2) * left


class VectorHead(nn.Module):
    """One vector from the channels, with weights from the scalars."""

    def __init__(self, hidden: int):
        super().__init__()
        self.scale = mlp(hidden, hidden)

    def forward(self, scalars: Tensor, vectors: Tensor) -> Tensor:
        """(..., H) scalars, (..., 3, H) vectors -> (..., 3)."""
        return (vectors * self.scale(scalars).unsqueeze(-2)).sum(-1)


def mlp(width_in: int, width_out: int) -> nn.Sequential:
    """A hidden layer as wide as the input, SiLU, and a linear layer."""
    return nn.Sequential(nn.Linear(width_in, width_in), nn.SiLU(), nn.Linear(width_in, width_out))
