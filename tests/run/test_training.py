"""The training loop: schedule, order, augmentation, averages, and that no interruption leaves a trace."""

import json
import math
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from changes import replace
from training_jobs import DyingWorkers, SlowForceField, WeighedForceField, program

import equidyn.run.training as module
from equidyn.core.files import discard_states, state_folder
from equidyn.models.escaip.network import EScAIP, EScAIPConfig
from equidyn.models.registry import build
from equidyn.run.checkpoints import checkpoint_name, load_checkpoint, load_state
from equidyn.run.loader import augmentation
from equidyn.run.recipe import Recipe, compiles
from equidyn.run.training import TrainingError, train, with_network
from equidyn.tasks.force_field.task import ForceField
from equidyn.verification.networks.escaip import escaip_parameter_name

RECIPE = Recipe(
    model="control-small",
    steps=6,
    batch_size=8,
    optimiser="adamw",
    lr=1e-3,
    augmentation=0.0,
    seed=0,
    warmup_steps=3,
    ema=0.9,
)


@pytest.fixture(scope="module")
def task(store, train_indices):
    return ForceField.fit(store, train_indices)


@pytest.fixture
def with_dropout(monkeypatch):
    """The smallest EScAIP under any name, with dropout, so that all random streams of a run matter."""
    sizes = {"hidden": 8, "heads": 2, "atom_embedding": 4, "distance_expansion": 20, "distance_embedding": 6}
    config = EScAIPConfig(layers=1, order_embedding=3, mlp_dropout=0.1, attention_dropout=0.2, **sizes)
    monkeypatch.setattr(module, "build", lambda *_: EScAIP(config))


class Watched(ForceField):
    """The task, keeping which examples each step saw, and doing `before` before the loss of a step."""

    def __init__(self, task, before=None):
        super().__init__(task.store, task.normalisation)
        self.seen, self.before = [], before

    def batch(self, indices, device="cpu"):
        self.seen.append(indices.tolist())
        return super().batch(indices, device)

    def loss(self, *arguments):
        factor = self.before(len(self.seen) - 1) if self.before else 1.0
        return super().loss(*arguments) * factor


class Interruption(Exception):  # noqa: N818 (like KeyboardInterrupt, no error)
    pass


def interrupt_at(step):
    def act(number):
        if number == step:
            raise Interruption
        return 1.0

    return act


def run(task, indices, recipe, folder, steps=None, **options):
    """Train into `folder`/out; the output's path."""
    steps = [0, recipe.steps] if steps is None else steps
    options = {"output": folder / "out", "state": folder / "state", "progress": False} | options
    train(task, indices, recipe, steps, **options)
    return options["output"]


def weights(output, step, kind="raw"):
    return load_checkpoint(output / kind / checkpoint_name(step))[0]


def assert_identical(one, other):
    """Two outputs agree in every bit, but for the times they took."""
    __tracebackhide__ = True
    files = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert files == sorted(str(path.relative_to(other)) for path in other.rglob("*") if path.is_file())
    for name in files:
        if name.endswith(".safetensors"):
            (first, first_metadata), (second, second_metadata) = (load_checkpoint(o / name) for o in (one, other))
            assert first_metadata == second_metadata
            assert first.keys() == second.keys()
            assert all(torch.equal(first[key], second[key]) for key in first), name
    pd.testing.assert_frame_equal(*(pd.read_parquet(o / "metrics.parquet") for o in (one, other)), check_exact=True)


# --- schedule -------------------------------------------------------------------------------------------------------


def test_schedule_of_the_paper():
    warmup, steps = 1484, 445_470
    recipe = replace(RECIPE, steps=steps, warmup_steps=warmup)
    expected = {
        0: 0.2,
        742: 0.6,
        1483: 0.2 + 0.8 * 1483 / 1484,
        1484: 0.5 + 0.25 * (1 + math.cos(math.pi * 1484 / 445_470)),
        111_367: 0.5 + 0.25 * (1 + math.cos(math.pi * 111_367 / 445_470)),
        222_735: 0.75,
        445_470: 0.5,
    }
    for step, factor in expected.items():
        assert recipe.factor(step) == pytest.approx(factor, rel=1e-12), step
    factors = [recipe.factor(step) for step in range(0, steps, 997)]
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_without_warm_up():
    recipe = replace(RECIPE, warmup_steps=0, final_factor=0.1, steps=10)
    assert recipe.factor(0) == 1
    assert recipe.factor(5) == pytest.approx(0.55)
    assert recipe.factor(10) == pytest.approx(0.1)


