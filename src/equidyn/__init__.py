"""Training dynamics of learned 3D-rotational equivariance.

Importing the package imports nothing heavy, as the workflow does so whenever it is parsed; each public name is loaded
when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equidyn.measuring.examples import MeasureError
    from equidyn.measuring.measure import measure
    from equidyn.measuring.measurement import Measurement, Property
    from equidyn.measuring.monitor import Monitor

__version__ = "0.1.0"
__all__ = ["MeasureError", "Measurement", "Monitor", "Property", "__version__", "measure"]

_PLACES = {
    "MeasureError": "equidyn.measuring.examples",
    "Measurement": "equidyn.measuring.measurement",
    "Monitor": "equidyn.measuring.monitor",
    "Property": "equidyn.measuring.measurement",
    "measure": "equidyn.measuring.measure",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from equidyn.core.extras import needed_by

    with needed_by(f"equidyn.{name}"):
        return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
