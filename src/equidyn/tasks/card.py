"""Cards of tasks: what other rooms may know of a task without importing it.

A card imports nothing heavy: the workflow reads it whenever it is parsed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from equidyn.core.groups.card import USUAL_GROUP, group_card
from equidyn.core.rooms import cards
from equidyn.core.settings import Settings


@dataclass(frozen=True)
class Words:
    """How figures and captions name things.

    Attributes:
        title: Title of the task.
        examples: What the data consist of.
        clusters: Groups of related examples, which the bootstrap resamples as one.
        null: The predictor that skill is measured against.
        remark: Remark on that predictor.
        trivial: The same kind of predictor, in a few words.
        error: Label of the squared error, e.g. "Squared error per coordinate".
    """

    title: str
    examples: str
    clusters: str
    null: str
    remark: str
    trivial: str
    error: str


@dataclass(frozen=True)
class Comparison:
    """A way of comparing predictions for an example in several orientations.

    Attributes:
        name: Name in legends.
        text: What it does, for captions.
        needs: Attribute of a group's card that must be true for the comparison to be possible under the group, e.g.
            ``"permutes_voxels"``.
        exact: Whether it adds no error beyond rounding, so that the task's control is exactly equivariant under it.
    """

    name: str
    text: str
    needs: str = ""
    exact: bool = False

    @property
    def described(self) -> str:
        """Name and text, for lists."""
        return f'"{self.name}" ({self.text})'


class Typical(Protocol):
    """Typical sizes of the examples of a source."""

    @property
    def mean(self) -> float:
        """Size of an average example, in the unit of `TaskCard.size`; 0 where the settings decide it."""

    @property
    def largest(self) -> float:
        """Size of the largest example."""


@dataclass(frozen=True)
class Sizes:
    """How large the examples are that go through a network at once.

    Attributes:
        mean: Sizes whose costs have the cost of an average example as their mean.
        largest: Size whose cost is the most that an example costs, on average over the batch.
        text: The assumption about sizes, for plans.
    """

    mean: tuple[float, ...]
    largest: float
    text: str


@dataclass(frozen=True)
class TaskCard:
    """What other rooms may know of a task.

    Attributes:
        name: Its name in configurations, run tables and tables.
        task: Class derived from `equidyn.tasks.contract.Task`, as ``"module:name"``.
        unit: Unit of the squared error per component, the same as in the class.
        words: Names of things in figures and captions.
        size: Unit in which costs of networks count the size of an example, e.g. ``"atoms"``.
        sizes: Function that returns the sizes of examples, from the settings of the data, the settings of the task, the
            typical sizes of the source, and the number of examples that go through a network at once.
        inputs: Function that makes the input of a network for one example of a given size, as ``"module:function"``,
            to count the costs of networks without a formula; "" if all have one.
        comparisons: Ways of comparing predictions for rotated examples, by their names in tables.
        comparison: Name of the usual comparison.
        control: Name of the exactly equivariant model, whose error is the numeric floor; "" if there is none.
        group: The usual group.
        settings: Section ``training.<task>.task`` of a configuration; None if the task has no settings.
        conditions: Section ``evaluation.<task>.conditions``; None if predictions are asked for in one way only.
        repeated: Share of training steps that need one more forward pass, without a backward pass.
        has_positions: Whether examples have ``positions``, by which their orientations are audited.
        quantities: Function that describes examples in the data report, as ``"module:function"``; "" for none.
        order: Place among tasks in reports.
    """

    name: str
    task: str
    unit: str
    words: Words
    size: str
    sizes: Callable[[Mapping[str, Any], Mapping[str, Any], Typical, int], Sizes]
    comparisons: Mapping[str, Comparison]
    comparison: str
    control: str = ""
    group: str = USUAL_GROUP
    settings: type[Settings] | None = None
    conditions: type[Settings] | None = None
    repeated: float = 0.0
    has_positions: bool = True
    quantities: str = ""
    inputs: str = ""
    order: int = 100
    module: str = field(init=False)
    """Module of the task's class, for digests of code."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", self.task.partition(":")[0])
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(f"task {self.name!r}: files have its name: use letters, digits, '.', '_' and '-'")
        if self.comparison not in self.comparisons:
            raise ValueError(
                f"task {self.name}: unknown comparison {self.comparison!r}; its card has {', '.join(self.comparisons)}"
            )

    def check_group(self, group: str) -> None:
        """Refuse a group under which the task can compare predictions in no way, and so act on examples neither.

        Raises:
            ValueError: There is no such group, or the task cannot use it.
        """
        found = group_card(group)
        if not any(not way.needs or getattr(found, way.needs) for way in self.comparisons.values()):
            raise ValueError(f"{self.name} cannot use the group {group!r}: its card lists no comparison under it")

    def check_symmetry(self, group: str, comparison: str) -> None:
        """Refuse a group, or a way of comparing predictions under it, that the task cannot use.

        Raises:
            ValueError: The message says what could be used instead.
        """
        if comparison not in self.comparisons:
            raise ValueError(f"unknown comparison {comparison!r}; {self.name} has {', '.join(self.comparisons)}")
        needs = self.comparisons[comparison].needs
        if needs and not getattr(group_card(group), needs):
            able = ", ".join(name for name, card in cards("equidyn.core.groups").items() if getattr(card, needs))
            raise ValueError(f"the group {group!r} does not allow the comparison {comparison!r}; those that do: {able}")

    @property
    def has_choice(self) -> bool:
        """Whether predictions can be compared in several ways, so that figures must say which."""
        return len(self.comparisons) > 1

    @property
    def has_times(self) -> bool:
        """Whether predictions are asked for at several flow times."""
        return self.conditions is not None and "t" in self.conditions.model_fields
