"""The report of a study: one HTML file that holds its figures and needs nothing else, no network and no script."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from equidyn.core.files import replacing
from equidyn.report.rendering import SYMBOLS, number, render

_CSS_DPI = 96


@dataclass(frozen=True)
class Picture:
    """One figure of the report.

    Attributes:
        task: Task that it belongs to, or `equidyn.figures.planned.ALL_TASKS`.
        name: Name of the figure.
        title: Its heading.
        category: Name of its group among the figures of the task.
        png: The image.
        caption: Plain text.
    """

    task: str
    name: str
    title: str
    category: str
    png: Path
    caption: str

    @property
    def anchor(self) -> str:
        """Id of the figure in the page."""
        return f"figure-{self.task}-{self.name}"

    @property
    def data(self) -> str:
        """The picture as base64."""
        return base64.b64encode(Path(self.png).read_bytes()).decode("ascii")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels, as it was drawn for; known at once, they keep links to anchors exact."""
        with Image.open(self.png) as image:
            return tuple(round(_CSS_DPI * n / dpi) for n, dpi in zip(image.size, image.info["dpi"], strict=True))


def write_report(
    path: str | Path,
    *,
    study: str,
    tasks: Mapping[str, str],
    pictures: Sequence[Picture],
    claims: pd.DataFrame | None,
    worst: pd.DataFrame,
    runs: pd.DataFrame,
    manifest: Mapping[str, Any],
    config: str,
) -> None:
    """Write a study's report. The same input gives the same bytes.

    Args:
        path: HTML file to write, in full or not at all.
        study: Its name.
        tasks: Titles of the tasks in the order to show them, with one for figures of all tasks.
        pictures: Figures in the order to show them, task by task.
        claims: The table of `equidyn.claims.definitions.judge`; None if none were judged. A figure that is not in
            the report is not linked.
        worst: The table of `equidyn.study.selection.worst_examples`.
        runs: One row per run, with any columns.
        manifest: Record of how the results were made: scalars, lists and mappings of these.
        config: The study's configuration, as text.

    Raises:
        ValueError: A picture is missing, a task is unknown, or a verdict is none of `equidyn.report.rendering.SYMBOLS`.
    """
    if missing := [str(picture.png) for picture in pictures if not Path(picture.png).is_file()]:
        raise ValueError(f"figures to draw before the report: {', '.join(missing)}")
    if unknown := {picture.task for picture in pictures} - set(tasks):
        raise ValueError(f"figures of unknown tasks {sorted(unknown)}; there are {list(tasks)}")
    if claims is not None and (unknown := set(claims["verdict"]) - set(SYMBOLS)):
        raise ValueError(f"unknown verdicts {sorted(unknown)}; there are {list(SYMBOLS)}")
    html = render(
        "study.html.j2",
        study=study,
        tasks=tasks,
        sections=_sections(pictures, tasks),
        figures={f"{picture.task}/{picture.name}": picture for picture in pictures},
        claims=[] if claims is None else _by_claim(claims),
        expected=_expected,
        worst=worst,
        runs=runs,
        manifest=manifest,
        config=config,
    )
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")


def _sections(pictures: Sequence[Picture], tasks: Iterable[str]) -> dict[str, dict[str, list[Picture]]]:
    """Figures by task and category, tasks in their order."""
    sections: dict[str, dict[str, list[Picture]]] = {}
    for picture in sorted(pictures, key=lambda picture: list(tasks).index(picture.task)):
        sections.setdefault(picture.task, {}).setdefault(picture.category, []).append(picture)
    return sections


def _by_claim(claims: pd.DataFrame) -> list[tuple[str, str, str, list[dict[str, Any]]]]:
    """Id, statement, statistic and rows of each claim, in the table's order."""
    grouped = claims.groupby(["claim", "statement", "statistic"], sort=False)
    return [(*claim, rows.to_dict("records")) for claim, rows in grouped]


def _expected(row: Mapping[str, Any]) -> str:
    """The range that a claim expects: a limit where it has one, with zero as no limit for what is never negative."""
    low, high = row["expected_low"], row["expected_high"]
    if math.isinf(high):
        return f"> {number(low)}"
    if low == 0 or math.isinf(low):
        return f"≤ {number(high)}"
    return f"{number(low)} to {number(high)}"
