"""Figures of averages of the weights: a curve for each decay, and when it falls, beside the published fall."""

import numpy as np
import pandas as pd
import pytest
from analysis_tables import identities
from drawing_checks import draw_checked, legend_texts, of_task
from project import ROOT

from equidyn.analysis.authors import published_curves
from equidyn.analysis.pilot import pilot_curves
from equidyn.claims.published import Published
from equidyn.figures.parts import style

DECAYS = {"raw": np.nan, "ema-0.9": 0.9, "ema": 0.99, "ema-0.9999": 0.9999, "ema-0.99999": 0.99999}
PUBLISHED = pd.concat([published_curves(), pilot_curves()])


def averages(task="force_field", times=(None,), **changes):
    """A table of kind "averages": shares fall after twice the steps that are remembered."""
    rows = []
    for weights, decay in DECAYS.items():
        memory = 1 if np.isnan(decay) else 1 / (1 - decay)
        for row in identities(task, times=times, weights=weights, **changes):
            rows.append(row | {"decay": decay, "percent": 30.0 if row["step"] < 1.999 * memory else 1.0})
    return pd.DataFrame(rows[::-1])


def drawn_falls(axes):
    """Ends of the bars in a panel, by memory."""
    bars = [line for line in axes.lines if line.get_linewidth() == 1.2 and len(line.get_xdata()) == 2]
    return {round(line.get_xdata()[0], 6): tuple(map(float, line.get_ydata())) for line in bars}


def test_curves_fall_when_their_memory_ends():
    figure, data, caption = draw_checked("averaging", averages(), PUBLISHED, of_task())
    left, right = (axes for axes in figure.axes if axes.get_xscale() == "log")
    ours = data[data["origin"] == "here"].drop_duplicates("series")
    assert ours["series"].tolist() == ["raw weights", "0.9", "0.99", "0.9999", "0.99999"]
    assert ours["memory"].tolist() == pytest.approx([1, 10, 100, 1e4, 1e5])
    assert ours[["fall_after", "fall_by"]].to_numpy().tolist() == [
        [0, 100], [0, 100], [100, 1000], [1000, 20_000], [20_000, np.inf],
    ]  # fmt: skip
    bottom = right.get_ylim()[0]
    falls = drawn_falls(right)
    assert [falls[memory] for memory in (1, 10, 100, 1e4)] == [
        (bottom, 100),
        (bottom, 100),
        (100, 1000),
        (1000, 20_000),
    ]
    assert 1e5 not in falls
    assert "arrow: the training ends first" in " ".join(" ".join(legend_texts(figure)).split())
    assert len({line.get_color() for line in left.lines} - {left.lines[-1].get_color()}) >= len(DECAYS)
    assert "step 100 (raw weights), 100 (0.9), 1,000 (0.99), 20,000 (0.9999), later than 20,000" in caption


def test_the_studys_own_average_is_a_curve_beside_one_of_the_authors_decay():
    names = averages()
    table = names.assign(
        weights=names["weights"].replace("ema-0.9999", "ema-0.999"), decay=names["decay"].replace(0.9999, 0.999)
    )
    _, data, _ = draw_checked("averaging", table, PUBLISHED, of_task())
    assert data.loc[data["origin"] == "here", "series"].value_counts().nunique() == 1
    assert {"0.99", "0.999"} <= set(data["series"])


def test_the_published_fall_is_that_of_the_claim():
    figure, data, caption = draw_checked("averaging", averages(), PUBLISHED, of_task())
    theirs = data[data["origin"] == "published"]
    assert theirs["memory"].tolist() == pytest.approx([1000] * 3)
    published = Published("force_field", PUBLISHED, pd.DataFrame())
    for row in theirs.itertuples():
        curves = published.curves(row.series)
        share = dict(zip(curves.steps, curves.percent[0, 0], strict=True))
        assert share[row.fall_by] <= 2 < share[row.fall_after]
        assert 1000 < row.fall_after < row.fall_by < 2000
    entries = {" ".join(entry.split()) for entry in legend_texts(figure)}
    assert {"published, 3 runs", "authors' recipe, our run", "grey inside: of unknown skill"} <= entries
    # Losses are published of the first replicate alone, which falls with a skill of 0.06.
    assert [None if pd.isna(known) else bool(known) for known in theirs["fall_unskilled"]] == [False, None, None]
    stars = [line for axes in figure.axes for line in axes.lines if line.get_marker() == "*" and len(line.get_xdata())]
    fills = [line.get_markerfacecolor() for line in stars]
    assert fills == [style.PALETTE[1], style.MUTED, style.MUTED, "white", "white"]
    assert "as published, with a decay of 0.999" in caption
    pilot = data[data["origin"] == "pilot"].set_index("series")
    assert pilot["memory"].to_dict() == pytest.approx({"raw weights": 1, "averaged weights": 1000})
    assert pilot["fall_by"].to_dict() == {"raw weights": 75, "averaged weights": 1000}
    assert pilot["fall_unskilled"].all(), "nothing is predicted yet"


def test_flow_times_have_rows_without_steps_that_are_no_optimiser_steps():
    table, options = averages("flow_matching", (0.2, 0.6, 0.7, 0.9)), of_task("flow_matching")
    figure, data, caption = draw_checked("averaging", table, PUBLISHED, options)
    assert set(data["origin"]) == {"here"}
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == [
        "t = 0.2", "t = 0.6", "t = 0.9",
    ]  # fmt: skip
    assert "At t = 0.9 the share is first" in caption
    assert "Shown are 3 of 4 flow times" in caption
    assert "published" not in caption


def test_one_step_is_enough_and_no_rows_are_too_few():
    table = averages()
    draw_checked("averaging", table[table["step"] == 1000], PUBLISHED, of_task())
    with pytest.raises(ValueError, match="has no rows: analyse a run first"):
        draw_checked("averaging", table[:0], PUBLISHED, of_task())


def test_voxels_have_a_published_fall_of_their_own():
    table, options = (
        averages("voxel_denoising", group="cube", comparison="voxels"),
        of_task("voxel_denoising", group="SO(3)"),
    )
    published = pd.read_parquet(ROOT / "results/cpu/tables/published_tables.parquet")
    _, data, caption = draw_checked("averaging_of_voxels", table, published, options)
    assert data.loc[data["origin"] == "published", "series"].tolist() == ["10 % of the data"]
    assert "Rotations: the 24 of a cube alone" in caption
