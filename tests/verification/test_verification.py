"""Golden fixtures: they verify, what is not right about one is told, and the plain implementations agree."""

import importlib.util
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from suite import assert_close, chains, choose, deviation, molecules, rotation
from torch import nn

from equidyn.cli import main
from equidyn.core.actions import rotate
from equidyn.models.escaip.network import EScAIP, EScAIPConfig
from equidyn.models.proteina import network
from equidyn.models.proteina.network import (
    AdaptiveNorm,
    Attention,
    Gate,
    PairUpdate,
    Proteina,
    ProteinaConfig,
    SwiGLU,
    TriangleProduct,
)
from equidyn.models.registry import build, configuration, configurations
from equidyn.tasks.flow_matching.task import auxiliary_loss, flow_loss
from equidyn.verification.fixtures import Deviation, FixtureError, verify
from equidyn.verification.networks.escaip import escaip_parameter_name

FOLDER = Path(__file__).parents[1] / "fixtures"
FIXTURES = sorted(FOLDER.glob("escaip_fixture_*.npz"))
PROTEINA = sorted(FOLDER.glob("proteina_fixture_*.npz"))
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(path):
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def golden():
    """The smallest fixture's content; copy before changing."""
    return load(min(FIXTURES, key=lambda path: path.stat().st_size))


@pytest.fixture(scope="module")
def proteina():
    """The fixture with pair updates; copy before changing."""
    return load(FOLDER / "proteina_fixture_tri.npz")


@pytest.fixture
def write(tmp_path):
    def save(fixture, name="escaip_fixture_test.npz"):
        np.savez(tmp_path / name, **fixture)
        return tmp_path / name

    return save


def edit(fixture, key, **changes):
    """The fixture with entries of one of its JSON texts changed; None removes."""
    content = json.loads(str(fixture[key])) | changes
    return fixture | {key: np.array(json.dumps({k: v for k, v in content.items() if v is not None}))}


def deviating(path, tolerance=1e-5):
    return {found.quantity for found in verify(path).deviations if not found.within(tolerance)}


# --- golden numbers -------------------------------------------------------------------------------------------------


def test_there_are_golden_fixtures():
    assert len(FIXTURES) >= 2
    assert len(PROTEINA) >= 2


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_golden_fixture_verifies(path):
    deviations = {found.quantity: found for found in verify(path).deviations}
    fixture = load(path)
    recorded = {key for key in fixture if key.split("/")[0] in ("graph", "feat", "head", "out", "derived")}
    assert deviations.keys() == recorded
    assert all(found.within(1e-5) for found in deviations.values())
    for key in ("out/forces", "out/forces_rotated_input", "out/energy", "out/energy_rotated_input"):
        assert deviations[key].absolute <= 1e-5, key
    assert deviations["graph/neighbor_list"].absolute == deviations["graph/neighbor_mask"].absolute == 0


@pytest.mark.parametrize("path", PROTEINA, ids=lambda path: path.stem)
def test_golden_proteina_verifies(path):
    deviations = {found.quantity: found for found in verify(path).deviations}
    fixture = load(path)
    derived = {"in/x_0", "in/x_1", "in/x_t", "in/x_sc", "in/fm_loss_weight", "num_params"}
    recorded = {key for key in fixture if key.split("/")[0] in ("mid", "out", "loss", "logged", "grad_norm", "steps")}
    assert deviations.keys() == recorded | derived
    assert all(found.within(1e-5) for found in deviations.values())
    for key, found in deviations.items():
        if key.startswith("out/"):
            assert found.absolute <= 1e-5, key


def test_golden_fixtures_truncate_neighbours():
    # What makes them worth more than small molecules would be.
    fixtures = [load(path) for path in FIXTURES]
    assert any(fixture["graph/neighbor_mask"].all(1).any() for fixture in fixtures)
    assert any(not fixture["graph/neighbor_mask"].all() for fixture in fixtures)