# --- what a run leaves ----------------------------------------------------------------------------------------------


def test_output(task, train_indices, tmp_path):
    steps = [0, 1, 3, 6]
    output = run(task, train_indices, RECIPE, tmp_path, steps)
    assert sorted(path.name for path in output.iterdir()) == [
        "ema",
        "metrics.parquet",
        "raw",
        "run.json",
        "throughput.json",
    ]
    for kind in ("raw", "ema"):
        assert sorted(path.name for path in (output / kind).iterdir()) == [checkpoint_name(step) for step in steps]
        for step in steps:
            _, metadata = load_checkpoint(output / kind / checkpoint_name(step))
            assert metadata["step"] == step
            assert Recipe(**metadata["recipe"]) == with_network(RECIPE)
            assert metadata["task"] == "force_field"
            assert ForceField.restore(task.store, metadata["task_state"]).normalisation == task.normalisation
    assert Recipe(**json.loads((output / "run.json").read_text())) == with_network(RECIPE)
    metrics = pd.read_parquet(output / "metrics.parquet")
    assert metrics["step"].tolist() == [1, 2, 3, 4, 5, 6]
    expected = [RECIPE.lr * RECIPE.factor(step) for step in range(6)]
    np.testing.assert_allclose(metrics["lr"], expected, rtol=1e-12)
    assert metrics[["loss", "gradient_norm"]].gt(0).all().all()
    throughput = json.loads((output / "throughput.json").read_text())
    assert throughput["seconds_per_step"] == pytest.approx(throughput["seconds"] / 6)
    assert throughput["peak_host_bytes"] > 1e7


def test_initial_weights_are_those_of_the_seed(task, train_indices, tmp_path):
    output = run(task, train_indices, replace(RECIPE, steps=1), tmp_path)
    torch.manual_seed(module.seed_for(0, "initialisation"))
    for name, value in build(RECIPE.model).state_dict().items():
        assert torch.equal(weights(output, 0)[name], value)
        assert torch.equal(weights(output, 0, "ema")[name], value)


def test_first_loss_is_that_of_the_initial_weights(task, train_indices, tmp_path):
    watched = Watched(task)
    output = run(watched, train_indices, RECIPE, tmp_path)
    model = build(RECIPE.model)
    model.load_state_dict(weights(output, 0))
    loss = task.loss(model, task.batch(np.array(watched.seen[0])))
    loss.backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    first = pd.read_parquet(output / "metrics.parquet").iloc[0]
    assert first["loss"] == pytest.approx(float(loss.detach()), rel=1e-6)
    assert first["gradient_norm"] == pytest.approx(float(norm), rel=1e-5)


def test_training_learns(task, train_indices, tmp_path):
    recipe = replace(RECIPE, steps=60, lr=3e-3)
    metrics = pd.read_parquet(run(task, train_indices, recipe, tmp_path) / "metrics.parquet")
    assert metrics["loss"][-7:].mean() < 0.8 * metrics["loss"][:7].mean()


def test_an_older_output_is_replaced(task, train_indices, tmp_path):
    (tmp_path / "out" / "raw").mkdir(parents=True)
    (tmp_path / "out" / "raw" / "stale").touch()
    output = run(task, train_indices, replace(RECIPE, steps=1), tmp_path)
    assert not (output / "raw" / "stale").exists()
    assert (output / "raw" / checkpoint_name(1)).exists()


