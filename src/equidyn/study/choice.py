"""The choice of rows that figures and claims look at, and the runs of a study that can be compared.

Nothing here needs pandas, so that the workflow asks the same functions of the run table that figures ask of tables.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from equidyn.models.card import CONTROL
from equidyn.run.recipe import DESIGN, Schedule
from equidyn.tasks.registry import task_card

SEED = ("seed",)
MODEL_SIZE = ("model",)
TRAIN_SIZE = ("train_subset", "batch_size")
OPTIMISER = ("optimiser", "lr")
AUGMENTATION = ("augmentation",)
OPPONENT = ("model", "lr")
"""What an exactly equivariant network may differ in from the baseline that it is compared with."""

NEARLY = 2.0
"""Percent of the loss at or below which the paper calls a network nearly equivariant."""


@dataclass(frozen=True)
class Choice:
    """The rows of a task that are looked at.

    Attributes:
        task: Rows of other tasks are ignored.
        baseline: Run that others are compared with.
        weights: "raw" or "ema".
        estimator: "exact" or "sampled"; a run without this estimator is shown by the other one.
        self_conditioning: Whether networks that can see their own first prediction do; tasks without the choice
            ignore it.
        group: The group whose elements twist predictions, in figures that show one; None for any.
        comparison: The comparison of predictions, in figures that show one of several; None where there is only one.
        useful_skill: Skill below which a network predicts nothing useful.
        timed: Whether predictions are asked for at several flow times.
        anneals: Whether the learning rate falls along training, so that only the end of a training is one.
        pairs: Groups and comparisons that were evaluated, where there are several.
        exact: That of them under which controls are exactly equivariant, if there is one.
    """

    task: str
    baseline: str = "base"
    weights: str = "ema"
    estimator: str = "exact"
    self_conditioning: bool = False
    group: str | None = None
    comparison: str | None = None
    useful_skill: float = 0.05
    timed: bool = False
    anneals: bool = True
    pairs: Sequence[Sequence[str]] = ()
    exact: Sequence[str] = ()

    def under(self, pair: Sequence[str]) -> Self:
        """The same choice under another group and comparison."""
        group, comparison = pair
        return replace(self, group=group, comparison=comparison)

    @property
    def at_equal_cost(self) -> Self:
        """The choice for losses that are compared at equal cost: under rotations that turn no control's prediction."""
        return self.under(self.exact) if self.exact else self

    @property
    def conditions(self) -> dict[str, Any]:
        """Columns in which rows of one run, step and weights may differ, each with the value to show."""
        pair = {"group": self.group, "comparison": self.comparison}
        return {"self_conditioning": self.self_conditioning} | {name: v for name, v in pair.items() if v is not None}


def symmetries(config: Mapping[str, Any], task: str) -> list[dict[str, str]]:
    """Groups that a task is evaluated under, each with its comparison; the usual pair if none is given."""
    card = task_card(task)
    usual = [{"group": card.group, "comparison": card.comparison}]
    return [dict(pair) for pair in config.get("evaluation", {}).get(task, {}).get("symmetries", usual)]


def choice_of(config: Mapping[str, Any], task: str) -> Choice:
    """The choice that follows from a study's configuration and the card of a task."""
    section, card, pairs = config["figures"], task_card(task), symmetries(config, task)
    shown = next((pair for pair in pairs if pair["comparison"] == card.comparison), pairs[0])
    several = [(pair["group"], pair["comparison"]) for pair in pairs] if card.has_choice and len(pairs) > 1 else ()
    return Choice(
        task=task,
        baseline=section["baseline"][task],
        weights=section["weights"],
        estimator=section["estimator"],
        group=shown["group"],
        comparison=shown["comparison"] if card.has_choice else None,
        timed=card.has_times,
        anneals=config.get("training", {}).get(task, {}).get("final_factor", Schedule().final_factor) != 1,
        pairs=several,
        exact=next((pair for pair in several if card.comparisons[pair[1]].exact), ()),
    )


def choices_of(config: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Fields of the choice of each task, in the order of reports."""
    ordered = sorted(tasks, key=lambda task: (task_card(task).order, task))
    return {task: asdict(choice_of(config, task)) for task in ordered}


def comparable(
    runs: Mapping[str, Mapping[str, Any]],
    baseline: str,
    columns: Sequence[str],
    *,
    include_controls: bool = False,
    all_lengths: bool = False,
) -> list[str]:
    """Names of the baseline and of the runs that differ from it in nothing but some columns and the seed.

    Args:
        runs: By run name, its `DESIGN`, its ``seed``, its number of ``steps`` and the ``variant`` of its model.
        baseline: Name of a run.
        columns: Some of `DESIGN`; the seed, which may always differ, is allowed among them.
        include_controls: Whether to keep runs of exactly equivariant models.
        all_lengths: Whether to keep runs of one design that differ in length; without it, those as long as the baseline
            are kept, or the longest where none is.

    Returns:
        The baseline first, the others by seed, then in their order.

    Raises:
        ValueError: No run has this name, or a column is not one of the design.
    """
    if unknown := set(columns) - {*DESIGN, *SEED}:
        raise ValueError(f"{', '.join(sorted(unknown))}: not a column of the design, which are {', '.join(DESIGN)}")
    if baseline not in runs:
        raise ValueError(f"no run is named {baseline!r}; the table has {', '.join(runs) or 'no runs'}")
    reference = runs[baseline]
    equal = [column for column in DESIGN if column not in columns]
    alike = [
        name
        for name, run in runs.items()
        if all(same(run[column], reference[column]) for column in equal)
        and (include_controls or run["variant"] != CONTROL or run["model"] == reference["model"])
    ]
    if not all_lengths:
        alike = _of_one_length(runs, alike, reference["steps"])
    return sorted(alike, key=lambda name: (name != baseline, runs[name]["seed"]))


def _of_one_length(runs: Mapping[str, Mapping[str, Any]], names: Iterable[str], usual: int) -> list[str]:
    """Of runs of each design, those of the usual length, or the longest where none has it."""
    lengths: dict[tuple[str, ...], set[int]] = {}
    designs = {name: tuple(str(runs[name][column]) for column in DESIGN) for name in names}
    for name, design in designs.items():
        lengths.setdefault(design, set()).add(runs[name]["steps"])
    kept = {design: usual if usual in each else max(each) for design, each in lengths.items()}
    return [name for name, design in designs.items() if runs[name]["steps"] == kept[design]]


def differing(runs: Mapping[str, Mapping[str, Any]], baseline: str, columns: Sequence[str]) -> list[str]:
    """Names of the `comparable` runs that differ from the baseline in at least one of the columns."""
    return [
        name
        for name in comparable(runs, baseline, columns)
        if not all(same(runs[name][column], runs[baseline][column]) for column in columns)
    ]


def same(value: Any, other: Any) -> bool:
    """Whether two settings are equal, or both are missing."""
    return value is other or bool(value == other) or (value != value and other != other)
