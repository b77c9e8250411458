"""Costs of networks: closed formulas against what PyTorch counts."""

import inspect
from dataclasses import fields, replace

import pytest
import torch
from suite import chains, molecules
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from equidyn.core.plugins import load
from equidyn.models import costs
from equidyn.models.control import network as control
from equidyn.models.costs import COSTS, Work, work
from equidyn.models.escaip import network as escaip
from equidyn.models.proteina import network as proteina
from equidyn.models.registry import configuration, configurations
from equidyn.models.voxmol import network as voxmol

EXAMPLES = 2

NO_DROPOUT = {"mlp_dropout": 0.0, "attention_dropout": 0.0, "dropout": 0.0}
"""Away from accelerators, PyTorch keeps masks as numbers and not as bytes."""

SMALL = {
    "escaip-tiny": (7, 20),
    "escaip-small": (9, 24),
    "control-small": (7, 20),
    "proteina-0.5M": (20, 60),
    "proteina-0.5M-tri": (20, 40),
    "proteina-2M": (20, 60),
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


class Peak(TorchDispatchMode):
    """Most bytes at once in tensors that operations make, weights not among them."""

    def __init__(self, weights):
        super().__init__()
        self.weights, self.alive, self.bytes = weights, {}, 0

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in self.weights:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: value for key, value in self.alive.items() if not value[0].expired()}
        self.bytes = max(self.bytes, sum(size for _, size in self.alive.values()))
        return result


class Kept:
    """Bytes of the tensors that autograd saves, each once, weights not among them."""

    def __init__(self, weights):
        self.weights, self.storages = weights, {}

    def pack(self, tensor):
        if (storage := tensor.untyped_storage())._cdata not in self.weights:
            self.storages[storage._cdata] = storage
        return tensor

    @property
    def bytes(self):
        return sum(storage.nbytes() for storage in self.storages.values())


def counter():
    """Counts the products in place of `escaip`, too, which PyTorch's counter does not know."""

    def in_place(x, a, b, **_):
        return 2 * a[0] * a[1] * b[1]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place})


