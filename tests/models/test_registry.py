"""The registry: every configuration builds, with the parameters it is known for."""

from importlib.util import find_spec

import pytest
import torch

from equidyn.models.registry import build, configuration, configurations

PUBLISHED = {
    "escaip-6M": 6_137_222,
    "escaip-4M": 4_374_660,
    "escaip-1M": 997_889,
    "proteina-60M": 64_995_584,
    "proteina-60M-tri": 70_831_664,
    "proteina-200M": 191_068_160,
    "proteina-200M-tri": 207_968_816,
    "proteina-400M-tri": 397_545_472,
    "proteina-2M": 1_824_816,
    "proteina-2M-tri": 1_996_656,
    "proteina-0.5M": 476_656,
    "proteina-0.5M-tri": 521_648,
}


@pytest.mark.parametrize("name", configurations())
def test_every_configuration_builds_and_counts(name):
    entry = configuration(name)
    if name.startswith("mace") and find_spec("mace") is None:
        pytest.skip("needs mace-torch: pip install 'equidyn[mace]'")
    with torch.device("meta"):
        model = build(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert entry.parameters == PUBLISHED.get(name, entry.parameters)
    assert entry.module == type(model).__module__
    assert entry.control == name.startswith(("control", "mace"))
    if entry.task == "force_field":
        assert model.elements > 8


def test_published_counts_are_of_registered_models():
    assert PUBLISHED.keys() <= configurations().keys()


def test_unknown_configuration():
    with pytest.raises(ValueError, match=r"unknown model 'escaip-7M'; known models: .*escaip-6M"):
        build("escaip-7M")
