"""Figures of the equivariance error by angle and by layer."""

import numpy as np
import pandas as pd
import pytest
from analysis_tables import STEPS, draw, identities
from drawing_checks import legend_texts, of_task
from matplotlib.colors import to_hex

from equidyn.figures.families.structure.draw import closed_form
from equidyn.figures.parts import drawing

ANGLES = (5, 15, 30, 45, 60, 75, 90, 120, 150, 180)
LAYERS = {
    "input": ("invariant", 0.0),
    "blocks.0": ("invariant", 1e-14),
    "up.0.residual.conv_out": ("grid", 1e-2),
    "output": ("output", 0.3),
}


def angles(degree=2.0, **changes):
    """A table of kind "angles": an error of degree 2, of any effective degree."""
    made = []
    for row in identities(**changes):
        haar = row["equivariance"]
        for angle in ANGLES:
            value = haar * closed_form(np.array(angle), 2)
            made.append(
                {
                    **row,
                    "angle": float(angle),
                    **_interval("variogram", value),
                    **_interval("percent_angle", 100 * value / row["total"]),
                    "haar": haar,
                    "haar_percent": row["percent"],
                    "local": haar * degree * (degree + 1) / 3,
                    "degree": degree,
                }
            )
    return pd.DataFrame(made)


def _interval(name, value):
    return {name: value, f"{name}_low": 0.8 * value, f"{name}_high": 1.2 * value}


def degrees(**changes):
    """A table of kind "spectrum": degree 2 has most, degree 1 has none to sampling, and the rest little."""
    made = []
    for row in identities(**changes):
        for degree, share in enumerate((np.nan, -0.5, 92.0, 6.0, 2.5)):
            of_loss = share * row["percent"] / 100
            made.append(
                {
                    **row,
                    "degree": degree,
                    "and_above": degree == 4,
                    "error_share": share,
                    "error_share_low": share - 2,
                    "error_share_high": share + 2,
                    **_interval("loss_share", of_loss),
                    "cosets": 2,
                }
            )
    return pd.DataFrame(made)


def layers(**changes):
    """A table of kind "layers", outputs first."""
    return pd.DataFrame(
        [
            {
                **row,
                "layer": layer,
                "place": place,
                "kind_of_action": kind,
                "relative_error": error * row["percent"],
                "energy": 1.0,
                "floor": 1e-15 * (kind != "output"),
            }
            for row in identities(**changes)
            for place, (layer, (kind, error)) in reversed(list(enumerate(LAYERS.items())))
        ]
    )


TABLES = {"error_by_angle": angles, "error_by_degree": degrees, "error_by_layer": layers}


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_closed_forms(degree):
    angle = np.linspace(0.01, 180, 20_001)
    density = 1 - np.cos(np.radians(angle))  # of the angle of a random rotation
    form = closed_form(angle, degree)
    np.testing.assert_allclose((form * density).sum() / density.sum(), 1, rtol=1e-3)
    np.testing.assert_allclose(form[0] / np.radians(angle[0]) ** 2, degree * (degree + 1) / 6, rtol=1e-4)
    np.testing.assert_allclose(form[-1], 1 - (-1) ** degree / (2 * degree + 1))


def test_error_against_angle():
    figure, data, text = draw("error_by_angle", angles())
    share, shape, degree = figure.axes[:3]
    assert len(data) == len(STEPS) * len(ANGLES)
    for axes, name in ((share, "percent_angle"), (shape, "relative")):
        lines = [line for line in axes.lines if len(line.get_xdata()) == len(ANGLES) and line.get_marker() != "None"]
        assert len(lines) == len(STEPS)
        for line, (_, part) in zip(lines, data.groupby("step"), strict=True):
            np.testing.assert_allclose(line.get_xdata(), ANGLES)
            np.testing.assert_allclose(line.get_ydata(), part[name])
            assert (line.get_markerfacecolor() == "white") == part["unskilled"].all()
    marks = [line for line in share.lines if line.get_marker() == "_"]
    assert [line.get_ydata()[0] for line in marks] == pytest.approx(data.drop_duplicates("step")["haar_percent"])
    forms = {line.get_linestyle(): line for line in shape.lines if len(line.get_xdata()) == 200}
    np.testing.assert_allclose(forms["--"].get_ydata()[-1], 0.8)
    np.testing.assert_allclose(forms[":"].get_ydata()[-1], 4 / 3)
    assert {2.0} == {y for line in degree.lines if line.get_marker() == "o" for y in line.get_ydata()}
    assert "At the last step: 2." in text
    assert "by bootstrap over the molecules" in text


