"""The orientation audit: axes of shapes known by hand, tests of uniformity against closed forms and by simulation."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from equidyn.analysis import orientation
from equidyn.analysis.orientation import CELLS, along_frame, audit, examine, noticeable, principal_axes, uniformity
from equidyn.data.sources.offline_molecules.build import FIELDS
from equidyn.data.store import Store, StoreWriter

EACH = np.eye(3)


def uniform_axes(rng, count):
    """(count, 3) uniform unit vectors."""
    axes = rng.standard_normal((count, 3))
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def store_of(path, shapes):
    """A store of shapes (atoms, 3), two to a cluster."""
    with StoreWriter(path, FIELDS) as writer:
        for number, positions in enumerate(shapes):
            positions = np.asarray(positions, np.float32)
            writer.append(
                positions=positions,
                atomic_numbers=np.ones(len(positions), np.uint8),
                forces=np.zeros_like(positions),
                energy=0.0,
                cluster=number // 2,
            )
        writer.finish(source="shapes, for tests")
    return Store(path)


BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-3, 3)])  # variances 1, 4 and 9 Å²


def test_axes_of_a_box(tmp_path):
    """Where it is does not matter; turned, its axes turn with it."""
    turn = Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix()
    axes, variances = principal_axes(store_of(tmp_path / "boxes", [BOX + np.array([5, -7, 40]), BOX @ turn.T]))
    np.testing.assert_allclose(variances, [[9, 4, 1]] * 2, rtol=1e-5)
    np.testing.assert_allclose(np.abs(axes[0]), EACH[::-1], atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(axes[1] * turn.T[::-1], axis=1)), 1, rtol=1e-5)
    assert (axes[:, :, 2] >= 0).all()


def test_examples_are_looked_at_in_portions(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    store = store_of(tmp_path / "clouds", [random.standard_normal((random.integers(4, 9), 3)) for _ in range(7)])
    whole = principal_axes(store)
    monkeypatch.setattr(orientation, "_EXAMPLES", 3)
    for portions, expected in zip(principal_axes(store), whole, strict=True):
        np.testing.assert_array_equal(portions, expected)


def test_axes_without_a_direction_are_not_defined(tmp_path):
    shapes = {
        "sphere": [*EACH, *-EACH],
        "disc": [*EACH[:2], *-EACH[:2]],
        "line": [[0, 0, 1], [0, 0, -1], [0, 0, 3]],
        "atom": [[1, 2, 3]],
        "nearly a sphere": np.array([*EACH, *-EACH]) * np.sqrt([1, 1.02, 1.06]),  # 0.6 % and 1.3 % of the sum apart
    }
    axes, variances = principal_axes(store_of(tmp_path / "shapes", shapes.values()))
    defined = np.isfinite(axes).all(axis=2)
    expected = [[False] * 3, [False, False, True], [True, False, False], [False] * 3, [True, False, False]]
    assert defined.tolist() == expected
    np.testing.assert_allclose(np.abs(axes[1, 2]), [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(axes[2, 0], [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(variances[2], [8 / 3, 0, 0], atol=1e-6)
    assert (variances[3] == 0).all()


def test_table(store, train_indices):
    table = audit(store, train_indices)
    assert list(table) == [
        "example", "cluster", "side", "long_x", "long_y", "long_z", "short_x", "short_y", "short_z",
        "variance_long", "variance_middle", "variance_short",
    ]  # fmt: skip
    assert table["cluster"].tolist() == store.scalar("cluster").tolist()
    assert np.flatnonzero(table["side"] == "train").tolist() == train_indices.tolist()
    assert set(table["side"]) == {"train", "validation"}
    for example, row in zip(store, table.itertuples(), strict=True):
        positions = example["positions"].astype(float)
        spread = np.cov(positions.T, bias=True)
        assert row.variance_long + row.variance_middle + row.variance_short == pytest.approx(np.trace(spread), rel=1e-4)
        for name, variance in (("long", row.variance_long), ("short", row.variance_short)):
            axis = np.array([getattr(row, f"{name}_{letter}") for letter in "xyz"])
            if np.isfinite(axis).all():
                assert np.linalg.norm(axis) == pytest.approx(1)
                np.testing.assert_allclose(spread @ axis, variance * axis, atol=1e-5)


def test_all_along_one_axis():
    found = uniformity(np.tile([0, 0, -1.0], (40, 1)), np.arange(40))
    assert [found[f"eigenvalue_{i}"] for i in (1, 2, 3)] == pytest.approx([1, 0, 0])
    assert [found[f"direction_{letter}"] for letter in "xyz"] == pytest.approx([0, 0, 1])
    assert [found[f"nearest_{letter}"] for letter in "xyz"] == [0, 0, 1]
    assert found["effective"] == pytest.approx(40)
    assert found["statistic"] == pytest.approx(5 * 40)  # 15 n / 2 · (4/9 + 1/9 + 1/9)
    assert found["p_value"] < 1e-30
    assert found["pairs"] == 0
    assert np.isnan(found["alignment"])


def test_bingham_of_independent_axes():
    """The statistic of the textbook, signs and frame of no account; axes that are not defined do not count."""
    rng = np.random.default_rng(0)
    axes = uniform_axes(rng, 200) * [1, 1, 1.5]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(axes.T @ axes / 200)
    found = uniformity(axes, np.arange(200))
    statistic = 15 * 200 / 2 * ((eigenvalues - 1 / 3) ** 2).sum()
    assert found["statistic"] == pytest.approx(statistic)
    assert found["p_value"] == pytest.approx(chi2.sf(statistic, 5))
    assert [found[f"eigenvalue_{i}"] for i in (3, 2, 1)] == pytest.approx(eigenvalues.tolist())
    others = rng.choice([-1, 1], (200, 1)) * axes @ Rotation.random(rng=rng).as_matrix().T
    assert uniformity(others, np.arange(200))["statistic"] == pytest.approx(statistic)
    gaps = np.vstack([axes, np.full((5, 3), np.nan)])
    assert uniformity(gaps, np.arange(205))["statistic"] == pytest.approx(statistic)


def test_eigenvalues_of_a_girdle():
    """In the plane of x and y, uniformly: 1/2, 1/2 and 0, and no preference within the plane."""
    angle = 2 * np.pi * np.arange(360) / 360
    found = uniformity(np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]), np.arange(360))
    assert [found[f"eigenvalue_{i}"] for i in (1, 2, 3)] == pytest.approx([0.5, 0.5, 0], abs=1e-12)
    assert found["nearest_z"] == 0


def test_eigenvalues_of_watsons_distribution():
    """Density proportional to exp(κ z²): the mean of z², by numbers, is the first eigenvalue."""
    kappa, rng = 2.0, np.random.default_rng(1)
    height = np.linspace(0, 1, 20001)
    weight = np.exp(kappa * height**2)
    expected = (weight * height**2).sum() / weight.sum()
    z = np.interp(rng.random(20000), np.cumsum(weight) / weight.sum(), height)
    angle = rng.uniform(0, 2 * np.pi, len(z))
    axes = np.column_stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z])
    found = uniformity(axes, np.arange(len(axes)))
    assert found["eigenvalue_1"] == pytest.approx(expected, abs=0.007)
    assert found["eigenvalue_3"] == pytest.approx((1 - expected) / 2, abs=0.01)


def test_copies_add_nothing():
    """Seven copies of each axis count once, if it is known that they belong together."""
    axes = uniform_axes(np.random.default_rng(2), 60)
    single = uniformity(axes, np.arange(60))
    copied = uniformity(np.repeat(axes, 7, axis=0), np.repeat(np.arange(60), 7))
    assert copied["statistic"] == pytest.approx(single["statistic"])
    assert copied["effective"] == pytest.approx(60)
    assert copied["alignment"] == pytest.approx(1)
    assert copied["pairs"] == 60 * 21
    assert copied["axes"] == 420
    assert copied["clusters"] == 60
    naive = uniformity(np.repeat(axes, 7, axis=0), np.arange(420))
    assert naive["statistic"] == pytest.approx(7 * single["statistic"])


def test_alignment_of_axes_at_an_angle():
    """60° apart: (3/4 − 1) / 2 = −1/8."""
    pairs = np.array([[0, 0, 1], [0, np.sqrt(3) / 2, 1 / 2]])
    turns = Rotation.random(10, rng=np.random.default_rng(3)).as_matrix()
    axes = np.einsum("cij,kj->cki", turns, pairs).reshape(-1, 3)
    assert uniformity(axes, np.arange(20) // 2)["alignment"] == pytest.approx(-1 / 8)


def clustered(rng, sharing):
    """Axes of 40 clusters of 1 to 12, and their clusters: each its own axis, one per cluster, or half way."""
    sizes = 1 + np.arange(40) % 12
    cluster = np.repeat(np.arange(40), sizes)
    own, common = uniform_axes(rng, len(cluster)), uniform_axes(rng, 40)[cluster]
    axes = {"own": own, "common": common, "half": common + 0.5 * own}[sharing]
    return axes / np.linalg.norm(axes, axis=1, keepdims=True), cluster


@pytest.mark.parametrize("sharing", ["own", "common", "half"])
def test_level(sharing):
    """The test rejects 5 % of 2,000 sets of uniform clusters, whatever the relative orientations of their examples."""
    rng = np.random.default_rng(4)
    found = [uniformity(*clustered(rng, sharing)) for _ in range(2000)]
    values = np.array([each["p_value"] for each in found])
    for level in (0.05, 0.2):
        error = np.sqrt(level * (1 - level) / 2000)
        # With few effective axes the statistic has shorter tails than χ², so the test may be a little cautious.
        assert level - 4.5 * error <= (values <= level).mean() <= level + 3.5 * error
    assert np.mean([each["statistic"] for each in found]) == pytest.approx(5, abs=4 * np.sqrt(10 / 2000))


def test_ignoring_clusters_would_find_orientations_that_are_not_there():
    rng = np.random.default_rng(5)
    values = []
    for _ in range(200):
        axes, _ = clustered(rng, "common")
        values.append(uniformity(axes, np.arange(len(axes)))["p_value"])
    assert np.mean(np.array(values) <= 0.05) > 0.4


def test_noticeable():
    """At the eigenvalue that it returns, Bingham's statistic is at its critical value."""
    top = noticeable(150.0, level=0.01)
    rest = (1 - top) / 2
    statistic = 15 * 150 / 2 * ((top - 1 / 3) ** 2 + 2 * (rest - 1 / 3) ** 2)
    assert chi2.sf(statistic, 5) == pytest.approx(0.01)
    assert noticeable(1e6) < 0.335 < noticeable(1e3)