@pytest.mark.parametrize(("name", "decay"), [("ema", 0.9), ("ema-0.5", 0.5)])
def test_averages_by_hand(task, train_indices, tmp_path, name, decay):
    output = run(task, train_indices, replace(RECIPE, averages=(0.5,)), tmp_path, list(range(7)))
    average = {key: value.double() for key, value in weights(output, 0).items()}
    for step in range(7):
        for key, raw in weights(output, step).items():
            if step:
                average[key] = decay * average[key] + (1 - decay) * raw.double()
            found = weights(output, step, name)[key]
            torch.testing.assert_close(found.double(), average[key], rtol=1e-5, atol=1e-7)
    assert not torch.equal(found, raw)


# --- order ----------------------------------------------------------------------------------------------------------


def test_every_epoch_sees_every_example_once(task, train_indices, tmp_path):
    indices = train_indices[:19]
    watched = Watched(task)
    run(watched, indices, replace(RECIPE, steps=9), tmp_path)
    assert [len(batch) for batch in watched.seen] == [8, 8, 3] * 3
    epochs = [sum(watched.seen[start : start + 3], []) for start in (0, 3, 6)]  # noqa: RUF017 (short lists)
    for epoch in epochs:
        assert sorted(epoch) == indices.tolist()
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert sorted(epochs[0]) != epochs[0]


def test_batch_larger_than_the_data(task, train_indices, tmp_path):
    watched = Watched(task)
    run(watched, train_indices[:5], replace(RECIPE, steps=2), tmp_path)
    assert [sorted(batch) for batch in watched.seen] == [train_indices[:5].tolist()] * 2


# --- augmentation ---------------------------------------------------------------------------------------------------