def test_error_against_angle_of_many_steps():
    table = pd.concat([angles().assign(step=angles()["step"] + shift) for shift in (0, 1, 2)], ignore_index=True)
    _, data, text = draw("error_by_angle", table)
    assert data["step"].nunique() == 12
    assert data.loc[data["curve"], "step"].nunique() == 6
    assert "Curves are of 6 of 12 steps." in text


def test_without_derivatives_there_is_no_degree():
    table = angles(task="voxel_denoising", comparison="trilinear", degree=np.nan)
    figure, _, text = draw("error_by_angle", table, of_task(task="voxel_denoising"))
    assert len(figure.axes) == 2
    assert figure.texts[-1].get_text().endswith("rotations: all, trilinear")
    assert "there is no effective degree" in text


@pytest.mark.parametrize("name", TABLES)
def test_flow_times_have_panels(name):
    table = TABLES[name](task="flow_matching", times=(0.0, 0.2, 0.6, 0.9))
    figure, data, text = draw(name, table, of_task(task="flow_matching"))
    assert sorted(set(data["t"])) == [0.2, 0.6, 0.9]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title.startswith("t =")] == ["t = 0.2", "t = 0.6", "t = 0.9"]
    assert "Shown are 3 of 4 flow times." in text


def test_error_by_degree():
    figure, data, text = draw("error_by_degree", degrees())
    of_loss, of_error = figure.axes[:2]
    assert data["degree"].tolist() == [1, 2, 3, 4] * len(STEPS)
    for axes, name in ((of_loss, "loss_share"), (of_error, "error_share")):
        points = {y for line in axes.lines for y in line.get_ydata()}
        expected = data.loc[(data[name] > 0) | (axes is of_error), name]
        assert set(expected) <= points
    assert sorted(set(data["series"])) == ["1", "2", "3", "4 and above"]
    assert "at the last step: ℓ = 1 -0.5 %, ℓ = 2 92 %, ℓ = 3 6 %, ℓ = 4 and above 2.5 %." in text
    assert "2 independent cosets" in text


def test_degrees_of_each_comparison_have_panels():
    table = pd.concat(
        degrees(task="voxel_denoising", group="SO(3)", comparison=comparison) for comparison in ("trilinear", "atoms")
    )
    figure, data, text = draw("error_by_degree", table, of_task(task="voxel_denoising"))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == ["All, trilinear", "All, at the atoms"]
    assert len(data) == 2 * 4 * len(STEPS)
    assert "last step, trilinear: ℓ = 1" in text


def test_error_by_layer():
    figure, data, text = draw("error_by_layer", layers())
    (axes,) = figure.axes
    assert data["layer"].tolist() == list(LAYERS) * len(STEPS)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["input", "blocks 0", "up 0 r…al conv out", "output"]
    for _, part in data.groupby("step"):
        points = {(float(x), float(y)) for line in axes.lines for x, y in np.column_stack(line.get_data())}
        assert {(i + 1.0, error) for i, error in enumerate(part["relative_error"].iloc[1:])} <= points
    zeros = [line for line in axes.lines if line.get_marker() == "v" and len(line.get_xdata())]
    assert [line.get_ydata().tolist() for line in zeros] == [[axes.get_ylim()[0]]] * len(STEPS)
    assert len({line.get_xdata()[0] for line in zeros}) == len(STEPS)
    (floor,) = [line for line in axes.lines if line.get_linewidth() == drawing.FLOOR["linewidth"]]
    np.testing.assert_array_equal(floor.get_ydata(), [1e-15, 1e-15, 1e-15, np.nan])
    tints = [to_hex(patch.get_facecolor()) for patch in axes.patches]
    assert len(set(tints)) == len(tints) == 3
    assert "None but for rounding, at the lower edge: input." in text
    assert "at most 1e-15" in text
    assert "bootstrap" not in text


def test_a_floor_far_below_is_said():
    table = layers()
    figure, _, text = draw("error_by_layer", table[table["relative_error"] > 1e-6])
    assert "Numeric floor, of one rotation repeated: at most" in text
    assert not any("floor" in entry for entry in legend_texts(figure))
    assert not [line for line in figure.axes[0].lines if line.get_linewidth() == drawing.FLOOR["linewidth"]]


def test_no_layer_changes():
    _, data, text = draw("error_by_layer", layers().query("layer == 'input'").assign(floor=0.0))
    assert data["zero"].all()
    assert "at most 0" in text
