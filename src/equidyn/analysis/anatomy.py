"""What analyses need to know of a network beyond its predictions: its parts, its last layer, and features that turn.

It is kept apart from the networks, which are known here by the names of their classes, so that to know them better is
no reason to train them again, and to change one no reason to analyse the others. A network of one's own says it in an
attribute `anatomy`; without one it can be trained and evaluated all the same.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
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


def equal_rows(weight: Tensor) -> Tensor:
    """The nearest direction layer (3, H) that is equivariant for any features: all rows equal to their mean."""
    return weight.mean(0, keepdim=True).expand_as(weight)


def symmetric_kernel(kernel: Tensor) -> Tensor:
    """The nearest kernel (out, in, 3, 3, 3) that the rotations of a cube leave as it is.

    They permute the 6 faces, the 12 edges and the 8 corners among each other, so each kind gets its mean.
    """
    away = (torch.arange(3, device=kernel.device) - 1).abs()
    kind = (away[:, None, None] + away[:, None] + away).flatten()
    sums = kernel.new_zeros(*kernel.shape[:2], 4).index_add(2, kind, kernel.flatten(2))
    return (sums / kind.bincount())[..., kind].view_as(kernel)


def anatomy_of(model: nn.Module) -> Anatomy | None:
    """The anatomy of a network, its own or one that is known here; None for others.

    EScAIP sees invariants alone up to its last layer. In Proteína, what the decoder reads is not known to turn in any
    way, so that no decoder but zero is equivariant by itself. In VoxMol, features on the finest level turn as grids do;
    coarser ones lie half a voxel off the middle.
    """
    if hasattr(model, "anatomy"):
        return model.anatomy
    name = type(model).__name__
    if name == "EScAIP":
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
    if name == "Proteina":
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
    if name == "VoxMol":
        blocks, up = model.config.blocks, len(model.up)
        finest = {"down": range(blocks), "up": range(up - blocks - 1, up)}
        names = [rf"{way}\.{place}" for way, places in finest.items() for place in places]
        return Anatomy(
            groups={"embedding": ["first"], "blocks": ["down", "middle", "up"], "head": ["norm", "last"]},
            head="last.weight",
            symmetric_head=symmetric_kernel,
            features={"|".join(["first", *names]): "grid"},
        )
    return None


def parameter_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters in each group, that of all first; a network without anatomy has no other.

    Raises:
        ValueError: A parameter is in no group, or in several.
    """
    names = [name for name, _ in model.named_parameters()]
    anatomy = anatomy_of(model)
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


def needed_anatomy(model: nn.Module, condition: Mapping[str, Any]) -> Anatomy:
    """The anatomy of a network that must have one, under rotations that must turn its features exactly.

    Raises:
        ValueError: It has none, or features lie on a grid and the rotations do not permute its voxels.
    """
    anatomy = anatomy_of(model)
    if anatomy is None:
        raise ValueError(f"nothing is known of the parts of {type(model).__name__}: give it an attribute 'anatomy'")
    if "grid" in anatomy.features.values() and condition.get("action") != "cube":
        raise ValueError("features on a grid turn exactly under the rotations of a cube only: use the action 'cube'")
    return anatomy


def feature_modules(model: nn.Module, anatomy: Anatomy) -> dict[str, tuple[nn.Module, str]]:
    """Modules whose output turns in a known way, with that way, in the order of the network's definition."""
    return {
        name: (module, action)
        for name, module in model.named_modules()
        for pattern, action in anatomy.features.items()
        if re.fullmatch(pattern, name)
    }
