"""Measurements of models with known closed forms, in every form in which users hold their data, and of bad input."""

import numpy as np
import pytest
import torch

from equidyn import measure
from equidyn.measuring.examples import MeasureError

rng = np.random.default_rng(0)
POINTS = rng.normal(size=(40, 7, 3))
A = rng.normal(size=(3, 3))
TRUE = rng.normal(size=POINTS.shape)
SPREAD = (A**2).sum() / 3 - (np.trace(A) / 3) ** 2  # variance of g⁻¹ A g x for |x| = 1


def linear(points):
    return points @ A.T


def lengths(points):
    """An energy, which no rotation changes."""
    return np.square(points).sum((1, 2))


def along_z(points):
    """An energy of degree 2 alone."""
    return (points[..., 2] ** 2 - np.square(points).sum(-1) / 3).sum(1)


def quadrupoles(points):
    moments = np.einsum("eni,enj->eij", points, points)
    return moments - np.trace(moments, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)


def total(points, target, twirl, variance):
    return (np.square(twirl - target).sum() + variance) / target.size


class TestClosedForms:
    def test_matrix_exactly(self):
        found = measure(linear, POINTS, TRUE, exact=5)["prediction"]
        variance = SPREAD * np.square(POINTS).sum()
        loss = total(POINTS, TRUE, np.trace(A) / 3 * POINTS, variance)
        assert found.numbers["equivariance"] == pytest.approx(variance / POINTS.size, rel=1e-10)
        assert found.numbers["total"] == pytest.approx(loss, rel=1e-10)
        assert found.percent == pytest.approx(100 * variance / POINTS.size / loss, rel=1e-10)
        assert found.numbers["null_loss"] == pytest.approx(np.square(TRUE).mean(), rel=1e-10)
        parts = found.rmse
        assert parts["oriented"] ** 2 == pytest.approx(parts["averaged"] ** 2 + parts["equivariance"] ** 2, rel=1e-12)
        odd = np.square(A - A.T).sum() / 2 / 3  # the antisymmetric part is of degree 1
        expected = 100 * odd / 2 / SPREAD
        assert found.by_degree == pytest.approx((expected, 100 - expected, 0), abs=1e-8)

    @pytest.mark.parametrize("rotations", [2, 3, 24, 120])
    def test_matrix_from_samples(self, rotations):
        percents = [measure(linear, POINTS, TRUE, rotations=rotations, seed=seed, floors=False) for seed in range(12)]
        values = [found["prediction"].numbers["equivariance"] for found in percents]
        error = np.std(values) / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(SPREAD * np.square(POINTS).mean(), abs=4 * error + 1e-12)

    @pytest.mark.parametrize("rotations", [24, 48])
    def test_degrees_from_samples(self, rotations):
        found = [
            measure(linear, POINTS, rotations=rotations, seed=seed, floors=False)["prediction"] for seed in range(16)
        ]
        values = np.array([one.by_degree for one in found])
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        odd = np.square(A - A.T).sum() / 2 / 3
        expected = np.array([100 * odd / 2 / SPREAD, 100 - 100 * odd / 2 / SPREAD, 0, 0])
        assert (np.abs(values.mean(0) - expected) <= 4 * error + 1e-9).all()

    def test_constant_vector(self):
        vector = np.array([1.0, -2, 0.5])
        found = measure(lambda points: np.tile(vector, (len(points), 1)), POINTS, TRUE[:, 0], exact=3)["prediction"]
        assert found.per == "structure"
        assert found.numbers["equivariance"] == pytest.approx(np.square(vector).sum() / 3, rel=1e-10)
        assert found.numbers["twirled"] == pytest.approx(np.square(TRUE[:, 0]).mean(), rel=1e-10)
        assert found.by_degree == pytest.approx((100, 0), abs=1e-8)

    def test_constant_tensor(self):
        found = measure(lambda points: np.tile(A, (len(points), 1, 1)), POINTS, exact=5)["prediction"]
        assert found.numbers["equivariance"] == pytest.approx(
            (np.square(A).sum() - np.trace(A) ** 2 / 3) / 9, rel=1e-10
        )
        assert np.isnan(found.percent)

    def test_energy_of_degree_two(self):
        moments = quadrupoles(POINTS)
        variance = 2 / 15 * np.square(moments).sum((1, 2)).mean()
        found = measure(along_z, POINTS, np.zeros(len(POINTS)), exact=5)["prediction"]
        assert found.numbers["equivariance"] == pytest.approx(variance, rel=1e-10)
        assert found.percent == pytest.approx(100)
        assert found.by_degree == pytest.approx((0, 100, 0), abs=1e-8)
        assert found.verdict == "real"

    def test_exact_models(self):
        def predict(points):
            return {"energy": lengths(points), "forces": -2 * points, "stress": quadrupoles(points)}

        found = measure(predict, POINTS, {"energy": lengths(POINTS) + 0.1, "forces": TRUE})
        for name, one in found.properties.items():
            assert one.relative_error < 1e-14 or name.startswith("energy")
            assert one.verdict == "round-off"
        assert found["energy"].percent < 1e-20
        assert found["stress"].numbers.keys() == found["forces"].numbers.keys()
        assert np.isnan(found["stress"].percent)

    @pytest.mark.parametrize(("group", "expected"), [("SO(3)", 0), ("O(3)", 1)])
    def test_chirality_is_another_question(self, group, expected):
        def predict(points):
            return np.linalg.det(points[:, :3])

        found = measure(predict, POINTS, np.zeros(len(POINTS)), group=group, exact=7)["prediction"]
        assert found.numbers["equivariance"] == pytest.approx(expected * np.square(predict(POINTS)).mean(), abs=1e-12)

    def test_translations(self):
        def predict(points):
            return points - points.mean(1, keepdims=True)

        assert measure(predict, POINTS, group="translations")["prediction"].relative_error < 1e-14
        assert measure(linear, POINTS, group="translations")["prediction"].relative_error > 0.1

    def test_rotations_of_a_cube(self):
        def predict(points):
            return (points**4).sum((1, 2))  # the same for all rotations of a cube, not for others

        assert measure(predict, POINTS, np.ones(40), group="cube", exact=1)["prediction"].percent < 1e-20
        assert measure(predict, POINTS, np.ones(40))["prediction"].percent > 0.1


