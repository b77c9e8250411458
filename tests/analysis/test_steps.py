"""Analyses that are interrupted go on from their last step, and find the same numbers."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import torch
from linear_task import Perceptron, VectorTask

from equidyn.analysis import curvature, steps
from equidyn.analysis.hessian.measure import measure as hessian
from equidyn.analysis.landscape.measure import measure as landscape
from equidyn.analysis.steps import kept_in, step
from equidyn.run.protocol import EvaluationSettings

ANALYSES = [
    (hessian, {"blocks": ["all"], "probes": 2, "lanczos_steps": 4, "tolerance": 1e-3}, 0),
    (hessian, {"blocks": ["all"], "probes": 2, "lanczos_steps": 4}, 8192),
    (landscape, {"block": "all", "directions": ["twirled", "random"], "points": 3, "extent": 0.1}, 0),
]


class Counted:
    """A step that finds its number, and counts how often it is done."""

    def __init__(self, number, fails=False):
        self.number, self.fails, self.times = number, fails, 0

    def __call__(self):
        self.times += 1
        if self.fails:
            raise KeyboardInterrupt
        return [np.array(self.number), np.arange(self.number) / 3]


def test_what_was_found_is_not_looked_for_again(tmp_path):
    first, second = Counted(1), Counted(2)
    for count in (1, 2, 2):
        with kept_in(tmp_path / "kept"):
            found = [step(each) for each in (first, second)[:count]]
        for number, (value, array) in enumerate(found, 1):
            assert value == number
            np.testing.assert_array_equal(array, np.arange(number) / 3)
    assert (first.times, second.times) == (1, 1)


def test_a_step_of_steps_keeps_only_its_own(tmp_path):
    parts, fails, after = [Counted(1), Counted(2)], Counted(3, fails=True), Counted(4)

    def outer():
        step(parts[0])
        step(fails)
        return step(parts[1])

    with kept_in(tmp_path), pytest.raises(KeyboardInterrupt):
        step(outer)
    fails.fails = False
    for _ in range(2):
        with kept_in(tmp_path):
            assert step(outer)[0] == 2
            assert step(after)[0] == 4
    assert [each.times for each in (*parts, fails, after)] == [1, 1, 2, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.npz", "000001.npz"]


def test_damaged_files_are_made_anew(tmp_path):
    counted = Counted(1)
    for content in (None, b"", b"PK\x03\x04 no archive", (100 * b"\0")):
        for file in tmp_path.iterdir():
            file.write_bytes(content)
        with kept_in(tmp_path):
            assert step(counted)[0] == 1
    assert counted.times == 4


def test_by_itself_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counted = Counted(1)
    assert [step(counted)[0] for _ in range(2)] == [1, 1]
    assert counted.times == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("measure", "settings", "dense"), ANALYSES, ids=["sparse", "dense", "landscape"])
def test_an_analysis_that_is_interrupted_again_and_again(measure, settings, dense, tmp_path, monkeypatch):
    monkeypatch.setattr(curvature, "DENSE_LIMIT", dense)
    monkeypatch.setattr("equidyn.analysis.landscape.measure.DENSE_LIMIT", dense)
    monkeypatch.setattr(curvature, "_COLUMNS", 8)
    torch.manual_seed(0)
    task, model = VectorTask(6), Perceptron(4).double()
    protocol = EvaluationSettings(rotations=4, batch_size=3)
    whole = pd.DataFrame(measure(task, model, np.arange(6), protocol, {}, **settings))
    monkeypatch.setattr(steps.shutil, "rmtree", killed)  # what comes first after the numbers of a step are kept
    interruptions, found = 0, None
    while found is None:
        with kept_in(tmp_path), suppress(KeyboardInterrupt):
            interruptions += 1
            found = pd.DataFrame(measure(task, model, np.arange(6), protocol, {}, **settings))
    assert interruptions > 8
    pd.testing.assert_frame_equal(found, whole, check_exact=True)


def killed(*_, **__):
    raise KeyboardInterrupt
