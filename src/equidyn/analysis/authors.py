"""The authors' own numbers: landscapes and curves that come with the package, and tables of VoxMol that do not.

The files of the package are described in `equidyn/data/published/landscapes/README.md` and
`equidyn/data/published/curves/README.md`. VoxMol's tables are in a repository without a licence, which
`config/downloads.tsv` names.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

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
_STEP = {"escaip": 0.00164, "proteina": 0.002}  # step of a grid, in the authors' units

CURVE = ("figure", "series", "quantity")
"""Columns that identify a curve in the tables of `published_curves` and `voxmol_curves`."""


class _Drawn(NamedTuple):
    """A published figure: its content, its model, and its series, from small to large where they are sizes."""

    figure: str
    quantity: str | None  # None where series are quantities
    model: str
    train_subset: str = "all"
    series: Sequence[str] | None = None  # None where series are flow times or quantities
    varies: str | None = None  # the column that series are


_TRAIN_SIZES = ("500", "5k", "50k", "950k")
_DRAWN = {
    "escaip-percent-loglog": _Drawn(
        "escaip-loglog-equivariance_error_training",
        "percent",
        "EScAIP 6M",
        series=("replicate 1", "replicate 2", "replicate 3"),
    ),
    "escaip-percent-model-size": _Drawn(
        "escaip-vary-model-size", "percent", "EScAIP", series=("1M", "4M", "6M"), varies="model"
    ),
    "escaip-percent-train-size": _Drawn(
        "escaip-vary-train-size", "percent", "EScAIP 6M", series=_TRAIN_SIZES, varies="train_subset"
    ),
    "escaip-percent-optimiser": _Drawn(
        "escaip-vary-lropt", "percent", "EScAIP 6M", series=("Adam 1e-3", "Adam 1e-4", "Adam 1e-5", "SGD 1e-5")
    ),
    "escaip-losses-default": _Drawn("escaip-default-losscurves", None, "EScAIP 6M"),
    **{
        f"escaip-losses-{size}": _Drawn(f"escaip-losscurves-{size}", None, "EScAIP 6M", size)
        for size in _TRAIN_SIZES[:-1]
    },
    "proteina-60M-percent": _Drawn("prot_60M", "percent", "Proteína 60M"),
    "proteina-60M-equivariance": _Drawn("prot_60M-equiv-error", "equivariance", "Proteína 60M"),
    "proteina-60M-twirled": _Drawn("prot_60M-mean-pred-error", "twirled", "Proteína 60M"),
    "proteina-60M-total": _Drawn("prot_60M-total-mse", "total", "Proteína 60M"),
    "proteina-60M-1pct-data-percent": _Drawn("prot_60M_0.01", "percent", "Proteína 60M", "1 %"),
    "proteina-60M-0.1pct-data-percent": _Drawn("prot_60M_0.001", "percent", "Proteína 60M", "0.1 %"),
    "proteina-60M-0.1pct-data-total": _Drawn("prot_60M_0.001-total-mse", "total", "Proteína 60M", "0.1 %"),
    "proteina-400M-percent": _Drawn("prot_400M", "percent", "Proteína 400M"),
    "proteina-400M-equivariance": _Drawn("prot_400M-equiv-error", "equivariance", "Proteína 400M"),
    "proteina-400M-twirled": _Drawn("prot_400M-mean-pred-error", "twirled", "Proteína 400M"),
}
_LOSSES = {"equivariance error": "equivariance", "twirled loss": "twirled", "total MSE": "total"}
COLUMNS = (
    "study", "figure", "task", "model", "train_subset", "series", "quantity", "t", "step", "step_unit", "value", "low",
    "high", "smoothed", "rotations", "source",
)  # fmt: skip
"""Columns of tables of published curves."""
OPTIMISER_STEP, LOG_ROW = "optimiser step", "log row"
"""Values of ``step_unit``: rows of a log where real steps are not published."""

VOXMOL_ROTATIONS = 4  # K
_PREFIX = "equivar_loss_term_"
_STEP_COLUMN, _TWIRLED, _SPREAD = "iteration", f"{_PREFIX}2", f"{_PREFIX}3"


class _Table(NamedTuple):
    """One of the authors' tables of VoxMol; the size of networks with less data is not stated."""

    figure: str
    series: str
    model: str
    train_subset: str


