"""What models give is read as it is, without a guess, and its precision is kept."""

import numpy as np
import pytest
import torch

from equidyn import measure
from equidyn.measuring.examples import MeasureError

rng = np.random.default_rng(5)
POINTS = rng.normal(size=(12, 4, 3))


@pytest.mark.parametrize("of_torch", [False, True])
def test_a_buffer_that_is_used_again(of_torch):
    inputs = torch.from_numpy(POINTS) if of_torch else POINTS
    buffer = inputs.copy() if not of_torch else inputs.clone()

    def predict(points):
        buffer[: len(points)] = points**2
        return buffer[: len(points)]

    settings = {"ranks": 1, "batch_size": 12, "floors": False}
    found = measure(predict, inputs, inputs, **settings)
    assert found.percent == measure(lambda points: points**2, inputs, inputs, **settings).percent


@pytest.mark.parametrize("per_atom", [True, False])
def test_bfloat16_keeps_its_precision(per_atom):
    def predict(points):
        found = points if per_atom else points.square().sum((1, 2))
        return found.to(torch.bfloat16)

    found = measure(predict, torch.from_numpy(POINTS).float(), ranks=int(per_atom))
    assert found["prediction"].verdict == "round-off"


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda points: points * 1j, "complex128 cannot be measured"),
        (lambda points: [None] * len(points), "object cannot be measured"),
        (lambda points: {"stress": np.ones((len(points), 6))}, "full_tensor"),
        (lambda points: {"virial_voigt": np.ones((len(points), 6))}, "full_tensor"),
    ],
)
def test_is_refused(predict, message):
    with pytest.raises(MeasureError, match=message):
        measure(predict, POINTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": iter(POINTS)}, "inputs: generator|inputs: .*iterator is no sequence"),
        ({"inputs": None}, "inputs: NoneType is no sequence"),
        ({"inputs": torch.utils.data.DataLoader(POINTS)}, "inputs: DataLoader is no sequence"),
        ({"inputs": {"positions": POINTS}}, "inputs: dict is no sequence"),
        ({"inputs": [{"pos": one, "d": one} for one in POINTS], "kinds": {"d": "vector"}}, "did you mean 'vectors'"),
        ({"inputs": np.where(np.arange(12)[:, None, None] == 7, np.nan, POINTS)}, "'points' of example 7"),
        ({"ranks": "vector"}, "ranks: .*'vector'"),
        ({"degrees": -1}, "degrees: -1"),
        ({"batch_size": 0}, "batch_size: 0"),
        ({"rotations": 24.0}, "rotations: 24.0"),
        ({"resamples": 0}, "resamples: 0"),
        ({"level": 95}, "95 % is 0.95"),
        ({"exact": 1000}, "exact: 1000"),
    ],
)
def test_arguments_are_refused(options, message):
    with pytest.raises(MeasureError, match=message):
        measure(**{"predict": lambda points: points, "inputs": POINTS} | options)


def test_errors_of_the_model_say_where():
    with pytest.raises(RuntimeError) as found:
        measure(torch.nn.Linear(3, 3), torch.from_numpy(POINTS), batch_size=30)
    assert any("examples 0, 1" in note for note in found.value.__notes__)
    assert any("inputs are torch.float64, parameters are torch.float32" in note for note in found.value.__notes__)
