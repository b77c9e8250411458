"""What runs are compared by: which columns may differ, how the settings are called, ordered and coloured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pandas as pd

from equidyn.core.numbers import count, power
from equidyn.figures.parts import style
from equidyn.figures.parts.options import Options
from equidyn.run.recipe import DESIGN
from equidyn.study import choice
from equidyn.study.labels import OPTIMISERS, label, rotated_text, run_label
from equidyn.study.selection import chosen, varying

Looks = dict[str, tuple[str, str]]
"""Colour and marker of each series, in the order of the legend."""


@dataclass(frozen=True)
class Variation:
    """A thing that runs differ in.

    Attributes:
        title: The thing, as a title of the legend.
        columns: Columns of the design in which runs may differ.
        order: Columns by which to order them.
        names: Name of the run of each row by these columns alone.
        ordered: Whether the settings are more or less of something, which ordered colours show.
    """

    title: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    names: Callable[[pd.DataFrame, Options], list[str]]
    ordered: bool = False

    def rows(self, table: pd.DataFrame, options: Options) -> pd.DataFrame:
        """Rows of the baseline and of the runs that differ from it in this thing and in seed alone."""
        return varying(chosen(table, options), options.baseline, self.columns)

    def looks(self, data: pd.DataFrame) -> Looks:
        """How to draw the series of rows that were selected and named."""
        series = data.sort_values(list(self.order), kind="stable")["series"]
        if self.ordered:
            return looks_of(series, style.graded)
        looks = looks_of(data["series"])  # the baseline, which the data has first, keeps its colour in all figures
        return {name: looks[name] for name in dict.fromkeys(series)}


def looks_of(series: Iterable[str], colours: Callable[[int], list[str]] = style.distinct) -> Looks:
    """Looks of series, each of which may come several times, in colours as `style` has them for so many things."""
    names = list(dict.fromkeys(series))
    return dict(zip(names, zip(colours(len(names)), cycle(style.MARKERS)), strict=True))


def labels(rows: pd.DataFrame, options: Options) -> list[str]:
    """What the run of each row is called, the same in all figures.

    Rows without the columns of the design are called by the names of their runs.
    """
    runs = rows.drop_duplicates("run").set_index("run")
    named: dict[str, str] = {}
    for run, row in runs.iterrows():
        known = {"seed", *DESIGN} <= set(rows)
        named[str(run)] = run_label(row, runs.loc[options.baseline]) if known else str(run)
    return [named[run] for run in rows["run"]]


def _noted(rows: pd.DataFrame, columns: Sequence[str], options: Options, notes: Iterable[str]) -> list[str]:
    """Names of rows by some columns alone, each with a note where that says more."""
    reference = rows[rows["run"] == options.baseline].iloc[0]
    told = []
    for row, note in zip(rows.to_dict("records"), notes, strict=True):
        name = label(row, reference, columns)
        told.append(name if note in name else f"{name} ({note})")
    return told


def _train_sizes(rows: pd.DataFrame, options: Options) -> list[str]:
    return _noted(rows, choice.TRAIN_SIZE, options, (f"{examples:,}" for examples in rows["train_examples"]))


def _models(rows: pd.DataFrame, options: Options) -> list[str]:
    reference = rows.loc[rows["run"] == options.baseline, "model"].iloc[0]
    sizes = (
        f"{model}, {count(n)}" if model == reference else count(n)
        for n, model in zip(rows["parameters"], rows["model"], strict=True)
    )
    return _noted(rows, choice.MODEL_SIZE, options, sizes)


def _optimisers(rows: pd.DataFrame, options: Options) -> list[str]:
    reference = rows[rows["run"] == options.baseline].iloc[0]
    said = (
        f"{OPTIMISERS.get(row.optimiser, row.optimiser)}, rate {power(row.lr)}" if _is_usual(row, reference) else ""
        for row in rows.itertuples()
    )
    return _noted(rows, choice.OPTIMISER, options, said)


def _is_usual(row: Any, reference: pd.Series) -> bool:
    return row.optimiser == reference["optimiser"] and row.lr == reference["lr"]


def _augmentations(rows: pd.DataFrame, options: Options) -> list[str]:
    return _noted(rows, choice.AUGMENTATION, options, map(rotated_text, rows["augmentation"]))


TRAIN_SIZE = Variation(
    "Run (training examples)",
    choice.TRAIN_SIZE,
    ("train_examples", "batch_size"),
    _train_sizes,
    ordered=True,
)
MODEL_SIZE = Variation("Run (parameters)", choice.MODEL_SIZE, ("parameters", "model"), _models, ordered=True)
OPTIMISER = Variation("Run (optimiser, rate)", choice.OPTIMISER, ("optimiser", "lr"), _optimisers)
AUGMENTATION = Variation("Run (training examples)", choice.AUGMENTATION, ("augmentation",), _augmentations)


def by_comparison(rows: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows in the order in which the task's card has the ways of comparing predictions.

    Raises:
        ValueError: The card has not all of those in the rows.
    """
    known = list(options.comparisons)
    if unknown := sorted(set(rows["comparison"]) - set(known)):
        raise ValueError(f"unknown comparison(s) {', '.join(unknown)}: figures know {', '.join(known)}")
    return rows.iloc[rows["comparison"].map(known.index).argsort(kind="stable")]


def comparison_names(rows: pd.DataFrame, options: Options) -> list[str]:
    """What legends call the way in which each row compares predictions."""
    return [options.comparisons[comparison].name for comparison in rows["comparison"]]


def comparison_looks(data: pd.DataFrame, options: Options) -> Looks:
    """Looks of the ways of comparing predictions among the series, in the order of the task's card."""
    looks = looks_of(comparison.name for comparison in options.comparisons.values())
    return {name: look for name, look in looks.items() if name in set(data["series"])}
