"""What runs are compared by: which columns may differ, how the settings are called, ordered and coloured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from equidyn.core.numbers import count, power
from equidyn.figures.parts import style
from equidyn.figures.parts.options import ACTIONS, Options
from equidyn.study.selection import chosen, varying

Looks = dict[str, tuple[str, str]]
"""Colour and marker of each series, in the order of the legend."""


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs that differ in one thing.

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
        series = list(dict.fromkeys(data.sort_values(list(self.order), kind="stable")["series"]))
        if self.ordered:
            return graded_looks(series)
        # The baseline, which the data has first, keeps its colour in all figures.
        looks = distinct_looks(list(dict.fromkeys(data["series"])))
        return {name: looks[name] for name in series}


def distinct_looks(series: list[str]) -> Looks:
    """Looks of things without order."""
    return _looks(series, style.distinct(len(series)))


def graded_looks(series: list[str]) -> Looks:
    """Looks of ordered things."""
    return _looks(series, style.graded(len(series)))


def timed_looks(series: list[str]) -> Looks:
    """Looks of flow times."""
    return _looks(series, style.timed(len(series)))


def _looks(series: list[str], colours: list[str]) -> Looks:
    return {
        name: (colour, style.MARKERS[i % len(style.MARKERS)])
        for i, (name, colour) in enumerate(zip(series, colours, strict=True))
    }


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


TRAIN_SIZE = Comparison(
    "Training examples",
    ("train_subset", "batch_size"),
    ("train_examples", "batch_size"),
    _train_sizes,
    ordered=True,
)
MODEL_SIZE = Comparison("Parameters, model", ("model",), ("parameters", "model"), _models, ordered=True)
OPTIMISER = Comparison("Optimiser, peak learning rate", ("optimiser", "lr"), ("optimiser", "lr"), _optimisers)
AUGMENTATION = Comparison("Rotated training examples", ("augmentation",), ("augmentation",), _augmentations)


def by_action(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of `ACTIONS`.

    Raises:
        ValueError: An action is none of them.
    """
    if unknown := sorted(set(rows["action"]) - set(ACTIONS)):
        raise ValueError(f"unknown action(s) {', '.join(unknown)}: figures know {', '.join(ACTIONS)}")
    return rows.iloc[rows["action"].map(list(ACTIONS).index).argsort(kind="stable")]


def names_of(actions: pd.Series) -> list[str]:
    """How actions are called in legends."""
    return [ACTIONS[action].name for action in actions]


def action_looks(data: pd.DataFrame) -> Looks:
    """Looks of the actions among the series, in the order of `ACTIONS`."""
    looks = distinct_looks([action.name for action in ACTIONS.values()])
    return {name: look for name, look in looks.items() if name in set(data["series"])}
