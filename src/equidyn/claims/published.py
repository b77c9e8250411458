"""What is published as evidence: single curves without clusters, the authors' and those of the pilot run.

The authors' curves of one run are read at all steps at which any of them is known, linearly in logarithms between its
own. They are of averaged weights and mostly without a null loss; those of flow matching are moving averages besides.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import ClassVar

import numpy as np
import pandas as pd

from equidyn.analysis.authors import LOG_ROW
from equidyn.analysis.pilot import PILOT, SERIES
from equidyn.claims.evidence import (
    EXAMPLES,
    RANGE,
    SINGLE,
    Bounds,
    Curves,
    Evidence,
    Found,
    Settings,
    Trainings,
    Untestable,
)
from equidyn.study.choice import MODEL_SIZE, OPTIMISER, TRAIN_SIZE, Choice

ROWS = "published steps are rows of a log, as the paper counts them, and not updates of the optimiser"
"""Note on curves of which no other steps are published."""

_QUANTITIES = ("percent", "total", "equivariance")

_Curve = tuple[str, str | None]  # a published figure, and the series of it; None for all


@dataclass(frozen=True)
class _Runs:
    """The published runs of a task, each with its curves: the baseline with its seeds, and those that differ."""

    seeds: Mapping[str, Sequence[_Curve]]
    others: Mapping[tuple[str, ...], Mapping[str, Sequence[_Curve]]]
    plateau: tuple[str, float, float] | None = None
    """Curve whose loss between two steps is that of predicting nothing."""


def _escaip(figure: str, *names: str) -> dict[str, list[_Curve]]:
    return {name: [(figure, name)] for name in names}


_SIZES = "escaip-vary-train-size"
_RUNS = {
    "force_field": _Runs(
        {
            "replicate 1": [
                ("escaip-loglog-equivariance_error_training", "replicate 1"),
                ("escaip-default-losscurves", None),
            ],
            **_escaip("escaip-loglog-equivariance_error_training", "replicate 2", "replicate 3"),
        },
        {
            MODEL_SIZE: _escaip("escaip-vary-model-size", "1M", "4M"),
            TRAIN_SIZE: {size: [(_SIZES, size), (f"escaip-losscurves-{size}", None)] for size in ("500", "5k", "50k")},
            OPTIMISER: _escaip("escaip-vary-lropt", "Adam 1e-3", "Adam 1e-4", "SGD 1e-5"),
        },
        ("escaip-losscurves-500", 1_200, 4_000),
    ),
    "flow_matching": _Runs(
        {"60M": [("prot_60M", None), ("prot_60M-equiv-error", None), ("prot_60M-total-mse", None)]},
        {
            MODEL_SIZE: {"400M": [("prot_400M", None)]},
            TRAIN_SIZE: {"1 % of the data": [("prot_60M_0.01", None)], "0.1 %": [("prot_60M_0.001", None)]},
        },
    ),
    "voxel_denoising": _Runs(
        {"10 % of the data": [("voxmol-vary-data", "10 %")]},
        {
            MODEL_SIZE: {size: [("voxmol-vary-model", size)] for size in ("7M", "28M", "111M")},
            TRAIN_SIZE: {size: [("voxmol-vary-data", size)] for size in ("1 %", "25 %", "50 %")},
        },
    ),
}


@dataclass(frozen=True, eq=False)
class SingleCurves(Evidence):
    """Curves of one task without sums over clusters.

    Attributes:
        task: Name of the task.
        table: As `equidyn.analysis.authors.published_curves` and `voxmol_curves` and `equidyn.analysis.pilot` make it.
    """

    task: str
    table: pd.DataFrame

    @property
    def useful_skill(self) -> float:
        """As in our figures."""
        return Choice(self.task).useful_skill

    @cached_property
    def curves(self) -> Callable[[str], Curves]:  # type: ignore[override]
        """Losses of a run, read once."""
        return cache(self._curves)

    @abstractmethod
    def _curves(self, run: str) -> Curves:
        """Losses of a run."""

    def _rows(self, figure: str, series: str | None) -> pd.DataFrame:
        rows = self.table[self.table["figure"] == figure]
        rows = rows if series is None else rows[rows["series"] == series]
        if rows.empty:
            raise Untestable(f"the study has not read the authors' curves {figure}")
        return rows

    def trainings(self, unit: str) -> Trainings:
        """None of equivariant networks is published."""
        raise Untestable(f"no losses of equivariant networks against {unit} are published")

    def over_seeds(
        self, values: Sequence[float], scale: tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]], *notes: str
    ) -> Found:
        """The mean."""
        forward, back = scale
        value = float(back(forward(np.array(values)).mean()))
        return Found(value, value, value, notes, SINGLE)


@dataclass(frozen=True, eq=False)
class Pilot(SingleCurves):
    """The pilot run with one kind of weights: one seed, of which no claim is decided.

    Its samples are the share, and the lower and the upper ends of its intervals at all steps at once, so that the ends
    of a statistic hold both the examples and the distance between evaluations.

    Attributes:
        weights: "raw" or "ema".
    """

    weights: str
    settings: Settings = field(default_factory=Settings)

    @property
    def replicates(self) -> list[str]:
        """The one run."""
        return [PILOT]

    def others(self, columns: Sequence[str]) -> list[str]:
        """None."""
        return []

    def _curves(self, run: str) -> Curves:
        rows = self._rows(run, SERIES[self.weights]).pivot(index="step", columns="quantity")
        percent = np.stack([rows[end, "percent"].to_numpy() for end in ("value", "low", "high")])[:, None]
        total, null, energy = (
            np.broadcast_to(rows["value", name].to_numpy(), percent.shape)
            for name in ("total", "null_loss", "prediction_energy")
        )
        steps = rows.index.to_numpy()
        return Curves(steps, np.zeros(1), percent, total, total * percent / 100, null, energy)

    def analysis(self, kind: str) -> pd.DataFrame:
        """None was made."""
        raise Untestable(f"no {kind} analysis of the pilot run was made")

    def combined(self, drawn: Sequence[Bounds], *notes: str, value: float | None = None) -> Found:
        """The value, and the outer ends of the samples."""
        (found,) = drawn
        value = float(found.value[0]) if value is None else value
        return Found(value, float(found.lower.min()), float(found.upper.max()), notes, EXAMPLES)


@dataclass(frozen=True, eq=False)
class Published(SingleCurves):
    """The authors' curves and landscapes of one task.

    Attributes:
        landscapes: As `equidyn.analysis.authors.published_landscapes` makes it.
    """

    landscapes: pd.DataFrame
    settings: Settings = field(default_factory=Settings)
    judges_values: ClassVar[bool] = True

    @property
    def _published(self) -> _Runs:
        if self.task not in _RUNS:
            raise Untestable("the authors have no such task")
        return _RUNS[self.task]

    @property
    def replicates(self) -> list[str]:
        """The published seeds; of those whose losses are not published, claims on shares alone can be judged."""
        return list(self._published.seeds)

    def others(self, columns: Sequence[str]) -> list[str]:
        """Runs that differ in some columns alone."""
        return list(self._published.others.get(tuple(columns), {}))

    def _curves(self, run: str) -> Curves:
        groups = (self._published.seeds, *self._published.others.values())
        curves = next(group[run] for group in groups if run in group)
        rows = pd.concat([self._rows(figure, series) for figure, series in curves])
        rows = rows[rows["quantity"].isin(_QUANTITIES)].assign(t=rows["t"].fillna(0.0)).sort_values("step")
        lines = dict(iter(rows.groupby(["quantity", "t"])))
        first, last = (getattr(rows.groupby(["quantity", "t"])["step"].agg(end), other)() for end, other in _ENDS)
        steps = np.unique(rows["step"][rows["step"].between(first, last)])
        times = np.unique(rows["t"])
        found = {
            quantity: np.stack([_between(lines[quantity, t], steps) for t in times])[None]
            for quantity in rows["quantity"].unique()
        }
        null = self._null() if self._published.plateau and "total" in found else None
        return Curves(steps, times, null=null, **found)

    @property
    def _counts_rows(self) -> bool:
        return (self.table.loc[self.table["task"] == self.task, "step_unit"] == LOG_ROW).any()

    def _null(self) -> np.ndarray:
        figure, first, last = self._published.plateau or ("", 0, 0)
        rows = self._rows(figure, None)
        flat = rows[(rows["quantity"] == "total") & rows["step"].between(first, last)]
        return np.array(flat["value"].median())

    def analysis(self, kind: str) -> pd.DataFrame:
        """The published landscapes, whose rows have a roughness."""
        rows = self.landscapes[self.landscapes["task"] == self.task]
        if kind != "landscape" or rows.empty:
            raise Untestable(f"no numbers of a {kind} analysis are published")
        return rows.assign(run=self.replicates[0])

    def combined(self, drawn: Sequence[Bounds], *notes: str, value: float | None = None) -> Found:
        """The median over seeds and their extremes."""
        lower, upper, seen = ([float(getattr(each, what)[0]) for each in drawn] for what in ("lower", "upper", "value"))
        value = float(np.median(seen)) if value is None else value
        if self._counts_rows:
            notes = (*notes, ROWS)
        return Found(value, min(lower), max(upper), notes, RANGE if len(drawn) > 1 else SINGLE)


_ENDS = (("min", "max"), ("max", "min"))


def _between(points: pd.DataFrame, steps: np.ndarray) -> np.ndarray:
    """Values at steps."""
    logs = np.interp(np.log(steps), np.log(points["step"]), np.log(points["value"]))
    known = points.set_index("step")["value"].reindex(steps).to_numpy(dtype=float)
    return np.where(np.isnan(known), np.exp(logs), known)
