"""What to draw of a task, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from equidyn.study.choice import NEARLY, Choice
from equidyn.tasks.card import Comparison, Words

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Options(Choice):
    """Which rows of a task to draw, and how to speak of them.

    Attributes:
        words: How to name things.
        comparisons: Ways of comparing predictions by the name in tables, if the task has several; else none.
        threshold: Percent below which the paper calls a network nearly equivariant.
        confidence: Level at which the table's intervals were computed, for captions.
        group_texts: What elements of the groups are, by the name in tables; of the usual one nothing need be said.
    """

    words: Words
    comparisons: Mapping[str, Comparison]
    threshold: float = NEARLY
    confidence: float = 0.95
    group_texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Options:
        """Options from what `dataclasses.asdict` makes of them."""
        comparisons = {name: Comparison(**own) for name, own in fields["comparisons"].items()}
        return cls(**{**fields, "words": Words(**fields["words"]), "comparisons": comparisons})

    @property
    def limit(self) -> str:
        """The least useful skill, as text."""
        return f"{self.useful_skill:g}"

    @property
    def level(self) -> str:
        """The level of intervals, as text."""
        return f"{100 * self.confidence:g} %"

    @property
    def has_floor(self) -> bool:
        """Whether the way in which predictions are compared has an error of its own, beyond rounding."""
        return self.comparison is not None and not self.comparisons[self.comparison].exact

    def compared_by(self, data: pd.DataFrame) -> Comparison | None:
        """How the predictions of all rows were compared; None if in several ways, or if there is only one way."""
        there = [comparison for comparison in dict.fromkeys(data["comparison"]) if comparison in self.comparisons]
        return self.comparisons[there[0]] if len(there) == 1 else None

    def control_is_exact(self, data: pd.DataFrame) -> bool:
        """Whether the control behind ``floor_control`` is exactly equivariant under the rotations of all rows."""
        return all(self.comparisons[comparison].exact for comparison in set(data["comparison"]) & set(self.comparisons))
