"""Compare a model with recorded numbers: golden fixtures of the published networks.

A fixture is one `.npz` file whose name begins with the model's (`escaip_fixture_…`). It holds a configuration, all
weights under their published names, inputs and expected outputs. Verifying builds our model from the configuration,
loads the weights, computes every recorded quantity and reports the largest deviation of each.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equidyn.verification.escaip import verify_escaip
from equidyn.verification.proteina import verify_proteina
from equidyn.verification.voxmol import verify_voxmol

VERIFIERS = {"escaip": verify_escaip, "proteina": verify_proteina, "voxmol": verify_voxmol}
TOLERANCE = 1e-5

_GRADIENTS = "grad_norm"  # In keys of gradients' norms.
_NO_GRADIENT = 1e-3  # Norms below are compared as if they were this: some gradients are zero but for rounding.


class FixtureError(ValueError):
    """A fixture that cannot be read, or describes a model this package does not implement."""


@dataclass(frozen=True)
class Deviation:
    """Largest deviation of one quantity.

    Attributes:
        quantity: Its key in the fixture.
        absolute: |ours - recorded| of the number that deviates most for its scale.
        scale: What the tolerance is relative to: max(1, max |recorded|). Norms of gradients span orders of magnitude;
            for each of them it is ten times its own size.
    """

    quantity: str
    absolute: float
    scale: float

    def within(self, tolerance: float) -> bool:
        """Whether the deviation is at most tolerance x scale (NaN never is)."""
        return self.absolute <= tolerance * self.scale


def verify(path: str | Path) -> list[Deviation]:
    """Deviations of our model from a fixture file.

    Raises:
        FixtureError: Unreadable file, unknown model, missing arrays, or options that are not implemented.
    """
    path = Path(path)
    model = path.name.split("_")[0].lower()
    if model not in VERIFIERS:
        raise FixtureError(f"{path}: the name must begin with a model's ({', '.join(VERIFIERS)}), found {model!r}")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            fixture = {key: file[key] for key in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FixtureError(f"{path}: not a readable .npz file ({error})") from error
    try:
        return [_deviation(key, fixture[key], ours) for key, ours in VERIFIERS[model](fixture).items()]
    except KeyError as error:
        raise FixtureError(f"{path}: the fixture lacks {error}") from error
    except RuntimeError as error:  # load_state_dict names the parameters that do not fit
        raise FixtureError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise FixtureError(f"{path}: {error}") from error


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
