"""From tables to the files of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from equidyn.core.files import replacing
from equidyn.core.plugins import load
from equidyn.figures.card import Figure
from equidyn.figures.parts import style
from equidyn.figures.parts.captions import caption
from equidyn.figures.parts.options import Options


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
        drawn, data = load(card.draw)(*map(pd.read_parquet, tables), chosen)
        paths = style.save(drawn, data, stem, formats)
    text = Path(stem).with_suffix(".txt")
    with replacing(text) as temporary:
        Path(temporary).write_text(f"{card.title}. {caption(card, data, chosen)}\n", encoding="utf-8")
    return [*paths, text]
