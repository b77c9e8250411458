"""Training dynamics of learned 3D-rotational equivariance.

Importing the package imports nothing heavy, as the workflow does so whenever it is parsed; `measure` is loaded when it
is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equidyn.measuring.measure import measure as measure
    from equidyn.measuring.monitor import Monitor as Monitor

__version__ = "0.1.0"

_PUBLIC = {"measure": "equidyn.measuring.measure", "Monitor": "equidyn.measuring.monitor"}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