@pytest.fixture(scope="module")
def expected():
    return measure(linear, POINTS, TRUE, floors=False)["prediction"].numbers


class TestForms:
    """The same examples in other forms give the same numbers."""

    @pytest.mark.parametrize("batch_size", [1, 7, 100])
    def test_batches(self, expected, batch_size):
        found = measure(linear, POINTS, TRUE, floors=False, batch_size=batch_size)["prediction"].numbers
        assert found == pytest.approx(expected, rel=1e-12)

    def test_tensors(self, expected):
        class Linear(torch.nn.Module):
            def forward(self, points):
                assert not self.training
                return points @ torch.from_numpy(A).T

        model = Linear()
        found = measure(model, torch.from_numpy(POINTS), torch.from_numpy(TRUE), floors=False)["prediction"]
        assert found.numbers == pytest.approx(expected, rel=1e-12)
        assert model.training

    def test_lists(self, expected):
        found = measure(lambda many: [linear(one) for one in many], list(POINTS), list(TRUE), floors=False)
        assert found["prediction"].numbers == pytest.approx(expected, rel=1e-12)

    def test_ragged_lists_and_atoms_end_to_end(self):
        sizes = rng.integers(3, 9, 30)
        points, true = ([rng.normal(size=(size, 3)) for size in sizes] for _ in range(2))
        one = measure(lambda many: [linear(each) for each in many], points, true, exact=5)["prediction"]
        other = measure(lambda many: linear(np.concatenate(many)), points, np.concatenate(true), exact=5)["prediction"]
        assert one.numbers == other.numbers
        variance = SPREAD * sum(np.square(each).sum() for each in points) / (3 * sizes.sum())
        assert one.numbers["equivariance"] == pytest.approx(variance, rel=1e-10)

    def test_dictionaries(self, expected):
        items = [{"pos": points, "z": np.arange(7), "spin": points[0]} for points in POINTS]

        def predict(many):
            return [{"forces": linear(one["pos"]), "moment": one["spin"]} for one in many]

        targets = [{"forces": true} for true in TRUE]
        found = measure(predict, items, targets, kinds={"spin": "vectors"}, floors=False)
        assert found.turned == ("pos", "spin")
        assert found["forces"].numbers == pytest.approx(expected, rel=1e-12)
        assert found["moment"].relative_error < 1e-14
        assert any("ranks={'moment': 1}" in text for text in found.warnings)

    def test_own_rotation(self, expected):
        items = [(points,) for points in POINTS]
        with pytest.raises(MeasureError, match="examples of type tuple are not known"):
            measure(linear, items)
        found = measure(linear, POINTS, TRUE, rotate=lambda points, R: points @ R.T, floors=False)
        assert found["prediction"].numbers == pytest.approx(expected, rel=1e-9)

    def test_energy_also_per_atom(self):
        found = measure(lambda points: {"energy": along_z(points)}, POINTS, {"energy": np.zeros(40)}, exact=5)
        whole, each = found["energy"], found["energy per atom"]
        assert each.rmse["oriented"] == pytest.approx(whole.rmse["oriented"] / 7, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_told_from_error(dtype):
    weights = rng.normal(size=(50,))

    def predict(points):
        x = points.astype(dtype)
        distance = np.sqrt(np.square(x[:, :, None] - x[:, None]).sum(-1) + 1)[..., None]
        waves = np.sin(distance * np.arange(1, 51, dtype=dtype)) @ weights.astype(dtype)
        return (waves[..., None] * (x[:, :, None] - x[:, None])).sum(2)

    found = measure(predict, POINTS, TRUE)["prediction"]
    assert found.verdict == "round-off"
    assert found.percent < 1e-6
    found = measure(lambda points: predict(points) + 1e-3 * linear(points), POINTS, TRUE)["prediction"]
    assert found.verdict == "real"
    jumps = measure(lambda points: np.round(points), POINTS, TRUE)["prediction"]
    assert jumps.verdict == "real"


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"inputs": []}, "no examples"),
            ({"inputs": POINTS[0]}, r"shape \(E, n, 3\).*\(7, 3\)"),
            ({"inputs": [POINTS[0], POINTS[0, :, :2]]}, r"example 1 has shape \(7, 2\)"),
            ({"inputs": [{"x": POINTS[0]}]}, "none of the fields.*kinds="),
            ({"inputs": [{"pos": POINTS[0]}], "kinds": {"poss": "points"}}, "'poss'"),
            ({"rotations": 1}, "give 2 or more"),
            ({"group": "SO(4)"}, "unknown group.*known groups"),
            ({"group": "translations", "exact": 3}, "no exact set"),
            ({"ranks": 3}, "rank 3; expected 0"),
            ({"ranks": {"force": 1}}, "ranks: the model predicts.*not 'force'"),
            ({"null": {"force": 0.0}}, "null: the model predicts.*not 'force'"),
            ({"null": np.zeros(7)}, r"null: 'prediction' has shape \(7,\)"),
            ({"clusters": [1, 2]}, "give one for each"),
            ({"targets": TRUE[:3]}, "expected 40 values"),
            ({"targets": TRUE[:, :2]}, "example 0 has shape"),
            ({"targets": {"energy": np.zeros(40)}}, "not 'energy'"),
            ({"targets": np.full_like(TRUE, np.nan)}, "targets: 'prediction' is not finite"),
            ({"rotate": lambda points, R: points @ R}, "x @ R.T, not x @ R"),
            ({"rotate": lambda points, R: (points + 1) @ R.T}, "another centre"),
            ({"rotate": lambda points, R: np.matmul(points, R.T, out=points)}, "changes the example"),
            ({"predict": lambda points: points[:, :2]}, None),
            ({"predict": lambda points: points[0]}, "predict has shape"),
            ({"predict": lambda points: np.full(len(points), np.inf)}, "not finite"),
        ],
    )
    def test_is_refused(self, options, message):
        arguments = {"predict": linear, "inputs": POINTS.copy(), "targets": TRUE} | options
        with pytest.raises(MeasureError, match=message):
            measure(**arguments)

    @pytest.mark.parametrize(("predict", "rank"), [(linear, 1), (lambda points: points[..., 2], 0)])
    def test_three_atoms_are_no_tensor(self, predict, rank):
        with pytest.raises(MeasureError, match=f"of rank {rank + 1}, or of rank {rank} for each atom"):
            measure(predict, POINTS[:, :3])
        assert measure(predict, POINTS[:, :3], ranks=rank)["prediction"].per == "atom"

    def test_three_atoms_among_others(self):
        points = [POINTS[0, :3], *POINTS[1:]]
        assert measure(lambda many: [linear(one) for one in many], points)["prediction"].rank == 1

    def test_a_model_cannot_change_the_examples(self):
        items = [{"pos": points.copy(), "z": np.ones(7), "names": ["H"] * 7} for points in POINTS]

        def predict(many):
            for one in many:
                one["z"] += 1
                one["names"].pop()
                one["pos"] *= one["z"][:, None]
            return [one["pos"] for one in many]

        assert measure(predict, items)["prediction"].relative_error < 1e-14
        assert all((one["z"] == 1).all() and len(one["names"]) == 7 for one in items)

    def test_whole_numbers_turn(self):
        assert measure(lambda points: points, np.arange(210).reshape(10, 7, 3))["prediction"].relative_error < 1e-14

    def test_what_has_no_value_is_left_out_in_words(self):
        text = str(measure(linear, POINTS[:1], np.zeros((1, 7, 3))))
        assert "(no interval)" in text
        assert "skill" not in text

    def test_few_clusters_are_noted(self):
        found = measure(linear, POINTS, TRUE, clusters=np.arange(40) % 4)
        assert any("clusters of examples (4)" in text for text in found.warnings)
        one = measure(linear, POINTS[:1], TRUE[:1])
        assert np.isnan(one["prediction"].interval).all()

    def test_a_state_shows_in_the_floor(self):
        noise = np.random.default_rng(0)
        found = measure(lambda points: points + noise.normal(size=points.shape), POINTS)["prediction"]
        assert found.floor == pytest.approx(1, rel=0.1)
        assert found.rmse["equivariance"] == pytest.approx(1, rel=0.1)


class TestPermutations:
    ITEMS = tuple({"pos": points, "z": np.array([1, 1, 6, 6, 6, 8, 8])} for points in POINTS[:12])

    def test_none(self):
        found = measure(lambda many: [one["pos"] * one["z"][:, None] for one in many], self.ITEMS)
        assert found["prediction"].permuted == 0
        assert not any("change places" in text for text in found.warnings)

    def test_order_matters(self):
        found = measure(lambda many: [one["pos"] * np.arange(7)[:, None] for one in many], self.ITEMS)
        assert found["prediction"].verdict == "round-off"
        assert any("'prediction' changes by" in text and "change places" in text for text in found.warnings)

    def test_unknown_elements(self):
        assert np.isnan(measure(linear, POINTS)["prediction"].permuted)
