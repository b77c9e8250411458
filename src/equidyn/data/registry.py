"""Every source of data by its task and name, read from the cards without importing what makes stores.

A source outside the package is named by its card, ``"mypackage.module:CARD"``.
"""

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.data.card import SourceCard


def source_cards(task: str) -> dict[str, SourceCard]:
    """Cards of the sources of a task in this package, by the name that configurations use."""
    return {card.source: card for card in cards("equidyn.data.sources").values() if card.task == task}


def source_card(task: str, name: str) -> SourceCard:
    """The card of a source.

    Args:
        task: Name of the task.
        name: Name of one of its sources in this package, or ``"module:name"`` of the card of any other.

    Raises:
        StudyError: The task has no such source; the message lists its sources.
    """
    known = source_cards(task)
    if name in known:
        return known[name]
    where = f"data.{task}.source"
    if ":" not in name:
        raise StudyError(
            f"{where}: unknown source {name!r}; known sources: {', '.join(known) or 'none'}, or the card of your own "
            "as 'mypackage.module:CARD'"
        )
    try:
        card = load(name)
    except ValueError as error:
        raise StudyError(f"{where}: {error}") from None
    if not isinstance(card, SourceCard) or card.task != task:
        raise StudyError(f"{where}: {name!r} is {card!r}, expected an equidyn.data.card.SourceCard for this task")
    return card