def rotations_of(before, after, example):
    """The map x -> x' of each example's positions by least squares, (B, 3, 3)."""
    found = []
    for number in range(int(example.max()) + 1):
        rows = example == number
        u, _, vt = np.linalg.svd(after[rows].double().numpy().T @ before[rows].double().numpy())
        found.append(u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
    return torch.from_numpy(np.array(found))


def test_without_augmentation_nothing_is_drawn():
    assert augmentation(RECIPE, 0, 4) is None


@pytest.mark.parametrize(("probability", "low", "high"), [(1.0, 1.0, 1.0), (0.5, 0.4, 0.6), (0.1, 0.04, 0.16)])
def test_augmentation_turns_with_its_probability(probability, low, high):
    recipe, count, steps = replace(RECIPE, augmentation=probability), 25, 16
    R = torch.cat([augmentation(recipe, step, count) for step in range(steps)]).double()
    used = R[(torch.eye(3) != R).flatten(1).any(1)]
    assert low <= len(used) / (count * steps) <= high
    torch.testing.assert_close(used @ used.mT, torch.eye(3).expand_as(used).double(), rtol=0, atol=1e-5)
    assert (torch.linalg.det(used) > 0).all()
    assert len(torch.unique(used.round(decimals=4), dim=0)) == len(used)
    # Haar: the mean of the matrices vanishes, entries have variance 1/3.
    assert used.mean(0).abs().max() < 5 * (3 * len(used)) ** -0.5


def test_augmentation_depends_on_seed_and_step_only():
    recipe = replace(RECIPE, augmentation=1.0)
    assert torch.equal(augmentation(recipe, 3, 4), augmentation(recipe, 3, 4))
    assert not torch.equal(augmentation(recipe, 3, 4), augmentation(recipe, 4, 4))
    assert not torch.equal(augmentation(recipe, 3, 4), augmentation(replace(recipe, seed=1), 3, 4))


@pytest.mark.parametrize("microbatch", [None, 3])
def test_inputs_and_targets_are_turned_alike_by_the_rotation_of_their_place(task, train_indices, tmp_path, microbatch):
    class Keeping(Watched):
        rotated = ()

        def act(self, batch, elements, symmetry):
            turned = super().act(batch, elements, symmetry)
            self.rotated += ((batch, turned),)
            return turned

    recipe, keeping = replace(RECIPE, augmentation=0.5, steps=1), Keeping(task)
    run(keeping, train_indices, recipe, tmp_path, microbatch=microbatch)
    found = []
    for before, after in keeping.rotated:
        example = task.example(before)
        R = rotations_of(before.molecules.positions, after.molecules.positions, example)
        forces = torch.einsum("nij,nj->ni", R[example], before.forces.double())
        torch.testing.assert_close(after.forces.double(), forces, rtol=0, atol=1e-4)
        assert torch.equal(after.energy, before.energy)
        found.append(R)
    torch.testing.assert_close(torch.cat(found), augmentation(recipe, 0, 8).double(), rtol=0, atol=1e-4)


def test_training_uses_the_augmentation(task, train_indices, tmp_path):
    # The control does not care, another network does.
    recipe = replace(RECIPE, steps=2)
    for model, same in (("control-small", True), ("escaip-tiny", False)):
        losses = []
        for probability in (0.0, 1.0):
            changed = replace(recipe, model=model, augmentation=probability)
            output = run(task, train_indices, changed, tmp_path / f"{model}{probability}")
            losses.append(pd.read_parquet(output / "metrics.parquet")["loss"][0])
        assert (losses[0] == pytest.approx(losses[1], rel=1e-5)) == same


# --- optimisers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_each_optimiser_moves_every_parameter(task, train_indices, tmp_path, optimiser):
    # SGD's steps are as small as the gradients, some of which would vanish beside their weights at a small rate.
    recipe = replace(RECIPE, model="escaip-tiny", optimiser=optimiser, steps=2, lr=1.0 if optimiser == "sgd" else 1e-3)
    output = run(task, train_indices, recipe, tmp_path)
    start, end = weights(output, 0), weights(output, 2)
    assert not [name for name in start if torch.equal(start[name], end[name])]


@pytest.mark.parametrize(("key", "value"), [("optimiser", "lion"), ("sampling", "everything"), ("ema", 1.0)])
def test_a_recipe_that_nobody_can_follow_is_refused(key, value):
    with pytest.raises(ValueError, match=f"{key}\n.*input_value={value!r}"):
        replace(RECIPE, **{key: value})


@pytest.mark.parametrize("clip", [0.5, 1e9])
def test_first_step_of_sgd_by_hand(task, train_indices, tmp_path, clip):
    recipe = replace(RECIPE, optimiser="sgd", lr=0.01, clip=clip)
    watched = Watched(task)
    output = run(watched, train_indices, recipe, tmp_path, [0, 1])
    model = build(RECIPE.model)
    model.load_state_dict(weights(output, 0))
    task.loss(model, task.batch(np.array(watched.seen[0]))).backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    assert norm > 1
    after = weights(output, 1)
    for name, parameter in model.named_parameters():
        expected = parameter - 0.01 * 0.2 * parameter.grad * min(1.0, clip / float(norm))
        torch.testing.assert_close(after[name], expected.detach(), rtol=1e-5, atol=1e-6)


def test_weight_decay_spares_what_the_model_exempts(task, train_indices, tmp_path):
    recipe = replace(RECIPE, model="escaip-tiny", lr=0.1)
    without, decayed = (
        run(task, train_indices, replace(recipe, weight_decay=decay), tmp_path / str(decay), [0, 1])
        for decay in (0.0, 0.5)
    )
    start, one, other = weights(without, 0), weights(without, 1), weights(decayed, 1)
    with torch.device("meta"):
        exempt = {name: build("escaip-tiny").no_decay(name) for name in start}
    assert {True, False} == set(exempt.values())
    for name, value in start.items():
        shrunk = 0 * value if exempt[name] else 0.1 * recipe.factor(0) * 0.5 * value
        torch.testing.assert_close(one[name] - other[name], shrunk, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_other_optimisers_do_not_decay(task, train_indices, tmp_path, optimiser):
    recipe = replace(RECIPE, optimiser=optimiser, steps=1)
    outputs = [
        run(task, train_indices, replace(recipe, weight_decay=decay), tmp_path / str(decay)) for decay in (0.0, 0.5)
    ]
    one, other = (weights(output, 1) for output in outputs)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_exemptions_are_those_of_the_published_names():
    fixtures = Path(__file__).parents[1] / "fixtures"
    with np.load(fixtures / "escaip_fixture_g1_b.npz") as file:
        published = [key.removeprefix("param/") for key in file.files if key.startswith("param/")]
    with torch.device("meta"):
        model = EScAIP(EScAIPConfig(layers=3, hidden=24, heads=2))
    assert {escaip_parameter_name(name) for name in published} == {name for name, _ in model.named_parameters()}
    for name in published:
        assert model.no_decay(escaip_parameter_name(name)) == ("embedding" in name or "bias" in name), name
    decayed = [name for name, _ in model.named_parameters() if not model.no_decay(name)]
    assert "blocks.0.attention.angle_scale" in decayed
    assert "blocks.2.edge_norm.weight" in decayed


def test_reduced_precision_trains(task, train_indices, tmp_path):
    recipe = replace(RECIPE, model="escaip-tiny", steps=3)
    full, half = (
        pd.read_parquet(run(task, train_indices, replace(recipe, precision=name), tmp_path / name) / "metrics.parquet")
        for name in ("fp32", "bf16")
    )
    np.testing.assert_allclose(half["loss"], full["loss"], rtol=0.05)
    assert not np.array_equal(half["loss"], full["loss"])


# --- the same run again ---------------------------------------------------------------------------------------------

EVERYTHING = replace(RECIPE, steps=8, augmentation=0.5, averages=(0.99,))


def test_same_seed_same_run(task, train_indices, tmp_path, with_dropout):
    outputs = [run(task, train_indices, EVERYTHING, tmp_path / name) for name in "ab"]
    assert_identical(*outputs)


def test_other_seed_other_run(task, train_indices, tmp_path, with_dropout):
    one, other = (run(task, train_indices, replace(EVERYTHING, seed=seed), tmp_path / str(seed)) for seed in (0, 1))
    assert not torch.equal(weights(one, 0)["direction.linear.weight"], weights(other, 0)["direction.linear.weight"])
    with pytest.raises(AssertionError):
        assert_identical(one, other)


@pytest.mark.parametrize("optimiser", ["adamw", "adam", "sgd"])
def test_resumed_run_is_the_uninterrupted_one(task, train_indices, tmp_path, with_dropout, optimiser):
    recipe, steps = replace(EVERYTHING, optimiser=optimiser), [0, 1, 4, 5, 8]
    whole = run(task, train_indices, recipe, tmp_path / "whole", steps)
    folder = tmp_path / "broken"
    resumed_at = []
    for stop in (5, 1, 3):  # steps into this attempt: before and after a save, which are two steps apart
        watched = Watched(task, interrupt_at(stop))
        with pytest.raises(Interruption):
            run(watched, train_indices, recipe, folder, steps, state_every=2)
        assert not (folder / "out").exists()
        resumed_at.append(load_state(folder / "state" / "state.pt")["step"])
    assert resumed_at == [4, 4, 6]
    watched = Watched(task)
    output = run(watched, train_indices, recipe, folder, steps, state_every=2)
    assert len(watched.seen) == 2
    assert_identical(output, whole)


def test_interrupted_before_the_first_save(task, train_indices, tmp_path):
    whole = run(task, train_indices, RECIPE, tmp_path / "whole")
    with pytest.raises(Interruption):
        run(Watched(task, interrupt_at(3)), train_indices, RECIPE, tmp_path, state_every=100)
    assert_identical(run(task, train_indices, RECIPE, tmp_path, state_every=100), whole)


def test_interrupted_after_the_last_step(task, train_indices, tmp_path, monkeypatch):
    whole = run(task, train_indices, RECIPE, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(module, "publish", lambda *_, **__: interrupt_at(0)(0))
        with pytest.raises(Interruption):
            run(task, train_indices, RECIPE, tmp_path, state_every=3)
    watched = Watched(task)
    assert_identical(run(watched, train_indices, RECIPE, tmp_path, state_every=3), whole)
    assert watched.seen == []


def test_interrupted_while_cleaning_up(task, train_indices, tmp_path, monkeypatch):
    # Output and state both exist; asking for the run again must give a complete one.
    whole = run(task, train_indices, RECIPE, tmp_path / "whole", [0, 2, 6])
    with monkeypatch.context() as patch:
        patch.setattr(module.Path, "unlink", lambda *_, **__: interrupt_at(0)(0))
        with pytest.raises(Interruption):
            module._publish(tmp_path / "whole" / "state", tmp_path / "out")
    assert_identical(tmp_path / "out", whole)


@pytest.mark.parametrize("lost", ["all", "part", "nothing"])
def test_finished_run_whose_output_is_lost_is_published_again(task, train_indices, tmp_path, lost):
    whole = run(task, train_indices, RECIPE, tmp_path / "whole")
    output = run(task, train_indices, RECIPE, tmp_path)
    if lost == "all":
        shutil.rmtree(output)
    elif lost == "part":
        (output / "run.json").unlink()
    watched = Watched(task)
    assert_identical(run(watched, train_indices, RECIPE, tmp_path), whole)
    assert not watched.seen


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
@pytest.mark.parametrize("linked", [["train"], ["state"], ["train", "state"]], ids=" and ".join)
def test_folders_may_be_links_to_another_disk(task, train_indices, tmp_path, linked):
    whole = run(task, train_indices, RECIPE, tmp_path / "whole", [0, 2, 6])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        for name in linked:
            Path(scratch, name).mkdir()
            (tmp_path / name).symlink_to(Path(scratch, name))
        where = {"output": tmp_path / "train" / "run", "state": tmp_path / "state" / "run"}
        with pytest.raises(Interruption):
            run(Watched(task, interrupt_at(3)), train_indices, RECIPE, tmp_path, [0, 2, 6], state_every=2, **where)
        watched = Watched(task)
        assert_identical(run(watched, train_indices, RECIPE, tmp_path, [0, 2, 6], **where), whole)
        assert len(watched.seen) == 4
        shutil.rmtree(where["output"])
        assert_identical(run(watched, train_indices, RECIPE, tmp_path, [0, 2, 6], **where), whole)
        assert len(watched.seen) == 4
        assert {path.name for path in Path(scratch).rglob("*") if path.name == "run"} == {"run"}


def test_states_of_a_run_are_discarded_and_no_others(tmp_path):
    mine, others = (state_folder(tmp_path, name, 1) for name in ("run", "run-seed1"))
    for folder in (mine, others, tmp_path / "run-not-a-digest"):
        (folder / "output").mkdir(parents=True)
    discard_states(tmp_path, "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([others.name, "run-not-a-digest"])
    discard_states(tmp_path, "run-seed1", but=others)
    assert others.exists()
    discard_states(tmp_path, "run-seed1", but=mine)
    assert not others.exists()
    discard_states(tmp_path / "nowhere", "run")


def test_half_written_checkpoint_is_not_published(task, train_indices, tmp_path, monkeypatch):
    def half(_, path, **__):
        path.write_bytes(b"half")
        raise Interruption

    whole = run(task, train_indices, RECIPE, tmp_path / "whole", [0, 2, 6])
    with monkeypatch.context() as patch:
        patch.setattr(
            "equidyn.run.checkpoints.Path.unlink", lambda *_, **__: None
        )  # a killed process cleans nothing up
        patch.setattr("equidyn.run.checkpoints.save_file", half)
        with pytest.raises(Interruption):
            run(task, train_indices, RECIPE, tmp_path, [0, 2, 6])
    assert list(tmp_path.rglob(".*"))
    assert_identical(run(task, train_indices, RECIPE, tmp_path, [0, 2, 6]), whole)


def test_killed_run_is_resumed_to_the_bit(task, train_indices, tmp_path):
    recipe = replace(RECIPE, model="escaip-tiny", steps=40, augmentation=0.5)
    steps = list(range(0, 41, 2))
    whole = run(task, train_indices, recipe, tmp_path / "whole", steps)
    folder = tmp_path / "killed"
    job = {"task": SlowForceField(task.store, task.normalisation), "indices": train_indices, "recipe": recipe}
    job |= {"checkpoint_steps": steps, "state_every": 3, "output": folder / "out", "state": folder / "state"}
    command, environment = program([job], 1, tmp_path / "log", tmp_path / "job")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with process:
        state = folder / "state" / "state.pt"
        deadline = time.monotonic() + 60
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.6))  # any moment must do; from here on the run takes 1.4 s or more
        process.send_signal(signal.SIGKILL)
        errors = process.stderr.read()
    assert process.returncode == -signal.SIGKILL, errors
    assert not (folder / "out").exists()
    reached = load_state(state)["step"]
    assert 0 < reached < 40
    watched = Watched(task)
    output = run(watched, train_indices, recipe, folder, steps, state_every=3)
    assert len(watched.seen) == 40 - reached
    assert_identical(output, whole)


# --- batches ahead of their step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_prepared_ahead_are_the_same(task, train_indices, tmp_path, with_dropout, workers):
    whole = run(task, train_indices, EVERYTHING, tmp_path / "whole", microbatch=3)
    ahead = run(task, train_indices, EVERYTHING, tmp_path / "ahead", microbatch=3, workers=workers)
    assert_identical(ahead, whole)


def test_resumed_run_with_batches_ahead(task, train_indices, tmp_path, with_dropout):
    whole = run(task, train_indices, EVERYTHING, tmp_path / "whole")
    with pytest.raises(Interruption):
        run(InterruptedLoss(task, 5), train_indices, EVERYTHING, tmp_path, state_every=2, workers=2)
    assert load_state(tmp_path / "state" / "state.pt")["step"] == 4
    assert_identical(run(task, train_indices, EVERYTHING, tmp_path, state_every=2, workers=2), whole)


class InterruptedLoss(ForceField):
    """The task, interrupted at a step's loss."""

    def __init__(self, task, stop):
        super().__init__(task.store, task.normalisation)
        self.stop, self.steps = stop, 0

    def loss(self, *arguments):
        self.steps += 1
        if self.steps > self.stop:
            raise Interruption
        return super().loss(*arguments)


def test_killed_worker_ends_the_run_which_resumes(task, train_indices, tmp_path):
    recipe = replace(RECIPE, steps=20, augmentation=0.5)
    whole = run(task, train_indices, recipe, tmp_path / "whole")
    # In a process of its own, as PyTorch raises wherever the signal finds it.
    job = {"task": DyingWorkers(task.store, task.normalisation), "indices": train_indices, "recipe": recipe}
    job |= {"checkpoint_steps": [0, 20], "state_every": 1, "output": tmp_path / "out", "state": tmp_path / "state"}
    command, environment = program([job | {"workers": 2}], 1, tmp_path / "log", tmp_path / "job")
    died = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert died.returncode == 1
    assert re.search(r"DataLoader worker \(pid.*killed|A process that prepares batches has died", died.stderr)
    assert not (tmp_path / "out").exists()
    assert_identical(run(task, train_indices, recipe, tmp_path, state_every=1, workers=2), whole)


def test_errors_of_a_worker_are_told(task, train_indices, tmp_path):
    class Failing(ForceField):
        def prepare(self, *_, **__):
            raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        run(Failing(task.store, task.normalisation), train_indices, RECIPE, tmp_path, workers=1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the process's memory as Linux tells it")
def test_memory_does_not_grow_with_the_length_of_a_run(task, train_indices, tmp_path):
    recipe = replace(RECIPE, model="escaip-tiny", steps=2000, augmentation=0.5)
    job = {"task": WeighedForceField(task.store, task.normalisation), "indices": train_indices, "recipe": recipe}
    job |= {"checkpoint_steps": [2000], "output": tmp_path / "out", "state": tmp_path / "state"}
    command, environment = program([job], 1, tmp_path / "log", tmp_path / "job")
    subprocess.run(command, env=environment | {"WEIGHED": str(tmp_path / "weighed")}, check=True)
    early, late = map(int, (tmp_path / "weighed").read_text().split())
    assert late == pytest.approx(early, rel=0.02)


# --- compiled networks and the order of sums ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "device", "steps", "expected"),
    [
        ("auto", "cuda", 5000, True),
        ("auto", "cuda", 4999, False),
        ("auto", "cpu", 10**6, False),
        (True, "cpu", 1, True),
        (False, "cuda", 10**6, False),
    ],
)
def test_compiled_where_it_saves_time(choice, device, steps, expected):
    assert compiles(choice, steps, on_gpu=device == "cuda") is expected


@pytest.mark.parametrize("model", ["control-small", "escaip-tiny"])
def test_every_operation_has_a_fixed_order(task, train_indices, tmp_path, model):
    recipe = replace(RECIPE, model=model, deterministic=True)
    try:
        fixed = run(task, train_indices, recipe, tmp_path / "fixed")
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    free = run(task, train_indices, replace(recipe, deterministic=False), tmp_path / "free")
    assert not torch.are_deterministic_algorithms_enabled()
    assert all(torch.equal(weights(fixed, 6)[name], value) for name, value in weights(free, 6).items())


# --- what stops a run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite(task, train_indices, tmp_path, value):
    whole = run(task, train_indices, RECIPE, tmp_path / "whole")
    watched = Watched(task, lambda number: value if number == 4 else 1.0)
    with pytest.raises(TrainingError) as caught:
        run(watched, train_indices, RECIPE, tmp_path, state_every=2)
    chosen = watched.seen[4]
    molecules = np.unique(task.cluster(np.array(chosen))).tolist()
    for part in ("step 4", f"loss {value}", f"examples {chosen}", f"molecules {molecules}", str(tmp_path / "state")):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert load_state(tmp_path / "state" / "state.pt")["step"] == 4
    assert_identical(run(task, train_indices, RECIPE, tmp_path, state_every=2), whole)


@pytest.mark.parametrize("wrong", [1, 2, 5])
def test_nothing_is_written_of_a_step_that_was_not_finite(task, train_indices, tmp_path, wrong):
    steps = list(range(7))
    watched = Watched(task, lambda number: float("nan") if number == wrong else 1.0)
    with pytest.raises(TrainingError, match=rf"^step {wrong}: loss nan"):
        run(watched, train_indices, RECIPE, tmp_path, steps, state_every=1)
    assert load_state(tmp_path / "state" / "state.pt")["step"] == wrong
    for kind in ("raw", "ema"):
        written = sorted(path.name for path in (tmp_path / "state" / "output" / kind).iterdir())
        assert written == [checkpoint_name(step) for step in range(wrong + 1)]


@pytest.mark.parametrize("steps", [[], [3, 1], [1, 1], [-1, 2], [0, 7]])
def test_checkpoint_steps_that_do_not_fit(task, train_indices, tmp_path, steps):
    with pytest.raises(ValueError, match=r"checkpoint steps must increase from 0 or more to at most 6, found \["):
        run(task, train_indices, RECIPE, tmp_path, steps)
    assert not list(tmp_path.iterdir())


def test_data_the_model_cannot_take(task, train_indices, tmp_path):
    class Refusing(Watched):
        def check(self, model, indices):
            raise ValueError(f"no {len(indices)}")

    with pytest.raises(ValueError, match=f"no {len(train_indices)}"):
        run(Refusing(task), train_indices, RECIPE, tmp_path)
    assert not list(tmp_path.iterdir())


# --- state folders --------------------------------------------------------------------------------------------------


def test_state_folder_depends_on_all_that_decides(store, train_indices, tmp_path):
    decisive = [RECIPE, [0, 6], store.manifest["files"], train_indices, "digest"]
    folder = state_folder(tmp_path, "run", *decisive)
    assert folder == state_folder(tmp_path, "run", *decisive)
    assert folder.parent == tmp_path
    changes = [replace(RECIPE, lr=2e-3), [0, 5], {"other": 1}, train_indices[:-1], "another"]
    others = [
        state_folder(tmp_path, "run", *decisive[:place], change, *decisive[place + 1 :])
        for place, change in enumerate(changes)
    ]
    assert len({folder, state_folder(tmp_path, "other", *decisive), *others}) == 7
