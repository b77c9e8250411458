"""Use of the anatomy of a network (`equidyn.models.anatomy`) in analyses.

The anatomies themselves lie beside the networks and are named by their cards, so that a change of one anatomy is no
reason to analyse other networks again: the workflow adds only the module of a run's own anatomy to the digest of its
analyses. A network from outside this package has it in an attribute `anatomy`, or the study's file of sizes names it;
without an anatomy, a network can still be trained and evaluated.
"""

import re
from typing import Any

from torch import nn

from equidyn.analysis.card import ALL
from equidyn.core.plugins import load
from equidyn.core.symmetry import Symmetry
from equidyn.models.anatomy import Anatomy
from equidyn.models.registry import architecture_of


def anatomy_of(model: nn.Module) -> Anatomy | None:
    """The anatomy of a network, its own or its architecture's; None if there is neither."""
    found: Any = getattr(model, "anatomy", None)
    if found is None and (card := architecture_of(model)) and card.anatomy:
        found = load(card.anatomy)(model)
    return found


def parameter_groups(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters in each group, the group of all first; a network without anatomy has no other group.

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
    """Parameters of a block: all parameters, one by its name, or those of a module.

    Raises:
        ValueError: No parameter or module has this name; the message lists the modules that have parameters.
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


def needed_anatomy(model: nn.Module, symmetry: Symmetry) -> Anatomy:
    """The anatomy of a network that must have one, under a group that must act exactly on its features.

    Raises:
        ValueError: The network has none, or features lie on a grid and the group does not permute its voxels.
    """
    anatomy = anatomy_of(model)
    if anatomy is None:
        raise ValueError(f"the anatomy of {type(model).__name__} is not known: give it an attribute 'anatomy'")
    if "grid" in anatomy.features.values() and not symmetry.card.permutes_voxels:
        raise ValueError(f"the group {symmetry.name!r} does not permute the voxels that features lie on: use 'cube'")
    return anatomy


def feature_modules(model: nn.Module, anatomy: Anatomy) -> dict[str, tuple[nn.Module, str]]:
    """Modules whose output rotates in a known way, each with that way, in the order of the network's definition."""
    return {
        name: (module, kind)
        for name, module in model.named_modules()
        for pattern, kind in anatomy.features.items()
        if re.fullmatch(pattern, name)
    }
