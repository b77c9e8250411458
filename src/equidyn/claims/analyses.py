"""Statistics of analyses of checkpoints that test the paper's claims: correlations, Hessians, landscapes.

Each is a number for each seed; an interval needs at least three of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from equidyn.analysis.convergence import CONVERGED
from equidyn.analysis.correlation import FEWEST
from equidyn.claims.evidence import Evidence, Found, Untestable
from equidyn.core.numbers import short

ROTATIONS = 24  # sampled rotations behind a Hessian, at least
FISHER = (np.arctanh, np.tanh)
LOGARITHM = (np.log, np.exp)

_EQUAL = 1e-6  # relative, of two numbers that are the same up to rounding


def correlation(evidence: Evidence, *, kind: str, x: str, y: str) -> Found:
    """Pearson's R of two logarithms along training, for each seed; averaged over flow times on Fisher's scale.

    Checkpoints at which a quantity is not positive have no logarithm; they are counted. Flow times count of which all
    seeds have enough others.
    """
    rows = evidence.analysis(kind)
    if missing := [name for name in (x, y) if name not in rows]:
        raise Untestable(f"the {kind} analysis has no column {missing[0]}")
    if "parameter_group" in rows:
        rows = rows[rows["parameter_group"] == "all"]
    is_timed = "t" in rows and rows["t"].notna().any()
    rows = rows.assign(t=rows["t"] if is_timed else 0.0)
    found: dict[float, dict[str, float]] = {t: {} for t in np.unique(rows["t"])}
    used, every = 0, list(dict.fromkeys(rows["run"]))
    for (run, t), points in rows.groupby(["run", "t"], sort=False):
        there = points[(points[x] > 0) & (points[y] > 0)]
        used += len(there)
        logs = np.log(there[[x, y]].to_numpy(dtype=float).T)
        if len(there) >= FEWEST and (np.ptp(logs, axis=1) > 0).all():
            found[t][run] = np.clip(np.corrcoef(logs)[0, 1], _EQUAL - 1, 1 - _EQUAL)
    lack = f"fewer than {FEWEST} checkpoints have both quantities, or one does not change"
    counted = {t: by_run for t, by_run in found.items() if len(by_run) == len(every)}
    if not counted:
        raise Untestable(lack)
    values = [float(np.tanh(np.mean(np.arctanh([by_run[run] for by_run in counted.values()])))) for run in every]
    notes = [f"{used} of {len(rows)} checkpoints have a logarithm of both", *_without_rows(evidence, every)]
    if is_timed:
        notes.append("by t: " + ", ".join(f"{short(t)}: {short(by_run[every[0]])}" for t, by_run in counted.items()))
    if left := [short(t) for t in found if t not in counted]:
        notes.append(f"left out, as of some seed {lack}: t = {', '.join(left)}")
    return evidence.over_seeds(values, FISHER, *notes)


def largest(rows: pd.DataFrame) -> pd.Series:
    """The largest eigenvalue, in the unit that both parts of the loss share."""
    return rows["largest"]


def mean_condition(rows: pd.DataFrame) -> pd.Series:
    """The largest eigenvalue over the mean magnitude, from eigenvalues or from a quadrature of their density."""
    means = [
        np.average(np.abs(values), weights=weights)
        for values, weights in zip(rows["eigenvalue"], rows["weight"], strict=True)
    ]
    return rows["largest"] / means


def textbook_condition(rows: pd.DataFrame) -> pd.Series:
    """The largest over the smallest eigenvalue; NaN where some are negative, as it has no meaning then."""
    return rows["condition"]


def curvature(evidence: Evidence, *, quantity: Callable[[pd.DataFrame], pd.Series], settled: Sequence[str]) -> Found:
    """A quantity of the twirled loss' Hessian over that of the equivariance error's: geometric mean for each seed.

    Args:
        evidence: About a task.
        quantity: Function of rows of the table of Hessians.
        settled: What must have converged in the number of rotations: of "largest" and "mean_condition". Pairs of
            Hessians, of both losses, of which it has not are left out, if they are the smaller part; so are those of
            networks that predict nothing useful.
    """
    rows = evidence.analysis("hessian")
    sampled = rows[rows["estimator"] == "sampled"]
    if len(sampled) and (count := int(sampled["rotations"].min())) < ROTATIONS:
        raise Untestable(f"Hessians were estimated with {count} rotations, which is too few: take {ROTATIONS} or more")
    rows = rows[rows["skill"] >= evidence.useful_skill]
    if rows.empty:
        raise Untestable("no Hessian is of a network that predicts anything useful")
    changes = rows.reindex(columns=[f"{name}_change" for name in settled])
    converged = rows["estimator"].eq("exact") | changes.le(CONVERGED).all(axis=1)
    both = converged.groupby([rows[name] for name in _keys(rows, ["block"])]).transform("all")
    if both.mean() <= 0.5:
        raise Untestable(
            _NOT_CONVERGED.format("Hessians of both losses") + f", but {both.sum() // 2} of {len(rows) // 2}"
        )
    return _ratios(evidence, rows.assign(found=quantity(rows).where(both)), ["block"], "Hessian")


_NOT_CONVERGED = "not all {} are known to have converged in the number of rotations"


def roughness(evidence: Evidence, *, protocol: str) -> Found:
    """Roughness of the twirled loss over that of the equivariance error: geometric mean for each seed.

    Args:
        evidence: About a task.
        protocol: Whether all points of a plane have the same rotations ("common") or each its own ("fresh").
    """
    rows = evidence.analysis("landscape")
    rows = rows[rows["protocol"] == protocol]
    known = rows.reindex(columns=["estimator", "converged"])
    if protocol == "common" and not (known["estimator"].eq("exact") | known["converged"].eq(True)).all():
        raise Untestable(_NOT_CONVERGED.format("landscapes"))
    return _ratios(evidence, rows.assign(found=rows["roughness"]), ["directions"], "plane")


def _keys(rows: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    return ["run", *(name for name in ("step", "t") if name in rows and rows[name].notna().all()), *keys]


def _ratios(evidence: Evidence, rows: pd.DataFrame, keys: Sequence[str], what: str) -> Found:
    keys = _keys(rows, keys)
    by_loss = rows.drop_duplicates([*keys, "loss"]).pivot(index=keys, columns="loss", values="found")
    by_loss = by_loss.reindex(columns=["twirled", "equivariance"])
    ratios = (by_loss["twirled"] / by_loss["equivariance"]).sort_index()
    whole = len(ratios)
    ratios = ratios[(ratios > 0) & np.isfinite(ratios)]
    notes = [f"{len(ratios)} of {whole} {what}s of both losses have it"] if len(ratios) < whole else []
    if "block" in keys:
        tops = (
            rows.drop_duplicates([*keys, "loss"]).pivot(index=keys, columns="loss", values="largest").loc[ratios.index]
        )
        same = np.abs(tops["twirled"] / tops["equivariance"] - 1) < _EQUAL
        equal = same.groupby(level="block").transform("all")
        if equal.any():
            blocks = ", ".join(dict.fromkeys(equal[equal].index.get_level_values("block")))
            notes.append(f"left out is {blocks}, where both are equal by the form of the network")
            ratios = ratios[~equal]
    if ratios.empty:
        raise Untestable("; ".join([f"no {what} of both losses is known", *notes]))
    values = np.exp(np.log(ratios).groupby(level="run").mean())
    runs = [run for run in evidence.replicates if run in values.index]
    notes += _without_rows(evidence, runs)
    notes.insert(0, f"{what}s of the first seed: " + ", ".join(short(ratio) for ratio in ratios.loc[[runs[0]]]))
    return evidence.over_seeds([float(values[run]) for run in runs], LOGARITHM, *notes)


def _without_rows(evidence: Evidence, runs: Sequence[str]) -> list[str]:
    """Which seeds are missing, if any is."""
    missing = [run for run in evidence.replicates if run not in runs]
    return [f"without {', '.join(missing)}, of which the analysis has no such numbers"] if missing else []
