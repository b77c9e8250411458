"""The pilot run: the authors' EScAIP with 6M parameters and their recipe, trained once by this package on other data.

Where the numbers come from is in `equidyn/data/published/pilot/README.md`.
"""

from importlib import resources

import numpy as np
import pandas as pd

from equidyn.analysis.authors import COLUMNS, OPTIMISER_STEP

PILOT = "pilot-escaip-6M"
"""Its ``figure`` in the table of published curves."""
SERIES = {"raw": "raw weights", "ema": "averaged weights"}
"""Its ``series``, by the kind of weights."""
_INTERVAL = "percent"  # the quantity that has one
_QUANTITIES = (
    "percent", "total", "twirled", "equivariance", "null_loss", "skill", "prediction_energy", "relative_equivariance",
)  # fmt: skip


def pilot_curves() -> pd.DataFrame:
    """The pilot run in the form of `equidyn.analysis.authors.published_curves`.

    Returns:
        One row per series, step and quantity, among which are ``null_loss``, ``skill``, ``prediction_energy`` and
        ``relative_equivariance``; losses in eV²/Å². ``low`` and ``high`` of percent are a 95 % interval over held-out
        molecules, those of other quantities the value itself. ``source`` is "own run", ``rotations`` 0 (exact).
    """
    with (resources.files("equidyn") / "data/published/pilot/escaip-6M.csv").open(encoding="utf-8") as file:
        rows = pd.read_csv(file)
    parts = []
    for name in _QUANTITIES:
        low, high = (f"{name}_low", f"{name}_high") if name == _INTERVAL else (name, name)
        identity = {"series": rows["weights"].map(SERIES), "step": rows["step"].astype(float), "quantity": name}
        parts.append(pd.DataFrame({**identity, "value": rows[name], "low": rows[low], "high": rows[high]}))
    return pd.concat(parts, ignore_index=True).assign(
        study="pilot",
        figure=PILOT,
        task="force_field",
        model="EScAIP 6M",
        train_subset="39,640 conformers",
        t=np.nan,
        step_unit=OPTIMISER_STEP,
        smoothed=False,
        rotations=0,
        source="own run",
    )[list(COLUMNS)]
