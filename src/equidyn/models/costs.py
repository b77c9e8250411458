"""Costs of a pass through any network: by the formula of its room, or counted by PyTorch.

Imports nothing heavy unless a network has no formula.
"""

import math
from functools import cache

from equidyn.core.plugins import load
from equidyn.models.building import build
from equidyn.models.registry import configuration
from equidyn.models.work import Work


@cache
def work(model: str, size: float, *, models: str | None = None, inputs: str = "") -> Work:
    """The work of a configuration for one example.

    Args:
        model: Name of the configuration.
        size: Atoms of a molecule, residues of a chain, or voxels along an edge of a grid, according to the task.
        models: A study's own file of sizes.
        inputs: Function that makes the input of a network for one example of a given size, as ``"module:function"``,
            for networks without a formula.

    Raises:
        ValueError: No configuration has that name, there is neither a formula nor inputs, or the network does not run
            on the inputs.
    """
    entry = configuration(model, models)
    if entry.costs:
        return load(entry.costs)(size, **entry.sizes)
    if not inputs:
        raise ValueError(f"model {model!r}: no formula of costs, and nothing to count them with: give it 'costs'")
    count, make = load("equidyn.models.counting:counted_when_built"), load(inputs)
    try:
        return count(lambda: build(**entry.built_from), lambda: make(math.ceil(size)))
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"model {model!r}: its costs cannot be counted, as {entry.network} does not run on the result of {inputs}: "
            f"{error}; correct the network, or give the model 'costs'"
        ) from error
