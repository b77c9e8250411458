"""Draw a figure as the workflow does, and check what all figures have to hold."""

import pandas as pd
from matplotlib.legend import Legend

from equidyn.core.plugins import load
from equidyn.figures.parts.captions import caption
from equidyn.figures.planned import known_figures, options_for


def of_task(task="force_field", **fields):
    """Options of a task of this package."""
    return options_for(task, **fields)


def draw_checked(name, *arguments):
    """A figure of tables and options, its rows and caption; tables stay as they are, and legends lie on the page."""
    *tables, options = arguments
    before = [table.copy() for table in tables]
    figure, data = load(known_figures()[name].draw)(*tables, options)
    for table, former in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, former)
    figure.draw_without_rendering()
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    return figure, data, caption(known_figures()[name], data, options)
