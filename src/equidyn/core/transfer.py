"""Batches on their way to a device."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The value with a function applied to all tensors in it, in its dataclasses, tuples and lists."""
    if isinstance(value, Tensor):
        return function(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{field.name: map_tensors(function, getattr(value, field.name)) for field in fields(value)}
        )
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(function, part) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(function, part) for part in value)
    return value


def to_device(value: Any, device: torch.device) -> Any:
    """The value with all tensors in it on a device; from pinned memory, without waiting for them to arrive."""
    return map_tensors(lambda tensor: tensor.to(device, non_blocking=True), value)
