"""Pages: a heading, panels, and below them what lines are and how to read them, never over the data.

All figures are a column or two of a journal wide, `style.ONE_COLUMN` or `style.TWO_COLUMNS`. Heights are in inches, and
those of panels stay as given: what stands below makes a page longer.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from equidyn.figures.parts import style

ONE, TWO = style.ONE_COLUMN, style.TWO_COLUMNS

HEAD = 0.17
"""Inches of the heading."""

_LINE = 1.3 * style.NOTES / 72  # inch, of a line of a legend, at the resolution of files
_CHARACTER = 0.58 * style.NOTES / 72  # inch, of a character of usual width
_SAMPLE = 3.6 * style.NOTES / 72  # inch, left of the text of an entry, and between columns
_GAP = 0.09  # inch, above legends
_EDGE = 0.03  # inch, left of what is not in panels
_TOGETHER = re.compile("(?<=[<≤≥±]) | (?=%)")  # spaces where no line ends


def sheet(width: float, heights: Sequence[float], columns: int, **ratios: Any) -> tuple[Figure, GridSpec]:
    """A figure with a grid of panels, whose rows have these heights with all that belongs to the panels."""
    figure = style.new_figure(width, sum(heights) + HEAD)
    _reserve(figure, foot=0.0)
    return figure, figure.add_gridspec(len(heights), columns, height_ratios=heights, **ratios)


def free(width: float, height: float) -> Figure:
    """A figure whose axes are placed by `at`, after its `legends`, if there are any."""
    return Figure(figsize=(width, height + HEAD))


def at(figure: Figure, left: float, top: float, width: float, height: float, **kinds: Any) -> Axes:
    """Axes at a place, in inches from the upper left corner below the heading."""
    wide, high = figure.get_size_inches()
    bottom = high - HEAD - top - height
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high), **kinds)


def stacked(*heights: float, width: float = ONE) -> tuple[Figure, list[Axes]]:
    """A figure with panels one above the other on a shared x axis."""
    figure, grid = sheet(width, heights, 1)
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[i, 0], sharex=panels[0]) for i in range(1, len(heights))]
    for upper in panels[:-1]:
        upper.tick_params(labelbottom=False)
    return figure, panels


def tiled(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a page with panels in rows, the last of which is not filled if there are too few."""
    figure, grid = sheet(TWO, [height] * -(-count // columns), columns)
    return figure, [figure.add_subplot(grid[divmod(i, columns)]) for i in range(count)]


def most_square(count: int) -> int:
    """The number of columns of so many panels that leaves the fewest places empty, and rows no longer than columns."""
    choices = range(min(count, 2), min(count, 4) + 1)
    return min(choices, key=lambda columns: (-count % columns, abs(columns - 1.2 * -(-count // columns))))


def legends(figure: Figure, blocks: Mapping[str, Sequence[Any]], columns: int = 0) -> None:
    """What lines are and how to read them, below the panels of a `sheet`, which becomes longer.

    Args:
        figure: Made by a function of this module, with nothing below its panels yet.
        blocks: Entries by their title; those without entries are left out. They lie side by side, and the longest
            are broken into columns, as far as there are any.
        columns: Of text; by default two in a column of a journal.
    """
    blocks = {title: list(entries) for title, entries in blocks.items() if len(entries)}
    columns = columns or (2 if figure.get_figwidth() < TWO else 4)
    wide = (figure.get_figwidth() - 2 * _EDGE) / columns
    for handle in (handle for entries in blocks.values() for handle in entries):
        handle.set_label(wrapped(handle.get_label(), int((wide - _SAMPLE) / _CHARACTER)))
    rows = _rows(blocks, columns)
    foot = sum(max(_height(blocks[title], share) for title, share in row.items()) + _GAP for row in rows)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + foot)
    _reserve(figure, foot)
    top = foot - _GAP
    for row in rows:
        column = 0
        for title, share in row.items():
            for i, part in enumerate(_parts(blocks[title], share)):
                place = ((_EDGE + column * wide) / width, top / (height + foot))
                _legend(figure, part, title if i == 0 else " ", place)
                column += 1
        top -= max(_height(blocks[title], share) for title, share in row.items()) + _GAP


def _legend(figure: Figure, entries: Sequence[Any], title: str, place: tuple[float, float]) -> None:
    """A column of a legend with its upper left corner at a place of the figure."""
    made = Legend(
        figure, entries, [handle.get_label() for handle in entries], title=title, alignment="left",
        loc="upper left", bbox_to_anchor=place, bbox_transform=figure.transFigure,
    )  # fmt: skip
    made.get_title().set_fontweight("bold")
    made.set_in_layout(False)
    figure.legends.append(made)


def beside(figure: Figure, place: SubplotSpec, blocks: Mapping[str, Sequence[Any]], width: float) -> None:
    """Legends in a place of a grid beside panels, so many inches wide: the first at its top, the second at its foot."""
    axes = figure.add_subplot(place)
    axes.set_axis_off()
    for (title, entries), corner in zip(blocks.items(), ("upper left", "lower left"), strict=True):
        for handle in entries:
            handle.set_label(wrapped(handle.get_label(), int((width - _SAMPLE) / _CHARACTER)))
        labels = [handle.get_label() for handle in entries]
        made = Legend(axes, entries, labels, title=title, loc=corner, alignment="left")
        made.get_title().set_fontweight("bold")
        made.set_in_layout(False)
        axes.add_artist(made)


def _reserve(figure: Figure, foot: float) -> None:
    """Leave room for the heading and for legends."""
    width, height = figure.get_size_inches()
    edge = _EDGE / width
    if (engine := figure.get_layout_engine()) is None:
        return
    engine.set(rect=(edge, foot / height, 1 - 2 * edge, 1 - (foot + HEAD) / height), w_pad=0.02, h_pad=0.025)


def _rows(blocks: Mapping[str, Sequence[Any]], columns: int) -> list[dict[str, int]]:
    """Columns that each block has, in as many rows of blocks as it takes."""
    titles = list(blocks)
    rows = [dict.fromkeys(titles[i : i + columns], 1) for i in range(0, len(titles), columns)]
    for row in rows:
        while sum(row.values()) < columns:
            broken = {title: row[title] + 1 for title in row if row[title] < len(blocks[title])}
            tallest = max(row, key=lambda title: _height(blocks[title], row[title]))
            if tallest not in broken:
                break
            row[tallest] += 1
    return rows


def _parts(entries: Sequence[Any], columns: int) -> list[list[Any]]:
    """Entries by column, in order, of about equal height."""
    lines = np.array([_lines(handle) + 0.3 for handle in entries])
    middles = np.cumsum(lines) - lines / 2
    column = np.minimum(middles * columns // lines.sum(), columns - 1).astype(int)
    column = np.unique(column, return_inverse=True)[1]
    return [[handle for handle, own in zip(entries, column, strict=True) if own == i] for i in range(column.max() + 1)]


def _height(entries: Sequence[Any], columns: int) -> float:
    """Inches of a legend with its title."""
    parts = _parts(entries, columns)
    tallest = max(sum(_LINE * _lines(handle) + 0.18 * style.NOTES / 72 for handle in part) for part in parts)
    return tallest + 1.25 * style.NOTES / 72


def _lines(handle: Any) -> int:
    return handle.get_label().count("\n") + 1


def wrapped(text: str, width: int) -> str:
    """Text in lines of so many characters; its own lines go on as indented as they are, and never end within ± 5 %."""
    lines = []
    for line in _TOGETHER.sub("\N{NO-BREAK SPACE}", text).split("\n"):
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(line, width, subsequent_indent=indent, drop_whitespace=True) or [line]
    return "\n".join(lines).replace("\N{NO-BREAK SPACE}", " ")


def remark(text: str) -> Line2D:
    """An entry of a legend that is nothing but text."""
    return Line2D([], [], linestyle="none", label=text)


def head(figure: Figure, text: str) -> None:
    """Say at the top of a figure what it is of."""
    width, height = figure.get_size_inches()
    fitting = textwrap.shorten(text, int((width - 2 * _EDGE) / (0.48 * style.LEAST_TYPE / 72)), placeholder=" …")
    look = {"fontsize": style.LEAST_TYPE, "color": style.MUTED, "va": "top"}
    figure.text(_EDGE / width, 1 - 0.035 / height, fitting, **look).set_in_layout(False)