def test_command_line_verifies(capsys):
    assert main(["verify", *map(str, FIXTURES + PROTEINA)]) == 0
    printed = capsys.readouterr().out
    assert all(str(path) in printed for path in FIXTURES + PROTEINA)
    assert "out/forces" in printed
    assert "grad_norm/sc" in printed
    assert "DEVIATES" not in printed


def test_command_line_tolerance(capsys):
    assert main(["verify", "--tolerance", "0", str(FIXTURES[0])]) == 1
    assert "DEVIATES" in capsys.readouterr().out


# --- parameter counts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "hidden", "with_energy", "without"),
    [
        (6, 128, 6_137_222, 6_071_174),
        (4, 128, 4_374_660, 4_308_612),
        (3, 144, 3_996_419, 3_912_899),
        (7, 64, 4_014_599, 3_997_959),
        (1, 64, 997_889, 981_249),
        (2, 32, 1_178_434, 1_174_210),
    ],
)
def test_parameter_counts(layers, hidden, with_energy, without):
    def count(energy):
        with torch.device("meta"):
            model = EScAIP(EScAIPConfig(layers=layers, hidden=hidden, heads=8, energy=energy))
        return sum(parameter.numel() for parameter in model.parameters())

    assert (count(True), count(False)) == (with_energy, without)


def published_count(c):
    """Parameters by the published formula, every size free."""
    A, V, W, S, D, Z, H, L = (
        c.atom_embedding,
        c.order_expansion,
        c.order_embedding,
        c.distance_expansion,
        c.distance_embedding,
        c.elements,
        c.hidden,
        c.layers,
    )

    def ffn(m):
        return 2 * m * H * H + m * H + H

    attribute = 2 * Z * A + 2 * (V * W + W) + S * D + D + (D + 2 * W + 2 * A) * H + H
    block = attribute + 2 * (2 * H * H + H) + 4 * H * H + 4 * H + 1 + 2 * ffn(c.ffn_multiplier) + 3 * H
    readouts = (L + 1) * (2 * ffn(c.readout_multiplier) + 2 * H)
    projection = 2 * ((L + 1) * H * H + H) + 2 * (L + 1) * H + 2 * H
    heads = 2 * ffn(c.output_multiplier) + 4 * H + c.energy * (ffn(c.output_multiplier) + H)
    return attribute + ffn(1) + 3 * H + L * block + readouts + projection + heads


@pytest.mark.parametrize("name", [name for name, c in configurations().items() if c.network.endswith(":EScAIP")])
def test_registered_counts_follow_the_formula(name):
    with torch.device("meta"):
        assert configuration(name).parameters == published_count(build(name).config)


def test_command_line_lists_models(capsys):
    assert main(["models"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert lines.keys() == configurations().keys()
    counts = {"escaip-6M": "6,137,222", "escaip-4M": "4,374,660", "escaip-1M": "997,889"}
    for name, count in counts.items():
        assert lines[name].split()[1:3] == ["force_field", count]


# --- what is wrong with a fixture is told ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "backbone.transformer_blocks.1.graph_attention.attn_scalar",
        "backbone.transformer_blocks.0.graph_attention.multi_head_attention.in_proj_weight",
        "backbone.input_block.input_layer.edge_distance_embedding.0.bias",
        "backbone.transformer_blocks.2.norm_ffn.edge_norm.weight",
        "backbone.readout_layers.3.force_ffn.1.0.weight",
        "output_heads.forces.force_magnitude_layer.final_output.0.weight",
    ],
)
def test_tampered_weight_deviates(golden, write, name):
    weight = golden[f"param/{name}"].copy()
    weight.reshape(-1)[0] += 0.1
    path = write(golden | {f"param/{name}": weight})
    assert {"out/forces", "out/forces_rotated_input"} <= deviating(path)


@pytest.mark.parametrize("key", ["out/energy", "out/forces_rotated_input", "derived/equiv_sqerr_per_atom", "feat/boo"])
def test_tampered_number_deviates(golden, write, capsys, key):
    value = golden[key].copy()
    value.reshape(-1)[-1] += 1e-3
    path = write(golden | {key: value})
    assert deviating(path) == {key}
    assert main(["verify", str(path)]) == 1
    marked = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith("DEVIATES")]
    assert marked == [key]


