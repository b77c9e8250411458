"""Checks of what networks return, shared by all tasks, so that the author of a network learns what it lacks."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Output = TypeVar("Output", bound=tuple)


def checked(output: Any, kind: type[Output], shape: torch.Size, model: nn.Module) -> Output:
    """What a network returned.

    Args:
        output: The returned value: a named tuple, or the tensor that would be its first field, for a network that
            predicts nothing else.
        kind: The named tuple.
        shape: Shape that the first field must have.
        model: The network.

    Raises:
        TypeError: The value is neither of the two, or has another shape.
    """
    named: Any = kind  # there is no type of named tuples in general
    first, *others = named._fields
    if isinstance(output, Tensor):
        output = named(output, *[None for _ in others])
    if not isinstance(output, kind):
        found = type(output).__name__
    elif output[0].shape != shape:
        found = f"{first} of shape {tuple(output[0].shape)}"
    else:
        return output
    raise TypeError(
        f"{type(model).__name__} returns {found}, expected {first} as a tensor of shape {tuple(shape)}, or "
        f"{kind.__module__}.{kind.__name__} with it"
    )
