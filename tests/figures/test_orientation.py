"""The figure of orientations: equal areas, every axis in its place, and captions that say what was found."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import draw_checked, legend_texts, of_task

from equidyn.analysis.orientation import along_frame, examine, uniformity
from equidyn.figures.families.orientation import draw as orientation
from equidyn.figures.families.orientation.draw import equal_area, orientation_audit

OPTIONS = of_task(task="voxel_denoising")


def axes_of(rng, count, stretch=1.0):
    """(count, 3) unit vectors with z ≥ 0, uniform unless stretched along y."""
    axes = rng.standard_normal((count, 3)) * [1, stretch, 1]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return np.where(axes[:, 2:] < 0, -axes, axes)


def made(stretch=1.0):
    """A table of 160 training and 40 validation examples, five of a cluster; ten shortest axes are not defined."""
    rng = np.random.default_rng(0)
    long, short = axes_of(rng, 200, stretch), axes_of(rng, 200)
    short[:10] = np.nan
    columns = {"example": np.arange(200), "cluster": np.arange(200) // 5, "side": ["train"] * 160 + ["validation"] * 40}
    for name, axes in (("long", long), ("short", short)):
        columns |= {f"{name}_{letter}": axes[:, i] for i, letter in enumerate("xyz")}
    return pd.DataFrame(columns)


def drawn(table):
    return draw_checked("orientation_audit", table, *examine(table), OPTIONS)


@pytest.fixture(scope="module")
def table():
    return made()


@pytest.fixture(scope="module")
def result(table):
    return drawn(table)


def test_map_keeps_areas():
    """A cap of the half sphere has the share 1 − cos of its area, and so has its disc of the map's."""
    angle = np.radians([0, 30, 60, 90])
    places = equal_area(np.column_stack([np.sin(angle), 0 * angle, np.cos(angle)]))
    np.testing.assert_allclose(places[:, 0] ** 2, 1 - np.cos(angle), atol=1e-12)
    assert (places[:, 1] == 0).all()
    # Uniform axes: as many in each of four rings of equal area, and in each of four quarters.
    x, y = equal_area(axes_of(np.random.default_rng(1), 40_000)).T
    rings, _ = np.histogram(x**2 + y**2, 4, (0, 1))
    quarters, _ = np.histogram(np.arctan2(y, x), 4, (-np.pi, np.pi))
    assert np.abs(np.concatenate([rings, quarters]) / 10_000 - 1).max() < 0.04


def test_map_has_no_signs():
    axes = axes_of(np.random.default_rng(2), 50)
    np.testing.assert_array_equal(equal_area(-axes), equal_area(axes))


def test_rows_are_what_is_shown(table, result):
    figure, data, _ = result
    assert set(data["shown"]) == {"test", "angles", "map"}
    known = {("long", "train"): 160, ("long", "validation"): 40, ("short", "train"): 150, ("short", "validation"): 40}
    for (axis, side), count in known.items():
        rows = table[table["side"] == side]
        axes = rows[[f"{axis}_{letter}" for letter in "xyz"]].to_numpy()
        part = data[(data["axis"] == axis) & (data["side"] == side)]
        test = part[part["shown"] == "test"].iloc[0]
        expected = uniformity(axes, rows["cluster"])
        assert {name: test[name] for name in expected} == pytest.approx(expected)
        assert test["axes"] == count
        assert test["of_examples"] == len(rows)
        points = part[part["shown"] == "map"]
        assert len(points) == count
        places = equal_area(axes[points["example"].astype(int) - rows["example"].iloc[0]])
        np.testing.assert_allclose(points[["map_x", "map_y"]].astype(float), places)
        if side == "train":
            curves, found = along_frame(axes, rows["cluster"])
            angles = part[part["shown"] == "angles"]
            np.testing.assert_allclose(angles["share"], curves["share"])
            assert test["p_along_frame"] == found["p_value"]
            assert test["band"] == found["band"]
            panel = figure.axes[1 if axis == "long" else 3]
            lines = [line for line in panel.lines if len(line.get_xdata()) > 2]
            assert len(lines) == 3
            heights = np.concatenate([line.get_ydata() for line in lines])
            np.testing.assert_allclose(heights, 100 * (angles["share"] - angles["uniform"]))
            low, high = panel.get_ylim()
            assert low < -100 * found["band"] < 100 * found["band"] < high
            assert low < heights.min() < heights.max() < high
        else:
            assert part["band"].isna().all()
            assert "angles" not in set(part["shown"])


