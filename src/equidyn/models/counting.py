"""Costs of networks, counted by PyTorch while they run: for networks without a formula, and to test the formulas.

On the device "meta" nothing is computed, and networks of any size run instantly.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from equidyn.models.work import Work


def counted(model: nn.Module, batch: Any, examples: int) -> Work:
    """The work for one example, counted in a forward pass without gradient, and one with a backward pass.

    Args:
        model: On the device of the batch.
        batch: Input of the network.
        examples: Number of examples in the batch.
    """
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    with torch.no_grad(), _Peak(weights) as peak:
        model(batch)
    kept = _Kept(weights)
    with _counter() as forward, torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        output = model(batch)
    loss = sum(part.sum() for part in tree_leaves(output) if part is not None)
    kept_bytes = kept.bytes  # recomputed tensors are not kept for the backward pass
    with _counter() as backward:
        loss.backward()
    numbers = forward.get_total_flops(), backward.get_total_flops(), kept_bytes / 4, peak.bytes / 4
    # Formulas have about six pieces for ten tensors that are kept.
    return Work(*(number / examples for number in numbers), pieces=0.6 * len(kept.storages))


def counted_when_built(build: Callable[[], nn.Module], inputs: Callable[[], Any]) -> Work:
    """The work of a network for one example, counted on the device "meta" if it needs no values, else on the CPU.

    Args:
        build: Function that makes the network on PyTorch's default device.
        inputs: Function that makes the network's input for one example, on the same device.
    """
    try:
        with torch.device("meta"):
            return counted(build(), inputs(), 1)
    except (NotImplementedError, RuntimeError):  # neighbour lists, for instance, depend on values
        return counted(build(), inputs(), 1)


class _Peak(TorchDispatchMode):
    """Largest number of bytes at once in tensors that operations make, weights excluded."""

    def __init__(self, weights: set[int]):
        super().__init__()
        self.weights, self.bytes = weights, 0
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self.weights:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: value for key, value in self.alive.items() if not value[0].expired()}
        self.bytes = max(self.bytes, sum(size for _, size in self.alive.values()))
        return result


class _Kept:
    """Bytes of the tensors that autograd saves, each counted once, weights excluded."""

    def __init__(self, weights: set[int]):
        self.weights = weights
        self.storages: dict[int, torch.UntypedStorage] = {}

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        if (storage := tensor.untyped_storage())._cdata not in self.weights:
            self.storages[storage._cdata] = storage
        return tensor

    @property
    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


def _counter() -> FlopCounterMode:
    """A counter that includes products in place, which PyTorch's counter does not know."""

    def in_place(x, a, b, **_):
        return 2 * a[0] * a[1] * b[1]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place})
