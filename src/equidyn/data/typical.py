"""Typical examples of sources whose settings decide the sizes of examples, and not their number alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from equidyn.data.card import Typical


@dataclass(frozen=True, kw_only=True)
class TypicalBySettings(Typical):
    """Typical examples as settings decide them; the numbers of the instance itself are those of the whole source.

    Attributes:
        asked: Function from the section ``data.<task>`` to what the examples are like that it asks for.
    """

    asked: Callable[[Mapping[str, Any]], Typical]
