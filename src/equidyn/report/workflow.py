"""The stages of the workflow, as reports draw them: which rules make each, and which stages it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A box of the graph.

    Attributes:
        title: What is made.
        rules: The rules that make it.
        after: Names of the stages that it is made from, without those that these are made from already.
        place: Column and row, from the upper left.
    """

    title: str
    rules: tuple[str, ...]
    after: tuple[str, ...]
    place: tuple[int, int]


STAGES = {
    "downloads": Stage("Downloads", ("download_file", "select_entries", "download_entries"), (), (0, 0)),
    "data": Stage(
        "Data",
        ("make_store", "split_store", "draw_subset", "describe_data", "audit_orientation", "measure_floors"),
        ("downloads",),
        (0, 1),
    ),
    "training": Stage("Training", ("train_network", "time_steps"), ("data",), (0, 2)),
    "evaluation": Stage("Evaluation", ("evaluate_checkpoints", "gather_run"), ("training",), (0, 3)),
    "tables": Stage("Tables", ("gather_tables", "gather_costs"), ("evaluation",), (0, 4)),
    "analyses": Stage("Analyses", ("analyse_checkpoints", "gather_analysis"), ("tables",), (0, 5)),
    "published": Stage("Authors’ data", ("read_published", "correct_published"), ("downloads",), (1, 1)),
    "claims": Stage("Claims", ("judge_claims",), ("analyses", "published"), (0, 6)),
    "figures": Stage("Figures", ("draw_figure", "redraw_figures"), ("claims",), (0, 7)),
    "record": Stage("Record", ("write_config", "write_manifest"), ("tables",), (1, 7)),
    "report": Stage("Report", ("write_report",), ("figures", "record"), (0, 8)),
}
"""Stages by name. A test compares them with the rules of the workflow and what these take from one another."""

BOX, GAP = (160, 42), (30, 22)
"""Width and height of a box, and of the space between two, in pixels."""


@dataclass(frozen=True)
class Box:
    """A stage as it is drawn: its corner in pixels, and what is said of it."""

    x: int
    y: int
    title: str
    words: str
    rules: tuple[str, ...]


def size() -> tuple[int, int]:
    """Width and height of the graph in pixels."""
    corners = [_corner(stage) for stage in STAGES.values()]
    return max(x for x, _ in corners) + BOX[0], max(y for _, y in corners) + BOX[1]


def boxes(words: Mapping[str, str]) -> list[Box]:
    """The boxes of the stages that a study has, each with some words."""
    return [Box(*_corner(STAGES[name]), STAGES[name].title, said, STAGES[name].rules) for name, said in words.items()]


def arrows(names: Mapping[str, str]) -> list[str]:
    """Paths between the boxes of those stages; what a stage that is left out stood between is joined."""
    width, height = BOX
    paths = []
    for name in names:
        (x, y), after = _corner(STAGES[name]), [*STAGES[name].after]
        while after:
            if (source := after.pop()) not in names:
                after += STAGES[source].after
                continue
            left, top = _corner(STAGES[source])
            if left == x:
                paths.append(f"M {x + width // 2} {top + height} V {y}")
            elif left > x:  # down, and back into the first column
                paths.append(f"M {left + width // 2} {top + height} V {y + height // 2} H {x + width}")
            else:  # beside the first column, and down
                side = left + width + GAP[0] // 2
                paths.append(f"M {left + width} {top + height // 2} H {side} V {y + height // 2} H {x}")
    return paths


def _corner(stage: Stage) -> tuple[int, int]:
    column, row = stage.place
    return column * (BOX[0] + GAP[0]), row * (BOX[1] + GAP[1])
