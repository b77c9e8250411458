"""Checkpoints of a run, analysed one by one: what was found is kept, and a bad checkpoint costs itself only."""

import numpy as np
import pandas as pd
import pytest
import torch
from checkpoint_files import checkpoint_files
from linear_task import Matrix, VectorTask

from equidyn.analysis import checkpoints as module
from equidyn.analysis.checkpoints import analyse_run
from equidyn.run.checkpoints import CheckpointError
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe

PROTOCOL = EvaluationSettings(batch_size=4, conditions=({"group": "SO(3)"}, {"group": "cube"}))
STEPS = [0, 3]


class Alike(VectorTask):
    """The task of vectors, which have no lengths."""

    def lengths_of(self, indices):
        return np.ones(len(indices), np.int64)


class Measure:
    """Numbers, words and lists of a network; fails for the weights that it is told."""

    def __init__(self, bad=()):
        self.bad, self.seen = bad, []

    def __call__(self, task, model, indices, protocol, condition, *, power):
        value = float(model.linear.weight.detach().sum()) ** power
        self.seen.append(value)
        if value in self.bad:
            raise torch.linalg.LinAlgError("singular")
        spectrum = np.arange(len(indices)) / 3 + value
        return [{"part": part, "count": len(indices), "value": value, "spectrum": spectrum} for part in "ab"]


RECIPE = Recipe(model="matrix", batch_size=1, steps=3, optimiser="sgd", lr=1.0, augmentation=0.0, seed=0)


@pytest.fixture
def analyse(monkeypatch, tmp_path):
    """Analyse checkpoints whose weights sum up to 1, 2, 3 and 4."""
    folder = checkpoint_files(tmp_path / "run", STEPS)
    sums = {(0, "raw"): 1.0, (0, "ema"): 2.0, (3, "raw"): 3.0, (3, "ema"): 4.0}

    def restore(task_class, store, checkpoints, step, weights):
        return RECIPE, store, Matrix(torch.diag(torch.tensor([sums[step, weights], 0.0, 0.0])))

    monkeypatch.setattr(module, "restore", restore)

    def run(measure, steps=STEPS, state=tmp_path / "state"):
        where = {"state": state, "labels": {"run": "one", "seed": 1}}
        return analyse_run(measure, Alike, Alike(6), np.arange(6), folder, steps, PROTOCOL, {"power": 1.0}, **where)

    return run


def test_rows_say_what_they_are_of(analyse):
    rows = analyse(Measure())
    columns = ["run", "seed", "model", "variant", "parameters", "step", "weights", "decay", "group", "comparison"]
    columns += ["examples", "clusters", "package_version", "part", "count", "value", "spectrum"]
    assert list(rows) == columns
    assert len(rows) == 4 * 2 * 2
    assert rows.index.equals(pd.RangeIndex(16))
    found = rows.drop_duplicates(["step", "weights"])[["step", "weights", "value"]].values.tolist()
    assert [row[:2] for row in found] == [[0, "raw"], [0, "ema"], [3, "raw"], [3, "ema"]]
    assert [row[2] for row in found] == [1.0, 2.0, 3.0, 4.0]


def test_a_bad_checkpoint_costs_itself_only(analyse, tmp_path):
    whole, first = analyse(Measure(), state=tmp_path / "other"), Measure(bad=[2.0])
    with pytest.raises(CheckpointError, match=r"1 of 4 checkpoints .*\n.*/ema/00000000\.safetensors: singular"):
        analyse(first)
    again = Measure()
    found = analyse(again)
    assert (len(first.seen), len(again.seen)) == (3 * 2 + 1, 2), "two conditions each; the bad one failed at its first"
    pd.testing.assert_frame_equal(found, whole, check_exact=True)
    analyse(again, steps=[3])
    assert len(again.seen) == 2
