"""What analyses need to know of a network beyond its predictions: its parts, its last layer, and features that turn.

A network says so in a class attribute `anatomy`. Networks without one can be trained and evaluated all the same.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

ALL = "all"
"""Name of the block of all parameters."""


@dataclass(frozen=True)
class Anatomy:
    """The parts of a network.

    Attributes:
        groups: Top-level modules or parameters of each group of parameters.
        head: Name of the weight of the last linear layer, in which predictions are linear.
        symmetric_head: The orthogonal projection of that weight on the subspace of weights with which the layer is
            equivariant.
        features: How features turn with the input, "invariant" (not at all) or "grid" (as values on voxels do), by a
            pattern that names the modules which put them out.
    """

    groups: Mapping[str, Sequence[str]]
    head: str
    symmetric_head: Callable[[Tensor], Tensor]
    features: Mapping[str, str] = field(default_factory=dict)


def parameter_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters in each group, that of all first; a network without anatomy has no other.

    Raises:
        ValueError: A parameter is in no group, or in several.
    """
    names = [name for name, _ in model.named_parameters()]
    anatomy = getattr(model, "anatomy", None)
    groups = {ALL: names}
    if anatomy is None:
        return groups
    for group, parts in anatomy.groups.items():
        groups[group] = [name for name in names if name.split(".")[0] in parts]
    placed = [name for group, found in groups.items() if group != ALL for name in found]
    if sorted(placed) != sorted(names):
        wrong = {name for name in names if placed.count(name) != 1}
        raise ValueError(f"{type(model).__name__}.anatomy: parameters in no group or in several: {sorted(wrong)}")
    return groups


def block_parameters(model: nn.Module, block: str) -> dict[str, nn.Parameter]:
    """Parameters of a block: all of them, one by its name, or those of a module.

    Raises:
        ValueError: There is no such parameter or module; the message lists the modules that have parameters.
    """
    found = {
        name: parameter
        for name, parameter in model.named_parameters()
        if block == ALL or name == block or name.startswith(f"{block}.")
    }
    if not found:
        modules = dict.fromkeys(name.rpartition(".")[0] for name, _ in model.named_parameters())
        raise ValueError(f"no parameters named {block!r}; use {ALL!r} or one of {', '.join(filter(None, modules))}")
    return found


def need_exact_action(model: nn.Module, condition: Mapping[str, Any]) -> None:
    """Raise a ValueError where features lie on a grid and the condition's rotations do not permute its voxels."""
    if "grid" in model.anatomy.features.values() and condition.get("action") != "cube":
        raise ValueError("features on a grid turn exactly under the rotations of a cube only: use the action 'cube'")


def feature_modules(model: nn.Module) -> dict[str, tuple[nn.Module, str]]:
    """Modules whose output turns in a known way, with that way, in the order of the network's definition."""
    features = model.anatomy.features
    return {
        name: (module, action)
        for name, module in model.named_modules()
        for pattern, action in features.items()
        if re.fullmatch(pattern, name)
    }
