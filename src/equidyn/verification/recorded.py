"""Shared parts of the verifiers: recorded arrays, published names and options, and a recorder of modules' outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


class MissingArrayError(KeyError):
    """A fixture lacks an array."""


class Recorded(dict[str, np.ndarray]):
    """The arrays of a fixture by key, which record the missing keys that were asked for.

    Attributes:
        missed: The missing keys.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self.missed: list[str] = []

    def __missing__(self, key: str) -> np.ndarray:
        raise MissingArrayError(key)

    def tensor(self, key: str) -> Tensor:
        """The array of a key."""
        return torch.from_numpy(self[key])

    def where_held(self, compute: Callable[..., Mapping[str, Any]], *arguments: Any) -> Mapping[str, Any]:
        """Results of a function of the fixture's arrays; empty if an array is missing."""
        try:
            return compute(*arguments)
        except MissingArrayError as error:
            self.missed.append(error.args[0])
            return {}


def renamed(name: str, replacements: Mapping[str, str]) -> str:
    """A name with parts replaced, one replacement after the other."""
    for old, new in replacements.items():
        name = name.replace(old, new)
    return name


def load_weights(model: nn.Module, fixture: Mapping[str, np.ndarray], own_name: Callable[[str], str]) -> None:
    """Load a fixture's ``param/`` arrays.

    Raises:
        RuntimeError: Names or shapes do not fit; the message lists them.
    """
    weights = {key.removeprefix("param/"): value for key, value in fixture.items() if key.startswith("param/")}
    model.load_state_dict({own_name(name): torch.from_numpy(value) for name, value in weights.items()})


def refuse_other(published: Mapping[str, Any], implemented: Mapping[str, Any]) -> None:
    """Raise ValueError for the first published option that has another value than the one implemented."""
    for key, expected in implemented.items():
        if published.get(key, expected) != expected:
            raise ValueError(f"{key}={published[key]!r} is not implemented, only {expected!r}")


class Recorder:
    """Outputs of the modules of a model during one forward pass, by module."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.outputs: dict[nn.Module, Any] = {}
        self.handles: list[RemovableHandle] = []

    def __enter__(self):
        for module in self.model.modules():
            self.handles.append(module.register_forward_hook(self._keep))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def _keep(self, module, _, output):
        self.outputs[module] = output

    def __getitem__(self, module: Any) -> Any:
        return self.outputs[module]
