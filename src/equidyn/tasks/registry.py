"""Every task by its name, read from the cards without importing any task.

A task outside the package is named by its card, ``"mypackage.module:CARD"``, where a configuration or a run table names
a task. From then on it goes by the name in its card, in tables and in the names of files as well.
"""

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.tasks.card import TaskCard


def task_cards() -> dict[str, TaskCard]:
    """Cards of the tasks of this package by name, in the order of reports."""
    return cards("equidyn.tasks")


_outside: dict[str, TaskCard] = {}


def outside_cards() -> dict[str, TaskCard]:
    """Cards of the tasks of other packages that `task_name` has met, by name."""
    return dict(_outside)


def task_name(task: str) -> str:
    """The name of a task, by which `task_card` knows it from then on.

    Args:
        task: A name, which is returned as it is, or ``"module:name"`` of a card of another package.

    Raises:
        ValueError: The object named is no card, or this package has a task of its name.
    """
    if ":" not in task:
        return task
    card = task_card(task)
    if card.name in task_cards():
        raise ValueError(f"{task!r}: this package has a task {card.name!r}: choose another name in the card")
    _outside[card.name] = card
    return card.name


def task_card(name: str) -> TaskCard:
    """The card of a task.

    Args:
        name: Name of a task of this package, or ``"module:name"`` of the card of any other.

    Raises:
        ValueError: If no task has that name, or the object named is no card; the message lists the tasks that exist.
    """
    if card := (task_cards() | _outside).get(name):
        return card
    if ":" not in name:
        raise ValueError(
            f"unknown task {name!r}; known tasks: {', '.join(task_cards())}, or the card of your own as "
            "'mypackage.module:CARD'"
        )
    card = load(name)
    if not isinstance(card, TaskCard):
        raise ValueError(f"{name!r} is {card!r}, expected an equidyn.tasks.card.TaskCard")
    return card
