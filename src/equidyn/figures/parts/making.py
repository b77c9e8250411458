"""From tables to the files of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Page

from equidyn.core.files import replacing
from equidyn.core.plugins import load
from equidyn.figures.card import Figure
from equidyn.figures.parts import layout, style
from equidyn.figures.parts.captions import caption
from equidyn.figures.parts.options import Options
from equidyn.study.frames import read_frame
from equidyn.study.labels import BASELINE


def make_figure(
    figure: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
    tables: Sequence[str | Path],
    stem: str | Path,
    formats: Sequence[str] = style.FORMATS,
) -> list[Path]:
    """Draw a figure and write it, with its data and caption.

    Args:
        figure: Fields of an `equidyn.figures.card.Figure`.
        options: Fields of the `Options` of its task, or of all tasks, by task; see `equidyn.figures.planned.drawing`.
        tables: Parquet files of the tables that the figure names, in that order.
        stem: Path without suffix; folders are made.
        formats: Some of `equidyn.figures.parts.style.FORMATS`.

    Returns:
        The paths of the files.
    """
    card = Figure(**figure)
    read = {task: Options.read(fields) for task, fields in options.items()}
    chosen = read if card.overview else next(iter(read.values()))
    with style.applied():
        drawn, data = draw(card, [read_frame(table) for table in tables], chosen)
        paths = style.save(drawn, data, stem, formats)
    text = Path(stem).with_suffix(".txt")
    with replacing(text) as temporary:
        Path(temporary).write_text(f"{card.title}. {caption(card, data, chosen)}\n", encoding="utf-8")
    return [*paths, text]


def draw(
    card: Figure, tables: Sequence[pd.DataFrame], options: Options | Mapping[str, Options]
) -> tuple[Page, pd.DataFrame]:
    """A figure under its heading, task and run, and the rows that it shows; call within `applied`."""
    drawn, data = load(card.draw)(*tables, options)
    layout.head(drawn, heading(data, options))
    return drawn, data


def heading(data: pd.DataFrame, options: Options | Mapping[str, Options]) -> str:
    """Task and run of a figure, and how its predictions are compared where there are several ways."""
    if isinstance(options, Mapping):
        return "All tasks"
    said = [options.words.title]
    of_baseline = data[data["run"] == options.baseline] if "run" in data else data[:0]
    if len(of_baseline):
        model = [str(of_baseline["model"].iloc[0])] if "model" in data else []
        said.append(f"{BASELINE}: {', '.join([options.baseline, *model])}")
    if "comparison" in data and (comparison := options.compared_by(data)):
        said.append(f"rotations: {comparison.name}")
    return " · ".join(said)
