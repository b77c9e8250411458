"""Every network configuration by name, and what builds it.

Configurations are data (`configurations.toml`), read without importing any network.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from equidyn.core.plugins import load

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Configuration:
    """A network class with its sizes.

    Attributes:
        task: The task the network is for.
        network: Its class, as ``"module:name"``; the class attribute ``Config`` takes the sizes.
        parameters: How many it has.
        note: What it is, in a few words.
        sizes: Arguments of ``Config`` that differ from its defaults.
        control: Whether it is exactly equivariant by construction.
    """

    task: str
    network: str
    parameters: int
    note: str
    sizes: dict[str, Any] = field(default_factory=dict)
    control: bool = False

    @property
    def module(self) -> str:
        """The module that defines the network."""
        return self.network.partition(":")[0]


@cache
def configurations() -> dict[str, Configuration]:
    """All configurations, in the order of the file."""
    text = resources.files(__package__).joinpath("configurations.toml").read_text("utf-8")
    return {name: Configuration(**entry) for name, entry in tomllib.loads(text).items()}


def configuration(name: str) -> Configuration:
    """The configuration of that name.

    Raises:
        ValueError: If there is none; the message lists those that exist.
    """
    if name not in configurations():
        raise ValueError(f"unknown model {name!r}; known models: {', '.join(configurations())}")
    return configurations()[name]


def build(name: str) -> "nn.Module":
    """A freshly initialised network, on PyTorch's default device.

    Raises:
        ValueError: If no configuration has that name.
    """
    entry = configuration(name)
    network = load(entry.network)
    return network(network.Config(**entry.sizes))
