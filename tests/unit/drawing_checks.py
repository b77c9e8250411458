"""Draw a figure as the workflow does, and check what all figures have to hold."""

import pandas as pd
from matplotlib.legend import Legend

from equidyn.figures.captions import caption
from equidyn.figures.catalogue import FIGURES
from equidyn.plugins import load


def draw_checked(name, table, options):
    """A figure, its rows and its caption; the table stays as it is, and legends lie on the page."""
    before = table.copy()
    figure, data = load(FIGURES[name].draw)(table, options)
    pd.testing.assert_frame_equal(table, before)
    figure.draw_without_rendering()
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    return figure, data, caption(FIGURES[name], data, options)
