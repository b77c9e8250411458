"""What a family of figures says of itself, without a plotting library, so that the workflow can read it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from equidyn.tasks.card import TaskCard

APPENDIX = "Appendix"
"""Part of the report with what repeats other figures, or shows little."""


def any_task(card: TaskCard) -> bool:
    """Fits all tasks."""
    return True


def timed(card: TaskCard) -> bool:
    """Fits tasks whose networks are evaluated at flow times."""
    return card.has_times


def untimed(card: TaskCard) -> bool:
    """Fits tasks without flow times."""
    return not timed(card)


def compared(card: TaskCard) -> bool:
    """Fits tasks whose predictions can be compared in several ways."""
    return card.has_choice


def no_task(card: TaskCard) -> bool:
    """Fits no task."""
    return False


def uncompared(card: TaskCard) -> bool:
    """Fits tasks whose predictions can be compared in one way only."""
    return not compared(card)


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: Name of its files and of the function that draws it, (tables…, options) to (figure, rows shown).
        title: Its heading in a report.
        caption: What is drawn, in plain words and at most 60 of them.
        method: The rest of what depends on no data: definitions, and what is drawn how. Both are templates; see
            `equidyn.figures.parts.captions.caption`, which adds what depends on the data to the method.
        category: Part of the report.
        appendix: For which tasks its part is the last one, `APPENDIX`: those where it repeats others, or shows little.
        fits: Which tasks it can be drawn for.
        tasks: Tasks to draw it for, of those; all if empty.
        overview: Whether it shows all tasks at once, and is drawn with a mapping of the options of each.
        tables: Tables it is drawn from, in the order in which the function takes them: tables of which a study has one,
            `equidyn.study.stages.STUDY_TABLES`, or kinds that have one for each task.
        varies: Sets of columns of the run table. There is nothing to draw unless some run differs from the baseline in
            one of these sets, and in nothing else but the seed.
        variant: Variant of the model that such a run must have.
        notes: Name of the function that writes the rest of its caption, (rows shown, options) to sentences, in the
            module of the function that draws it; empty for figures of the evaluation table, whose captions
            `equidyn.figures.parts.captions` writes.
        by_comparison: Whether it shows several ways of comparing predictions side by side.
        log_share: Whether some axis of shares of the loss, if any, is logarithmic.
        module: Module of the functions; that of its family.
    """

    name: str
    title: str
    caption: str
    method: str = ""
    category: str = ""
    appendix: Callable[[TaskCard], bool] = no_task
    fits: Callable[[TaskCard], bool] = any_task
    tasks: tuple[str, ...] = ()
    overview: bool = False
    tables: tuple[str, ...] = ("evaluation",)
    varies: tuple[tuple[str, ...], ...] = ()
    variant: str = ""
    notes: str = ""
    by_comparison: bool = False
    log_share: bool = True
    module: str = ""

    @property
    def draw(self) -> str:
        """The function that draws it, as ``"module:name"``."""
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class Family:
    """Figures that are drawn by the functions of one module, ``draw`` beside the card.

    Attributes:
        name: Name of the package.
        order: Place in reports.
        figures: In the order of reports.
    """

    name: str
    order: int
    figures: tuple[Figure, ...]

    def __post_init__(self):
        module = f"equidyn.figures.families.{self.name}.draw"
        object.__setattr__(self, "figures", tuple(replace(figure, module=module) for figure in self.figures))
