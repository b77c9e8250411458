"""Draw a figure as the workflow does, and check what all figures have to hold."""

import numpy as np
import pandas as pd
from matplotlib.legend import Legend
from matplotlib.text import Text

from equidyn.figures.parts import drawing, style
from equidyn.figures.parts.captions import caption
from equidyn.figures.parts.making import draw
from equidyn.figures.planned import known_figures, options_for


def of_task(task="force_field", **fields):
    """Options of a task of this package."""
    return options_for(task, **fields)


def draw_checked(name, *arguments):
    """A figure of tables and options, its rows and caption; tables stay as they are, and legends lie on the page."""
    *tables, options = arguments
    before = [table.copy() for table in tables]
    card = known_figures()[name]
    with style.applied():
        figure, data = draw(card, tables, options)
        figure.set_dpi(style.DPI)
        figure.draw_without_rendering()
    for table, former in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(table, former)
    assert_fit_for_print(figure)
    text = caption(card, data, options)
    assert len(f"{card.title}. {text.split(chr(10))[0]}".split()) <= 70
    return figure, data, text


def assert_fit_for_print(figure):
    """A drawn figure is one column wide or two, its type is large enough, and its legends are clear of the data."""
    assert figure.get_figwidth() in (style.ONE_COLUMN, style.TWO_COLUMNS)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= style.LEAST_TYPE
    legends = figure.findobj(Legend)
    assert_on_page(figure, legends)
    boxes = [legend.get_window_extent() for legend in legends]
    for axes in figure.axes:
        assert not axes.axison or not any(axes.bbox.overlaps(box) for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


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


def with_averages(rows):
    """Rows of raw weights, and of averages of decay 0.99 that have larger errors."""
    errors = [name for name in _ERRORS if name in rows]
    larger = {name: 1.5 * rows[name] for name in errors} | {"skill": rows["skill"] - 0.03}
    return pd.concat(
        [rows.assign(weights="raw", decay=np.nan), rows.assign(weights="ema", decay=0.99, **larger)], ignore_index=True
    )


_ERRORS = ("total", "twirled", "equivariance", "percent", "percent_low", "percent_high", "relative_equivariance")


def assert_averages_beside(name, rows, options, columns, *tables):
    """A figure of raw weights has dotted lines of averaged ones where there are any, and else is as without.

    Args:
        name: Its name.
        rows: Evaluation table of one kind of weights.
        options: Of its task, or of all tasks.
        columns: Those drawn along training, of the baseline and of all series that are not further seeds of one.
        tables: The figure's other tables.
    """
    one, two = rows.assign(weights="raw"), with_averages(rows)
    _, alone, plain = draw_checked(name, one, *tables, options)
    assert not [column for column in alone if column.endswith("_ema")]
    assert "dotted, an exponential" not in plain
    figure, data, text = draw_checked(name, two, *tables, options)
    assert set(data["weights"].dropna()) == {"raw"}
    assert "dotted, an exponential average of the weights (EMA) with decay 0.99, which remembers some 100 steps" in text
    (legend,) = [entry for entry in legend_texts(figure) if "averaged weights" in entry]
    assert "decay 0.99" in legend
    drawn = {y for axes in figure.axes for line in dotted(axes) for y in line.get_ydata()}
    for column in columns:
        ours = data[data[column].notna() & (data[f"{column}_ema"].gt(0) | (column == "skill"))]
        first = ours[ours["run"] == ours.groupby("series")["run"].transform("first")]
        assert len(first)
        assert set(first[f"{column}_ema"]) <= drawn
        assert not np.isclose(first[column], first[f"{column}_ema"]).any()


def dotted(axes):
    """The lines of averaged weights in a panel."""
    wanted = drawing.AVERAGE["linewidth"]
    return [line for line in axes.lines if line.get_linewidth() == wanted and line.get_linestyle() == "--"]
