"""Figures of grids show one way of comparing predictions or all of them, with the floors of interpolation."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_averages_beside, assert_rows_of, draw_checked, legend_texts, of_task, on_lines
from evaluation_rows import evaluation_row
from matplotlib.colors import to_hex

from equidyn.figures.parts import drawing, style
from equidyn.figures.planned import figures_for, known_figures
from equidyn.study.selection import choose
from equidyn.tasks.registry import task_cards

COMPARISONS = of_task("voxel_denoising").comparisons
OPTIONS = of_task(task="voxel_denoising")
STEPS = (0, 1, 10, 100, 300, 1000)
TOTAL = (0.1, 0.05, 1e-3, 2.65e-4, 2.6e-4, 1e-4)
PERCENT = (80.0, 60.0, 20.0, 2.0, 1.0, 8.0)
GROUPS = {"voxels": "cube"} | dict.fromkeys(("trilinear", "cubic", "atoms"), "SO(3)")
SCALE = {"voxels": 1.0, "trilinear": 1.02, "atoms": 300.0}
FLOOR = {"voxels": 0.0, "trilinear": 1e-6, "atoms": 1e-14}
NULL = 2.63e-4
RUNS = {
    "base": {},
    "again": {"seed": 1},
    "few": {"train_subset": "10pct", "train_examples": 75},
    "big": {"model": "voxmol-big", "parameters": 6_140_000},
    "sgd": {"optimiser": "sgd"},
    "still": {"augmentation": 0.0},
}
SHOWN = {
    "losses": ["base"],
    "percent_by_action": ["base"],
    "percent_by_train_size": ["base", "again", "few"],
    "percent_by_model_size": ["base", "again", "big"],
    "percent_by_optimiser": ["base", "again", "sgd"],
    "percent_by_augmentation": ["base", "again", "still"],
    "silence_and_symmetry": ["base", "again"],
}
NAMES = [name for name in figures_for("voxel_denoising") if known_figures()[name].tables == ("evaluation",)]
OF_ONE_ACTION = [name for name in NAMES if name != "percent_by_action"]
SHARES = [name for name in OF_ONE_ACTION if name.startswith("percent")]


def rows(run, **changes):
    """Rows of one run: a share that is lowest where a grid is hardly more than blank."""
    number = list(RUNS).index(run)
    made = []
    for (comparison, scale), weights in product(SCALE.items(), ("raw", "ema")):
        for step, total, percent in zip(STEPS, TOTAL, PERCENT, strict=True):
            total, percent = total * scale * (1 + 0.01 * number), percent * scale**0.1 * (1 + 0.01 * number)
            columns = {
                "run": run, "task": "voxel_denoising", **changes, "step": step, "weights": weights, "rotations": 2,
                "group": GROUPS[comparison], "comparison": comparison, "examples": 16, "clusters": 12,
                "floor_control": 1e-10 if comparison == "voxels" else 31.0, "unit": "density²",
                "floor_action_total": 8 * FLOOR[comparison], "floor_action_equivariance": FLOOR[comparison],
            }  # fmt: skip
            made.append(evaluation_row(total, percent, NULL * scale, columns))
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def table():
    """A study's table, which holds rows of another task too."""
    voxels = pd.concat([rows(run, **changes) for run, changes in RUNS.items()], ignore_index=True)
    other = (
        rows("base")
        .query("comparison == 'voxels'")
        .assign(task="force_field", run="forces", group="SO(3)", comparison="vectors")
    )
    return pd.concat([other, voxels], ignore_index=True)


@pytest.fixture(scope="module")
def floors():
    cells = [(0.25, "symmetric"), (0.25, "upstream"), (0.5, "symmetric")]
    errors = {"cubic": 3e-5, "trilinear": 0.0086, "atoms": 2e-10, "voxels": 0.0}
    return pd.DataFrame(
        [
            {
                "spacing": spacing,
                "centre": centre,
                "group": GROUPS[comparison],
                "comparison": comparison,
                "relative_error": error * 4 * spacing,
                "total": NULL * error,
                "equivariance": 0.1 * NULL * error,
                "percent": 12.0 * bool(error),
                "molecules": 3,
                "rotations": 2,
            }
            for spacing, centre in reversed(cells)
            for comparison, error in errors.items()
        ]
    )


def draw(name, table, options=OPTIONS):
    """As `draw_checked`, with the usual options."""
    return draw_checked(name, table, options)


