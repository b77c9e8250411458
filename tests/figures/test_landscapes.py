"""Figures of landscapes compare heights, and tell what is sampling noise."""

import numpy as np
import pandas as pd
import pytest
from drawing_checks import assert_on_page, draw_checked, of_task
from evaluation_rows import IDENTITY

from equidyn.analysis.authors import published_landscapes
from equidyn.analysis.roughness import roughness
from equidyn.figures.families.landscapes.draw import landscape_published, notes, per_grid

OPTIONS = of_task()
AXIS = np.linspace(-0.05, 0.05, 11)
CURVATURE = {"twirled": (8.0, 2.0), "equivariance": (32.0, 0.5)}  # along y and x
CENTRE = {"twirled": 0.8, "equivariance": 0.05}
NOISE = {"twirled": 0.01, "equivariance": 0.002}
PLANES = ("landscape_surfaces", "landscape_contours")
NAMES = (*PLANES, "landscape_roughness")


def grid(directions, protocol, loss, **changes):
    """A bowl; with new rotations, noise on it."""
    y, x = CURVATURE[loss]
    scale = 0.1 if directions == "random" else 1.0
    values = CENTRE[loss] + scale * (y * AXIS[:, None] ** 2 + x * AXIS[None, :] ** 2) / 2
    if protocol == "fresh":
        noise = np.random.default_rng([len(directions), len(loss)]).normal(size=values.shape)
        values = values + NOISE[loss] * noise
    i, j = np.indices(values.shape)
    known = directions != "random"
    return pd.DataFrame(
        {
            **IDENTITY, "step": 500, "estimator": "exact" if protocol == "common" else "sampled",
            "rotations": 0 if protocol == "common" else 10, "examples": 64, "clusters": 40,
            "percent": 5.9, "skill": 0.31, "block": "head", "block_parameters": 1536, "scale": 3.0,
            "eigenvalue_x": {"twirled": 0.5, "equivariance": 0.25}.get(directions, np.nan),
            "eigenvalue_y": 4.0 if known else np.nan,
            "directions": directions,
            "protocol": protocol,
            "loss": loss,
            "i": i.ravel(),
            "j": j.ravel(),
            "x": AXIS[j.ravel()],
            "y": AXIS[i.ravel()],
            "value": values.ravel(),
            **roughness(AXIS, AXIS, values),
            **changes,
        }
    )  # fmt: skip


