"""Training steps are timed in turns, by the training loop itself."""

import pytest

from equidyn.run import timing
from equidyn.run.recipe import Recipe
from equidyn.run.timing import Timed, time_steps
from equidyn.tasks.force_field.task import ForceField


@pytest.fixture
def networks(store, train_indices):
    recipe = {"model": "escaip-tiny", "batch_size": 2, "steps": 100_000, "optimiser": "adamw", "lr": 1e-3, "seed": 0}
    task = ForceField.fit(store, train_indices)
    return {name: Timed(task, train_indices, Recipe(**recipe, augmentation=1.0)) for name in ("first", "second")}


def test_a_row_for_each_network(networks):
    found = time_steps(networks, rounds=2, steps=3, progress=False).set_index("name")
    assert list(found.index) == ["first", "second"]
    assert (found["least"] > 0).all()
    assert (found["least"] <= found["seconds_per_step"]).all()
    assert (found["seconds_per_step"] <= found["most"]).all()
    assert (found[["rounds", "steps", "threads"]] == [2, 3, 1]).all(axis=None)
    assert set(found["device"]) == {"cpu"}


def test_turns_alternate_and_the_median_step_counts(networks, monkeypatch):
    """The first steps of a turn, and one slow step, do not count."""
    order = []
    monkeypatch.setattr(timing, "train", trained(order, [9.0, 9.0, 9.0, 2.0, 50.0, 2.0]))
    found = time_steps(networks, rounds=2, steps=3, progress=False)
    assert list(found["seconds_per_step"]) == [2.0, 2.0]
    assert order == [7, 7, 7, 7], "steps of each turn: three to warm up, one that starts the clock, three that count"


def test_long_runs_on_gpus_are_timed_as_they_are_trained(networks, monkeypatch):
    found = []

    def train(*settings, world, **others):
        found.append(settings[2].compile)
        world.times.extend([0.0] * 8)

    monkeypatch.setattr(timing, "train", train)
    for device in ("cuda", "cpu"):
        timing._turn(networks["first"], 3, device)
    assert found == [True, False]


def trained(order, durations):
    """A training whose steps take some seconds."""

    def train(task, indices, recipe, steps, *, world, **settings):
        order.append(recipe.steps)
        now = 0.0
        for duration in [0.0, *durations]:
            now += duration
            world.times.append(now)

    return train