def dash_dotted(axes):
    """Lines of floors in a panel."""
    width = drawing.FLOOR["linewidth"]
    return [line for line in axes.lines if (line.get_linestyle(), line.get_linewidth()) == ("--", width)]


@pytest.mark.parametrize("name", OF_ONE_ACTION)
def test_figures_show_the_selected_rows(table, name):
    figure, data, text = draw(name, table)
    assert set(data["run"]) == set(SHOWN.get(name, ["base", "again"]))
    chosen = choose(table[table["task"] == "voxel_denoising"], conditions={"comparison": "trilinear"})
    assert_rows_of(data, chosen[chosen["run"].isin(set(data["run"]))], ["run", "step"])
    assert "Rotations: about any axis, by any angle, the predicted grid being turned back by trilinear" in text
    assert "16 validation conformers of 12 molecules" in text
    assert "2 sampled rotations" in text
    assert "loss of a blank grid" in text
    assert "constant" not in text
    assert figure.texts[-1].get_text().endswith("rotations: all, trilinear")


def test_comparisons_are_said_of_any_group():
    """The group has a sentence of its own."""
    told = [comparison.text for card in task_cards().values() for comparison in card.comparisons.values()]
    assert not [text for text in told if "O(3)" in text]


def test_another_action_is_chosen(table):
    _, data, text = draw("percent_loglog", table, of_task(task="voxel_denoising", comparison="voxels"))
    assert set(data["comparison"]) == {"voxels"}
    assert "Rotations: the 24 of a cube alone" in text
    assert "Interpolation floor" not in text  # there is none
    assert "Numeric floor, by an exactly equivariant network: 1e-10 %" in text
    with pytest.raises(ValueError, match=r"no rows with comparison 'trilinear' for run\(s\) base"):
        draw("percent_loglog", table[table["comparison"] != "trilinear"])


@pytest.mark.parametrize("name", [name for name in SHARES if name != "percent_linear"])
def test_the_share_of_interpolation(table, name):
    figure, data, text = draw(name, table)
    np.testing.assert_allclose(data["percent_floor"], 100 * FLOOR["trilinear"] / data["total"])
    (line,) = dash_dotted(figure.axes[0])
    baseline = data[data["run"] == "base"]
    np.testing.assert_array_equal(line.get_ydata(), baseline["percent_floor"])
    assert f"at most {100 * 1e-6 / 1.02e-4:.3g} %" in text
    assert "Numeric floor" not in text
    assert "equivariant under the rotations of a cube alone: 31 %" in text
    figure, _, _ = draw(name, table, of_task(task="voxel_denoising", comparison="voxels"))
    assert not dash_dotted(figure.axes[0])


def test_losses_have_a_blank_grid_and_a_floor(table):
    figure, data, text = draw("losses", table)
    left, right = figure.axes[:2]
    (line,) = dash_dotted(left)
    assert set(line.get_ydata()) == {FLOOR["trilinear"]}
    assert left.get_ylim()[0] < FLOOR["trilinear"]
    assert not dash_dotted(right)
    labels = legend_texts(figure)
    assert "loss of a blank grid" in labels
    assert "interpolation floor of the equivariance error: 1e-6" in [" ".join(label.split()) for label in labels]
    assert "1e-6 density²" in text
    assert any((line.get_ydata() == data["null_loss"].iloc[0]).all() for line in left.lines)
    plateau = [patch for patch in left.patches if to_hex(patch.get_facecolor()) == style.SILENT.lower()]
    np.testing.assert_allclose(plateau[0].get_x(), np.sqrt(10 * 100))
    np.testing.assert_allclose(plateau[0].get_x() + plateau[0].get_width(), np.sqrt(300 * 1000))


def test_a_floor_far_below_leaves_the_axis_alone(table):
    options = of_task(task="voxel_denoising", comparison="atoms")
    figure, data, text = draw("losses", table, options)
    assert not dash_dotted(figure.axes[0])
    assert figure.axes[0].get_ylim()[0] > 1e-3 * data["equivariance"].min()
    labels = legend_texts(figure)
    said = [" ".join(label.split()) for label in labels]
    assert "interpolation floor of the equivariance error: 1e-14 (below the axis)" in said
    assert "1e-14 density²" in text
    draw("losses", table, of_task(task="voxel_denoising", comparison="voxels"))


