"""Every task by its name, read from the cards without importing any task.

A task outside the package is named by its card, ``"mypackage.module:CARD"``, wherever a configuration or a run table
names a task.
"""

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.tasks.card import TaskCard


def task_cards() -> dict[str, TaskCard]:
    """Cards of the tasks of this package by name, in the order of reports."""
    return cards("equidyn.tasks")


def task_card(name: str) -> TaskCard:
    """The card of a task.

    Args:
        name: Name of a task of this package, or ``"module:name"`` of the card of any other.

    Raises:
        ValueError: If no task has that name, or the object named is no card; the message lists the tasks that exist.
    """
    if name in task_cards():
        return task_cards()[name]
    if ":" not in name:
        raise ValueError(
            f"unknown task {name!r}; known tasks: {', '.join(task_cards())}, or the card of your own as "
            "'mypackage.module:CARD'"
        )
    card = load(name)
    if not isinstance(card, TaskCard):
        raise ValueError(f"{name!r} is {card!r}, expected an equidyn.tasks.card.TaskCard")
    return card