def measured(model, batch):
    """The work of an example, counted while the network runs."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    with torch.no_grad(), Peak(weights) as peak:
        model(batch)
    kept = Kept(weights)
    with counter() as forward, torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        output = model(batch)
    loss = sum(part.sum() for part in tree_leaves(output) if part is not None)
    kept_bytes = kept.bytes  # what is computed anew on the way back is not kept
    with counter() as backward:
        loss.backward()
    numbers = forward.get_total_flops(), backward.get_total_flops(), kept_bytes / 4, peak.bytes / 4
    return Work(*(number / EXAMPLES for number in numbers))


def built(name, device):
    entry = configuration(name)
    network = load(entry.network)
    sizes = entry.sizes | {key: 0.0 for key in NO_DROPOUT if key in network.Config.__dataclass_fields__}
    with torch.device(device):
        return network(network.Config(**sizes))


def expected(name, size):
    entry = configuration(name)
    return COSTS[entry.network](size, **entry.sizes | NO_DROPOUT)


def batch_of(name, size, device, model, monkeypatch):
    """Two examples of a size; lists of neighbours are made on the CPU, as they need values."""
    task = configuration(name).task
    if task == "voxel_denoising":
        return torch.zeros(EXAMPLES, 8, size, size, size, device=device)
    if task == "flow_matching":
        return moved(replace(chains((size,) * EXAMPLES), residue_index=None, chain_break=None), device)
    batch = molecules((size,) * EXAMPLES)
    reach = {"max_neighbors": model.config.max_neighbors, "max_radius": model.config.max_radius}
    if isinstance(model, escaip.EScAIP):
        graph = moved(escaip.angular_graph(batch, degrees=model.config.order_expansion, **reach), device)
        monkeypatch.setattr(model, "graph", lambda batch: graph)
    else:
        graph = moved(control.neighbour_graph(batch, **reach), device)
        monkeypatch.setattr(control, "neighbour_graph", lambda batch, **_: graph)
    return batch.to(device)


def moved(item, device):
    tensors = {field.name: getattr(item, field.name) for field in fields(item)}
    return replace(item, **{name: value.to(device) for name, value in tensors.items() if value is not None})


def dense(distance, weight, bias, step):
    centres = torch.arange(weight.shape[1], dtype=distance.dtype)
    return torch.nn.functional.linear(escaip.gaussian(distance[:, None] / step - centres), weight, bias)


def assert_close(found, expected, tolerance):
    __tracebackhide__ = True
    assert abs(found / expected - 1) <= tolerance, f"{found:.4g} is {found / expected:.3f} of {expected:.4g}"


def assert_as_counted(name, size, counted):
    """Tensors to 25 %, as kernels differ in what they keep; operations to 5 % where pairs of atoms are estimated."""
    __tracebackhide__ = True
    found = expected(name, size)
    tolerance = 0.05 if name.startswith("escaip") and size > 9 else 0.005
    assert_close(found.forward, counted.forward, tolerance)
    assert_close(found.backward, counted.backward, tolerance)
    assert_close(found.kept, counted.kept, 0.25)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, sizes in SMALL.items() for size in sizes])
def test_small_networks_do_what_is_counted(name, size, monkeypatch):
    # CPUs compute only the band of this product that is not zero.
    monkeypatch.setattr(escaip._BandedGaussianLinear, "apply", dense)
    model = built(name, "cpu")
    counted = measured(model, batch_of(name, size, "cpu", model, monkeypatch))
    assert_as_counted(name, size, counted)


@pytest.mark.parametrize(("name", "size"), PUBLISHED.items())
def test_published_networks_do_what_is_counted_without_numbers(name, size, monkeypatch):
    monkeypatch.setattr(voxmol.VoxMol, "memory_format", lambda self, grids: torch.contiguous_format)
    model = built(name, "meta")
    counted = measured(model, batch_of(name, size, "meta", model, monkeypatch))
    assert_as_counted(name, size, counted)
    assert_close(expected(name, size).peak, counted.peak, 0.35)


def test_all_published_networks_are_compared():
    rest = configurations().keys() - SMALL.keys()
    assert {name for name in rest if "CPU" not in configuration(name).note} == PUBLISHED.keys()


@pytest.mark.parametrize("network", COSTS)
def test_defaults_are_those_of_the_network(network):
    config = load(network).Config
    defaults = {field.name: field.default for field in fields(config)}
    parameters = list(inspect.signature(COSTS[network]).parameters.values())[1:-1]
    assert {parameter.name: parameter.default for parameter in parameters} == {
        parameter.name: defaults[parameter.name] for parameter in parameters
    }


def test_constants_are_those_of_the_networks():
    assert costs.TRIANGLE_WIDTH == proteina.TRIANGLE_WIDTH
    assert costs.DISTOGRAM_CLASSES == proteina.DISTOGRAM_CLASSES
    assert costs.SCORES == voxmol.Attention.SCORES


def test_every_configuration_has_costs():
    assert {entry.network for entry in configurations().values()} == COSTS.keys()


@pytest.mark.parametrize("name", ["escaip-6M", "voxmol-28M"])
def test_dropout_keeps_a_byte_of_each_number(name):
    entry = configuration(name)
    with_dropout, without = work(name, 32), COSTS[entry.network](32, **entry.sizes | NO_DROPOUT)
    assert without.kept < with_dropout.kept < 1.25 * without.kept
    assert with_dropout.forward == without.forward


def test_work_adds_up():
    first, second = Work(1, 2, 3, 40), Work(10, 20, 30, 4)
    assert first + second == Work(11, 22, 33, 40)
    assert 3 * second == Work(30, 60, 90, 4)
    assert 0 * second == Work()
    assert second.beside(5) == Work(10, 20, 30, 35)
