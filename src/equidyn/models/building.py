"""Build networks from their class and sizes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equidyn.core.plugins import load

if TYPE_CHECKING:
    from torch import nn


def build(network: str, sizes: Mapping[str, Any], parameters: int | None = None) -> "nn.Module":
    """A freshly initialised network, on PyTorch's default device.

    Args:
        network: Class of the network, as ``"module:name"``. If it has a class attribute ``Config``, the network takes a
            ``Config`` made from the sizes; otherwise it takes the sizes as keyword arguments.
        sizes: Sizes that differ from the defaults.
        parameters: Number of parameters that the network must have; None for any number.

    Raises:
        ValueError: There is no such class, it does not accept the sizes, or it has another number of parameters.
    """
    kind = load(network)
    try:
        model = kind(kind.Config(**sizes)) if hasattr(kind, "Config") else kind(**sizes)
    except TypeError as error:
        raise ValueError(f"{network} cannot be built from the sizes {dict(sizes)}: {error}") from error
    found = sum(parameter.numel() for parameter in model.parameters())
    if parameters not in (None, found):
        raise ValueError(
            f"{network} with the sizes {dict(sizes)} has {found:,} parameters, expected {parameters:,}: correct "
            "'parameters' or the sizes where the model is configured"
        )
    return model