def test_actions_side_by_side(table):
    figure, data, text = draw("percent_by_action", table)
    assert len(data) == len(SCALE) * len(STEPS)
    assert list(dict.fromkeys(data["comparison"])) == ["voxels", "trilinear", "atoms"]
    share, error, skill = figure.axes[:3]
    for row in data.itertuples():
        x = row.step or 0.4
        assert (x, row.percent) in on_lines(share)
        assert (x, row.equivariance / row.null_loss) in on_lines(error)
        assert (x, row.skill) in on_lines(skill)
    by_colour = {line.get_color(): line.get_ydata() for line in dash_dotted(error)}
    assert len(by_colour) == len(SCALE)
    for comparison, part in data.groupby("comparison"):
        colour = style.PALETTE[list(COMPARISONS).index(comparison)]
        expected = (FLOOR[comparison] or np.nan) / part["null_loss"]  # no line at zero
        np.testing.assert_allclose(by_colour[colour], expected)
    trilinear = FLOOR["trilinear"] / (NULL * SCALE["trilinear"])
    assert error.get_ylim()[0] < trilinear  # in reach, unlike that of the atoms
    assert error.get_ylim()[0] > 1e-9
    assert all((comparison.described in text) == (name in SCALE) for name, comparison in COMPARISONS.items())
    assert "Interpolation floors at the last step: 0 % (of a cube), 0.98 % (all, trilinear), 3.3e-11 % (all, at" in text
    assert "the last 300 (of a cube); at" in text


def test_actions_unknown_to_figures_are_refused(table, floors):
    with pytest.raises(ValueError, match=r"unknown comparison\(s\) nearest: figures know voxels"):
        draw("percent_by_action", table.replace({"comparison": {"voxels": "nearest"}}))
    with pytest.raises(ValueError, match=r"unknown comparison\(s\) nearest: figures know voxels"):
        draw("interpolation_floor", floors.replace({"comparison": {"voxels": "nearest"}}))


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_what_there_is(table, name):
    few = table[(table["run"] == "base") & (table["step"] > 0)]
    few = few.assign(percent_low=np.nan, percent_high=np.nan, percent=few["percent"].where(few["step"] > 1, -1.0))
    _, data, _ = draw(name, few)
    assert set(data["run"]) == {"base"}
    draw(name, table[(table["run"] == "base") & (table["step"] == 0) & (table["comparison"] == "trilinear")])


@pytest.mark.parametrize("name", sorted({*NAMES} - {"silence_and_symmetry"}))
def test_figures_need_the_floor(table, name):
    with pytest.raises(ValueError, match=r"lacks the column\(s\) floor_action_equivariance"):
        draw(name, table.drop(columns="floor_action_equivariance"))


def test_averaged_weights_stand_beside_raw_ones(table):
    rows = table[(table["task"] == "voxel_denoising") & (table["weights"] == "ema")]
    columns = ["percent", "equivariance_over_null", "skill"]
    assert_averages_beside("percent_by_action", rows, of_task("voxel_denoising", weights="raw"), columns)


def test_floors_are_points(floors):
    figure, data, text = draw("interpolation_floor", floors)
    above, below = figure.axes[:2]
    assert data["spacing"].is_monotonic_increasing
    assert data["comparison"].tolist() == ["voxels", "trilinear", "cubic", "atoms"] * 3
    assert len(data) == len(floors)
    names = [label.get_text() for label in below.get_xticklabels()]
    assert names == ["0.25 Å\nsymmetric", "0.25 Å\nupstream", "0.5 Å\nsymmetric"]
    for axes, column in ((above, "relative_error"), (below, "percent")):
        points = {
            (round(float(x)), float(y), line.get_color())
            for line in axes.lines
            if line.get_linestyle() == "None"
            for x, y in zip(*line.get_data(), strict=True)
        }
        for i, row in enumerate(data.itertuples()):
            value = getattr(row, column)
            colour = style.PALETTE[list(COMPARISONS).index(row.comparison)]
            assert (i // 4, value if value > 1e-12 or axes is below else axes.get_ylim()[0], colour) in points
    assert [label.get_text() for label in above.texts[:4]] == ["0", "0.0086", "3e-5", "2e-10"]
    low, high = above.get_ylim()
    assert low < 2e-10
    assert high > 0.0086 * 2
    assert "3 conformers, 2 rotations each" in text
    assert all(comparison.text in text for comparison in COMPARISONS.values())


def test_floors_refuse(floors):
    with pytest.raises(ValueError, match="no rows: measure the floors first"):
        draw("interpolation_floor", floors[:0])
    with pytest.raises(ValueError, match=r"lacks the column\(s\) percent"):
        draw("interpolation_floor", floors.drop(columns="percent"))
    draw("interpolation_floor", floors[floors["comparison"] == "voxels"])
