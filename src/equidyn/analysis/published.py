"""The authors' own loss landscapes, which ship with the package (`equidyn/data/published/landscapes/README.md`)."""

from importlib import resources

import numpy as np
import pandas as pd

from equidyn.analysis.roughness import roughness

_RUNS = {
    "escaip": {
        "run": "EScAIP (published)",
        "task": "force_field",
        "model": "EScAIP",
        "block": "feed-forward weights",
    },
    "proteina": {
        "run": "Proteína (published)",
        "task": "flow_matching",
        "model": "Proteína",
        "block": "coordinate decoder",
    },
}
_STEP = {"escaip": 0.00164, "proteina": 0.002}  # of a grid, in the authors' units


def published_landscapes() -> pd.DataFrame:
    """The four grids as a landscape table.

    Returns:
        One row per point: the columns of our own landscapes as far as they are known. ``x`` and ``y`` are in the
        authors' units, 20 values evenly from −10 to +10 steps as in their figures. ``value`` is theirs, without the
        factor 10/9 that would make the equivariance error of 10 rotations unbiased. That ``protocol`` is "fresh",
        rotations drawn anew at every point, is how the values look.
    """
    folder = resources.files("equidyn") / "data/published/landscapes"
    parts = []
    for name, identity in _RUNS.items():
        axis = np.linspace(-10 * _STEP[name], 10 * _STEP[name], 20)
        for loss in ("twirled", "equivariance"):
            with (folder / f"{name}-{loss}.csv").open(encoding="utf-8") as file:
                values = np.loadtxt(file, delimiter=",")
            i, j = np.indices(values.shape)
            parts.append(
                pd.DataFrame(
                    {
                        "study": "published",
                        **identity,
                        "step": 500,
                        "estimator": "sampled",
                        "rotations": 10,
                        "directions": "published",
                        "protocol": "fresh",
                        "loss": loss,
                        "i": i.ravel(),
                        "j": j.ravel(),
                        "x": axis[j.ravel()],
                        "y": axis[i.ravel()],
                        "value": values.ravel(),
                        **roughness(axis, axis, values),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)
