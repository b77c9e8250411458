"""Batches of held-out examples: what fits into memory, and what is kept of them."""

import logging
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import checkpoint_files
from linear_task import Matrix, VectorTask
from torch import Tensor, nn

from equidyn.data.store import Field, Store, StoreWriter
from equidyn.run import evaluation
from equidyn.run.batches import Fitting, Kept, in_batches, largest_first
from equidyn.run.evaluation import evaluate_run
from equidyn.run.protocol import EvaluationSettings
from equidyn.run.recipe import Recipe

EXAMPLES = 12
PROTOCOL = EvaluationSettings(rotations=2, batch_size=12, resamples=100, weights=("raw",))


class Sized(VectorTask):
    """The task of vectors, which counts how often inputs are made and moved."""

    asks_network = False

    def __init__(self):
        super().__init__(EXAMPLES)
        self.made = self.moved = 0

    def lengths_of(self, indices):
        return np.ones(len(indices), np.int64)

    def inputs(self, model, batch, condition, seed):
        self.made += 1
        return replace(batch, x=batch.x + model(batch.x)) if self.asks_network else batch

    def act(self, batch, elements, symmetry):
        self.moved += 1
        return super().act(batch, elements, symmetry)


class Small(Matrix):
    """A network on a device that holds few vectors, which counts how often it was asked and failed."""

    def __init__(self, holds=10**9):
        super().__init__(torch.arange(9.0).view(3, 3))
        self.holds, self.asked, self.failures = holds, 0, 0

    def forward(self, x):
        self.asked += 1
        if len(x) > self.holds:
            self.failures += 1
            raise torch.OutOfMemoryError("too much")
        return super().forward(x)


RECIPE = Recipe(model="matrix", batch_size=1, steps=3, optimiser="sgd", lr=1.0, augmentation=0.0, seed=0)


@pytest.fixture
def evaluate(monkeypatch, tmp_path):
    """Evaluate checkpoints that are all the same network, each time anew."""

    def run(task, model, steps=(0, 1, 2), protocol=PROTOCOL):
        monkeypatch.setattr(evaluation, "restore", lambda *_: (RECIPE, task, model))
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        where = {"checkpoints": checkpoint_files(folder, steps), "steps": steps, "labels": {"run": "one"}}
        where["state"] = folder / "state"
        return evaluate_run(VectorTask, task, np.arange(EXAMPLES), protocol=protocol, progress=False, **where)

    return run


def numbers(tables):
    return [table.select_dtypes("float").to_numpy() for table in tables]


def test_batches_are_halved_until_they_fit(evaluate, caplog):
    small = Small(holds=7)  # three examples, twice
    with caplog.at_level(logging.WARNING):
        found = evaluate(Sized(), small)
    assert small.failures == 2 + 2, "12 and 6 at once failed; later checkpoints began with 3, and floors anew"
    assert [record.getMessage() for record in caplog.records] == ["memory holds 3 of 12 examples at a time"] * 2
    expected = evaluate(Sized(), Small(), protocol=replace_batch_size(2))
    for one, other in zip(numbers(found), numbers(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-12)


def replace_batch_size(size):
    return PROTOCOL.model_copy(update={"batch_size": size})


def test_one_example_must_fit(evaluate):
    with pytest.raises(MemoryError, match=r"one example at a time, with 2 rotations, does not fit .* \(too much\)"):
        evaluate(Sized(), Small(holds=1))


def test_other_errors_are_not_repeated():
    def work(protocol):
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        Fitting(PROTOCOL, EXAMPLES)(work)


def test_batches_are_no_larger_than_the_examples():
    assert Fitting(PROTOCOL, 5).protocol.batch_size == 5
    assert [len(chosen) for chosen in in_batches(np.arange(5), Fitting(replace_batch_size(2), 5).protocol)] == [2, 2, 1]


def test_largest_examples_come_first(store):
    lengths = store.lengths_of(np.arange(len(store)))
    order = largest_first(store, np.arange(len(store)))
    assert sorted(order) == list(range(len(store)))
    assert (np.diff(lengths[order]) <= 0).all()
    assert (np.diff(lengths) > 0).any()


def test_examples_without_rows_are_alike(tmp_path):
    with StoreWriter(tmp_path / "store", {"x": Field("float32", (3,), "1", "a vector", ragged=False)}) as writer:
        for _ in range(3):
            writer.append(x=np.zeros(3, np.float32))
        writer.finish(source="vectors, for tests")
    assert largest_first(Store(tmp_path / "store"), np.array([2, 0])).tolist() == [0, 1]


def test_what_no_weights_decide_is_made_once(evaluate):
    one, three = Sized(), Sized()
    evaluate(one, Small(), steps=[0])
    evaluate(three, Small())
    assert (three.made, three.moved) == (one.made, one.moved)


def test_inputs_that_the_network_makes_belong_to_its_weights(evaluate):
    one, three = Sized(), Sized()
    one.asks_network = three.asks_network = True
    evaluate(one, Small(), steps=[0])
    evaluate(three, Small())
    floors = 3  # of one element repeated, of perfect predictions, and the test of the closed form, once
    assert three.made - floors == 3 * (one.made - floors)


def test_only_what_fits_is_kept(evaluate, monkeypatch):
    monkeypatch.setattr(Kept.__init__, "__defaults__", (0,))
    one, three = Sized(), Sized()
    evaluate(one, Small(), steps=[0])
    evaluate(three, Small())
    assert three.made > one.made


@dataclass(frozen=True)
class Thing:
    numbers: Tensor

    @cached_property
    def more(self):
        return self.numbers.repeat(3)


def test_bytes_of_kept_things_are_counted_after_their_use():
    kept = Kept(limit=400)
    for key in "abc":
        with kept.lent(key, lambda: Thing(torch.zeros(10)), lambda thing: True) as thing:
            assert len(thing.more) == 30
    assert (list(kept.things), kept.bytes) == (["a", "b"], 320)
    with kept.lent("a", pytest.fail, pytest.fail) as thing:
        assert "more" in vars(thing)
    kept.clear()
    assert not kept.things
    assert kept.bytes == 0


class Compared(Sized):
    """The same, with two ways to compare predictions."""

    def inputs(self, model, batch, condition, seed):
        self.comparison = condition["comparison"]
        return super().inputs(model, batch, condition, seed)


def test_a_network_is_asked_once_where_comparisons_alone_differ(evaluate):
    ways = [{"group": "SO(3)", "comparison": comparison} for comparison in ("one", "other")]
    others = [{"group": group, "comparison": "one"} for group in ("SO(3)", "cube")]
    asked = []
    for conditions in (ways[:1], ways, others):
        model = Small()
        protocol = PROTOCOL.model_copy(update={"conditions": tuple(conditions), "batch_size": 5})
        rows, _ = evaluate(Compared(), model, protocol=protocol)
        asked.append(model.asked - 3 * len(conditions))  # floors, of a repeated element
        percents = rows.groupby("comparison")["percent"].first()
    assert asked == [9, 9, 18]
    assert "forward" not in vars(model)
    assert len(percents) == 1


def test_answers_are_of_the_right_question():
    model = nn.Linear(3, 3)
    one, other = torch.ones(2, 3), torch.zeros(2, 3)
    expected = [model(one), model(other), model(one)]
    with evaluation._asked_once(model):
        found = [model(question) for question in (one, other, one)]
    for answer, right in zip(found, expected, strict=True):
        torch.testing.assert_close(answer, right, rtol=0, atol=0)
