"""The figure of claims shows every value, interval and expected range, and says the verdict in words."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_on_page, draw_checked, of_task

from equidyn.claims.definitions import CLAIMS, COLUMNS
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.figures.families.claims.draw import VERDICTS, notes, verdicts
from equidyn.tasks.registry import task_cards

OPTIONS = {task: of_task(task=task) for task in task_cards()}


def row(claim, task, value=np.nan, low=np.nan, high=np.nan, verdict=NOT_TESTABLE):
    expected = CLAIMS[claim].expected
    numbers = {"expected_low": expected.left, "expected_high": expected.right, "value": value, "low": low, "high": high}
    return dict.fromkeys(COLUMNS, "") | {"claim": claim, "task": task, "verdict": verdict} | numbers


@pytest.fixture(scope="module")
def table():
    rows = [
        row("falls_below_2_percent", "flow_matching", np.inf, 10_000, np.inf, NOT_REPRODUCED),
        row("falls_below_2_percent", "force_field", 178, 100, 316, REPRODUCED),
        row("loss_penalty_small", "voxel_denoising", 3, 2.5, 4, NOT_REPRODUCED),
        row("late_return", "flow_matching", 30, 20, np.inf, REPRODUCED),
        row("better_conditioned", "force_field"),
        row("wins_per_compute", "force_field", 1.2),
        row("tracks_head_deviation", "force_field", 0.9, 0.8, 0.95, REPRODUCED),
        row("quadratic_in_head_deviation", "force_field", 21, 10, 400, NOT_REPRODUCED),
    ]
    return pd.DataFrame(rows)


def drawn(table):
    """Panels by the labels of their axes, rows, and the lines of each panel as (x, y, marker, colour)."""
    figure, data, _ = draw_checked("verdicts", table, OPTIONS)
    assert_on_page(figure, (text for axes in figure.axes for text in axes.texts))
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    return panels, data


def lines(axes, place):
    """Lines of a panel at a height, by their markers."""
    return {line.get_marker(): line for line in axes.lines if set(line.get_ydata()) == {place}}


def test_values_intervals_and_words(table):
    panels, data = drawn(table)
    assert len(data) == len(table)
    assert list(panels) == ["Optimiser step", "Ratio", "Percent", "Pearson's R of logarithms", "Slope of logarithms"]
    axes = panels["Optimiser step"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Falls below 2 percent:  Force field", "Flow matching",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.texts] == ["178: reproduced", "not reached: not reproduced"]
    found = lines(axes, 0)
    assert found["o"].get_xdata().tolist() == [178]
    assert found["None"].get_xdata().tolist() == [100, 316]
    assert {line.get_color() for line in found.values()} == {VERDICTS[REPRODUCED][0]}
    assert set(lines(axes, 1)) == {"None", ">"}  # beyond the axis
    (bar, _) = axes.patches
    assert bar.get_x() + bar.get_width() == pytest.approx(10_000)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_what_is_missing_or_off_the_axis(table):
    panels, _ = drawn(table)
    ratios = panels["Ratio"]
    texts = ["not testable at this scale", "30: reproduced", "1.2: not testable at this scale"]
    assert [text.get_text() for text in ratios.texts] == texts
    assert np.isnan(np.concatenate([line.get_xdata() for line in lines(ratios, 0).values()])).all()
    assert {"o", ">"} < set(lines(ratios, 1))
    assert lines(ratios, 2)["D"].get_xdata().tolist() == [1.2]
    slope = panels["Slope of logarithms"]
    assert ">" in lines(slope, 0)
    assert "X" not in lines(slope, 0)
    assert slope.get_xlim()[1] < 10


def test_caption_counts_verdicts(table):
    _, data = drawn(table)
    text = " ".join(notes(data, OPTIONS))
    assert "Of 8 claims, each about one task: 3 reproduced, 3 not reproduced, 2 not testable" in text
    assert "95 %" in text
    assert "that they need is missing: 1." in text
    whole = data.dropna(subset="value")
    assert "is missing" not in " ".join(notes(whole, OPTIONS))


def test_some_tasks_and_any_order(table):
    _, data = drawn(table)
    figure, mixed = verdicts(table[::-1], OPTIONS)
    pd.testing.assert_frame_equal(data, mixed)
    _, some = verdicts(table, {"flow_matching": OPTIONS["flow_matching"]})
    assert set(some["task"]) == {"flow_matching"}
    figure, _ = verdicts(table[2:3], OPTIONS)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Percent", ""]


def test_refuses(table):
    with pytest.raises(ValueError, match="no claims about any task to draw: neither force_field, nor flow_matching"):
        verdicts(table[:0], OPTIONS)
    with pytest.raises(ValueError, match=r"lacks the column\(s\) verdict"):
        verdicts(table.drop(columns="verdict"), OPTIONS)
    with pytest.raises(ValueError, match="unknown claim"):
        verdicts(table.assign(claim="rotates_by_itself"), OPTIONS)
