"""A monitor measures what `measure` does, at the steps that it should, and leaves the training alone."""

import json

import numpy as np
import pytest
import torch
from torch import multiprocessing

from equidyn import Monitor, measure
from equidyn.measuring.examples import MeasureError

pytestmark = pytest.mark.filterwarnings("ignore:.*(was taken for rank|so few clusters)")

rng = np.random.default_rng(2)
POINTS = rng.normal(size=(30, 5, 3)).astype(np.float32)
TRUE = np.float32(0.5) * POINTS
INPUTS, TARGETS = torch.from_numpy(POINTS), torch.from_numpy(TRUE)


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.2), torch.nn.SiLU(), torch.nn.Linear(8, 3))


def trained(steps, monitor_of=lambda model: None):
    """Weights after training, with whatever draws random numbers, and what the monitor found."""
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    monitor, generator = monitor_of(model), np.random.RandomState(0)
    np.random.seed(0)  # noqa: NPY002
    found = [] if monitor is None else [monitor(0)]
    for step in range(1, steps + 1):
        batch = torch.randint(len(INPUTS), (8,))
        noise = float(np.random.normal()) + float(generator.normal())  # noqa: NPY002
        loss = (model(INPUTS[batch]) - TARGETS[batch]).square().mean() + 0 * noise
        optimiser.zero_grad()
        (loss + 1e-3 * noise * model[0].bias.sum()).backward()
        optimiser.step()
        if monitor is not None:
            found.append(monitor(step))
    return [weights.detach().clone() for weights in model.parameters()], found


def test_weights_are_bit_equal_with_and_without():
    with_it, found = trained(40, lambda model: Monitor(model, INPUTS, TARGETS))
    without, _ = trained(40)
    assert all(torch.equal(one, other) for one, other in zip(with_it, without, strict=True))
    assert [one["step"] for one in found if one] == [0, 1, 2, 3, 5, 7, 10, 15, 22, 32]


def test_numbers_are_those_of_measure():
    model = network()
    found = Monitor(model, INPUTS, TARGETS, rotations=24)(1)
    expected = measure(model, INPUTS, TARGETS)["prediction"]
    for name in ("percent", "percent_low", "percent_high", "skill", "total", "equivariance"):
        assert found[name] == pytest.approx(expected.numbers[name], rel=1e-12)
    assert found["relative_error"] == pytest.approx(expected.relative_error)


def test_several_weights_and_properties_have_names():
    def predict(points):
        return {"forces": points, "energy": np.square(points).sum((1, 2))}

    found = Monitor({"raw": predict, "averaged": predict}, POINTS, {"forces": TRUE})(0)
    assert found["raw/forces/percent"] == found["averaged/forces/percent"] < 1e-9
    assert not any(name.startswith("raw/energy/percent") for name in found)
    assert found["raw/forces/skill"] == pytest.approx(0, abs=1e-6)


def test_examples_are_spread_and_logged():
    seen, logged = [], []

    def predict(points):
        seen.append(len(points))
        return points

    found = Monitor(predict, POINTS, TRUE, max_examples=7, log=logged.append)(0)
    assert sum(seen) == 7 * 4
    assert logged == [found]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [("log", {0, 1, 2, 3, 5, 7, 10, 15}), (5, {0, 5, 10, 15}), ([3, 4], {3, 4}), (lambda step: step > 13, {14, 15})],
)
def test_schedules(schedule, due):
    monitor = Monitor(lambda points: points, POINTS, schedule=schedule)
    assert {step for step in range(16) if monitor(step)} == due


@pytest.mark.parametrize("schedule", ["linear", 0])
def test_unknown_schedule(schedule):
    with pytest.raises(ValueError, match=r"schedule: .*give"):
        Monitor(lambda points: points, POINTS, schedule=schedule)


def test_goes_on_from_a_checkpoint():
    first = Monitor(lambda points: points, POINTS)
    first(0), first(1)
    second = Monitor(lambda points: points, POINTS)
    second.load_state_dict(first.state_dict())
    assert second(1) is None
    assert second(2)["step"] == 2
    assert second.table()["step"].tolist() == [0, 1, 2]


