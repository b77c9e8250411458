"""Every network configuration by name, and what builds it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from equidyn.models.control import Control, ControlConfig
from equidyn.models.escaip import EScAIP, EScAIPConfig

SMALL_ESCAIP = {"distance_expansion": 120, "distance_embedding": 64, "max_neighbors": 12}
SMALL_ESCAIP |= {"atom_embedding": 32, "order_embedding": 16, "mlp_dropout": 0.0}
SMALL_ESCAIP |= {"attention_dropout": 0.0}


@dataclass(frozen=True)
class Entry:
    """A network class with one configuration.

    Attributes:
        task: The task the network is for.
        network: Its class; called with the configuration.
        config: Its sizes.
        note: What it is, in a few words.
        control: Whether it is exactly equivariant by construction.
    """

    task: str
    network: Callable[..., nn.Module]
    config: object
    note: str
    control: bool = False


CONFIGURATIONS = {
    "escaip-6M": Entry("force_field", EScAIP, EScAIPConfig(), "the paper's"),
    "escaip-4M": Entry("force_field", EScAIP, EScAIPConfig(layers=4), "the paper's size, layers ours"),
    "escaip-1M": Entry("force_field", EScAIP, EScAIPConfig(layers=1, hidden=64), "the paper's size, layers ours"),
    "escaip-small": Entry(
        "force_field",
        EScAIP,
        EScAIPConfig(layers=2, hidden=48, heads=4, **SMALL_ESCAIP),
        "for CPUs",
    ),
    "escaip-tiny": Entry(
        "force_field",
        EScAIP,
        EScAIPConfig(layers=1, hidden=24, heads=2, **SMALL_ESCAIP),
        "for CPUs",
    ),
    "control-small": Entry(
        "force_field", Control, ControlConfig(layers=2, hidden=24, radial=12), "exactly equivariant", control=True
    ),
    "control": Entry("force_field", Control, ControlConfig(), "exactly equivariant", control=True),
}


def build(name: str) -> nn.Module:
    """A freshly initialised network, on PyTorch's default device.

    Raises:
        KeyError: If no configuration has that name; the message lists those that exist.
    """
    if name not in CONFIGURATIONS:
        raise KeyError(f"unknown model {name!r}; known models: {', '.join(CONFIGURATIONS)}")
    entry = CONFIGURATIONS[name]
    return entry.network(entry.config)


def parameter_count(name: str) -> int:
    """Exact number of parameters of a configuration; builds it on the meta device, without memory."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(name).parameters())