def landscape(**changes):
    return pd.concat(
        [
            grid(directions, protocol, loss, **changes)
            for directions in ("random", "twirled", "equivariance")
            for protocol in ("fresh", "common")
            for loss in ("equivariance", "twirled")
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def table():
    """The baseline at two steps, another run and another task."""
    others = [landscape(step=100), landscape(run="other", step=900), landscape(task="flow_matching")]
    return pd.concat([*others, landscape()], ignore_index=True)


def draw(name, table, options=OPTIONS):
    """As `draw_checked`, with the authors' grids where they are shown; all text lies on the page."""
    authors = [published_landscapes()] if name == "landscape_roughness" else []
    figure, data, text = draw_checked(name, table, *authors, options)
    assert_on_page(figure, [*figure.texts, *(text for axes in figure.axes for text in axes.texts)])
    return figure, data, text


def surfaces(figure):
    return [axes for axes in figure.axes if axes.name == "3d"]


@pytest.mark.parametrize("name", PLANES)
def test_planes_show_the_latest_grids_of_one_plane(table, name):
    _, data, _ = draw(name, table)
    assert set(data["run"]) == {"base"}
    assert set(data["step"]) == {500}
    assert set(data["directions"]) == {"equivariance"}
    assert len(data) == 4 * AXIS.size**2
    keys = ["directions", "protocol", "loss", "i", "j"]
    own = landscape().query("directions == 'equivariance'").set_index(keys)["value"]
    pd.testing.assert_series_equal(data.set_index(keys)["value"].sort_index(), own.sort_index())


@pytest.mark.parametrize("name", PLANES)
def test_the_first_directions_are_shown(table, name):
    some = table[table["directions"] != "equivariance"]
    assert set(draw(name, some)[1]["directions"]) == {"twirled"}


def test_heights_have_one_scale_for_each_loss(table):
    figure, data, _ = draw("landscape_surfaces", table)
    panels = surfaces(figure)
    assert len(panels) == 4
    limits = [axes.get_zlim() for axes in panels]
    assert limits[:2] == limits[2:]  # the rows: same rotations, new rotations
    for loss, (low, high) in zip(("twirled", "equivariance"), limits[:2], strict=True):
        values = data.loc[data["loss"] == loss, "value"]
        assert low <= values.min() < values.max() <= high
    assert all(axes.elev == 30 for axes in panels)
    texts = [text.get_text() for text in figure.texts]
    assert [text for text in texts if text in ("Twirled loss", "Equivariance error")] == [
        "Twirled loss",
        "Equivariance error",
    ] * 2
    first = data[(data["protocol"] == "fresh") & (data["loss"] == "twirled")].iloc[0]
    expected = f"new rotations at each point: roughness {first['roughness']:.3g}, R² {first['fit_r2']:.3f}"
    assert expected in texts


def test_contours_have_own_scales(table):
    figure, data, _ = draw("landscape_contours", table)
    images = [axes.collections[0] for axes in figure.axes if axes.get_title(loc="left")]
    grids = [rows["value"] for _, rows in data.groupby(["protocol", "loss"], sort=False)]
    assert [image.get_clim() for image in images] == [(rows.min(), rows.max()) for rows in grids]
    np.testing.assert_array_equal(images[0].get_array().ravel(), grids[0])


def test_small_losses_have_a_power_of_ten(table):
    small = table.assign(value=1e-6 * table["value"], unit="density²")
    figure, _, _ = draw("landscape_surfaces", small)
    assert {axes.get_zlabel() for axes in surfaces(figure)} == {"loss, 10⁻⁶ density²"}
    labels = [label.get_text() for label in surfaces(figure)[0].get_zticklabels()]
    assert "0.80" in labels or "0.8" in labels
    draw("landscape_contours", small)


def test_roughness_compares_all_grids(table):
    figure, data, _ = draw("landscape_roughness", table)
    assert list(dict.fromkeys(data["series"])) == [
        "Hessian of the equivariance error",
        "Hessian of the twirled loss",
        "Random directions",
        "Published, EScAIP",
        "Published, Proteína",
    ]
    assert len(data) == 3 * 4 + 4
    own = landscape().drop_duplicates(["directions", "protocol", "loss"])
    keys = ["directions", "protocol", "loss"]
    pd.testing.assert_series_equal(
        data[data["run"] == "base"].set_index(keys)["roughness"].sort_index(),
        own.set_index(keys)["roughness"].sort_index(),
    )
    fresh = data[(data["protocol"] == "fresh") & (data["run"] == "base")].set_index(keys)
    for (directions, _, loss), row in fresh.iterrows():
        common = data[(data["directions"] == directions) & (data["loss"] == loss) & (data["protocol"] == "common")]
        assert row["fresh_over_common"] == pytest.approx(row["roughness"] / common["roughness"].iloc[0])
    assert data.loc[data["protocol"] == "common", "fresh_over_common"].isna().all()
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    dots = {float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1}
    assert dots == set(data["roughness"])
    assert axes.get_xlim()[0] < min(dots) < max(dots) < axes.get_xlim()[1]


def test_published_grids_are_drawn_alike():
    figure, data, text = draw("landscape_published", published_landscapes(), {})
    assert len(data) == 1600
    grids = [rows["value"] for _, rows in data.groupby(["model", "loss"], sort=False)]
    for axes, values in zip(surfaces(figure), grids, strict=True):
        assert axes.get_zlim()[0] < values.min() < values.max() < axes.get_zlim()[1]
    texts = [text.get_text() for text in figure.texts]
    assert "EScAIP: twirled loss" in texts
    assert "roughness 1.31, R² 0.038" in texts
    assert "EScAIP: twirled loss, roughness 1.25 (R² 0.0369), residual 0.00929" in text
    assert "the quadratic explains 3.7 % of its variance (p = 0.01) and 3.8 %" in text
    assert "of noise alone it explains 1.3 % in the mean" in text
    assert "sampling noise, or finer than the grid" in text
    assert "52 (EScAIP) and 16 (Proteína) times that along x" in text
    with pytest.raises(ValueError, match="has no rows"):
        landscape_published(data[:0], {})


def test_captions_tell_noise_from_shape(table):
    _, _, text = draw("landscape_surfaces", table)
    assert "Run base at step 500" in text
    assert "equivariance error 5.9 % of its loss, skill 0.31), 64 examples of 40 molecules" in text
    assert "head (1,536 weights), along eigenvectors of the Hessian of the equivariance error" in text
    assert "smallest positive eigenvalue (0.25), y of its largest (4)" in text
    assert "same rotations at all points, exact average over all; new rotations at each point, 10" in text
    assert "1 for noise): what looks rough is sampling noise." in text
    assert "twirled loss 8 and 2; equivariance error 32 and 0.5" in text
    assert "that of the equivariance error is 4 times that of the twirled loss" in text
    assert "varies by 0.0125, and new rotations scatter it by" in text
    assert "along two random directions" in draw("landscape_contours", table[table["directions"] == "random"])[2]
    _, _, text = draw("landscape_roughness", table)
    assert "Of the authors' 4 grids with new rotations at each point, 2 are as rough as noise alone" in text


def test_what_varies_smoothly_is_not_noise():
    quartic = 0.8 + 1e3 * (AXIS[:, None] ** 4 + AXIS[None, :] ** 2)
    rows = landscape().query("directions == 'equivariance' and protocol == 'common'")
    rows = rows.assign(value=np.tile(quartic.ravel(), 2), **roughness(AXIS, AXIS, quartic))
    text = " ".join(notes(rows, OPTIONS))
    assert "varies smoothly for twirled loss and equivariance error" in text
    assert "sampling noise" not in text
    grids = per_grid(rows)
    assert (grids["neighbour_ratio"] < 0.5).all()
    assert (grids[["rows", "columns"]] == AXIS.size).all(axis=None)


@pytest.mark.parametrize("name", NAMES)
def test_figures_draw_what_there_is(table, name):
    for some in (
        table[table["protocol"] == "common"],
        table[(table["protocol"] == "fresh") & (table["loss"] == "twirled")],
        table.drop(columns=["comparison", "percent", "skill", "eigenvalue_x", "eigenvalue_y"]),
        table.assign(weights="raw", t=0.5, self_conditioning=False),
    ):
        assert "Run base at step 500" in draw(name, some)[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_flat_landscape_has_no_roughness(table, name):
    flat = table.assign(value=0.5, **roughness(AXIS, AXIS, np.full((AXIS.size, AXIS.size), 0.5)))
    assert ("undefined" in draw(name, flat)[2]) == (name in PLANES)


def test_conditions_are_chosen(table):
    several = pd.concat(
        [
            landscape(task="flow_matching", t=t, self_conditioning=seen, weights=weights)
            for t in (0.2, 0.5, 0.9)
            for seen in (False, True)
            for weights in ("raw", "ema")
        ]
    )
    _, data, _ = draw("landscape_contours", several, of_task(task="flow_matching"))
    assert set(data["t"]) == {0.5}
    assert not data["self_conditioning"].any()
    assert set(data["weights"]) == {"ema"}
    both = pd.concat([table, landscape(estimator="sampled", rotations=4)])
    _, data, _ = draw("landscape_contours", both.drop_duplicates(["run", "task", "step", "estimator", *"ij", *_GRID]))
    assert set(data.loc[data["protocol"] == "common", "estimator"]) == {"exact"}


_GRID = ("directions", "protocol", "loss")


@pytest.mark.parametrize("name", NAMES)
def test_figures_refuse(table, name):
    with pytest.raises(ValueError, match=r"lacks the column\(s\) roughness, unit"):
        draw(name, table.drop(columns=["roughness", "unit"]), OPTIONS)
    with pytest.raises(ValueError, match="several values for one point"):
        draw(name, pd.concat([table, table]), OPTIONS)
    with pytest.raises(ValueError, match="unknown protocol other: figures know common, fresh"):
        draw(name, table.replace({"protocol": {"fresh": "other"}}), OPTIONS)
    with pytest.raises(ValueError, match="lacks finite values"):
        draw(name, table[(table["i"] > 0) | (table["j"] > 0)], OPTIONS)
