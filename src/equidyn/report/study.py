"""The report of a study: one HTML file that holds its figures, results and scripts, and needs no network."""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from equidyn.core.files import replacing
from equidyn.report import workflow
from equidyn.report.curves import MEASURES, curves, ends, findings, matrix
from equidyn.report.glossary import TERMS
from equidyn.report.rendering import SYMBOLS, expected, render, vega
from equidyn.study.choice import Choice

SUMMARY = "all/summary"
"""Task and name of the figure of the first screen, where a study has it."""

_CSS_DPI = 120  # a quarter larger than in print: type of 6 pt has 10 pixels
_SHADES = [round(round(20 * value / 255) * 255 / 20) for value in range(256)]
"""For each value of a colour the nearest of 21: edges of drawings have many shades, and take most of their bytes."""


@dataclass(frozen=True)
class Picture:
    """One figure of the report.

    Attributes:
        task: Task that it belongs to, or `equidyn.figures.planned.ALL_TASKS`.
        name: Name of the figure.
        title: Its heading.
        category: Name of its group among the figures of the task.
        png: The image.
        caption: Plain text, of which the first sentence says what is drawn.
        files: Further files of it by kind, such as CSV, relative to the report.
        data: The image as the report holds it, see `webp`.
    """

    task: str
    name: str
    title: str
    category: str
    png: Path
    caption: str
    files: Mapping[str, str] = field(default_factory=dict)
    data: str = ""

    @property
    def anchor(self) -> str:
        """Id of the figure in the page."""
        return f"figure-{self.task}-{self.name}"

    @property
    def said(self) -> tuple[str, str]:
        """What is drawn, and the method, which an empty line sets apart; without one, the first sentence and others."""
        drawn, empty, method = self.caption.partition("\n\n")
        if empty:
            return drawn, method
        first, *others = re.split(r"(?<=[a-z)]\.) (?=[A-Z])", self.caption, maxsplit=1)
        return first, " ".join(others)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels; known at once, they keep links to anchors exact."""
        with Image.open(self.png) as image:
            return tuple(round(_CSS_DPI * n / dpi) for n, dpi in zip(image.size, image.info["dpi"], strict=True))


def write_report(
    path: str | Path,
    *,
    study: str,
    tasks: Mapping[str, str],
    pictures: Sequence[Picture],
    claims: pd.DataFrame | None,
    evaluation: pd.DataFrame,
    costs: pd.DataFrame,
    choices: Sequence[Choice],
    worst: pd.DataFrame,
    manifest: Mapping[str, Any],
    config: str,
    analyses: Sequence[str] = (),
    downloads: Sequence[str] = (),
    commit: str = "",
) -> None:
    """Write a study's report. The same input gives the same bytes.

    Args:
        path: HTML file to write, in full or not at all.
        study: Its name.
        tasks: Titles of the tasks in the order to show them, with one for figures of all tasks.
        pictures: Figures in the order to show them, task by task.
        claims: The table of `equidyn.claims.definitions.judge`; None if none were judged. A figure that is not in
            the report is not linked.
        evaluation: Evaluation table.
        costs: What each run cost, a row per run: ``seconds``, ``seconds_per_step``, ``step_flops``, and any columns.
        choices: Baseline, weights and conditions of each task.
        worst: The table of `equidyn.study.selection.worst_examples`.
        manifest: Record of how the results were made: scalars, lists and mappings of these.
        config: The study's configuration, as text.
        analyses: Names of the analyses of checkpoints that it makes.
        downloads: Names of the data sets that it downloads.
        commit: Commit of the code that writes it; empty if unknown.

    Raises:
        ValueError: A picture is missing, a task is unknown, or a verdict is none of `equidyn.report.rendering.SYMBOLS`.
    """
    if missing := [str(picture.png) for picture in pictures if not Path(picture.png).is_file()]:
        raise ValueError(f"figures to draw before the report: {', '.join(missing)}")
    if unknown := {picture.task for picture in pictures} - set(tasks):
        raise ValueError(f"figures of unknown tasks {sorted(unknown)}; there are {list(tasks)}")
    if claims is not None and (unknown := set(claims["verdict"]) - set(SYMBOLS)):
        raise ValueError(f"unknown verdicts {sorted(unknown)}; there are {list(SYMBOLS)}")
    with ThreadPoolExecutor() as pool:  # Pillow compresses beside Python
        scripts = pool.submit(vega)
        pictures = [*pool.map(lambda picture: replace(picture, data=webp(picture.png)), pictures)]
    shown = {f"{picture.task}/{picture.name}": picture for picture in pictures}
    judged = [] if claims is None else _by_claim(claims)
    stages = {
        "downloads": ", ".join(downloads),
        "data": _counted(evaluation["task"].nunique(), "task"),
        "training": ", ".join([_counted(len(costs), "run"), *_time(manifest, "training")]),
        "evaluation": ", ".join(["checkpoints", *_time(manifest, "evaluation")]),
        "tables": "of all runs",
        "analyses": _counted(len(analyses), "kind") if analyses else "",
        "published": "curves, landscapes",
        "claims": f"{len(judged)} judged" if judged else "",
        "figures": f"{len(pictures)} drawn",
        "record": "configuration, manifest",
        "report": "this page",
    }
    stages = {name: words for name, words in stages.items() if words}
    html = render(
        "study.html.j2",
        study=study,
        tasks=tasks,
        sections=_sections(pictures, tasks),
        figures=shown,
        summary=shown.get(SUMMARY),
        findings=findings(evaluation, choices, tasks, claims),
        claims=judged,
        columns={} if claims is None else matrix(claims, tasks),
        glossary=TERMS,
        boxes=workflow.boxes(stages),
        arrows=workflow.arrows(stages),
        box_size=workflow.BOX,
        size=workflow.size(),
        versions=_versions(manifest),
        expected=expected,
        duration=_duration,
        results=ends(evaluation, costs, choices),
        costs=costs,
        worst=worst,
        manifest=manifest,
        config=config,
        commit=commit,
        vega=scripts.result(),
        data={
            "study": study,
            "titles": tasks,
            "measures": MEASURES,
            "verdicts": {claim: [label, _verdicts(rows)] for claim, label, *_, rows in judged},
            **curves(evaluation, costs, choices),
        },
    )
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")


def webp(png: Path) -> str:
    """A picture in fewer shades, a WebP without loss as base64."""
    buffer = io.BytesIO()
    with Image.open(png) as image:
        image.convert("RGB").point(3 * _SHADES).save(buffer, "webp", lossless=True, quality=25, method=2)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _sections(pictures: Sequence[Picture], tasks: Iterable[str]) -> dict[str, dict[str, list[Picture]]]:
    """Figures by task and category, tasks in their order."""
    sections: dict[str, dict[str, list[Picture]]] = {}
    for picture in sorted(pictures, key=lambda picture: list(tasks).index(picture.task)):
        sections.setdefault(picture.task, {}).setdefault(picture.category, []).append(picture)
    return sections


def _by_claim(claims: pd.DataFrame) -> list[tuple[str, str, str, str, list[dict[str, Any]]]]:
    """Id, label, statement, statistic and rows of each claim, in the table's order."""
    grouped = claims.groupby(["claim", "label", "statement", "statistic"], sort=False)
    return [(*claim, rows.to_dict("records")) for claim, rows in grouped]


def _verdicts(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Verdicts of a claim by task and weights, in words."""
    return {f"{row['task']} {row['weights']}": row["verdict"] for row in rows}


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count > 1 else ''}"


def _time(manifest: Mapping[str, Any], stage: str) -> list[str]:
    """What a stage took in all, if it is known."""
    seconds = manifest.get("seconds", {})
    return [_duration(seconds[stage])] if stage in seconds else []


def _versions(manifest: Mapping[str, Any]) -> str:
    """The versions of what decides results most; all others are in the manifest."""
    packages = manifest.get("packages", {})
    known = {"equidyn": manifest.get("version"), "Python": manifest.get("python")}
    known |= {name: packages.get(package) for name, package in (("PyTorch", "torch"), ("Snakemake", "snakemake"))}
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


def _duration(seconds: float) -> str:
    """A time as people tell it, such as 6 h 4 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
