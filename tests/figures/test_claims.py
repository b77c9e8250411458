"""The figure of claims shows every value, interval and expected range, and says the verdict in words."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_on_page, draw_checked, of_task

from equidyn.claims.definitions import CLAIMS, COLUMNS
from equidyn.claims.evidence import INTERVAL, RANGE
from equidyn.claims.published import ROWS
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED
from equidyn.figures.families.claims.draw import VERDICTS, notes, verdicts
from equidyn.tasks.registry import task_cards

OPTIONS = {task: of_task(task=task) for task in task_cards()}


def row(claim, task, value=np.nan, low=np.nan, high=np.nan, verdict=NOT_TESTABLE, **values):
    expected = CLAIMS[claim].expected
    numbers = {"expected_low": expected.left, "expected_high": expected.right, "value": value, "low": low, "high": high}
    identity = {"claim": claim, "label": CLAIMS[claim].label, "task": task, "weights": "raw"}
    judged = {"verdict": verdict, "ends": INTERVAL, "published_value": np.nan}
    return dict.fromkeys(COLUMNS, "") | identity | judged | numbers | values


@pytest.fixture(scope="module")
def table():
    rows = [
        row("falls_below_2_percent", "flow_matching", np.inf, 10_000, np.inf, NOT_REPRODUCED),
        row("falls_below_2_percent", "force_field", 178, 100, 316, REPRODUCED, published_value=1900),
        row("falls_below_2_percent", "force_field", 300, 200, 400, REPRODUCED, weights="ema", published_value=1900),
        row("penalty_small_throughout", "voxel_denoising", 30, 26, 40, NOT_REPRODUCED),
        row("late_return", "flow_matching", 30, 20, np.inf, REPRODUCED),
        row("better_conditioned", "force_field"),
        row("smoother", "force_field", 1.2, 0.9, 3, ends=RANGE),
        row("tracks_head_deviation", "force_field", 0.9, 0.8, 0.95, REPRODUCED),
        row("silent_at_first", "force_field", 2, 1.5, 4, NOT_REPRODUCED),
    ]
    return pd.DataFrame(rows)


def drawn(table):
    """Panels by the labels of their axes, rows, and the lines of each panel as (x, y, marker, colour)."""
    figure, data, _ = draw_checked("verdicts", table, OPTIONS)
    assert_on_page(figure, (text for axes in figure.axes for text in axes.texts))
    panels = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_xlabel()}
    return panels, data


RAW, EMA, AUTHORS = -0.17, 0.2, 0.0  # places in a line


def lines(axes, place):
    """Lines of a panel at a height, by their markers."""
    return {line.get_marker(): line for line in axes.lines if np.allclose(line.get_ydata(), place)}


def test_values_intervals_and_words(table):
    panels, data = drawn(table)
    assert len(data) == len(table)
    assert list(panels) == ["Optimiser step", "Ratio", "Percent", "Pearson's R of logarithms", "Skill"]
    axes = panels["Optimiser step"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "Force field", "Flow matching",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.texts] == [
        "Falls to 2 %", "✓ 178", "✓ 300", "✗ not seen", "raw", "averaged",
    ]  # fmt: skip
    raw, ema = lines(axes, RAW), lines(axes, EMA)
    assert [found["o"].get_xdata().tolist() for found in (raw, ema)] == [[178], [300]]
    assert [found["|"].get_xdata().tolist() for found in (raw, ema)] == [[100, 316], [200, 400]]
    assert ema["|"].get_linewidth() < raw["|"].get_linewidth()
    assert lines(axes, AUTHORS)["*"].get_xdata().tolist() == [1900]
    assert {line.get_color() for line in raw.values()} == {VERDICTS[REPRODUCED][0]}
    assert set(lines(axes, 1 + RAW)) == {"|", ">"}  # beyond the axis
    bar = axes.patches[0]
    assert bar.get_x() + bar.get_width() == pytest.approx(10_000)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_ranges_look_otherwise_and_nothing_is_drawn_without_a_value(table):
    panels, data = drawn(table)
    ratios = panels["Ratio"]
    assert {"✓ 30", "? 1.2"} < {text.get_text() for text in ratios.texts}
    assert {"o", ">"} < set(lines(ratios, RAW))
    found = lines(ratios, 1 + RAW)
    assert found["D"].get_xdata().tolist() == [1.2]
    assert [line.get_linestyle() for line in ratios.lines if line.get_marker() == ""] == ["--"]
    skill = panels["Skill"]
    assert ">" in lines(skill, RAW)
    assert "X" not in lines(skill, RAW)
    assert skill.get_xlim()[1] < 2
    text = " ".join(notes(data, OPTIONS))
    assert "95 %" in text
    assert "is missing: Better conditioned (Force field)." in text
    assert "is missing" not in " ".join(notes(data.dropna(subset="value"), OPTIONS))
    assert "rows of a log" not in text
    data["published_reason"] = np.where(data["task"] == "flow_matching", f"the value; {ROWS}", "")
    assert f"Of {OPTIONS['flow_matching'].words.title}, {ROWS}." in " ".join(notes(data, OPTIONS))


def test_some_tasks_and_any_order(table):
    _, data = drawn(table)
    figure, mixed = verdicts(table[::-1], OPTIONS)
    pd.testing.assert_frame_equal(data, mixed)
    _, some = verdicts(table, {"flow_matching": OPTIONS["flow_matching"]})
    assert set(some["task"]) == {"flow_matching"}
    figure, _ = verdicts(table[3:4], OPTIONS)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Percent"]


def test_refuses(table):
    with pytest.raises(ValueError, match="no claims about any task to draw: neither force_field, nor flow_matching"):
        verdicts(table[:0], OPTIONS)
    with pytest.raises(ValueError, match=r"lacks the column\(s\) verdict"):
        verdicts(table.drop(columns="verdict"), OPTIONS)
    with pytest.raises(ValueError, match="unknown claim"):
        verdicts(table.assign(claim="rotates_by_itself"), OPTIONS)
