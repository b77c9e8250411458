"""The anatomy of a network: its parts, its last layer, and the features that rotate in a known way.

Analyses need it; training and evaluation do not. The anatomy of an architecture lies beside its network and is named by
its card, so that a change of an anatomy is no reason to train the network again, or to analyse others again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Anatomy:
    """The parts of a network.

    Attributes:
        groups: Top-level modules or parameters of each group of parameters.
        head: Name of the weight of the last linear layer, in which predictions are linear.
        symmetric_head: The orthogonal projection of that weight on the subspace of weights with which the layer is
            equivariant.
        features: Transformation of features under rotations of the input, "invariant" or "grid" (like voxels), by a
            pattern of the names of the modules that output them.
    """

    groups: Mapping[str, Sequence[str]]
    head: str
    symmetric_head: Callable[[Tensor], Tensor]
    features: Mapping[str, str] = field(default_factory=dict)