def test_tampered_neighbour_deviates(golden, write):
    neighbours = golden["graph/neighbor_list"].copy()
    neighbours[0, 0] += 1
    assert deviating(write(golden | {"graph/neighbor_list": neighbours})) == {"graph/neighbor_list"}


def test_nan_deviates(golden, write):
    forces = golden["out/forces"].copy()
    forces[0] = np.nan
    assert deviating(write(golden | {"out/forces": forces})) == {"out/forces"}
    assert not Deviation("x", float("nan"), 1.0).within(1e9)


def without(fixture, key):
    return {name: value for name, value in fixture.items() if name != key}


def with_array(fixture, key, change):
    return fixture | {key: change(fixture[key].copy())}


def beyond_table(numbers):
    numbers[0] = 100
    return numbers


BROKEN = {
    "generation g2": (lambda f: edit(f, "meta_json", generation="g2"), "generation 'g2' is not implemented"),
    "activation": (lambda f: edit(f, "config_json", activation="silu"), "activation='silu' is not implemented"),
    "energy reduction": (lambda f: edit(f, "config_json", energy_reduce="sum"), "energy_reduce='sum' is not"),
    "no size": (lambda f: edit(f, "config_json", num_layers=None), "lacks 'num_layers'"),
    "impossible size": (lambda f: edit(f, "config_json", atten_num_heads=7), "not a multiple of heads=7"),
    "other size": (lambda f: edit(f, "config_json", hidden_size=48), "size mismatch"),
    "config not JSON": (lambda f: f | {"config_json": np.array("{")}, "escaip_fixture_test.npz: "),
    "no config": (lambda f: without(f, "config_json"), "lacks 'config_json'"),
    "no positions": (lambda f: without(f, "in/pos"), "lacks 'in/pos'"),
    "missing parameter": (
        lambda f: without(f, "param/backbone.input_block.norm.node_norm.weight"),
        r"Missing key.*input\.node_norm\.weight",
    ),
    "extra parameter": (
        lambda f: f | {"param/backbone.gate.weight": np.ones(3, np.float32)},
        r"backbone\.gate\.weight",
    ),
    "output of another shape": (lambda f: with_array(f, "out/energy", lambda x: x[:-1]), r"out/energy: recorded shape"),
    "unknown element": (lambda f: with_array(f, "in/atomic_numbers", beyond_table), "atomic_numbers holds 100"),
    "single atom": (lambda f: with_array(f, "in/batch", lambda x: x + (np.arange(len(x)) == len(x) - 1)), "neighbour"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_fixture(golden, write, capsys, change, message):
    path = write(change(golden))
    with pytest.raises(FixtureError, match=re.compile(message, re.DOTALL)):
        verify(path)
    assert main(["verify", str(path)]) == 1
    assert re.search(message, capsys.readouterr().err, re.DOTALL)


# --- what is wrong with Proteína is found ---------------------------------------------------------------------------


PUBLISHED_WEIGHTS = [
    "registers",
    "linear_3d_embed.weight",
    "cond_factory.feat_creators.1.embedding_A.weight",
    "transition_c_1.linear_out.weight",
    "pair_repr_builder.init_repr_factory.ln_out.bias",
    "transformer_layers.1.mhba.mha.to_g.bias",
    "transformer_layers.2.transition.transition.swish_linear.0.weight",
    "pair_update_layers.0.tri_mult_in.linear_b_g.weight",
    "pair_head_prediction.1.bias",
    "coors_3d_decoder.0.weight",
]


@pytest.mark.parametrize("name", PUBLISHED_WEIGHTS)
def test_tampered_proteina_weight_deviates(proteina, write, name):
    weight = proteina[f"param/{name}"].copy()
    weight.reshape(-1)[-1] += 0.5  # of the fold tables, the row that is read
    path = write(proteina | {f"param/{name}": weight}, "proteina_x.npz")
    found = deviating(path)
    output = "out/nosc/pair_pred" if name.startswith("pair_head") else "out/nosc/coors_pred"
    assert {output, "grad_norm/nosc", "grad_norm/sc", "steps/loss"} <= found


def test_fold_rows_that_nobody_reads_do_not_matter(proteina, write):
    key = "param/cond_factory.feat_creators.1.embedding_T.weight"
    table = proteina[key].copy()
    table[:-1] += 1
    assert deviating(write(proteina | {key: table}, "proteina_x.npz")) == set()


@pytest.mark.parametrize("key", ["in/x_t", "in/x_1", "loss/sc/fm_loss", "logged/nosc/dist_mat_loss", "steps/loss"])
def test_tampered_proteina_number_deviates(proteina, write, key):
    value = proteina[key].copy()
    value.reshape(-1)[0] += 1e-2
    assert key in deviating(write(proteina | {key: value}, "proteina_x.npz"))


def test_each_gradient_is_held_to_its_own_size(proteina, write):
    norms = proteina["grad_norm/nosc"]
    for place in (norms.argmax(), np.where(norms > 1e-3, norms, np.inf).argmin()):
        for factor, expected in ((1 + 5e-4, {"grad_norm/nosc"}), (1 + 2e-5, set())):
            changed = norms.copy()
            changed[place] *= factor
            assert deviating(write(proteina | {"grad_norm/nosc": changed}, "proteina_x.npz")) == expected


def no_gate(layer, x, scale):
    return x


def swapped_swiglu(layer, x):
    value, gate = layer.up(x).chunk(2, -1)
    return layer.down(torch.nn.functional.silu(value) * gate)


def normed_gates(layers, told, *counts):
    normed = torch.nn.functional.layer_norm(told, told.shape[-1:])
    pairs = zip(ORIGINAL[network](layers, told, *counts), ORIGINAL[network](layers, normed, *counts), strict=True)
    return [[a._replace(gate=b.gate) for a, b in zip(*halves, strict=True)] for halves in pairs]


class SwappedHalves(nn.Module):
    def forward(self, x):
        return torch.cat(x.chunk(2, -1)[::-1], -1)


def swapped_update(layer, tokens, pairs, mask):
    kept = layer.tokens
    layer.tokens = nn.Sequential(kept, SwappedHalves())
    result = ORIGINAL[PairUpdate](layer, tokens, pairs, mask)
    layer.tokens = kept
    return result


def other_triangle(layer, pairs, mask):
    layer.incoming = not layer.incoming
    result = ORIGINAL[TriangleProduct](layer, pairs, mask)
    layer.incoming = not layer.incoming
    return result


def without_norms_of_queries_and_keys(layer, x, bias):
    kept = layer.query_norm, layer.key_norm
    layer.query_norm = layer.key_norm = nn.Identity()
    result = ORIGINAL[Attention](layer, x, bias)
    layer.query_norm, layer.key_norm = kept
    return result


def padding_attended(layer, x, bias):
    return ORIGINAL[Attention](layer, x, bias.clamp(min=-1e-3))


def no_adaptation(layer, x, scale, shift):
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def registers_conditioned(*arguments):
    return [
        [network.Modulation(*(values[:, -1:].expand_as(values) for values in half)) for half in halves]
        for halves in ORIGINAL[network](*arguments)
    ]


ORIGINAL = {kind: kind.forward for kind in (AdaptiveNorm, Attention, Gate, PairUpdate, SwiGLU, TriangleProduct)} | {
    network: network.modulations
}

MISTAKES = {
    "no gate": (Gate, no_gate),
    "normalised conditioning in the gate": (network, normed_gates),
    "halves of the gated unit": (SwiGLU, swapped_swiglu),
    "halves of the pair update": (PairUpdate, swapped_update),
    "outgoing and incoming": (TriangleProduct, other_triangle),
    "no norms of queries and keys": (Attention, without_norms_of_queries_and_keys),
    "padding attended to": (Attention, padding_attended),
    "no adaptation": (AdaptiveNorm, no_adaptation),
    "registers conditioned": (network, registers_conditioned),
}


@pytest.mark.parametrize(("kind", "mistake"), MISTAKES.values(), ids=MISTAKES)
def test_mistaken_module_deviates(monkeypatch, kind, mistake):
    monkeypatch.setattr(kind, "modulations" if kind is network else "forward", mistake)
    found = {d.quantity: d.absolute for d in verify(FOLDER / "proteina_fixture_tri.npz").deviations}
    assert found["out/sc/coors_pred"] > 1e-3


CONSTANTS = {
    "time scale": ("equidyn.models.proteina.network", "TIME_SCALE", 1000, "mid/sc/feat_time"),
    "index period": (
        "equidyn.models.proteina.network",
        "INDEX_PERIOD",
        10_000,
        "mid/sc/feat_seq_0_IdxEmbeddingSeqFeat",
    ),
    "range of distances": ("equidyn.models.proteina.network", "DISTANCE_RANGE", (0.0, 3.0), "mid/sc/pair_before_adaln"),
    "weight floor": ("equidyn.tasks.flow_matching.task", "WEIGHT_FLOOR", 0.0, "in/fm_loss_weight"),
    "time of the distogram": ("equidyn.tasks.flow_matching.task", "DISTOGRAM_AFTER", 0.0, "loss/sc/auxiliary_loss"),
    "range of the distogram": (
        "equidyn.tasks.flow_matching.task",
        "DISTOGRAM_RANGE",
        (0.0, 1.1),
        "loss/sc/distogram_loss",
    ),
    "contacts": ("equidyn.tasks.flow_matching.task", "CONTACT", 0.8, "loss/sc/dist_mat_loss"),
}


@pytest.mark.parametrize(("module", "name", "value", "quantity"), CONSTANTS.values(), ids=CONSTANTS)
def test_mistaken_constant_deviates(monkeypatch, module, name, value, quantity):
    monkeypatch.setattr(f"{module}.{name}", value)
    assert quantity in deviating(FOLDER / "proteina_fixture_tri.npz")


def with_config(part, **changes):
    def change(fixture):
        config = json.loads(str(fixture["config"]))
        (config[part] if part else config).update(changes)
        return fixture | {"config": np.array(json.dumps(config))}

    return change


BROKEN_PROTEINA = {
    "no norms of queries": (with_config("nn", use_qkln=False), "use_qkln=False is not implemented, only True"),
    "no triangles": (with_config("nn", use_tri_mult=False), "use_tri_mult=False is not implemented, only True"),
    "fold conditioning": (with_config(None, fold_cond=True), "fold_cond=True is not implemented, only False"),
    "another target": (with_config(None, target_pred="x_1"), "target_pred='x_1' is not implemented, only 'v'"),
    "another loss": (with_config("loss", thres_aux_2d_loss=0.8), "thres_aux_2d_loss=0.8 is not implemented"),
    "other features": (with_config("nn", feats_init_seq=["x_sc"]), r"feats_init_seq=\['x_sc'\] is not implemented"),
    "impossible size": (with_config("nn", nheads=7), "not a multiple of heads=7"),
    "other size": (with_config("nn", nlayers=4), r"Missing key.*layers\.3\."),
    "missing parameter": (lambda f: without(f, "param/registers"), "Missing key.*registers"),
}


@pytest.mark.parametrize(("change", "message"), BROKEN_PROTEINA.values(), ids=BROKEN_PROTEINA)
def test_broken_proteina_fixture(proteina, write, change, message):
    with pytest.raises(FixtureError, match=re.compile(message, re.DOTALL)):
        verify(write(change(proteina), "proteina_x.npz"))


# --- what a fixture lacks is listed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["out/forces", "out/energy", "graph/neighbor_mask", "feat/node_projected"])
def test_a_quantity_that_escaip_s_fixture_lacks(golden, write, key):
    found, whole = verify(write(without(golden, key))), verify(write(golden))
    assert {one.quantity for one in found.deviations} == {one.quantity for one in whole.deviations} - {key}
    assert found.lacking == [key]
    assert found.within(1e-5)


def test_no_rotation(golden, write):
    found = verify(write(without(golden, "in/rotation")))
    assert found.lacking == ["in/rotation"]
    assert not {one.quantity for one in found.deviations} & {"out/forces_rotated_input", "out/energy_rotated_input"}


LACKING_PROTEINA = {
    "no noise": (["in/x_0_raw"], ["in/x_0_raw"]),
    "no velocities": (["out/sc/coors_pred"], ["out/sc/coors_pred"]),
    "no order of parameters": (["param_names"], ["param_names"]),
    "no residue numbers": (["in/residue_pdb_idx"], ["in/residue_pdb_idx"]),
}


@pytest.mark.parametrize(("keys", "lacking"), LACKING_PROTEINA.values(), ids=LACKING_PROTEINA)
def test_what_proteina_s_fixture_lacks(proteina, write, keys, lacking):
    found = verify(write({key: value for key, value in proteina.items() if key not in keys}, "proteina_x.npz"))
    assert found.lacking == lacking
    assert found.within(1e-5)


def test_a_proteina_fixture_without_what_lies_on_the_way(proteina, write, capsys):
    outside = {key: value for key, value in proteina.items() if not key.startswith("mid/")}
    path = write(outside, "proteina_x.npz")
    assert set(verify(path).lacking) == {key for key in proteina if key.startswith("mid/")}
    assert main(["verify", str(path)]) == 0
    assert "the fixture lacks: mid/sc/" in capsys.readouterr().out


def test_nothing_to_compare(golden, write):
    needed = {key: value for key, value in golden.items() if key.startswith(("in/", "param/", "config", "meta"))}
    with pytest.raises(FixtureError, match=r"nothing to compare: the fixture lacks graph/neighbor_mask, .*out/forces"):
        verify(write(needed))


# --- files that are none --------------------------------------------------------------------------------------------


def not_an_archive(golden):
    buffer = io.BytesIO()
    np.save(buffer, golden["in/pos"])
    return buffer.getvalue()


def truncated(_):
    return FIXTURES[0].read_bytes()[:5000]


@pytest.mark.parametrize("content", [not_an_archive, truncated, lambda _: b"text", lambda _: b""])
def test_file_that_is_no_npz(golden, tmp_path, capsys, content):
    path = tmp_path / "escaip_fixture_x.npz"
    path.write_bytes(content(golden))
    with pytest.raises(FixtureError, match=r"escaip_fixture_x\.npz: not a readable \.npz file"):
        verify(path)
    assert main(["verify", str(path)]) == 1
    assert "not a readable" in capsys.readouterr().err


def test_missing_file(tmp_path, capsys):
    path = tmp_path / "escaip_fixture_y.npz"
    assert main(["verify", str(path)]) == 1
    assert "escaip_fixture_y.npz" in capsys.readouterr().err


def test_unknown_model_name(golden, write):
    with pytest.raises(FixtureError, match=r"must begin with a model's \(escaip.*found 'painn'"):
        verify(write(golden, "painn_fixture.npz"))


def test_one_bad_file_does_not_hide_another(golden, write, tmp_path, capsys):
    assert main(["verify", str(tmp_path / "escaip_none.npz"), str(write(golden))]) == 1
    assert "out/forces" in capsys.readouterr().out


# --- fixtures of other configurations -------------------------------------------------------------------------------


def published_names(golden, layers, energy):
    """Names of the published state dict for a number of layers, from those of the golden one."""
    names = set()
    for name in (key.removeprefix("param/") for key in golden if key.startswith("param/")):
        if name.startswith("output_heads.energy.") and not energy:
            continue
        repeated = re.match(r"backbone\.(transformer_blocks|readout_layers)\.0\.(.*)", name)
        if repeated:
            count = layers + (repeated[1] == "readout_layers")
            names |= {f"backbone.{repeated[1]}.{n}.{repeated[2]}" for n in range(count)}
        elif not re.match(r"backbone\.(transformer_blocks|readout_layers)\.", name):
            names.add(name)
    return names


def own_fixture(golden, batch, *, layers, energy, **sizes):
    """A fixture of our own network, in the published layout."""
    published = json.loads(str(golden["config_json"])) | {"num_layers": layers} | sizes
    config = EScAIPConfig(
        layers=layers,
        energy=energy,
        hidden=published["hidden_size"],
        heads=published["atten_num_heads"],
        max_neighbors=published["max_neighbors"],
        max_radius=published["max_radius"],
        elements=published["max_num_elements"],
        atom_embedding=published["atom_embedding_size"],
        distance_expansion=published["edge_distance_expansion_size"],
        distance_embedding=published["edge_distance_embedding_size"],
        order_expansion=published["node_direction_expansion_size"],
        order_embedding=published["node_direction_embedding_size"],
        ffn_multiplier=published["ffn_hidden_layer_multiplier"],
        readout_multiplier=published["readout_hidden_layer_multiplier"],
        output_multiplier=published["output_hidden_layer_multiplier"],
    )
    torch.manual_seed(1)
    model = EScAIP(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    weights = model.state_dict()
    names = {name: escaip_parameter_name(name) for name in published_names(golden, layers, energy)}
    assert sorted(names.values()) == sorted(weights)

    R = rotation(dtype=torch.float32)
    with torch.no_grad():
        output = model(batch)
        rotated = model(batch.with_positions(rotate(batch.positions, R)))
    graph = model.graph(batch)
    shape = len(batch.positions), config.max_neighbors
    centre = graph.centre[graph.real]
    columns = (graph.slot - graph.centre * graph.mask.shape[1])[graph.real]
    mask, neighbours = np.zeros(shape, bool), np.full(shape, -1, np.int32)
    mask[centre, columns], neighbours[centre, columns] = True, graph.neighbour[graph.real]
    direction = np.zeros((*shape, 3), np.float32)
    direction[centre, columns] = graph.direction[graph.real]
    fixture = {
        "config_json": np.array(json.dumps(published)),
        "meta_json": np.array(json.dumps({"generation": "g1"})),
        "in/pos": batch.positions.numpy(),
        "in/atomic_numbers": batch.atomic_numbers.int().numpy(),
        "in/batch": batch.molecule.int().numpy(),
        "in/rotation": R.numpy(),
        "graph/neighbor_mask": mask,
        "graph/neighbor_list": neighbours,
        "graph/edge_direction": direction,
        "out/forces": output.forces.numpy(),
        "out/forces_rotated_input": rotated.forces.numpy(),
        **{f"param/{name}": weights[ours].numpy() for name, ours in names.items()},
    }
    if energy:
        fixture |= {"out/energy": output.energy.numpy(), "out/energy_rotated_input": rotated.energy.numpy()}
    return fixture


@pytest.mark.parametrize(
    ("energy", "sizes"),
    [
        (True, {"layers": 1, "hidden_size": 18, "atten_num_heads": 3, "max_neighbors": 4, "max_radius": 3.5}),
        (False, {"layers": 2, "max_neighbors": 30, "max_radius": 20.0, "max_num_elements": 54}),
        (
            False,
            {
                "layers": 4,
                "readout_hidden_layer_multiplier": 3,
                "output_hidden_layer_multiplier": 4,
                "edge_distance_expansion_size": 71,
                "node_direction_expansion_size": 1,
            },
        ),
    ],
)
def test_fixture_of_another_configuration_verifies(golden, write, energy, sizes):
    batch = molecules((11, 6), seed=4, elements=(1, 9, 16, 17, 35, 53))
    fixture = own_fixture(golden, batch, energy=energy, **sizes)
    path = write(fixture)
    assert {found.quantity for found in verify(path).deviations} == {
        key for key in fixture if key.split("/")[0] in ("graph", "out")
    }
    assert deviating(path) == set()
    forces = fixture["out/forces"].copy()
    forces[0, 0] += 1e-3 * np.abs(forces).max()
    assert deviating(write(fixture | {"out/forces": forces})) == {"out/forces"}


# --- the plain implementation ---------------------------------------------------------------------------------------


def plain_class(module, name):
    """A class of a file in the folder of benchmarks."""
    spec = importlib.util.spec_from_file_location(module, BENCHMARKS / f"{module}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


PlainEScAIP = plain_class("escaip_reference", "PlainEScAIP")
PlainProteina = plain_class("proteina_reference", "PlainProteina")


def assert_agree(model, plain, batch, loss):
    """Outputs and gradients of a network and the plain implementation of it."""
    __tracebackhide__ = True
    results = []
    for function, owner in ((model, model), (plain, plain.model)):
        output = function(batch)
        loss(output).backward()
        gradients = {name: parameter.grad for name, parameter in owner.named_parameters()}
        results.append((output, gradients))
    (ours, our_gradients), (theirs, plain_gradients) = results
    for found, expected in zip(ours, theirs, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            assert_close(found, expected, 1e-5)
    largest = max(float(gradient.abs().max()) for gradient in plain_gradients.values())
    for name, gradient in plain_gradients.items():
        assert float((our_gradients[name] - gradient).abs().max()) <= 1e-5 * max(1, largest), name


PLAIN = {
    "small": EScAIPConfig(layers=2, hidden=16, heads=4, distance_expansion=80, distance_embedding=20, max_neighbors=5),
    "all neighbours": EScAIPConfig(layers=1, hidden=12, heads=2, distance_embedding=16, max_radius=4.0),
    "1M": EScAIPConfig(layers=1, hidden=64),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("config", PLAIN.values(), ids=PLAIN)
def test_agrees_with_the_plain_implementation(config, seed):
    torch.manual_seed(seed)
    model = EScAIP(config).eval()
    batch = molecules((12, 3, 24), seed=seed, elements=(1, 6, 7, 8, 16))
    plain = PlainEScAIP(model).eval()
    assert_agree(model, plain, batch, lambda out: out.forces.square().mean() + out.energy.square().sum())


def test_comparison_with_the_plain_implementation_can_fail():
    torch.manual_seed(0)
    model, other = (EScAIP(PLAIN["small"]).eval() for _ in range(2))
    other.load_state_dict(model.state_dict())
    batch = choose(molecules(), [0, 2])[0]
    with torch.no_grad():
        other.blocks[0].attention.angle_scale.mul_(1.1)
        assert deviation(PlainEScAIP(other).eval()(batch).forces, model(batch).forces) > 1e-4


SIZES = {
    "width": 24,
    "heads": 3,
    "conditioning": 20,
    "time_embedding": 12,
    "index_embedding": 8,
    "fold_embedding": 3,
    "fold_classes": (2, 2, 2),
    "registers": 3,
}
PLAIN_PROTEINA = {
    "without updates": ProteinaConfig(layers=2, pair=10, **SIZES),
    "update after every layer": ProteinaConfig(layers=3, pair=10, update_every=1, **SIZES),
    "wide pairs": ProteinaConfig(layers=2, pair=200, update_every=1, **SIZES),  # wider than the triangles
}


@pytest.mark.parametrize("x_sc", [True, False], ids=["self-conditioned", "first"])
@pytest.mark.parametrize("config", PLAIN_PROTEINA.values(), ids=PLAIN_PROTEINA)
def test_proteina_agrees_with_the_plain_implementation(config, x_sc):
    torch.manual_seed(0)
    model = Proteina(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    batch, x_1 = chains((14, 6, 20), x_sc=x_sc), chains((14, 6, 20), seed=1).x_t

    def loss(output):
        flow = flow_loss(output.velocity, x_1, 0 * batch.t, batch.mask)
        return (flow + auxiliary_loss(output.distogram, x_1, batch.t, batch.mask)).mean()

    assert_agree(model, PlainProteina(model).eval(), batch, loss)


def test_comparison_with_the_plain_proteina_can_fail():
    torch.manual_seed(0)
    model = Proteina(PLAIN_PROTEINA["update after every layer"])
    plain, batch = PlainProteina(model), chains()
    with torch.no_grad():
        plain.model.pair_updates["1"].incoming.project_out.weight[0, 0] = 1
        assert deviation(plain(batch).velocity, model(batch).velocity) > 1e-4
