"""Figures of Hessians: spectra by rank, and numbers against step, for both losses."""

import numpy as np
import pandas as pd
import pytest
from analysis_tables import PERCENT, STEPS, TOTAL, UNIT, draw, identities
from drawing_checks import legend_texts, of_task
from matplotlib.colors import to_hex

from equidyn.figures.parts import style
from equidyn.figures.parts.drawing import PARTS, shortened, spread
from equidyn.figures.parts.times import at_times
from equidyn.study.selection import of_analysis

BLOCKS = {"direction.linear.weight": 192, "all": 68_000}


def hessian(**changes):
    """A table of kind "hessian"."""
    made = []
    for row in identities(**changes):
        for loss in PARTS:
            for block, size in BLOCKS.items():
                dense, largest = block != "all", 30 * row[loss] * (1 if loss == "twirled" else 0.3)
                made.append(
                    {
                        **row, "loss": loss, "block": block, "block_parameters": size, "dense": dense,
                        "largest": largest, "smallest": -0.01 * largest,
                        "smallest_positive": 1e-5 * largest if dense else np.nan,
                        "condition": (1e5 if loss == "twirled" else 3e3) if dense else np.nan,
                        "mean_condition": 40 if loss == "twirled" else 20,
                        "zeros": 2 if dense else np.nan, "probes": 0 if dense else 4,
                        "negative": 5 if dense else np.nan, "trace": 6 * largest,
                        "trace_error": 0.0 if dense else 0.8 * largest, "square_trace": 3 * largest**2,
                        "effective_rank": 12.0 + 20 * (loss == "equivariance"),
                        "residual_largest": 1e-9 if dense else 2e-5,
                        "residual_smallest": 1e-9 if dense else 3e-4,
                        "products": size if dense else 480,
                        "loss_value": row[loss],
                    }
                )  # fmt: skip
    return pd.DataFrame(made)


def sampled(change=0.04, **changes):
    """The same from 2, 8 and 24 rotations, of which the last two differ by `change`."""
    table = hessian(estimator="sampled", rotations=24, **changes).assign(largest_change=change, converged=change < 0.1)
    table["mean_condition"] = 7.0
    table["series_rotations"] = [np.array([2.0, 8.0, 24.0])] * len(table)
    for name in ("largest", "mean_condition"):
        table[f"series_{name}"] = [np.array([3, 1 + change, 1]) * value for value in table[name]]
    return table


def spectra(nodes=12, **changes):
    """A table of kind "hessian": dense with a negative and a zero eigenvalue, and Lanczos of two probes."""
    made = []
    for row in identities(**changes):
        for loss in PARTS:
            for block, size in BLOCKS.items():
                top = 30 * row[loss] * (1 if loss == "twirled" else 0.3)
                if block == "all":
                    values = np.tile(top * np.r_[10.0 ** -np.arange(nodes - 1), -1e-3], 2)
                    weights = np.tile(np.r_[0.3 * 2.0 ** np.arange(nodes - 1), 40], 2)
                    weights *= size / weights.sum()
                    probes = np.repeat([0, 1], nodes)
                else:
                    values = top * np.r_[np.arange(1, size - 1.0) ** -2, -1e-3, 1e-17]
                    weights, probes = np.ones(size), np.zeros(size, int)
                identity = {**row, "loss": loss, "block": block, "block_parameters": size, "dense": block != "all"}
                made.append({**identity, "eigenvalue": values, "weight": weights, "probe": probes})
    return pd.DataFrame(made)


TABLES = {"hessian_summary": hessian, "hessian_spectra": spectra}


def drawn(axes, loss):
    """Coordinates of a loss' markers in a panel, filled first."""
    _, colour, marker = PARTS[loss]
    lines = [line for line in axes.lines if line.get_color() == colour and line.get_marker() == marker]
    filled = [line for line in lines if line.get_markerfacecolor() == colour]
    return [np.column_stack(line.get_data()) for line in [*filled, *(line for line in lines if line not in filled)]]


