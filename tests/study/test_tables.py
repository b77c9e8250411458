"""Minima are those of the curves; analyses are joined to the evaluation."""

import numpy as np
import pandas as pd
import pytest

from equidyn.study.tables import CONDITIONS, cluster_sums, minima, with_evaluation, without_lists, write_table
from equidyn.tasks.registry import task_cards

STEPS = [0, 10, 100, 1000]
DESIGN = {
    "study": "s", "run": "base", "task": "flow_matching", "model": "chain", "train_subset": "all", "batch_size": 4,
    "optimiser": "adam", "lr": 1e-3, "augmentation": 1.0, "seed": 0, "train_examples": 1900, "parameters": 10,
}  # fmt: skip


def curve(percent, **columns):
    percent = np.array(percent, dtype=float)
    measured = {"percent": percent, "percent_low": percent / 2, "percent_high": 2 * percent, "skill": percent / -10}
    curve = {
        "weights": "ema",
        "estimator": "sampled",
        "t": 0.9,
        "self_conditioning": False,
        "group": "SO(3)",
        "comparison": "vectors",
    }
    return pd.DataFrame({**DESIGN, **curve, **columns, "step": STEPS[: len(percent)], **measured})


def test_conditions_are_those_of_the_tasks():
    """Named once more, as evaluations would run again if the module that writes tables imported the cards."""
    own = {name for card in task_cards().values() if card.conditions for name in card.conditions.model_fields}
    assert set(CONDITIONS) == {"group", "comparison", *own}


def test_minima_by_hand():
    (row,) = minima(curve([15, 1, 0.3, 6])).to_dict("records")
    assert {name: row[name] for name in DESIGN} == DESIGN
    assert (row["t"], row["self_conditioning"], row["weights"], row["estimator"]) == (0.9, False, "ema", "sampled")
    assert row["first_percent"] == 15
    assert (row["threshold"], row["threshold_step"]) == (2, 10)
    minimum = ("minimum_percent", "minimum_step", "minimum_percent_low", "minimum_percent_high", "minimum_skill")
    assert [row[name] for name in minimum] == pytest.approx([0.3, 100, 0.15, 0.6, -0.03])
    final = [row[name.replace("minimum", "final")] for name in minimum]
    assert final == pytest.approx([6, 1000, 3, 12, -0.6])
    assert (row["rise_percent"], row["rise_step"]) == (6, 1000)


def test_a_curve_that_falls_to_the_end_has_no_rise():
    row = minima(curve([15, 14, 12, 8])).iloc[0]
    assert row["minimum_step"] == row["final_step"] == 1000
    assert pd.isna(row[["threshold_step", "rise_percent", "rise_step"]]).all()
    assert minima(curve([15, 1, 3, 2])).iloc[0][["rise_percent", "rise_step"]].tolist() == [3, 100]


def test_every_curve_has_a_row():
    parts = [
        curve([15, 1, 0.3, 6]),
        curve([15, 1, 0.2, 5], t=0.0),
        curve([15, 1, 0.1, 4], self_conditioning=True),
        curve([15, 1, 0.4, 3], weights="raw"),
        curve([15, 1, 0.5], run="other", seed=1),
        curve([20, 3, 0.6, 2], run="forces", task="force_field", t=np.nan, self_conditioning=None, estimator="exact"),
        curve([20, 3, 0.7, 2], run="voxels", t=np.nan, self_conditioning=None, comparison="voxels"),
        curve([20, 3, 0.8, 2], run="voxels", t=np.nan, self_conditioning=None, comparison="atoms"),
    ]
    table = pd.concat(parts, ignore_index=True)
    found = minima(table.sample(frac=1, random_state=0).sort_values("run", kind="stable"))
    assert len(found) == len(parts)
    by_minimum = found.set_index("minimum_percent").sort_index()
    assert by_minimum.index.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert by_minimum["final_percent"].tolist() == [4, 5, 6, 3, 0.5, 2, 2, 2]
    assert by_minimum.loc[[0.7, 0.8], "comparison"].tolist() == ["voxels", "atoms"]
    assert pd.isna(by_minimum.loc[0.6, ["t", "self_conditioning"]]).all()
    assert by_minimum.loc[0.5, "final_step"] == 100
    assert minima(table)["run"].tolist() == ["base"] * 4 + ["other", "forces", "voxels", "voxels"]
    forces = curve([20, 3, 0.6, 2]).drop(columns=["t", "self_conditioning", "comparison"])  # a study without conditions
    assert minima(forces)["minimum_percent"].tolist() == [0.6]


def test_rows_without_a_percent_are_left_out():
    row = minima(curve([15, np.nan, 0.3, np.nan])).iloc[0]
    assert (row["minimum_step"], row["final_step"]) == (100, 100)


