"""Cards of architectures and of their sizes: what other rooms may know of a network without importing it.

Nothing here is heavy: the workflow reads cards and sizes whenever it is parsed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTROL = "control"
"""Variant of networks that are exactly equivariant by construction."""


@dataclass(frozen=True)
class Architecture:
    """What other rooms may know of an architecture.

    Its sizes lie beside its card, in ``configurations.toml``.

    Attributes:
        name: Name of the architecture, which is also that of its folder.
        task: Name of the task that it is for.
        network: Class of the network, as ``"module:name"``.
        costs: Function that returns the costs of a pass from the size of an example and the sizes of the network, as
            ``"module:function"``; "" to let PyTorch count them.
        anatomy: Function that returns the anatomy of a network, as ``"module:function"``; "" if it is not known.
        is_exact: Whether predictions come with a head tensor, from which averages over rotations follow in closed form.
        variant: Variant of all sizes, except those that give another one.
        order: Place among architectures in lists.
    """

    name: str
    task: str
    network: str
    costs: str = ""
    anatomy: str = ""
    is_exact: bool = False
    variant: str = ""
    order: int = 100


@dataclass(frozen=True)
class Configuration:
    """A network with its sizes.

    Attributes:
        name: Its name in run tables and tables.
        task: Name of the task that it is for.
        network: Its class, as ``"module:name"``.
        parameters: Number of its parameters.
        note: Description in a few words.
        variant: Feature that distinguishes it from others of its kind: "" for none, "control" for a network that is
            exactly equivariant by construction.
        sizes: Arguments of the network's ``Config`` that differ from its defaults.
        costs: The same as in `Architecture`.
        anatomy: The same as in `Architecture`.
        is_exact: The same as in `Architecture`.
    """

    name: str
    task: str
    network: str
    parameters: int
    note: str = ""
    variant: str = ""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    costs: str = ""
    anatomy: str = ""
    is_exact: bool = False

    @property
    def module(self) -> str:
        """The module that defines the network."""
        return self.network.partition(":")[0]

    @property
    def control(self) -> bool:
        """Whether it is exactly equivariant by construction."""
        return self.variant == CONTROL

    @property
    def built_from(self) -> dict[str, Any]:
        """Arguments of `equidyn.models.building.build`, which determine the network completely."""
        return {"network": self.network, "sizes": dict(self.sizes), "parameters": self.parameters}
