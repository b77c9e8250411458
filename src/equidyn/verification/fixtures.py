"""Compare a model with recorded numbers: golden fixtures of the published networks.

A fixture is one `.npz` file whose name begins with the model's (`escaip_fixture_…`). It holds a configuration, all
weights under their published names, inputs and some expected outputs. Verifying builds our model from the
configuration, loads the weights, computes every quantity that the inputs allow, reports the largest deviation of each
that is recorded, and lists what is not.
"""

import pkgutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equidyn.core.plugins import load
from equidyn.verification import networks
from equidyn.verification.recorded import Recorded

TOLERANCE = 1e-5

_GRADIENTS = "grad_norm"  # In keys of gradients' norms.
_NO_GRADIENT = 1e-3  # Norms below are compared as if they were this: some gradients are zero but for rounding.


class FixtureError(ValueError):
    """A fixture cannot be read, or describes a model that this package does not implement."""


@dataclass(frozen=True)
class Deviation:
    """Largest deviation of one quantity.

    Attributes:
        quantity: Its key in the fixture.
        absolute: |ours - recorded| of the number that deviates most for its scale.
        scale: Scale of the tolerance: max(1, max |recorded|). Norms of gradients span orders of magnitude; the scale of
            each is ten times its own size.
    """

    quantity: str
    absolute: float
    scale: float

    def within(self, tolerance: float) -> bool:
        """Whether the deviation is at most tolerance x scale (NaN never is)."""
        return self.absolute <= tolerance * self.scale


@dataclass(frozen=True)
class Verification:
    """The result of comparing our model with a fixture.

    Attributes:
        deviations: One for each quantity that it holds and that we compute.
        lacking: Keys that the fixture lacks: quantities that we compute, and inputs that further ones would need.
    """

    deviations: list[Deviation]
    lacking: list[str]

    def within(self, tolerance: float) -> bool:
        """Whether all deviations are."""
        return all(deviation.within(tolerance) for deviation in self.deviations)


def verify(path: str | Path) -> Verification:
    """Compare our model with all that a fixture file holds.

    Raises:
        FixtureError: The file is unreadable, the model unknown, configuration or weights are missing or of another
            model, options are not implemented, or there is nothing to compare.
    """
    path = Path(path)
    model = path.name.split("_")[0].lower()
    known = [module.name for module in pkgutil.iter_modules(networks.__path__)]
    if model not in known:
        raise FixtureError(f"{path}: the name must begin with a model's ({', '.join(known)}), found {model!r}")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            fixture = Recorded({key: file[key] for key in file.files})
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FixtureError(f"{path}: not a readable .npz file ({error})") from error
    try:
        found = load(f"{networks.__name__}.{model}:verify")(fixture)
        deviations = [_deviation(key, fixture[key], ours) for key, ours in found.items() if key in fixture]
    except KeyError as error:
        raise FixtureError(f"{path}: the fixture lacks {error}") from error
    except RuntimeError as error:  # load_state_dict names the parameters that do not fit
        raise FixtureError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise FixtureError(f"{path}: {error}") from error
    lacking = [*dict.fromkeys(fixture.missed), *(key for key in found if key not in fixture)]
    if not deviations:
        raise FixtureError(f"{path}: nothing to compare: the fixture lacks {', '.join(lacking)}")
    return Verification(deviations, lacking)


def _deviation(key: str, recorded: np.ndarray, ours: np.ndarray) -> Deviation:
    if recorded.shape != ours.shape:
        raise ValueError(f"{key}: recorded shape {recorded.shape}, ours {ours.shape}")
    if recorded.dtype.kind in "biu":
        return Deviation(key, float(np.count_nonzero(recorded != ours)), 1.0)
    recorded, ours = recorded.astype(np.float64), ours.astype(np.float64)
    if not recorded.size:
        return Deviation(key, 0.0, 1.0)
    scale = 10 * recorded.clip(min=_NO_GRADIENT) if _GRADIENTS in key else max(1.0, np.abs(recorded).max())
    difference, scale = (x.ravel() for x in np.broadcast_arrays(np.abs(recorded - ours), scale))
    worst = (difference / scale).argmax()  # a NaN if there is one
    return Deviation(key, float(difference[worst]), float(scale[worst]))
