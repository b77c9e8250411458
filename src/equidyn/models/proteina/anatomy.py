"""The anatomy of Proteína: no feature is known to rotate, so that no decoder but zero is equivariant."""

import torch
from torch import nn

from equidyn.models.anatomy import Anatomy


def anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a Proteína of any size."""
    told = ["position", "sequence", "fold", "conditioning", "condition_transitions", "pair_builder"]
    return Anatomy(
        groups={
            "embedding": ["registers", *told],
            "blocks": ["layers", "pair_updates"],
            "head": ["decoder", "distogram"],
        },
        head="decoder.1.weight",
        symmetric_head=torch.zeros_like,
        features={"pair_builder|distogram": "invariant"},
    )
