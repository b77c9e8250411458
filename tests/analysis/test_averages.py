"""Averages of the weights: rows of an evaluation, and networks whose errors are known in closed form."""

import numpy as np
import pandas as pd
import pytest
import torch
from linear_task import Matrix, VectorTask, matrix_equivariance, multiple_of_identity

from equidyn.analysis.averages.measure import measure
from equidyn.analysis.checkpoints import analyse_run
from equidyn.run.evaluation import evaluate_run
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe
from equidyn.run.training import train
from equidyn.tasks.force_field.task import ForceField

WEIGHTS = ("raw", "ema", "ema-0.8")


def test_rows_are_those_of_an_evaluation(store, train_indices, validation_indices, tmp_path):
    recipe = Recipe(
        model="escaip-tiny", steps=4, batch_size=16, optimiser="adamw", lr=1e-2, augmentation=0.0, seed=3,
        warmup_steps=1, ema=0.5, averages=(0.8,),
    )  # fmt: skip
    task, steps = ForceField.fit(store, train_indices), [0, 4]
    train(task, train_indices, recipe, steps, output=tmp_path / "out", state=tmp_path / "training", progress=False)
    protocol = EvaluationSettings(weights=WEIGHTS, examples=9, batch_size=4, resamples=100, sampled=False)
    made = ForceField, store, validation_indices, tmp_path / "out", steps, protocol
    labels = {"run": "one"}
    expected = evaluate_run(*made, state=tmp_path / "evaluation", labels=labels, progress=False)[0]
    arguments = {"state": tmp_path / "analysis", "labels": labels}
    found = analyse_run(measure, *made, {}, **arguments)
    assert set(expected) - set(found) == {name for name in expected if name.startswith("floor")}
    pd.testing.assert_frame_equal(found, expected[[*found]], rtol=1e-6)
    assert found["decay"].tolist()[3:] == pytest.approx([np.nan, 0.5, 0.8], nan_ok=True)
    assert found.groupby("step")["percent"].nunique().tolist() == [1, 3], "averages begin at the raw weights"


def test_an_average_with_what_it_twirls_to_has_a_quarter_of_the_error():
    torch.manual_seed(0)
    matrix, task, indices = torch.randn(3, 3), VectorTask(400), np.arange(400)
    protocol = EvaluationSettings(rotations=6, batch_size=100, resamples=200)
    average = (matrix + multiple_of_identity(matrix)) / 2
    (raw,), (averaged,) = (measure(task, Matrix(each).double(), indices, protocol, {}) for each in (matrix, average))
    assert averaged["equivariance"] == pytest.approx(raw["equivariance"] / 4, rel=1e-5)
    assert averaged["twirled"] == pytest.approx(raw["twirled"], rel=0.1)
    for row, weights in ((raw, matrix), (averaged, average)):
        error = matrix_equivariance(weights, task.x)
        assert row["equivariance"] == pytest.approx(error, rel=0.1)
        assert row["percent_low"] < 100 * error / row["total"] < row["percent_high"]
        assert (row["estimator"], row["rotations"], row["examples"], row["clusters"]) == ("sampled", 6, 400, 200)
