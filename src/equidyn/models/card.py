"""What other rooms may know of a network without importing it: the architecture's card, and each of its sizes.

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
        name: Its name, which its folder has, too.
        task: Name of the task that it is for.
        network: Class of the network, as ``"module:name"``.
        costs: What a pass costs, as ``"module:function"`` of the size of an example and the sizes of the network; ""
            to have PyTorch count.
        anatomy: Parts of a network, as ``"module:function"`` of the network; "" if nothing is known of them.
        is_exact: Whether predictions come with a head tensor, from which averages over rotations follow in closed form.
        variant: Variant of all sizes, but for those that say another.
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
        parameters: How many it has.
        note: What it is, in a few words.
        variant: What sets it apart from others of its kind: "" for nothing, "control" for one that is exactly
            equivariant by construction.
        sizes: Arguments of the network's ``Config`` that differ from its defaults.
        costs: As of `Architecture`.
        anatomy: As of `Architecture`.
        is_exact: As of `Architecture`.
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
        """Arguments of `equidyn.models.building.build`: all that decides which network it is."""
        return {"network": self.network, "sizes": dict(self.sizes), "parameters": self.parameters}
