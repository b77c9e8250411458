"""Share, relative error and skill stand on one time axis, and the first steps of each are marked."""

import pandas as pd
import pytest
from drawing_checks import draw_checked, legend_texts, of_task, on_lines
from evaluation_rows import evaluation_row

from equidyn.figures.families.silence.draw import silence_and_symmetry
from equidyn.figures.parts import style

STEPS = (0, 1, 10, 100, 1000)
PERCENT = (50.0, 20.0, 1.5, 3.0, 0.5)
RELATIVE = (0.5, 0.6, 0.7, 0.1, 0.015)
SKILL = (-2.0, -0.5, 0.0, 0.45, 0.8)
TIMES = (0.0, 0.2, 0.6, 0.9)
BLUE, ORANGE, GREEN = style.PALETTE[:3]


def rows(relative=RELATIVE, skills=SKILL, **changes):
    made = []
    for step, percent, error, skill in zip(STEPS, PERCENT, relative, skills, strict=True):
        row = evaluation_row(1 - skill, percent, 1.0, {"step": step, **changes})
        made.append(row | {"relative_equivariance": error})
    return pd.DataFrame(made)


def verticals(axes):
    """Step and colour of each vertical line."""
    return {(line.get_xdata()[0], line.get_color()) for line in axes.lines if list(line.get_ydata()) == [0, 1]}


def draw(table, task="force_field"):
    return draw_checked("silence_and_symmetry", table, of_task(task))


def test_first_steps_are_marked_through_both_panels():
    figure, data, text = draw(pd.concat([rows(), rows(run="again", seed=1, relative=[0.5] * 5)]))
    above, below = figure.axes[:2]
    for axes in (above, below):
        assert verticals(axes) == {(10, BLUE), (1000, ORANGE), (100, GREEN)}
    for row in data.itertuples():
        assert {(row.step or 0.4, row.percent), (row.step or 0.4, 100 * row.relative_equivariance)} <= on_lines(above)
        assert (row.step or 0.4, row.skill) in on_lines(below)
    assert above.get_xlim() == below.get_xlim()
    flags = ["small_share", "small_error", "half_learned"]
    marked = {run: [list(part["step"][part[name]]) for name in flags] for run, part in data.groupby("run")}
    assert marked == {"base": [[10], [1000], [100]], "again": [[10], [], [100]]}
    entries = " ".join(" ".join(legend_texts(figure)).split())
    assert "share of the loss ≤ 2 % step 10 (10)" in entries
    assert "relative error ≤ 2 % step 1,000 (never)" in entries
    assert "skill, half of the best step 100" in entries
    assert "thin: further seeds" in entries
    assert "A silent network has a small share" in text


def test_equal_steps_share_a_line():
    figure, _, _ = draw(rows(relative=(0.5, 0.6, 0.7, 0.01, 0.01)))
    shared = [line for line in figure.axes[0].lines if list(line.get_ydata()) == [0, 1] and line.get_xdata()[0] == 100]
    assert [line.get_color() for line in shared] == [ORANGE, GREEN]
    assert {line.get_linestyle() for line in shared} == {"--"}


def test_flow_times_have_a_column_each():
    other = {0.9: (0.5, 0.01, 0.02, 0.1, 0.015)}
    table = pd.concat(rows(other.get(t, RELATIVE), task="flow_matching", t=t, self_conditioning=False) for t in TIMES)
    figure, data, _ = draw(table, "flow_matching")
    upper, lower = figure.axes[:6:2], figure.axes[1:6:2]
    assert [axes.get_title(loc="left") for axes in upper] == ["t = 0.2", "t = 0.6", "t = 0.9"]
    for axes in (*upper[:2], *lower[:2]):
        assert verticals(axes) == {(10, BLUE), (1000, ORANGE), (100, GREEN)}
    assert verticals(upper[2]) == {(10, BLUE), (1, ORANGE), (100, GREEN)}
    assert len({axes.get_ylim() for axes in upper}) == 1
    assert sorted(data["t"].unique()) == [0.2, 0.6, 0.9]


def test_networks_that_learn_nothing_have_no_half():
    figure, data, _ = draw(rows(skills=(-2.0, -1.0, -0.5, -0.2, -0.1)))
    assert not data["half_learned"].any()
    assert GREEN not in {colour for _, colour in verticals(figure.axes[1])}
    assert "never" in " ".join(legend_texts(figure))


def test_shades_that_are_drawn_stand_in_the_legend():
    for skills, zero, worse in (
        (SKILL, True, True), ((-2.0, -0.5, 0.2, 0.45, 0.8), False, True), ((0.0, 0.01, 0.2, 0.45, 0.8), True, False),
        ((0.1, 0.2, 0.2, 0.45, 0.8), False, False),
    ):  # fmt: skip
        figure, _, _ = draw(rows(skills=skills))
        entries = " ".join(" ".join(legend_texts(figure)).split())
        assert ("baseline no better than" in entries, "baseline worse than" in entries) == (zero, worse)


def test_refuses():
    with pytest.raises(ValueError, match=r"lacks the column\(s\) t"):
        silence_and_symmetry(rows(task="flow_matching"), of_task("flow_matching"))
    with pytest.raises(ValueError, match=r"lacks the column\(s\) relative_equivariance"):
        silence_and_symmetry(rows().drop(columns="relative_equivariance"), of_task())
