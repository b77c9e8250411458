"""Published curves are drawn beside those of a study, each side from its own table."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_averages_beside, draw_checked, legend_texts, of_task, on_lines
from evaluation_rows import evaluation_row
from matplotlib.legend import Legend

from equidyn.analysis.authors import VOXMOL_FILES, published_curves, voxmol_curves
from equidyn.analysis.pilot import pilot_curves
from equidyn.figures.families.beside_published import draw as figures

FIXTURES = Path(__file__).parents[1] / "fixtures/published/voxmol"
STEPS = (0, 1, 10, 100, 1000)
PERCENT = (70.0, 60.0, 0.5, 0.02, 0.4)
TOTAL = (30.0, 20.0, 1.4, 1.28, 0.2)
NULL = 1.3  # so that networks are unskilled before the last step
TIMES = (0.0, 0.2, 0.9)
FEW = {"train_subset": "10pct", "train_examples": 90}
FEWEST = {"train_subset": "1pct", "train_examples": 10}
RUNS = {
    "force_field": {
        "base": {},
        "again": {"seed": 1},
        "few": FEW,
        "big": {"model": "net-big", "parameters": 600_000},
        "fast": {"lr": 1e-2},
        "slow": {"lr": 1e-4},
        "sgd": {"optimiser": "sgd", "lr": 1e-2},
        "control": {"model": "control-small"},
    },
    "flow_matching": {
        "base": {},
        "few": FEW,
        "fewest": FEWEST,
        "half": {"train_subset": "half", "train_examples": 500},
        "triangles": {"model": "net-tri"},
    },
    "voxel_denoising": {"base": {}, "few": FEW, "big": {"model": "net-big", "parameters": 600_000}},
}
CONDITIONS = {
    "force_field": [{}],
    "flow_matching": [{"t": t, "self_conditioning": False} for t in TIMES],
    "voxel_denoising": [{"group": "cube", "comparison": "voxels"}, {"group": "SO(3)", "comparison": "trilinear"}],
}
DRAWN = {
    "published_force_field": "force_field",
    "published_losses": "force_field",
    "published_flow_matching": "flow_matching",
    "published_flow_losses": "flow_matching",
    "published_flow_losses_varied": "flow_matching",
    "published_voxels": "voxel_denoising",
    "published_voxels_losses": "voxel_denoising",
}
SHOWN = {
    "published_force_field": set(RUNS["force_field"]) - {"control"},
    "published_losses": {"base", "few"},
    "published_flow_matching": set(RUNS["flow_matching"]) - {"half"},
    "published_flow_losses": {"base"},
    "published_flow_losses_varied": {"fewest", "triangles"},
    "published_voxels": set(RUNS["voxel_denoising"]),
    "published_voxels_losses": set(RUNS["voxel_denoising"]),
}
TRAIN, MODEL, OPTIMISER = "Run (training examples)", "Run (parameters)", "Run (optimiser, rate)"


def study(task, runs=None):
    made = []
    for i, (run, changes) in enumerate(RUNS[task].items()):
        if runs and run not in runs:
            continue
        for condition in CONDITIONS[task]:
            for step, percent, total in zip(STEPS, PERCENT, TOTAL, strict=True):
                columns = {
                    "run": run, "task": task, "parameters": 60_000, "train_examples": 1000, "lr": 1e-3, **changes,
                    **condition, "step": step, "floor_action_equivariance": 1e-9,
                }  # fmt: skip
                made.append(evaluation_row(total, percent * (1 + 0.1 * i), NULL, columns))
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def published():
    files = {name: FIXTURES / name for name in VOXMOL_FILES}
    return pd.concat([published_curves(), voxmol_curves(files)], ignore_index=True)


@pytest.fixture(scope="module")
def drawn(published):
    """Figures of whole studies, each drawn once."""
    return cache(lambda name: draw(name, study(DRAWN[name]), published))


def draw(name, table, published):
    """A checked figure, its rows of either origin, and its notes; legends lie apart."""
    options = of_task(task=DRAWN[name], baseline="base")
    figure, data, _ = draw_checked(name, table, published, options)
    boxes = [legend.get_window_extent() for legend in figure.findobj(Legend)]
    assert not any(box.overlaps(other) for i, box in enumerate(boxes) for other in boxes[:i])
    theirs, ours = data[data["origin"] == "published"], data[data["origin"] == "here"]
    assert len(theirs) + len(ours) == len(data)
    return figure, theirs, ours, " ".join(figures.notes(data, options))


def panels(figure):
    """Pairs of panels, left and right."""
    axes = [axes for axes in figure.axes if axes.axison]
    return list(zip(axes[::2], axes[1::2], strict=True))


def colour(axes, step, value):
    """Colour of the line through a point."""
    for line in axes.lines:
        x, y = line.get_data()
        if any(np.isclose(x, step) & np.isclose(y, value)):
            return line.get_color()
    raise AssertionError(f"no line through {step}, {value}")


@pytest.mark.parametrize("name", DRAWN)
def test_values_of_both_sides_are_those_of_their_tables(name, published, drawn):
    table = study(DRAWN[name])
    figure, theirs, ours, _ = drawn(name)
    assert set(ours["run"]) == SHOWN[name]
    keys = [key for key in ("run", "step", "t") if key in table]
    for quantity, rows in ours.groupby("quantity"):
        if "comparison" in rows and DRAWN[name] == "voxel_denoising":
            table = table[table["comparison"] == "trilinear"]
        merged = rows.merge(table[[*keys, quantity]], on=keys, validate="many_to_one")
        assert len(merged) == len(rows)
        np.testing.assert_array_equal(merged["value"], merged[quantity])
    assert set(ours.loc[~ours["unskilled"], "step"]) == {1000}
    point = ["figure", "quantity", "step", "value"]
    assert len(theirs.merge(published[point].drop_duplicates(), on=point)) == len(theirs)
    for left, right in panels(figure):
        assert left.get_xlim()[1] >= theirs["step"].max()
        assert ours["step"].max() <= right.get_xlim()[1] < 2 * ours["step"].max()


@pytest.mark.parametrize("name", ["published_force_field", "published_losses"])
def test_averaged_weights_stand_beside_raw_ones(name, published):
    task = DRAWN[name]
    assert_averages_beside(name, study(task), of_task(task, weights="raw"), ["value"], published)


def test_the_pilot_run_is_drawn_beside_three_seeds():
    table = pd.concat([published_curves(), pilot_curves()])
    figure, data, text = draw_checked("published_pilot", table, of_task())
    assert data.groupby("origin")["series"].nunique().to_dict() == {"published": 3, "here": 2}
    points = on_lines(figure.axes[0])
    here = data[data["origin"] == "here"]
    assert all((row.step or 0.4, row.value) in points for row in here.itertuples())
    theirs = data[data["origin"] == "published"]
    assert all((row.step, row.value) in points for row in theirs.itertuples())
    assert here.groupby("series")["skill"].max().round(2).to_dict() == {"averaged weights": 0.68, "raw weights": 0.75}
    entries = " ".join(" ".join(legend_texts(figure)).split())
    assert "raw weights ≤ 2 % at step 75, skill −0.01" in entries
    assert "averaged weights ≤ 2 % at step 1,000, skill −0.01" in entries
    assert "≤ 2 % from step 1,888 to 2,000" in entries
    assert "One seed decides no claim." in text


def test_force_fields_have_a_row_for_each_variation(drawn):
    figure, theirs, ours, text = drawn("published_force_field")
    assert list(dict.fromkeys(ours["row"])) == ["Run (seed)", MODEL, TRAIN, OPTIMISER]
    assert theirs.groupby("row")["series"].nunique().to_dict() == {"Run (seed)": 3, MODEL: 3, TRAIN: 4, OPTIMISER: 4}
    for left, right in panels(figure):
        assert left.get_ylim() == right.get_ylim()
        assert left.get_ylim()[0] < 2 < left.get_ylim()[1]
    assert len(panels(figure)) == 4
    assert "10 rotations" in text
    assert "vector paths" in text
    assert "log; the optimiser steps" not in text
    assert "Intervals: 95 %" in text


def test_lack_of_skill_of_the_baseline_is_shaded_on_our_side_alone(drawn):
    figure, *_ = drawn("published_force_field")
    for left, right in panels(figure):
        assert not left.patches
        edges = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in right.patches]
        assert max(end for _, end in edges) == pytest.approx(np.sqrt(100 * 1000))


def test_equal_colours_are_equal_ranks_or_rates(drawn):
    figure, theirs, ours, _ = drawn("published_force_field")
    pairs = dict(zip(dict.fromkeys(ours["row"]), panels(figure), strict=True))

    def first(rows, row, series):
        point = rows[(rows["row"] == row) & (rows["series"] == series) & (rows["step"] > 0)].iloc[0]
        return colour(pairs[row][rows is ours], point["step"], point["value"])

    assert first(theirs, TRAIN, "950k") == first(ours, TRAIN, "baseline (1,000)") != first(theirs, TRAIN, "50k")
    assert first(theirs, TRAIN, "50k") == first(ours, TRAIN, "10 % of the data (90)")
    assert first(theirs, MODEL, "6M") == first(ours, MODEL, "net-big (600k)")
    assert first(theirs, OPTIMISER, "Adam 1e-3") == first(ours, OPTIMISER, "baseline (AdamW, rate 1e-3)")
    assert first(theirs, OPTIMISER, "SGD 1e-5") == first(ours, OPTIMISER, "SGD, rate 1e-2")
    others = [first(theirs, OPTIMISER, f"Adam 1e-{power}") for power in (3, 4, 5)]
    assert len({*others, first(ours, OPTIMISER, "rate 1e-2"), first(ours, OPTIMISER, "SGD, rate 1e-2")}) == 5


@pytest.mark.parametrize(("kept", "row"), [("again", "Run (seed)"), ("few", TRAIN)])
def test_what_a_study_does_not_vary_is_left_out(published, kept, row):
    _, theirs, ours, _ = draw("published_force_field", study("force_field", ["base", kept]), published)
    assert set(theirs["row"]) == set(ours["row"]) == {row}
    assert set(ours["run"]) == {"base", kept}


def test_a_study_without_any_variation_is_refused(published):
    with pytest.raises(ValueError, match="no run differs from the baseline 'base'"):
        draw("published_force_field", study("force_field", ["base", "control"]), published)


def test_losses_pair_training_sets_from_the_largest_on(drawn):
    figure, theirs, ours, text = drawn("published_losses")
    assert theirs.groupby("figure", sort=False)["run"].count().index.tolist() == [
        "escaip-default-losscurves",
        "escaip-losscurves-50k",
    ]
    assert ours.groupby("row", sort=False)["run"].unique().map(list).tolist() == [["base"], ["few"]]
    assert set(ours["quantity"]) == set(theirs["quantity"]) == {"equivariance", "twirled", "total"}
    for left, right in panels(figure):
        spans = [np.divide(*axes.get_ylim()[::-1]) for axes in (left, right)]
        assert spans[0] == pytest.approx(spans[1])
        assert left.get_ylabel() != right.get_ylabel()
    assert "heights cannot be compared" in text
    assert "too large by a tenth" in text


def test_flow_matching_pairs_fractions_and_triangles(drawn):
    figure, theirs, ours, text = drawn("published_flow_matching")
    pairs = ours.drop_duplicates("row").set_index("row")["run"]
    assert pairs.tolist() == ["base", "few", "fewest", "triangles"]
    assert list(dict.fromkeys(theirs["figure"])) == ["prot_60M", "prot_60M_0.01", "prot_60M_0.001", "prot_400M"]
    assert panels(figure)[1][1].get_title(loc="left") == "Here: 60k, 90 chains"
    assert panels(figure)[3][1].get_title(loc="left") == "Here: 60k, 1,000 chains, triangles"
    left, right = panels(figure)[0]
    point = theirs[(theirs["figure"] == "prot_60M") & (theirs["t"] == 0.9)].iloc[3]
    assert colour(left, point["step"], point["value"]) == colour(right, 1, 60.0)
    assert "rows of a log" in text


def test_flow_matching_without_little_data_has_one_row(published):
    _, theirs, _, _ = draw("published_flow_matching", study("flow_matching", ["base", "half"]), published)
    assert set(theirs["figure"]) == {"prot_60M"}


def test_varied_flow_losses_show_triangles_and_little_data(drawn):
    figure, theirs, ours, text = drawn("published_flow_losses_varied")
    names = ["prot_400M-equiv-error", "prot_400M-mean-pred-error", "prot_60M_0.001-total-mse"]
    assert list(dict.fromkeys(theirs["figure"])) == names
    pairs = ours[["run", "quantity"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["triangles", "equivariance"], ["triangles", "twirled"], ["fewest", "total"]]
    titles = [axes.get_title(loc="left") for axes in panels(figure)[2]]
    assert titles == ["Published: total loss,\n60M, 0.1 % of the data", "Here: total loss,\n60k, 10 chains"]
    assert "too large by a tenth" in text


@pytest.mark.parametrize("name", ["published_flow_losses_varied", "published_flow_matching"])
def test_overfitting_is_shaded_from_where_the_loss_rises_for_good(published, drawn, name):
    table = study("flow_matching")
    table.loc[(table["run"] == "fewest") & (table["step"] == 1000), "total"] = 1.06 * min(TOTAL[:-1])
    figure, theirs, ours, text = draw(name, table, published)
    shaded = [pair for pair in panels(figure) if any(axes.patches for axes in pair)]
    ((left, right),) = shaded
    assert "0.1 % of the data" in left.get_title(loc="left")
    assert left.patches[0].get_x() == pytest.approx(50_000, rel=0.06)  # bins are 6 % wide
    assert right.patches[0].get_x() == pytest.approx(np.sqrt(100 * 1000))
    for axes in (left, right):
        assert axes.patches[0].get_x() + axes.patches[0].get_width() == pytest.approx(axes.get_xlim()[1])
    assert theirs.loc[theirs["overfitted"].eq(True), "step"].min() >= 50_000
    assert set(ours.loc[ours["overfitted"].eq(True), "step"]) == {1000}
    assert "value (step 1,000)" in text
    figure, _, ours, text = drawn(name)
    assert [len(axes.patches) for pair in panels(figure) for axes in pair if axes.patches] == [1]
    assert not ours["overfitted"].eq(True).any()
    assert "does not happen" in text


@pytest.mark.parametrize(("kept", "quantities"), [("fewest", {"total"}), ("triangles", {"equivariance", "twirled"})])
def test_varied_flow_losses_leave_out_what_has_no_counterpart(published, kept, quantities):
    _, theirs, ours, text = draw("published_flow_losses_varied", study("flow_matching", ["base", kept]), published)
    assert set(theirs["quantity"]) == set(ours["quantity"]) == quantities
    assert set(ours["run"]) == {kept}
    assert ("overfitted" in text) == (kept == "fewest")


def test_varied_flow_losses_need_a_run(published):
    with pytest.raises(ValueError, match="no run differs from the baseline 'base' in triangle updates"):
        draw("published_flow_losses_varied", study("flow_matching", ["base", "half"]), published)


@pytest.mark.parametrize(
    ("name", "quantities"),
    [("published_voxels", ["percent"]), ("published_voxels_losses", ["equivariance", "twirled_unbiased"])],
)
def test_voxels_have_rows_by_data_and_by_model_from_the_authors_tables_alone(published, drawn, name, quantities):
    figure, theirs, ours, text = drawn(name)
    rows = theirs[["quantity", "row"]].drop_duplicates().to_numpy().tolist()
    assert rows == [[quantity, row] for quantity in quantities for row in (TRAIN, MODEL)]
    assert len(panels(figure)) == len(rows)
    assert ours.groupby("row")["run"].unique().map(set).to_dict() == {TRAIN: {"base", "few"}, MODEL: {"base", "big"}}
    assert set(ours["comparison"]) == {"trilinear"}
    assert "1 %, run A" not in set(theirs["series"])
    assert "two runs up to step 12,888" in text
    assert "4 rotations" in text
    assert "vector paths" not in text
    tables = published[published["source"] == "authors' table"].dropna(axis="columns", how="all")
    _, alone, _, same = draw(name, study("voxel_denoising"), tables)
    pd.testing.assert_frame_equal(alone[theirs.columns], theirs)
    assert same == text


def test_voxels_losses_are_corrected_and_the_notes_say_how_much(drawn):
    text = drawn("published_voxels_losses")[3]
    assert "171 and 2.87 % (10 %)" in text
    assert "% (100 %)" in text
    assert "111M" not in text  # the same run


def test_voxels_by_model_alone_say_nothing_of_two_runs(published):
    _, theirs, _, text = draw("published_voxels_losses", study("voxel_denoising", ["base", "big"]), published)
    assert set(theirs["row"]) == {MODEL}
    assert "% (111M)" in text
    assert "two runs" not in text


def test_a_missing_table_or_curve_is_named(published):
    with pytest.raises(ValueError, match=r"lacks percent of voxmol-vary-data: download the data set voxmol_curves"):
        draw("published_voxels", study("voxel_denoising"), published[published["rotations"] == 10])
    with pytest.raises(ValueError, match=r"lacks twirled of prot_60M-mean-pred-error$"):
        draw("published_flow_losses", study("flow_matching"), published[published["quantity"] != "twirled"])
    with pytest.raises(ValueError, match="no run is named 'base'"):
        draw("published_flow_losses", study("flow_matching", ["few"]), published)
    with pytest.raises(ValueError, match="lacks the column"):
        draw("published_losses", study("force_field"), published.drop(columns="low"))
