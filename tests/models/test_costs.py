"""Costs of networks: closed formulas against what PyTorch counts."""

from dataclasses import replace

import pytest
import torch
from suite import chains, molecules

from equidyn.core.plugins import load
from equidyn.core.rooms import cards
from equidyn.core.transfer import to_device
from equidyn.models.costs import work
from equidyn.models.counting import counted
from equidyn.models.escaip import network as escaip
from equidyn.models.registry import configuration, configurations
from equidyn.models.voxmol import convolution
from equidyn.models.work import Work

EXAMPLES = 2

DROPOUT = "mlp_dropout", "attention_dropout", "dropout"
"""Away from accelerators, PyTorch keeps masks as numbers and not as bytes."""

SMALL = {
    "escaip-tiny": (7, 20),
    "escaip-small": (9, 24),
    "control-small": (7, 20),
    "proteina-0.5M": (20, 60),
    "proteina-0.5M-tri": (20, 40),
    "proteina-2M": (40, 60),
    "control-chain": (20, 60),
    "voxmol-0.3M": (8, 16),
    "control-voxels": (8, 16),
}
PUBLISHED = {
    "escaip-6M": 30,
    "escaip-4M": 30,
    "escaip-1M": 30,
    "control": 30,
    "proteina-60M": 255,
    "proteina-60M-tri": 128,
    "proteina-200M": 255,
    "proteina-200M-tri": 128,
    "proteina-400M-tri": 255,
    "voxmol-111M": 64,
    "voxmol-28M": 64,
    "voxmol-7M": 64,
}


def without_dropout(entry):
    config = load(entry.network).Config
    return entry.sizes | {key: 0.0 for key in DROPOUT if key in config.__dataclass_fields__}


def built(name, device):
    network = load(configuration(name).network)
    with torch.device(device):
        return network(network.Config(**without_dropout(configuration(name))))


def expected(name, size):
    entry = configuration(name)
    return load(entry.costs)(size, **without_dropout(entry))


def batch_of(name, size, device, model):
    """Two examples of a size; lists of neighbours are made on the CPU, as they need values."""
    task = configuration(name).task
    if task == "voxel_denoising":
        return torch.zeros(EXAMPLES, 8, size, size, size, device=device)
    if task == "flow_matching":
        return to_device(replace(chains((size,) * EXAMPLES), residue_index=None, chain_break=None), device)
    batch = model.prepare(molecules((size,) * EXAMPLES))
    if isinstance(model, escaip.EScAIP):
        # CPUs compute only the band of a product that is not zero.
        batch = replace(batch, graph=replace(batch.graph, bands=()))
    return to_device(batch, device)


def assert_close(found, expected, tolerance):
    __tracebackhide__ = True
    assert abs(found / expected - 1) <= tolerance, f"{found:.4g} is {found / expected:.3f} of {expected:.4g}"


def assert_as_counted(name, size, found):
    """Tensors to 25 %, as kernels differ in what they keep; operations to 5 % where pairs of atoms are estimated."""
    __tracebackhide__ = True
    formula = expected(name, size)
    tolerance = 0.05 if name.startswith("escaip") and size > 9 else 0.005
    assert_close(formula.forward, found.forward, tolerance)
    assert_close(formula.backward, found.backward, tolerance)
    assert_close(formula.kept, found.kept, 0.25)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, sizes in SMALL.items() for size in sizes])
def test_small_networks_do_what_is_counted(name, size, monkeypatch):
    # Convolutions of few channels do more arithmetic on CPUs, in less time.
    monkeypatch.setattr(convolution, "_applies", lambda x: False)
    model = built(name, "cpu")
    assert_as_counted(name, size, counted(model, batch_of(name, size, "cpu", model), EXAMPLES))


@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_published_networks_do_what_is_counted_without_numbers(name, size):
    model = built(name, "meta")
    found = counted(model, batch_of(name, size, "meta", model), EXAMPLES)
    assert_as_counted(name, size, found)
    assert_close(expected(name, size).peak, found.peak, 0.35)


def test_all_published_networks_are_compared():
    rest = {name for name, entry in configurations().items() if entry.costs} - SMALL.keys()
    assert {name for name in rest if "CPU" not in configuration(name).note} == PUBLISHED.keys()


@pytest.mark.parametrize("card", cards("equidyn.models").values(), ids=cards("equidyn.models"))
def test_every_architecture_has_a_formula(card):
    if card.name == "mace":
        pytest.skip("PyTorch counts what is another package's")
    assert card.costs == f"equidyn.models.{card.name}.costs:costs"


@pytest.mark.parametrize("name", ["escaip-6M", "voxmol-28M"])
def test_dropout_keeps_a_byte_of_each_number(name):
    entry = configuration(name)
    with_dropout, without = work(name, 32), load(entry.costs)(32, **without_dropout(entry))
    assert without.kept < with_dropout.kept < 1.25 * without.kept
    assert with_dropout.forward == without.forward


def test_work_adds_up():
    first, second = Work(1, 2, 3, 40), Work(10, 20, 30, 4)
    assert first + second == Work(11, 22, 33, 40)
    assert 3 * second == Work(30, 60, 90, 4)
    assert 0 * second == Work()
    assert second.beside(5) == Work(10, 20, 30, 35)
