"""Statistics of analyses of checkpoints that test the paper's claims: correlations, Hessians, landscapes.

Each is a number for each seed; an interval needs at least three of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from equidyn.claims.evidence import Evidence, Found, Untestable
from equidyn.core.numbers import short

FEWEST = 6  # checkpoints behind a correlation
ROTATIONS = 24  # sampled rotations behind a Hessian, at least
FISHER = (np.arctanh, np.tanh)
LOGARITHM = (np.log, np.exp)

_EQUAL = 1e-6  # relative, of two numbers that are the same up to rounding


def correlation(evidence: Evidence, *, kind: str, x: str, y: str) -> Found:
    """Pearson's R of two logarithms along training, for each seed; averaged over flow times on Fisher's scale.

    Checkpoints at which a quantity is not positive have no logarithm; they are counted.
    """
    rows = evidence.analysis(kind)
    if missing := [name for name in (x, y) if name not in rows]:
        raise Untestable(f"the {kind} analysis has no column {missing[0]}")
    if "parameter_group" in rows:
        rows = rows[rows["parameter_group"] == "all"]
    rows = rows.assign(t=rows.get("t", np.nan))
    values: list[float] = []
    counted: list[tuple[int, int]] = []
    told: list[str] = []
    for _, path in rows.groupby("run", sort=False):
        found = {}
        for t, points in path.groupby("t", dropna=False):
            there = points[(points[x] > 0) & (points[y] > 0)]
            counted.append((len(there), len(points)))
            logs = np.log(there[[x, y]].to_numpy(dtype=float).T)
            if len(there) >= FEWEST and (np.ptp(logs, axis=1) > 0).all():
                found[t] = np.clip(np.corrcoef(logs)[0, 1], _EQUAL - 1, 1 - _EQUAL)
        if found:
            values.append(float(np.tanh(np.mean(np.arctanh(list(found.values()))))))
            told = told or [f"{short(t)}: {short(R)}" for t, R in found.items() if not np.isnan(t)]
    if not values:
        raise Untestable(f"fewer than {FEWEST} checkpoints have both quantities, or one does not change")
    used, there = np.sum(counted, axis=0)
    notes = [f"{used} of {there} checkpoints have a logarithm of both"]
    return evidence.over_seeds(values, FISHER, *notes, *([f"by t: {', '.join(told)}"] if told else []))


def largest(rows: pd.DataFrame) -> pd.Series:
    """The largest eigenvalue, in the unit that both parts of the loss share."""
    return rows["largest"]


def condition(rows: pd.DataFrame) -> pd.Series:
    """The largest eigenvalue over the mean magnitude, from eigenvalues or from a quadrature of their density."""
    means = [
        np.average(np.abs(values), weights=weights)
        for values, weights in zip(rows["eigenvalue"], rows["weight"], strict=True)
    ]
    return rows["largest"] / means


def published_condition(rows: pd.DataFrame) -> pd.Series:
    """The largest over the smallest positive eigenvalue."""
    return rows["largest"] / rows["smallest_positive"]


def curvature(evidence: Evidence, *, quantity: Callable[[pd.DataFrame], pd.Series]) -> Found:
    """A quantity of the twirled loss' Hessian over that of the equivariance error's: geometric mean for each seed."""
    rows = evidence.analysis("hessian")
    sampled = rows[rows["estimator"] == "sampled"]
    if len(sampled) and (count := int(sampled["rotations"].min())) < ROTATIONS:
        raise Untestable(f"Hessians were estimated with {count} rotations, which is too few: take {ROTATIONS} or more")
    _need_convergence(rows, "Hessians")
    return _ratios(evidence, rows.assign(found=quantity(rows)), ["block"], "Hessian")


def _need_convergence(rows: pd.DataFrame, what: str) -> None:
    if "converged" in rows and not rows["converged"].astype(bool).all():
        raise Untestable(f"the {what} have not converged in the number of rotations")


def roughness(evidence: Evidence, *, protocol: str) -> Found:
    """Roughness of the twirled loss over that of the equivariance error: geometric mean for each seed.

    Args:
        evidence: About a task.
        protocol: Whether all points of a plane have the same rotations ("common") or each its own ("fresh").
    """
    rows = evidence.analysis("landscape")
    rows = rows[rows["protocol"] == protocol]
    if protocol == "common":
        _need_convergence(rows, "landscapes")
    return _ratios(evidence, rows.assign(found=rows["roughness"]), ["directions"], "plane")


def _ratios(evidence: Evidence, rows: pd.DataFrame, keys: list[str], what: str) -> Found:
    keys = ["run", *(name for name in ("step", "t") if name in rows and rows[name].notna().all()), *keys]
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
    notes.insert(0, f"{what}s of the first seed: " + ", ".join(short(ratio) for ratio in ratios.loc[[runs[0]]]))
    return evidence.over_seeds([float(values[run]) for run in runs], LOGARITHM, *notes)
