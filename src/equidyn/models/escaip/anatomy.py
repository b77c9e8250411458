"""The anatomy of EScAIP, which sees only invariants up to its last layer."""

from torch import Tensor, nn

from equidyn.models.anatomy import Anatomy


def anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of an EScAIP of any size."""
    projections = ["node_projection", "edge_projection"]
    return Anatomy(
        groups={
            "embedding": ["input"],
            "blocks": ["blocks", "node_readouts", "edge_readouts", *projections],
            "head": ["direction", "magnitude", "energy"],
        },
        head="direction.linear.weight",
        symmetric_head=equal_rows,
        features={"|".join(["input", r"blocks\.\d+", *projections, "direction", "magnitude"]): "invariant"},
    )


def equal_rows(weight: Tensor) -> Tensor:
    """The nearest direction layer (3, H) that is equivariant for any features: all rows equal to their mean."""
    return weight.mean(0, keepdim=True).expand_as(weight)