def in_process(rank, processes, file, examples):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=processes)
    model = torch.nn.parallel.DistributedDataParallel(network())
    found = Monitor(model, INPUTS[:examples], TARGETS[:examples], clusters=np.arange(examples) // 2)(0)
    torch.save(found, f"{file}.{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("examples", [30, 1])
def test_processes_share_the_examples(tmp_path, examples):
    file = tmp_path / "meeting"
    multiprocessing.spawn(in_process, (2, file, examples), nprocs=2)
    expected = Monitor(network(), INPUTS[:examples], TARGETS[:examples], clusters=np.arange(examples) // 2)(0)
    for rank in range(2):
        assert torch.load(f"{file}.{rank}") == pytest.approx(expected, rel=1e-6)


def test_a_diverged_network_is_recorded_and_the_training_goes_on():
    model = network()
    monitor = Monitor({"raw": model, "same": network()}, INPUTS, {"prediction": TARGETS})
    before = monitor(0)
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    found = monitor(1)
    assert found.keys() == before.keys()
    assert all(np.isnan(value) == name.startswith("raw/") for name, value in found.items())
    assert np.isnan(Monitor(model, INPUTS, TARGETS)(0)["percent"])


class Drawing(torch.nn.Module):
    """A network with dropout whose predictions leave gradients."""

    def __init__(self):
        super().__init__()
        self.layers = network()

    def forward(self, points):
        found = self.layers(points)
        found.sum().backward()
        return found.detach()


def test_bound_methods_and_gradients_are_left_alone():
    model = Drawing()
    for one in model.parameters():
        one.grad = torch.ones_like(one)
    model.layers[0].bias.grad = None
    found = Monitor(model.forward, INPUTS, TARGETS)(0)
    assert found == Monitor(model, INPUTS, TARGETS)(0)
    assert model.training
    assert model.layers[0].bias.grad is None
    assert all(bool((one.grad == 1).all()) for one in model.parameters() if one.grad is not None)


@pytest.mark.parametrize(
    ("schedule", "measured"),
    [("log", [117, 234, 351, 468, 702, 1053]), (500, [117, 585, 1053]), ([200, 201, 1053], [234, 1053])],
)
def test_a_due_step_is_made_up_for_once(schedule, measured):
    monitor, found = Monitor(lambda points: points, POINTS, schedule=schedule), []
    for step in range(117, 1171, 117):
        found += [step] if monitor(np.int64(step)) else []
        again = Monitor(lambda points: points, POINTS, schedule=schedule)
        again.load_state_dict(monitor.state_dict())
        monitor = again
    assert found == measured
    assert json.loads(json.dumps(monitor.state_dict())) == monitor.state_dict()


def test_targets_have_the_name_of_a_property():
    def predict(points):
        return {"forces": points}

    with pytest.raises(MeasureError, match=r"targets: the model predicts .'forces'., but not 'force'"):
        Monitor(predict, POINTS, {"force": TRUE})(0)
    assert Monitor(predict, POINTS, TRUE)(0) == Monitor(predict, POINTS, {"forces": TRUE})(0)


def test_warnings_come_once():
    inputs = [{"positions": points, "arrow": points} for points in POINTS[:3]]
    monitor = Monitor(lambda batch: [one["positions"] for one in batch], inputs)
    with pytest.warns(UserWarning, match="looks like vectors|so few clusters|was taken for rank") as found:
        monitor(0), monitor(1)
    assert len(found) == 3


@pytest.mark.parametrize("name", ["max_examples", "batch_size"])
def test_is_refused(name):
    with pytest.raises(MeasureError, match=f"{name}: 0"):
        Monitor(lambda points: points, POINTS, **{name: 0})


def test_numbers_of_numpy_and_no_steps():
    monitor = Monitor(lambda points: points, POINTS, schedule=np.int64(5))
    assert [step for step in range(12) if monitor(step)] == [0, 5, 10]
    with pytest.raises(MeasureError, match="step: -1"):
        monitor(-1)


def failing(rank, processes, file):
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=processes)

    def predict(points):
        if rank:
            raise RuntimeError("out of memory")
        return points

    with pytest.raises(RuntimeError if rank else MeasureError, match="out of memory"):
        Monitor(predict, INPUTS, ranks=1)(0)
    model = network()
    if rank:
        model[0].weight.data.fill_(torch.nan)
    assert np.isnan(Monitor(model, INPUTS, TARGETS, ranks=1)(0)["percent"])
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_no_process_waits_for_one_that_failed(tmp_path):
    multiprocessing.spawn(failing, (2, tmp_path / "meeting"), nprocs=2)
