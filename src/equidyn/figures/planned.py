"""Which figures a study draws, from which tables, with which options and by which code.

Families of figures are found by their cards, so that a new one changes no digest of the others. What a job needs of a
card and of the task's, it receives as parameters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from equidyn.core.groups.card import USUAL_GROUP, group_card
from equidyn.core.rooms import cards
from equidyn.figures.card import APPENDIX, Figure
from equidyn.figures.parts.options import Options
from equidyn.study.choice import choice_of, differing, symmetries
from equidyn.study.config import model_of
from equidyn.tasks.registry import task_card

ALL_TASKS = "all"
"""Stands for a task in the paths of figures that show all tasks."""


@cache
def known_figures() -> dict[str, Figure]:
    """Every figure by name, in the order of reports.

    Raises:
        ValueError: Two figures have one name.
    """
    found: dict[str, Figure] = {}
    for family in cards("equidyn.figures.families").values():
        for figure in family.figures:
            if figure.name in found:
                raise ValueError(
                    f"figure {figure.name!r}: {figure.module} and {found[figure.name].module} share a name"
                )
            found[figure.name] = figure
    return found


def figures_for(task: str) -> list[str]:
    """Names of the figures of a task, or of those of `ALL_TASKS`."""
    if task == ALL_TASKS:
        return [name for name, figure in known_figures().items() if figure.overview]
    card = task_card(task)
    names = [
        name
        for name, figure in known_figures().items()
        if not figure.overview and figure.fits(card) and (not figure.tasks or task in figure.tasks)
    ]
    return sorted(names, key=lambda name: category(name, task) == APPENDIX)


def category(name: str, task: str) -> str:
    """Part of the report that a figure of a task, or of `ALL_TASKS`, belongs to."""
    figure = known_figures()[name]
    return APPENDIX if task != ALL_TASKS and figure.appendix(task_card(task)) else figure.category


def figures_drawn(
    config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], makes: Callable[[str, str], bool]
) -> list[tuple[str, str]]:
    """Task and name of every figure that a study draws, in the order of reports.

    Args:
        config: The study's configuration, checked.
        runs: Rows of the run table by name.
        makes: Whether the study makes a kind of table of a task.
    """
    tasks = dict.fromkeys(row["task"] for row in runs.values())
    return [
        (task, name)
        for task in [ALL_TASKS, *tasks]
        for name in figures_for(task)
        if all(makes(kind, task) for kind in known_figures()[name].tables)
        and _is_varied(known_figures()[name], task, config, runs)
    ]


def _is_varied(figure: Figure, task: str, config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether some run differs from the baseline in what a figure compares, and in nothing else but the seed."""
    if not figure.varies:
        return True
    baseline = config["figures"]["baseline"][task]
    known = {name: {**row, "variant": model_of(config, row).variant} for name, row in runs.items()}
    return any(
        figure.variant in ("", known[name]["variant"])
        for columns in figure.varies
        for name in differing(known, baseline, columns)
    )


def titles(tasks: Iterable[str]) -> dict[str, str]:
    """Titles of the parts of a report: figures of all tasks, then those of each, in the order of reports."""
    ordered = sorted(map(task_card, tasks), key=lambda card: (card.order, card.name))
    return {ALL_TASKS: "All tasks"} | {card.name: card.words.title for card in ordered}


def options_for(task: str, **fields: Any) -> Options:
    """Options of a task: words and comparisons of its card, what is usual of it, and other fields as given."""
    card = task_card(task)
    usual: dict[str, Any] = {"comparison": card.comparison if card.has_choice else None, "timed": card.has_times}
    comparisons = card.comparisons if card.has_choice else {}
    return Options(**usual | {"task": task, "words": card.words, "comparisons": comparisons} | fields)


def drawing(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], task: str, name: str) -> dict[str, Any]:
    """What decides how a figure looks apart from tables, formats and code, all of builtin types.

    Returns:
        The arguments ``figure`` and ``options`` of `equidyn.figures.parts.making.make_figure`.
    """
    figure = known_figures()[name]
    tasks = dict.fromkeys(row["task"] for row in runs.values()) if task == ALL_TASKS else [task]
    confidence = config["evaluation"]["confidence"]
    return {
        "figure": {field.name: getattr(figure, field.name) for field in fields(figure) if field.name in _SHOWN},
        "options": {
            each: asdict(
                options_for(**asdict(choice_of(config, each)), confidence=confidence, group_texts=_texts(config, each))
            )
            for each in tasks
        },
    }


def _texts(config: Mapping[str, Any], task: str) -> dict[str, str]:
    """What elements of the groups are that a task is evaluated under, but for the usual one."""
    names = dict.fromkeys(pair["group"] for pair in symmetries(config, task))
    return {name: group_card(name).text for name in names if name != USUAL_GROUP}


_SHOWN = ("name", "title", "caption", "method", "overview", "notes", "by_comparison", "log_share", "module")
"""Fields of a figure that its job receives."""
