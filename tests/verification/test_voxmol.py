"""VoxMol's golden fixtures: they verify, and what is not right about one, or about the network, is found."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from equidyn.core.voxels import Grid
from equidyn.models.voxmol import network as voxmol
from equidyn.models.voxmol.network import Attention, Block, ResidualBlock, VoxMol
from equidyn.verification.fixtures import FixtureError, verify
from equidyn.verification.networks import voxmol as verifier
from equidyn.verification.networks.voxmol import (
    ADAM_EPSILON,
    voxmol_config,
    voxmol_parameter_name,
)
from equidyn.verification.recorded import Recorded, Recorder

FOLDER = Path(__file__).parents[1] / "fixtures"
NETWORKS = {"output", "loss_sum", "grad_norms", "grad_grid_projection_weight", "grad_final_weight", "n_params"}
VOXELS = {"grid", "channel_sums", "drug_value", "drug_channel_sums", "drug_sum_of_squares", "rotation_matrix"}


def load(name):
    with np.load(FOLDER / f"voxmol_fixture_{name}.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def golden():
    """The fixture of the smaller network; copy before changing."""
    return load("unet_b")


@pytest.fixture
def write(tmp_path):
    def save(fixture):
        np.savez(tmp_path / "voxmol_fixture_test.npz", **fixture)
        return tmp_path / "voxmol_fixture_test.npz"

    return save


def deviating(path):
    return {found.quantity for found in verify(path).deviations if not found.within(1e-5)}


# --- golden numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unet_a", "unet_b", "voxels", "optimiser"])
def test_golden_fixture_verifies(name):
    deviations = {found.quantity: found for found in verify(FOLDER / f"voxmol_fixture_{name}.npz").deviations}
    steps = {key for key in load("optimiser") if key.split(".")[0] in ("param", "ema0")}
    assert deviations.keys() == {"voxels": VOXELS, "optimiser": steps}.get(name, NETWORKS)
    assert all(found.within(1e-5) for found in deviations.values())
    for key in ("output", "grid", "drug_value", "drug_sum_of_squares"):
        assert key not in deviations or deviations[key].absolute <= 1e-5, key


@pytest.mark.parametrize("name", ["unet_a", "unet_b"])
def test_stages_on_the_way_agree(name):
    fixture = load(name)
    model = VoxMol(voxmol_config(json.loads(str(fixture["config"])))).eval()
    weights = {
        key.removeprefix("param."): torch.from_numpy(x) for key, x in fixture.items() if key.startswith("param.")
    }
    model.load_state_dict({voxmol_parameter_name(key): value for key, value in weights.items()})
    with torch.no_grad(), Recorder(model) as record:
        model(torch.from_numpy(fixture["input"]))
    modules = dict(model.named_modules())
    trace = json.loads(str(fixture["trace"]))
    assert len(trace) > 10
    for stage, mean, deviation, shape in trace:
        value = record[modules[voxmol_parameter_name(stage)]]
        assert list(value.shape) == shape, stage
        assert float(value.mean()) == pytest.approx(mean, abs=1e-5), stage
        assert float(value.std(correction=0)) == pytest.approx(deviation, abs=1e-5), stage


def test_gradients_are_missing_where_they_were(golden):
    norms = verifier.verify(Recorded(golden))["grad_norms"]
    names = json.loads(str(golden["param_names"]))
    missing = {name for name, norm in zip(names, norms, strict=True) if norm == -1}
    assert missing == {name for name in names if ".attn.norm." in name}


def test_optimiser_needs_its_epsilon():
    # Zero, the published value, gives no number where there never was a gradient, and zero is not far off.
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    for weight, epsilon in zip(weights, (0.0, ADAM_EPSILON), strict=True):
        optimiser = torch.optim.AdamW([weight], lr=0.1, eps=epsilon, weight_decay=0.5, fused=True)
        weight.grad = torch.tensor([0.0, 1e-10])
        optimiser.step()
    without, with_ = (weight.detach() for weight in weights)
    assert without[0].isnan()
    assert with_.tolist() == pytest.approx([0.95, 0.85])
    assert float(without[1]) == pytest.approx(float(with_[1]), rel=1e-6)


def test_vanishing_gradients_move_no_weight():
    weight = nn.Parameter(torch.ones(5))
    optimiser = torch.optim.AdamW([weight], 0.1, betas=(0.99, 0.999), eps=ADAM_EPSILON, weight_decay=0.0, fused=True)
    weight.grad = torch.tensor([1e-20, 8e-22, 1e-22, 1e-30, 1e-40])
    optimiser.step()
    assert (1 - weight.detach() <= 0.1).all()
    assert (1 - weight.detach()[1:] <= 0.01).all()


# --- what is wrong is found -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "grid_projection.bias",
        "down.0.res.norm1.weight",
        "down.2.res.shortcut.weight",
        "down.3.conv.weight",
        "middle.attn.projection.weight",
        "middle.res2.conv1.weight",
        "up.4.attn.output.bias",
        "up.5.conv.weight",
        "norm.bias",
        "final.weight",
    ],
)
def test_tampered_weight_deviates(golden, write, name):
    weight = golden[f"param.{name}"].copy()
    weight.reshape(-1)[0] += 0.1
    assert {"output", "grad_norms"} <= deviating(write(golden | {f"param.{name}": weight}))


def test_norms_that_nothing_uses_do_not_matter(golden, write):
    changed = {key: value + 1 for key, value in golden.items() if ".attn.norm." in key}
    assert len(changed) == 8
    assert deviating(write(golden | changed)) == set()


@pytest.mark.parametrize("key", ["output", "loss_sum", "grad_final_weight", "n_params"])
def test_tampered_number_deviates(golden, write, key):
    value = golden[key].copy()
    value.reshape(-1)[-1] += 1 if key != "output" else 1e-4
    assert deviating(write(golden | {key: value})) == {key}


def test_each_gradient_is_held_to_its_own_size(golden, write):
    norms = golden["grad_norms"]
    for place in (norms.argmax(), np.where(norms > 0, norms, np.inf).argmin()):
        for factor, expected in ((1 + 5e-4, {"grad_norms"}), (1 + 2e-5, set())):
            changed = norms.copy()
            changed[place] *= factor
            assert deviating(write(golden | {"grad_norms": changed})) == expected


@pytest.mark.parametrize("value", [0.0, 1e-6])
def test_gradient_that_should_be_missing_deviates(golden, write, value):
    norms = golden["grad_norms"]
    assert deviating(write(golden | {"grad_norms": np.where(norms == -1, value, norms)})) == {"grad_norms"}


def norm_applied(layer, x):
    return ORIGINAL[Attention](layer, layer.norm(x))


def without_residual(layer, x):
    return ORIGINAL[Attention](layer, x) - x


def activation_first(layer, x):
    hidden = layer.conv_in(layer.norm_in(F.silu(x)))
    return layer.conv_out(layer.norm_out(F.silu(hidden))) + layer.shortcut(x)


def shortcut_of_the_normed(layer, x):
    return ORIGINAL[ResidualBlock](layer, x) - layer.shortcut(x) + layer.shortcut(F.silu(layer.norm_in(x)))


def attention_first(layer, x):
    if isinstance(layer.residual.shortcut, nn.Identity):
        return layer.residual(layer.attention(x))
    return ORIGINAL[Block](layer, x)


def no_attention(layer, x):
    return layer.residual(x)


ORIGINAL = {kind: kind.forward for kind in (Attention, Block, ResidualBlock)}

MISTAKES = {
    "attention's norm applied": (Attention, norm_applied),
    "attention without residual": (Attention, without_residual),
    "activation before norm": (ResidualBlock, activation_first),
    "shortcut of the normed": (ResidualBlock, shortcut_of_the_normed),
    "attention before the residual block": (Block, attention_first),
    "attention in the middle only": (Block, no_attention),
}


@pytest.mark.parametrize(("kind", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_in_the_network_is_found(monkeypatch, kind, mistake):
    monkeypatch.setattr(kind, "forward", mistake)
    assert "output" in deviating(FOLDER / "voxmol_fixture_unet_a.npz")


@pytest.mark.parametrize("which", ["order", "scale", "kernel"])
def test_other_mistakes_are_found(monkeypatch, golden, write, which):
    original = {"cat": torch.cat, "attention": voxmol._attend}
    if which == "order":
        monkeypatch.setattr(voxmol.torch, "cat", lambda parts, axis: original["cat"](parts[::-1], axis))
    elif which == "scale":
        unscaled = lambda q, k, v: original["attention"](q * q.shape[-1] ** 0.5, k, v)  # noqa: E731
        monkeypatch.setattr(voxmol, "_attend", unscaled)
    else:
        key = "param.down.1.conv.weight"
        golden = golden | {key: golden[key].swapaxes(2, 4).copy()}
    assert "output" in deviating(write(golden))


@pytest.mark.parametrize(
    ("name", "value"),
    [("origin", lambda grid: grid.side / 2 - 1), ("variance", lambda grid: (grid.radius / grid.spacing) ** 2)],
)
def test_mistake_in_the_grids_is_found(monkeypatch, name, value):
    monkeypatch.setattr(Grid, name, property(value))
    assert deviating(FOLDER / "voxmol_fixture_voxels.npz") >= {"grid", "drug_value"}


def test_mistake_in_the_optimiser_is_found(write):
    fixture = load("optimiser")
    assert deviating(write(fixture | {"weight_decay": np.array(0.0)})) >= {"param.0.step1", "ema0.9.2.step5"}
    assert "param.1.step5" in deviating(write(fixture | {"betas": np.array([0.9, 0.999])}))


# --- what is wrong with a fixture is told ---------------------------------------------------------------------------


def without(fixture, key):
    return {name: value for name, value in fixture.items() if name != key}


def with_config(fixture, **changes):
    return fixture | {"config": np.array(json.dumps(json.loads(str(fixture["config"])) | changes))}


BROKEN = {
    "impossible groups": ("unet_b", lambda f: with_config(f, n_groups=4), "a width of 6 is not a multiple of groups=4"),
    "other size": ("unet_b", lambda f: with_config(f, n_channels=12), "size mismatch"),
    "missing parameter": ("unet_b", lambda f: without(f, "param.final.bias"), r"Missing key.*last\.bias"),
    "no configuration": ("unet_b", lambda f: without(f, "config"), "lacks 'config'"),
    "other spacing": ("voxels", lambda f: f | {"resolution": np.array(0.5)}, "centre='upstream' needs spacing 0.25"),
    "other window": (
        "voxels",
        lambda f: f | {"cubes_around": np.array(4)},
        "cubes_around=4 is not implemented, only 5",
    ),
    "other radius": ("voxels", lambda f: f | {"radius": 2 * f["radius"]}, "radius must be 0.5 for all atoms"),
    "too few channels": ("voxels", lambda f: f | {"num_channels": np.array(3)}, "channel must lie in 0 to 2"),
    "epsilon": ("optimiser", lambda f: f | {"eps": np.array(1e-8)}, "eps=1e-08 is not implemented, only 0"),
    "no step": ("optimiser", lambda f: without(f, "grad.1.step1"), "nothing to compare: .* lacks grad.1.step1"),
}


@pytest.mark.parametrize(("name", "change", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_fixture(write, name, change, message):
    with pytest.raises(FixtureError, match=re.compile(message, re.DOTALL)):
        verify(write(change(load(name))))


@pytest.mark.parametrize(
    ("name", "key", "lost"),
    [
        ("unet_b", "output", {"output"}),
        ("unet_b", "target", NETWORKS - {"output", "n_params"}),
        ("unet_b", "param_names", {"grad_norms"}),
        ("voxels", "drug_index", {"drug_value", "drug_channel_sums", "drug_sum_of_squares"}),
        ("voxels", "rotation_matrix", {"rotation_matrix"}),
    ],
)
def test_what_a_fixture_lacks_is_listed(write, name, key, lost):
    found = verify(write(without(load(name), key)))
    expected = VOXELS if name == "voxels" else NETWORKS
    assert {one.quantity for one in found.deviations} == expected - lost
    assert found.lacking == [key]
    assert found.within(1e-5)


def test_steps_are_compared_as_far_as_there_are_gradients(write):
    found = verify(write(without(load("optimiser"), "grad.1.step3")))
    assert {one.quantity[-1] for one in found.deviations} == {"1", "2"}
    assert found.lacking == ["grad.1.step3"]