def test_spectra_are_ranked_by_sign():
    figure, data, text = draw("hessian_spectra", spectra())
    assert sorted(data["step"].unique()) == [0, 1000, 20_000]
    assert len(data) == 3 * 2 * (192 + 24)
    dense = data[(data["block"] != "all") & (data["step"] == 20_000) & (data["loss"] == "twirled")]
    assert dense["rank"].tolist() == [*range(1, 192), 1]
    assert dense["positive"].sum() == 191
    assert dense["left_out"].sum() == 1
    top = 30 * TOTAL[-1] * (1 - PERCENT[-1] / 100)
    panel = figure.axes[2]
    positive, negative = drawn(panel, "twirled")
    np.testing.assert_allclose(positive[0], [1, top])
    np.testing.assert_allclose(positive[-1], [190, top / 190**2])
    np.testing.assert_allclose(negative, [[1, 1e-3 * top]])
    assert panel.get_ylim()[0] > 1e-12
    whole = data[data["block"] == "all"]
    np.testing.assert_allclose(whole.groupby(["step", "loss"])["weight"].sum(), 68_000)
    assert (
        (whole["left_out"] == (whole["magnitude"] < whole["magnitude"].max() / 12**2))
        .groupby(whole["step"])
        .any()
        .all()
    )
    kept = whole[(whole["step"] == 20_000) & (whole["loss"] == "twirled") & ~whole["left_out"]]
    np.testing.assert_allclose(kept["magnitude"], top * np.repeat([1, 0.1, 0.01], 2))
    np.testing.assert_allclose(kept["rank"], kept["weight"].cumsum())
    ((x, _), *_) = drawn(figure.axes[5], "twirled")[0]
    assert x >= 1
    assert (
        "of the block's largest, are at the last step 0.521 % (direction.linear.weight, equivariance), 0.521 %" in text
    )
    assert "tell eigenvalues there apart: at the last step 99.7 % (all, equivariance), 99.7 % (all, twirled)" in text
    assert "Spectrum of all: stochastic Lanczos, 2 random probes with 12 nodes each" in text
    assert "Negative at the last step: 0.521 % (direction.linear.weight, equivariance), 0.521 %" in text
    assert "exact average over all rotations" in text
    assert "bootstrap" not in text


def test_panels_of_a_block_share_axes_and_tell_lack_of_skill():
    figure, _, _ = draw("hessian_spectra", spectra())
    for row in (figure.axes[:3], figure.axes[3:6]):
        assert len({axes.get_ylim() for axes in row}) == len({axes.get_xlim() for axes in row}) == 1
        assert to_hex(row[0].get_facecolor()) == style.SILENT.lower()
        assert to_hex(row[2].get_facecolor()) == "#ffffff"
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == [
        "Step 0, skill 0.02",
        "Step 1,000, skill 0.80",
        "Step 20,000, skill 0.99",
    ]
    assert figure.axes[0].get_ylabel() == f"direction.linear.weight\n192 parameters\n|eigenvalue| ({UNIT})"


def test_numbers_of_both_losses_against_step():
    figure, data, text = draw("hessian_summary", hessian())
    assert len(data) == len(STEPS) * 2 * len(BLOCKS)
    np.testing.assert_allclose(data["largest_relative"], np.where(data["loss"] == "twirled", 30, 9))
    panels = np.array(figure.axes).reshape(5, 2)
    for i, name in enumerate(["largest", "largest_relative", "trace", "effective_rank", "mean_condition"]):
        for j, block in enumerate(BLOCKS):
            for loss in PARTS:
                part = data[(data["block"] == block) & (data["loss"] == loss)]
                points = np.concatenate(drawn(panels[i, j], loss))
                np.testing.assert_allclose(sorted(points[:, 1]), sorted(part[name]))
    assert "Hessian of direction.linear.weight: full spectrum; residuals of the extreme eigenvalues" in text
    assert "at most 2e-5 (largest) and 3e-4 (smallest), by 480 Hessian-vector products" in text
    assert (
        "Of 192 eigenvalues of direction.linear.weight, negative and zero to rounding at the last step: twirled loss "
        "5 and 2, condition number (largest / smallest) 1e5; equivariance error 5 and 2, condition"
    ) in text
    assert "left out" not in text
    assert "better conditioned" not in text
    halves = (data["trace_high"] - data["trace"]) / data["trace_error"]
    assert halves[data["block"] == "all"].to_numpy() == pytest.approx(3.182, abs=1e-3)  # t of four probes


def test_sampling_is_said_to_spread_eigenvalues():
    _, _, exact = draw("hessian_summary", hessian())
    _, _, sampled = draw("hessian_summary", hessian(estimator="sampled", rotations=2))
    assert "negative, by sampling alone." in sampled
    assert "by sampling alone" not in exact


@pytest.mark.parametrize(("change", "converged"), [(0.04, 4), (0.3, 0)])
def test_fewer_rotations_are_faint_and_convergence_is_said(change, converged):
    figure, data, text = draw("hessian_summary", sampled(change))
    panels = np.array(figure.axes).reshape(5, 2)
    for panel, name in ((panels[0, 0], "largest"), (panels[4, 1], "mean_condition")):
        faint = sorted(y for marks in panel.collections for _, y in np.asarray(marks.get_offsets()))
        block = data[data["block"] == list(BLOCKS)[int(name != "largest")]]
        expected = [factor * value for value in block[name] for factor in (3, 1 + change)]
        np.testing.assert_allclose([y for y in faint if y], sorted(expected))
    assert "faint: from 2 to 8 rotations" in " ".join(legend_texts(figure))
    count = len(STEPS) * len(BLOCKS)
    said = f"by up to {100 * change:.0f} %, {count if converged else 0} of {count} spectra converged"
    assert f"From 8 to 24 rotations the largest eigenvalue changes: twirled loss {said}" in text


