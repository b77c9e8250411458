"""From tables to the files of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from equidyn.core.files import replacing
from equidyn.core.plugins import load
from equidyn.figures.catalogue import ALL_TASKS, FIGURES
from equidyn.figures.parts import style
from equidyn.figures.parts.captions import caption
from equidyn.figures.parts.options import Options


def make_figure(
    figure: str,
    task: str,
    tables: Sequence[str | Path],
    options: Mapping[str, Any],
    stem: str | Path,
    formats: Sequence[str] = style.FORMATS,
) -> list[Path]:
    """Draw a figure of the catalogue and write it, with its data and caption.

    Args:
        figure: Its name.
        task: The task it is drawn for, or `ALL_TASKS`.
        tables: Parquet files of the tables that the catalogue names, in that order.
        options: Arguments of `Options` but the task; for `ALL_TASKS`, those of each task.
        stem: Path without suffix; folders are made.
        formats: Some of `equidyn.figures.parts.style.FORMATS`.

    Returns:
        The paths of the files.
    """
    entry = FIGURES[figure]
    if task == ALL_TASKS:
        chosen = {name: Options(task=name, **own) for name, own in options.items()}
    else:
        chosen = Options(task=task, **options)
    with style.applied():
        drawn, data = load(entry.draw)(*map(pd.read_parquet, tables), chosen)
        paths = style.save(drawn, data, stem, formats)
    text = Path(stem).with_suffix(".txt")
    with replacing(text) as temporary:
        Path(temporary).write_text(f"{entry.title}. {caption(entry, data, chosen)}\n", encoding="utf-8")
    return [*paths, text]
