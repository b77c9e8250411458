"""Draw a figure as the workflow does, and check what all figures have to hold."""

import numpy as np
import pandas as pd
from matplotlib.legend import Legend

from equidyn.core.plugins import load
from equidyn.figures.parts import style
from equidyn.figures.parts.captions import caption
from equidyn.figures.planned import known_figures, options_for


def of_task(task="force_field", **fields):
    """Options of a task of this package."""
    return options_for(task, **fields)


def draw_checked(name, *arguments):
    """A figure of tables and options, its rows and caption; tables stay as they are, and legends lie on the page."""
    *tables, options = arguments
    before = [table.copy() for table in tables]
    with style.applied():
        figure, data = load(known_figures()[name].draw)(*tables, options)
        figure.draw_without_rendering()
    for table, former in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, former)
    assert_on_page(figure, figure.findobj(Legend))
    return figure, data, caption(known_figures()[name], data, options)


def assert_on_page(figure, artists):
    """Artists of a drawn figure do not reach beyond it."""
    for artist in artists:
        box = artist.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def assert_rows_of(data, table, keys):
    """Rows shown are rows of a table, one for each of its keys, and have its values in all columns that both have."""
    found, given = (rows.set_index(keys).sort_index() for rows in (data, table))
    assert not found.index.duplicated().any()
    shared = [column for column in found if column in given]
    pd.testing.assert_frame_equal(found[shared], given[shared], check_dtype=False)


def on_lines(axes):
    """Coordinates of all points of the lines in a panel."""
    points = (point for line in axes.lines for point in np.column_stack(line.get_data()).astype(float))
    return {(float(x), float(y)) for x, y in points if not np.isnan(y)}


def of_markers(axes):
    """Coordinates of all markers of scatter plots in a panel."""
    return {tuple(point) for marks in axes.collections for point in np.asarray(marks.get_offsets()).tolist()}


def legend_texts(figure):
    """Texts of all entries of a figure's legends."""
    return [text.get_text() for legend in figure.findobj(Legend) for text in legend.get_texts()]