def test_equal_spectra_are_named():
    table = hessian()
    dense = table["block"] != "all"
    table.loc[dense, "largest"] = 2.0
    table.loc[dense, "condition"] = np.nan
    _, _, text = draw("hessian_summary", table)
    assert "In direction.linear.weight both losses have the same eigenvalues apart from zero" in text
    assert "condition number" not in text.split("Of 192 eigenvalues")[1]


def test_known_eigenvalues_are_drawn_however_small():
    table = spectra()
    whole = table["block"] == "all"
    known = [1e3, 1e2, -1e-9]
    table.loc[whole, "eigenvalue"] = table.loc[whole, "eigenvalue"].map(lambda nodes: np.r_[known, nodes])
    table.loc[whole, "weight"] = table.loc[whole, "weight"].map(lambda weights: np.r_[[1.0] * 3, weights])
    table.loc[whole, "probe"] = table.loc[whole, "probe"].map(lambda probes: np.r_[[-1] * 3, probes])
    _, data, text = draw("hessian_spectra", table)
    shown = data[(data["block"] == "all") & (data["probe"] < 0)]
    assert sorted(shown["magnitude"].unique()) == [1e-9, 1e2, 1e3]
    assert not shown.loc[shown["magnitude"] > 1, "left_out"].any()
    assert shown.loc[shown["magnitude"] == 1e3, "rank"].unique().tolist() == [1]
    assert "Spectrum of all: the 3 outermost eigenvalues, and for the rest stochastic Lanczos, 2 random" in text


def test_a_trace_below_zero_is_left_out():
    table = hessian()
    table["trace"] = table["trace"].where(table["block"] != "all", -1.0)
    _, _, text = draw("hessian_summary", table)
    assert "Values of the trace at or below zero cannot be drawn and are left out." in text


@pytest.mark.parametrize("name", TABLES)
def test_one_flow_time_is_shown(name):
    table = TABLES[name](task="flow_matching", times=(0.2, 0.5, 0.9))
    _, data, text = draw(name, table, of_task(task="flow_matching"))
    assert set(data["t"]) == {0.5}
    assert "Flow time: t = 0.5, of 3 in the table." in text


@pytest.mark.parametrize("name", TABLES)
def test_figures_draw_what_there_is(name):
    table = TABLES[name]()
    whole = table[(table["block"] == "all") & (table["step"] == 1000)]
    _, data, _ = draw(name, whole.assign(t=np.nan, self_conditioning=None))
    assert set(data["block"]) == {"all"}
    assert "t" not in data
    draw(name, table[table["block"] != "all"])
    draw(name, table[table["loss"] == "twirled"])


def test_baseline_rows_are_chosen_by_condition():
    table = pd.concat(
        [
            hessian(task="voxel_denoising", run=run, group=group, comparison=comparison)
            for run in ("base", "again")
            for group, comparison in (("cube", "voxels"), ("SO(3)", "trilinear"))
        ],
        ignore_index=True,
    )
    rows = of_analysis(table, of_task(task="voxel_denoising"), ["largest"])
    assert set(rows["run"]) == {"base"}
    assert set(rows["comparison"]) == {"trilinear"}
    assert len(rows) == len(STEPS) * 2 * len(BLOCKS)
    assert rows["step"].is_monotonic_increasing
    assert rows.loc[rows["unskilled"], "step"].unique().tolist() == [0, 100]
    # An analysis under one comparison alone is shown under that.
    rows = of_analysis(table[table["comparison"] == "voxels"], of_task(task="voxel_denoising"), ["largest"])
    assert set(rows["comparison"]) == {"voxels"}


def test_nearest_flow_times():
    rows = pd.DataFrame({"t": [0.0, 0.25, 0.5, 0.75, 1.0]})
    assert at_times(rows)["t"].tolist() == [0.25, 0.5, 1.0]
    assert set(at_times(rows)["flow_times"]) == {5}
    assert at_times(rows.drop(columns="t")).equals(rows.drop(columns="t"))


def test_spread():
    assert spread([1, 2, 3, 4, 5], 3) == [1, 3, 5]
    assert spread([1, 2], 3) == [1, 2]
    assert spread([7], 3) == [7]


def test_long_names_are_shortened():
    assert shortened("blocks.0", 8) == "blocks.0"
    assert shortened("blocks.10.attention", 12) == "bloc…tention"
