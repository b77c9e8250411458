"""Inputs of networks of the flow-matching task, for counting the costs of a pass."""

import torch

from equidyn.core.batch import ProteinBatch


def inputs(size: int) -> ProteinBatch:
    """A chain with the given number of residues and with self-conditioning, on PyTorch's default device."""
    x = torch.randn(1, size, 3)
    return ProteinBatch(x, torch.full((1,), 0.5), torch.ones(1, size, dtype=torch.bool), x_sc=x)