def test_shares_along_the_frame():
    """All along z: all within any angle of z, none within less than 90° of x and y."""
    curves, found = along_frame(np.tile(EACH[2], (50, 1)), np.arange(50), draws=99)
    assert curves["frame"].unique().tolist() == ["x", "y", "z"]
    for name, part in curves.groupby("frame"):
        assert part["share"].tolist() == ([1.0] * (CELLS + 1) if name == "z" else [0.0] * CELLS + [1.0])
        np.testing.assert_allclose(1 - np.cos(np.radians(part["angle"])), part["uniform"], atol=1e-12)
    assert found["deviation"] == 1
    assert found["p_value"] == 0.01
    assert 0 < found["band"] < 0.5


def test_shares_count_axes():
    axes = uniform_axes(np.random.default_rng(6), 300)
    curves, found = along_frame(axes, np.arange(300), draws=9)
    for i, name in enumerate("xyz"):
        part = curves[curves["frame"] == name]
        angles = np.degrees(np.arccos(np.abs(axes[:, i])))
        expected = [(angles <= angle + 1e-9).mean() for angle in part["angle"]]
        np.testing.assert_allclose(part["share"], expected)
    assert found["deviation"] == pytest.approx((curves["share"] - curves["uniform"]).abs().max())


def test_cubic_preference_shows_along_the_frame_only():
    """Near x, y or z alike, as a generator of molecules may lay them, λ is 1/3 each."""
    axes = np.repeat(EACH, 40, axis=0) + 0.25 * np.random.default_rng(7).standard_normal((120, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    assert uniformity(axes, np.arange(120))["p_value"] > 0.05
    _, found = along_frame(axes, np.arange(120))
    assert found["p_value"] == 0.001
    assert found["deviation"] > found["band"]


@pytest.mark.parametrize("sharing", ["own", "common"])
def test_level_along_the_frame(sharing):
    rng = np.random.default_rng(8)
    values, outside = [], []
    for seed in range(300):
        _, found = along_frame(*clustered(rng, sharing), draws=39, seed=seed)
        values.append(found["p_value"])
        outside.append(found["deviation"] > found["band"])
    error = np.sqrt(0.05 * 0.95 / 300)
    assert abs(np.mean(np.array(values) <= 0.05) - 0.05) < 3.5 * error
    assert abs(np.mean(outside) - 0.05) < 3.5 * error


def test_the_same_every_time():
    axes, cluster = clustered(np.random.default_rng(9), "half")
    assert along_frame(axes, cluster, draws=19)[1] == along_frame(axes, cluster, draws=19)[1]


def test_nothing_to_test():
    for test in (uniformity, along_frame):
        with pytest.raises(ValueError, match="no axis is defined"):
            test(np.full((4, 3), np.nan), np.arange(4))


def test_every_axis_of_either_side_is_examined():
    rng = np.random.default_rng(10)
    table = pd.DataFrame({"side": ["train"] * 60 + ["validation"] * 20, "cluster": np.arange(80) // 4})
    for axis in ("long", "short"):
        table[[f"{axis}_{letter}" for letter in "xyz"]] = uniform_axes(rng, 80)
    table.loc[60:, "short_x"] = np.nan
    tests, angles = examine(table)
    assert tests[["axis", "side", "of_examples"]].to_numpy().tolist() == [
        ["long", "train", 60], ["long", "validation", 20], ["short", "train", 60],
    ]  # fmt: skip
    for (axis, side), test in tests.set_index(["axis", "side"]).iterrows():
        rows = table[table["side"] == side]
        axes = rows[[f"{axis}_{letter}" for letter in "xyz"]].to_numpy()
        expected = uniformity(axes, rows["cluster"])
        assert {name: test[name] for name in expected} == pytest.approx(expected)
        if side == "validation":
            assert test[["deviation", "band", "p_along_frame"]].isna().all()
            continue
        curves, found = along_frame(axes, rows["cluster"])
        assert test[["deviation", "band", "p_along_frame"]].tolist() == [*found.values()]
        pd.testing.assert_frame_equal(
            angles[angles["axis"] == axis].drop(columns="axis").reset_index(drop=True), curves
        )
    with pytest.raises(ValueError, match="no training example has a shortest axis"):
        examine(table.assign(short_x=np.nan))


def test_needs_no_torch():
    code = "import sys, equidyn.analysis.orientation; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