_VOXMOL = {
    "1pct.csv": _Table("voxmol-vary-data", "1 %", "VoxMol", "1 %"),
    "10pct.csv": _Table("voxmol-vary-data", "10 %", "VoxMol", "10 %"),
    "25pct.csv": _Table("voxmol-vary-data", "25 %", "VoxMol", "25 %"),
    "50pct.csv": _Table("voxmol-vary-data", "50 %", "VoxMol", "50 %"),
    "tiny.csv": _Table("voxmol-vary-model", "7M", "VoxMol 7M", "all"),
    "small.csv": _Table("voxmol-vary-model", "28M", "VoxMol 28M", "all"),
    "full.csv": _Table("voxmol-vary-model", "111M", "VoxMol 111M", "all"),
}
VOXMOL_FILES = tuple(_VOXMOL)
"""Names of the authors' tables of VoxMol, all of which `voxmol_curves` needs."""


def published_landscapes() -> pd.DataFrame:
    """The four grids as a landscape table.

    Returns:
        One row per point: the columns of our own landscapes as far as they are known. ``x`` and ``y`` are in the
        authors' units, 20 evenly spaced values from −10 to +10 steps as in their figures. ``value`` is theirs, without
        the factor 10/9 that would make the equivariance error of 10 rotations unbiased. ``protocol`` is "fresh",
        rotations drawn anew at every point, as the values suggest.
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


def published_curves() -> pd.DataFrame:
    """Curves of the published figures of EScAIP and Proteína, read from their vector paths.

    Returns:
        One row per point: ``study`` ("published"); ``figure``, its published name; ``task``; ``model``;
        ``train_subset``, as the figure calls it; ``series``, the curve of the figure, from small to large where they
        are sizes; ``quantity``: "percent", "equivariance", "twirled" or "total"; flow time ``t`` (missing: none);
        ``step`` and ``step_unit``, `OPTIMISER_STEP` or `LOG_ROW`; ``value``, percent
        or loss in the authors' units, median of the points in a bin of steps, and their extremes ``low`` and ``high``;
        ``smoothed``; ``rotations``, K; ``source`` ("digitised"). Percent and equivariance error include the factor
        K/(K − 1); the twirled loss is as published, that of the mean over K predictions, which is too large by 1/K of
        the equivariance error.
    """
    folder = resources.files("equidyn") / "data/published/curves"
    parts = []
    for name, drawn in _DRAWN.items():
        with (folder / f"{name}.csv").open(encoding="utf-8") as file:
            points = pd.read_csv(file, dtype={"series": str})
        if drawn.series:
            points = points.iloc[points["series"].map(drawn.series.index).argsort(kind="stable")]
        series, flows = points["series"], name.startswith("proteina")
        percent = 100 if drawn.quantity == "percent" else 1
        identity = drawn._asdict() | {
            "task": "flow_matching" if flows else "force_field",
            "quantity": drawn.quantity or series.map(_LOSSES),
            "t": series.str.removeprefix("t=").astype(float) if flows else np.nan,
            "step_unit": LOG_ROW if flows else OPTIMISER_STEP,
            "smoothed": flows,
            "rotations": 10,
            "source": "digitised",
            "series": series,
        }
        if drawn.varies:
            identity[drawn.varies] = f"{identity['model']} " + series if drawn.varies == "model" else series
        values = percent * points[["value", "low", "high"]]
        parts.append(points.assign(study="published", **identity, **values)[list(COLUMNS)])
    return pd.concat(parts, ignore_index=True)


def correct_voxmol(terms: pd.DataFrame) -> pd.DataFrame:
    """The parts of VoxMol's loss from the columns that the authors logged, for K = 4 rotations.

    Term 2 is the squared error of the mean over the K predictions, term 3 their mean squared distance from it; the two
    add up to the total, which is unbiased. The spread around a mean of K is too small by (K − 1)/K on average, so the
    unbiased equivariance error is term 3 · K/(K − 1), and the unbiased twirled loss term 2 − term 3/(K − 1). The
    authors correct the first and not the second; the share of the total comes out right either way.

    Args:
        terms: Table with the columns ``equivar_loss_term_2`` and ``equivar_loss_term_3``, per voxel.

    Returns:
        With the same index: ``total``; ``equivariance``, ``percent`` and ``twirled`` as the authors plot them;
        ``twirled_unbiased``; ``equivariance_plugin`` and ``percent_plugin``, without the factor.
    """
    twirled, spread = terms[_TWIRLED], terms[_SPREAD]
    total, factor = twirled + spread, VOXMOL_ROTATIONS / (VOXMOL_ROTATIONS - 1)
    return pd.DataFrame(
        {
            "total": total,
            "equivariance": factor * spread,
            "equivariance_plugin": spread,
            "twirled": twirled,
            "twirled_unbiased": twirled - spread / (VOXMOL_ROTATIONS - 1),
            "percent": 100 * factor * spread / total,
            "percent_plugin": 100 * spread / total,
        }
    )


def voxmol_curves(files: Mapping[str, Path]) -> pd.DataFrame:
    """The authors' tables of VoxMol, corrected, in the form of `published_curves`.

    The run with 1 % of the data was made twice, both runs in one table: they are the series "1 %, run A" and
    "1 %, run B". The series "1 %" is their mean, in each quantity, where both have the step, as in the published
    figure.

    Args:
        files: Path of each of `VOXMOL_FILES`.

    Returns:
        As `published_curves`, but that ``source`` is "authors' table", ``rotations`` 4, ``low`` and ``high`` of a mean
        are the two runs' values and else the value itself, and that there are more quantities: "twirled_unbiased", and
        "equivariance_plugin" and "percent_plugin" without the factor 4/3. Losses are per voxel.

    Raises:
        ValueError: The names are not `VOXMOL_FILES`, or a table lacks columns or rows or has values that no loss has.
    """
    parts = []
    for table, series, points in _voxmol_runs(files):
        long = points.melt(_STEP_COLUMN, var_name="quantity")
        grouped = long.groupby(["quantity", _STEP_COLUMN], sort=False)["value"]
        spread = grouped.agg(value="mean", low="min", high="max").reset_index()
        parts.append(
            spread.rename(columns={_STEP_COLUMN: "step"}).assign(
                study="published",
                **table._asdict() | {"series": series},
                task="voxel_denoising",
                t=np.nan,
                step_unit=OPTIMISER_STEP,
                smoothed=False,
                rotations=VOXMOL_ROTATIONS,
                source="authors' table",
            )[list(COLUMNS)]
        )
    return pd.concat(parts, ignore_index=True)


def voxmol_corrections(files: Mapping[str, Path]) -> pd.DataFrame:
    """Changes by the correction for K = 4 rotations.

    Args:
        files: Path of each of `VOXMOL_FILES`.

    Returns:
        One row per series, quantity ("twirled", "equivariance", "percent") and ``point``: the "first" and the "last"
        evaluation, and the "minimum" of the unbiased value; ``step``; ``plugin``, from the K predictions as they are,
        and ``unbiased``; ``published``, the one of the two that the authors plot; ``excess``, plugin / unbiased − 1.

    Raises:
        ValueError: The same as for `voxmol_curves`.
    """
    curves = voxmol_curves(files)
    wide = curves.pivot(index=["series", "step"], columns="quantity", values="value")
    rows = []
    for series in dict.fromkeys(curves["series"]):
        values = wide.loc[series]
        for quantity, plugin, unbiased in (
            ("twirled", "twirled", "twirled_unbiased"),
            ("equivariance", "equivariance_plugin", "equivariance"),
            ("percent", "percent_plugin", "percent"),
        ):
            points = {"first": values.index[0], "minimum": values[unbiased].idxmin(), "last": values.index[-1]}
            rows += [
                {
                    "series": series,
                    "quantity": quantity,
                    "point": point,
                    "step": step,
                    "plugin": values.loc[step, plugin],
                    "unbiased": values.loc[step, unbiased],
                    "published": "plugin" if plugin == quantity else "unbiased",
                    "excess": values.loc[step, plugin] / values.loc[step, unbiased] - 1,
                }
                for point, step in points.items()
            ]
    return pd.DataFrame(rows)


def _voxmol_runs(files: Mapping[str, Path]) -> list[tuple[_Table, str, pd.DataFrame]]:
    """Yield each table's description, the name of a series in it, and its steps with the parts of the loss."""
    if set(files) != set(VOXMOL_FILES):
        raise ValueError(
            f"found tables {', '.join(sorted(files)) or 'of no name'}: expected {', '.join(VOXMOL_FILES)}, the files "
            "of the data set voxmol_curves in the registry of downloads"
        )
    runs = []
    for name, table in _VOXMOL.items():
        terms = _read_terms(files[name])
        points = correct_voxmol(terms).assign(**{_STEP_COLUMN: terms[_STEP_COLUMN].astype(float)})
        # Rows of a second run lie between those of the first.
        again = terms[_STEP_COLUMN] <= terms[_STEP_COLUMN].cummax().shift(fill_value=0)
        runs.append((table, table.series, points))
        if again.any():
            runs.append((table, f"{table.series}, run A", points[~again]))
            runs.append((table, f"{table.series}, run B", points[again]))
    return runs


def _read_terms(path: Path) -> pd.DataFrame:
    """The columns of a table that are used."""
    wanted = [_STEP_COLUMN, _TWIRLED, _SPREAD]
    table = pd.read_csv(path)
    if missing := [column for column in wanted if column not in table]:
        raise ValueError(f"{path}: lacks the column(s) {', '.join(missing)}: is it one of the authors' tables?")
    terms = table[wanted]
    if terms.empty or not (terms > 0).all(axis=None):
        raise ValueError(f"{path}: expected rows of positive {', '.join(wanted)}: is the file whole?")
    return terms
