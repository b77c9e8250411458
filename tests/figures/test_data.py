"""Data summaries count every example."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import draw_checked, of_task

from equidyn.data.describe import LABELS
from equidyn.figures.families.data.draw import data_summary
from equidyn.figures.planned import figures_for

OPTIONS = of_task(task="flow_matching")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "example": np.arange(100),
            "cluster": np.arange(100) // 4,
            "side": ["train"] * 80 + ["validation"] * 20,
            "name": "1abc_A",
            next(iter(LABELS)): rng.integers(51, 256, 100),
            "weight": np.where(np.arange(100) == 3, np.nan, rng.normal(size=100)),
            "unknown": np.nan,
        }
    )


def test_histograms_count_every_example(table):
    known = next(iter(LABELS))
    figure, data, _ = draw_checked("data_summary", table, OPTIONS)
    assert data["quantity"].unique().tolist() == [known, "weight"]
    for (quantity, side), bins in data.groupby(["quantity", "side"]):
        values = table.loc[table["side"] == side, quantity].dropna()
        expected = [
            ((low <= values) & (values < high)).sum() for low, high in zip(bins["low"], bins["high"], strict=True)
        ]
        expected[-1] += (values == bins["high"].iloc[-1]).sum()
        assert bins["examples"].tolist() == expected
        assert sum(expected) == len(values)
        assert bins["share"].sum() == pytest.approx(1)
    assert (data[data["quantity"] == known]["high"] % 1 == 0.5).all()  # whole numbers lie inside bins
    assert figure.axes[0].get_xlabel() == LABELS[known]
    assert figure.axes[1].get_xlabel() == "weight"
    train = data[(data["quantity"] == "weight") & (data["side"] == "train")]
    drawn = next(iter(figure.axes[1].patches))
    np.testing.assert_allclose(drawn.get_data().values, 100 * train["share"])
    medians = [line.get_xdata()[0] for line in figure.axes[1].lines]
    np.testing.assert_allclose(medians, table.groupby("side")["weight"].median())


def test_caption_says_how_much(table):
    _, _, text = draw_checked("data_summary", table, OPTIONS)
    assert "Training: 80 chains of 20 sequence families. Validation: 20 chains of 5 sequence families." in text
    assert "data_summary" in figures_for("force_field")
    assert "80 examples of 20 molecules" in draw_checked("data_summary", table, of_task())[2]


def test_elongated_chains_are_named(table):
    globular = 2.2 * 100**0.38
    radii = np.where(np.isin(np.arange(100), [0, 84, 85, 99]), 1.6 * globular, 1.4 * globular)
    chains = table.assign(residues=100, radius_of_gyration=radii)
    _, data, text = draw_checked("data_summary", chains, OPTIONS)
    assert "The radius of gyration of 3 held-out chains (sequence families 21, 24) is more than 1.5 times" in text
    assert data.groupby("side")["elongated"].max().to_dict() == {"train": 1, "validation": 3}
    assert "radius of gyration of 0 held-out chains is" in draw_checked("data_summary", chains[1:80], OPTIONS)[2]


def test_one_value_one_side(table):
    _, data, _ = draw_checked("data_summary", table[:80].assign(weight=2.5), OPTIONS)
    assert data.loc[data["side"] == "validation", "examples"].sum() == 0
    assert data.loc[(data["quantity"] == "weight"), "examples"].max() == 80


def test_refuses(table):
    with pytest.raises(ValueError, match=r"lacks the column\(s\) cluster"):
        data_summary(table.drop(columns="cluster"), OPTIONS)
    with pytest.raises(ValueError, match="no numbers to draw"):
        data_summary(table[:0], OPTIONS)
