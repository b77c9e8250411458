"""What runs are compared by: which columns may differ, how the settings are called, ordered and coloured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle

import pandas as pd

from equidyn.core.numbers import count, power
from equidyn.figures.parts import style
from equidyn.figures.parts.options import Options
from equidyn.study import choice
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
        names: Name of the setting of each row.
        ordered: Whether the settings are more or less of something, which ordered colours show.
    """

    title: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    names: Callable[[pd.DataFrame], list[str]]
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


def _train_sizes(rows: pd.DataFrame) -> list[str]:
    several = rows["batch_size"].nunique() > 1
    return [
        f"{examples:,}" + (f", batch size {size}" if several else "")
        for examples, size in zip(rows["train_examples"], rows["batch_size"], strict=True)
    ]


def _models(rows: pd.DataFrame) -> list[str]:
    return [f"{count(n)}, {model}" for n, model in zip(rows["parameters"], rows["model"], strict=True)]


def _optimisers(rows: pd.DataFrame) -> list[str]:
    spelt = {"adamw": "AdamW", "adam": "Adam", "sgd": "SGD"}
    return [f"{spelt.get(name, name)}, {power(lr)}" for name, lr in zip(rows["optimiser"], rows["lr"], strict=True)]


def _augmentations(rows: pd.DataFrame) -> list[str]:
    return [{0.0: "none", 1.0: "all"}.get(share, f"{100 * share:g} %") for share in rows["augmentation"]]


TRAIN_SIZE = Variation(
    "Training examples",
    choice.TRAIN_SIZE,
    ("train_examples", "batch_size"),
    _train_sizes,
    ordered=True,
)
MODEL_SIZE = Variation("Parameters, model", choice.MODEL_SIZE, ("parameters", "model"), _models, ordered=True)
OPTIMISER = Variation("Optimiser, peak learning rate", choice.OPTIMISER, ("optimiser", "lr"), _optimisers)
AUGMENTATION = Variation("Rotated training examples", choice.AUGMENTATION, ("augmentation",), _augmentations)


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