def test_steps_are_whole_in_the_file(tmp_path):
    write_table(minima(curve([15, 14, 12, 8])), tmp_path / "minima.csv")
    header, line = (tmp_path / "minima.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert (cells["minimum_step"], cells["rise_step"]) == ("1000", "")


class TestWithEvaluation:
    """Rows of analyses carry what was evaluated of the same checkpoint."""

    KEYS = ("run", "step", "weights", "t", "comparison")

    @pytest.fixture
    def evaluation(self):
        parts = [
            curve([15, 1], t=t, estimator=estimator, percent_low=1.0, total=1.0)
            for t in (0.0, 0.9)
            for estimator in ("sampled", "exact")
        ]
        rows = pd.concat(parts, ignore_index=True)
        rows["percent"] += 100 * rows["t"] + (rows["estimator"] == "exact")
        return rows

    def test_found_by_step_and_condition(self, evaluation):
        analysis = pd.DataFrame(
            {"run": "base", "step": [10, 0, 10], "weights": "ema", "t": [0.9, 0.9, 0.0], "norm": [1, 2, 3]}
        )
        found = with_evaluation(analysis, evaluation)
        assert found["percent"].tolist() == [92, 106, 2]
        assert found["norm"].tolist() == [1, 2, 3]
        assert with_evaluation(analysis, evaluation, "sampled")["percent"].tolist() == [91, 105, 1]

    def test_runs_of_other_tasks_do_not_matter(self, evaluation):
        other = pd.concat([evaluation, evaluation]).assign(run="other", t=np.nan)
        analysis = pd.DataFrame({"run": ["base"], "step": [0], "weights": ["ema"], "t": [0.0]})
        assert len(with_evaluation(analysis, pd.concat([evaluation, other]))) == 1

    def test_the_other_estimator_where_one_is_missing(self, evaluation):
        analysis = pd.DataFrame({"run": ["base"], "step": [0], "weights": ["ema"], "t": [0.0]})
        only = evaluation[evaluation["estimator"] == "sampled"]
        assert with_evaluation(analysis, only)["percent"].tolist() == [15]

    def test_own_columns_stay(self, evaluation):
        analysis = pd.DataFrame({"run": ["base"], "step": [0], "weights": ["ema"], "t": [0.0], "total": [7.0]})
        assert with_evaluation(analysis, evaluation)["total"].tolist() == [7.0]

    def test_what_was_not_evaluated_is_named(self, evaluation):
        analysis = pd.DataFrame({"run": ["base"], "step": [5], "weights": ["ema"], "t": [0.0]})
        with pytest.raises(ValueError, match=r"not evaluated: .*'step': .*5"):
            with_evaluation(analysis, evaluation)


def test_lists_are_left_out_of_text_files():
    table = pd.DataFrame({"a": [1, 2], "b": [np.array([1.0]), [2.0, 3.0]], "c": ["x", None]})
    assert list(without_lists(table)) == ["a", "c"]


def test_sums_over_clusters_by_hand():
    examples = pd.DataFrame(
        {
            "study": "s", "run": "base", "step": [0, 0, 0, 5], "weights": "ema", "estimator": "exact", "t": np.nan,
            "example": [3, 7, 8, 3], "cluster": [1, 0, 1, 1], "weight": [3.0, 6.0, 9.0, 3.0],
            "total": [1.0, 2.0, 4.0, 8.0], "equivariance": [0.5, 0.25, 1.5, 4.0], "equivariance_plugin": 0.0,
            "prediction_energy": [1.0, 1.0, 2.0, 3.0], "null_energy": [2.0, 2.0, 2.0, 2.0],
        }
    )  # fmt: skip
    sums = cluster_sums(examples)
    assert sums[["step", "cluster"]].values.tolist() == [[0, 1], [0, 0], [5, 1]]
    assert sums["t"].isna().all()
    assert sums["weight"].tolist() == [12, 6, 3]
    assert sums["total"].tolist() == [5, 2, 8]
    assert sums["equivariance"].tolist() == [2, 0.25, 4]
    assert sums["prediction_energy"].tolist() == [3, 1, 3]
    assert sums["null_energy"].tolist() == [4, 2, 2]
    assert not {"example", "equivariance_plugin"} & set(sums)


def test_conditions_are_summed_apart():
    part = {
        "study": "s", "run": "base", "step": 0, "weights": "ema", "estimator": "sampled", "cluster": 0, "weight": 3.0,
        "equivariance": 0.0, "prediction_energy": 1.0, "null_energy": 1.0,
    }  # fmt: skip
    examples = pd.DataFrame([part | {"t": t, "total": total} for t, total in [(0.0, 1.0), (0.9, 2.0), (0.9, 3.0)]])
    assert cluster_sums(examples)[["t", "total"]].values.tolist() == [[0, 1], [0.9, 5]]