def test_annotations(result):
    figure, data, _ = result
    for panel, axis in ((figure.axes[0], "long"), (figure.axes[2], "short")):
        lines = panel.get_xlabel().replace(":\n", ": ").split("\n")
        tests = data[(data["shown"] == "test") & (data["axis"] == axis)]
        assert [line.split(":")[0] for line in lines] == tests["side"].tolist() == ["train", "validation"]
        for line, (_, test) in zip(lines, tests.iterrows(), strict=True):
            assert ", ".join(f"{test[f'eigenvalue_{i}']:.2f}" for i in (1, 2, 3)) in line
            assert float(line.split("p = ")[1]) == pytest.approx(test["p_value"], rel=0.06)


def test_uniform_axes_pass(table, result):
    figure, data, text = drawn(table)
    pd.testing.assert_frame_equal(data, result[1])
    assert "compatible with uniform" in text
    assert "not uniform" not in text
    assert "160 conformers, 160 longest axes of 32 molecules and 150 shortest axes of 30 molecules" in text
    assert "Validation: 40 conformers, 40 longest axes of 8 molecules" in text
    assert "(longest, 320 pairs), " in text
    assert stars(figure) == [0, 0]


def stars(figure):
    """How many stars the maps of the longest and shortest axes have."""
    return [sum(line.get_marker() == "*" for line in figure.axes[panel].lines) for panel in (0, 2)]


def test_oriented_axes_do_not():
    figure, data, text = drawn(made(stretch=3.0))
    assert "The orientation of the training set is not uniform" in text
    assert "compatible" not in text
    tests = data[(data["shown"] == "test") & (data["side"] == "train")].set_index("axis")
    assert f"mean cos² of {tests.loc['long', 'eigenvalue_1']:.2f} to one direction" in text
    assert stars(figure) == [1, 0]
    star = next(line for line in figure.axes[0].lines if line.get_marker() == "*")
    assert np.hypot(star.get_xdata(), star.get_ydata()) > 0.9  # y is at the rim
    assert any("direction preferred" in label for label in legend_texts(figure))


def test_one_test_of_four_at_five_percent_is_no_finding(result):
    """The level holds for the four tests together."""
    data = result[1].copy()
    of_train = (data["shown"] == "test") & (data["side"] == "train")
    data.loc[of_train, ["p_value", "p_along_frame"]] = [[0.03, 0.5], [0.5, 0.5]]
    assert "compatible with uniform (the smallest of 4 p-values, of λ and of angles, times 4 is 0.12)" in " ".join(
        orientation.notes(data, OPTIONS)
    )
    data.loc[of_train, "p_along_frame"] = [0.012, 0.5]
    assert "not uniform" in " ".join(orientation.notes(data, OPTIONS))


def test_training_alone_and_clusters_of_one(table):
    rows = table[:160].assign(cluster=np.arange(160))
    _, data, text = drawn(rows)
    assert set(data["side"]) == {"train"}
    assert "Validation:" not in text
    assert "pairs" not in text


def test_large_sets_are_thinned(table, monkeypatch):
    monkeypatch.setattr(orientation, "POINTS", 50)
    _, data, text = drawn(table)
    assert data[data["shown"] == "map"].groupby(["axis", "side"]).size().tolist() == [50, 40, 50, 40]
    assert "Maps show 50 axes of a side at most." in text
    assert data.loc[data["shown"] == "test", "axes"].tolist() == [160, 40, 150, 40]


def test_refuses(table):
    with pytest.raises(ValueError, match=r"lacks the column\(s\) short_y"):
        orientation_audit(table.drop(columns="short_y"), *examine(table), OPTIONS)
