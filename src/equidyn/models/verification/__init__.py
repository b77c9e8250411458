"""Compare a model with recorded numbers: golden fixtures of the published networks.

A fixture is one `.npz` file whose name begins with the model's (`escaip_fixture_…`). It holds a configuration, all
weights under their published names, inputs and expected outputs. Verifying builds our model from the configuration,
loads the weights, computes every recorded quantity and reports the largest deviation of each.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from equidyn.actions import rotate
from equidyn.decomposition import decompose_exact
from equidyn.models.batch import MoleculeBatch
from equidyn.models.escaip import AngularGraph, EScAIP, EScAIPConfig, gaussian
from equidyn.models.graph import Graph

TOLERANCE = 1e-5


class FixtureError(ValueError):
    """A fixture that cannot be read, or describes a model this package does not implement."""


@dataclass(frozen=True)
class Deviation:
    """Largest deviation of one quantity.

    Attributes:
        quantity: Its key in the fixture.
        absolute: max |ours - recorded|.
        scale: max(1, max |recorded|), what the tolerance is relative to.
    """

    quantity: str
    absolute: float
    scale: float

    def within(self, tolerance: float) -> bool:
        """Whether the deviation is at most tolerance x scale (NaN never is)."""
        return self.absolute <= tolerance * self.scale


def verify(path: str | Path) -> list[Deviation]:
    """Deviations of our model from a fixture file.

    Raises:
        FixtureError: Unreadable file, unknown model, missing arrays, or options that are not implemented.
    """
    path = Path(path)
    model = path.name.split("_")[0].lower()
    if model not in VERIFIERS:
        raise FixtureError(f"{path}: the name must begin with a model's ({', '.join(VERIFIERS)}), found {model!r}")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            fixture = {key: file[key] for key in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FixtureError(f"{path}: not a readable .npz file ({error})") from error
    try:
        computed = VERIFIERS[model](fixture)
    except KeyError as error:
        raise FixtureError(f"{path}: the fixture lacks {error}") from error
    except RuntimeError as error:  # load_state_dict names the parameters that do not fit
        raise FixtureError(f"{path}: {error}") from error
    except (TypeError, ValueError) as error:
        raise FixtureError(f"{path}: {error}") from error
    return [_deviation(key, fixture[key], ours) for key, ours in computed.items()]


def _deviation(key: str, recorded: np.ndarray, ours: np.ndarray) -> Deviation:
    if recorded.shape != ours.shape:
        raise FixtureError(f"{key}: recorded shape {recorded.shape}, ours {ours.shape}")
    if recorded.dtype.kind in "biu":
        return Deviation(key, float(np.count_nonzero(recorded != ours)), 1.0)
    recorded, ours = recorded.astype(np.float64), ours.astype(np.float64)
    if not recorded.size:
        return Deviation(key, 0.0, 1.0)
    return Deviation(key, float(np.abs(recorded - ours).max()), max(1.0, float(np.abs(recorded).max())))


# --- EScAIP ---------------------------------------------------------------------------------------------------------

_ESCAIP_SIZES = {
    "num_layers": "layers",
    "hidden_size": "hidden",
    "atten_num_heads": "heads",
    "max_neighbors": "max_neighbors",
    "max_radius": "max_radius",
    "max_num_elements": "elements",
    "atom_embedding_size": "atom_embedding",
    "edge_distance_expansion_size": "distance_expansion",
    "edge_distance_embedding_size": "distance_embedding",
    "node_direction_expansion_size": "order_expansion",
    "node_direction_embedding_size": "order_embedding",
    "ffn_hidden_layer_multiplier": "ffn_multiplier",
    "readout_hidden_layer_multiplier": "readout_multiplier",
    "output_hidden_layer_multiplier": "output_multiplier",
    "mlp_dropout": "mlp_dropout",
    "atten_dropout": "attention_dropout",
}
_ESCAIP_FIXED = {
    "activation": "gelu",
    "normalization": "rmsnorm",
    "distance_function": "gaussian",
    "energy_reduce": "mean",
    "use_angle_embedding": True,
    "regress_forces": True,
    "direct_force": True,
    "enforce_max_neighbors_strictly": True,
}
_ESCAIP_NAMES = {
    "backbone.input_block.input_layer.norm": "input.norm",
    "backbone.input_block.input_layer.edge_ffn": "input.ffn",
    "backbone.input_block.input_layer": "input.attribute",
    "backbone.input_block.norm": "input",
    "backbone.transformer_blocks": "blocks",
    "graph_attention.multi_head_attention.in_proj_": "attention.project_in.",
    "graph_attention.multi_head_attention.out_proj": "attention.project_out",
    "graph_attention.attn_scalar": "attention.angle_scale",
    "graph_attention.node_linear.0": "node",
    "graph_attention.message_linear.0": "message",
    "graph_attention": "attribute",
    "_atomic_embedding": "_element",
    "_direction_embedding.0": "_order",
    "edge_distance_embedding.0": "distance",
    "edge_linear.0": "edge",
    "feedforward.mlp_node": "node_ffn",
    "feedforward.mlp_edge": "edge_ffn",
    "norm_attn": "norm",
    "norm_ffn.": "",
    "backbone.output_projection.node_projection.0": "node_projection.linear",
    "backbone.output_projection.edge_projection.0": "edge_projection.linear",
    "backbone.output_projection.readout_norm.node_norm": "node_projection.norm_in",
    "backbone.output_projection.readout_norm.edge_norm": "edge_projection.norm_in",
    "backbone.output_projection.output_norm.node_norm": "node_projection.norm_out",
    "backbone.output_projection.output_norm.edge_norm": "edge_projection.norm_out",
    "output_heads.energy.energy_layer": "energy",
    "output_heads.forces.force_direction_layer": "direction",
    "output_heads.forces.force_magnitude_layer": "magnitude",
    "final_output.0": "linear",
    "ffn.0.0": "ffn.up",
    "ffn.1.0": "ffn.down",
    "node_ffn.0.0": "node_ffn.up",
    "edge_ffn.0.0": "edge_ffn.up",
}


def escaip_parameter_name(published: str) -> str:
    """Our name of a parameter of the published EScAIP's state dict."""
    head, _, rest = published.partition("backbone.readout_layers.")
    if not head and rest:
        index, part, *tail = rest.split(".")
        kind, role = part.split("_")
        side = {"energy": "node", "force": "edge"}[kind]
        published = ".".join([f"{side}_readouts", index, role, *tail])
    for old, new in _ESCAIP_NAMES.items():
        published = published.replace(old, new)
    return published


def escaip_config(published: dict, *, energy: bool) -> EScAIPConfig:
    """Our configuration from the published one.

    Raises:
        ValueError: For options this package does not implement, named with what it does implement.
    """
    for key, expected in _ESCAIP_FIXED.items():
        if published.get(key, expected) != expected:
            raise ValueError(f"{key}={published[key]!r} is not implemented, only {expected!r}")
    return EScAIPConfig(energy=energy, **{ours: published[key] for key, ours in _ESCAIP_SIZES.items()})


def _verify_escaip(fixture: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    generation = json.loads(str(fixture["meta_json"])).get("generation", "g1")
    if generation != "g1":
        raise ValueError(f"EScAIP generation {generation!r} is not implemented, only the paper's 'g1'")
    weights = {
        escaip_parameter_name(key.removeprefix("param/")): torch.from_numpy(value)
        for key, value in fixture.items()
        if key.startswith("param/")
    }
    config = escaip_config(json.loads(str(fixture["config_json"])), energy="energy.linear.weight" in weights)
    model = EScAIP(config).eval()
    model.load_state_dict(weights)
    if (number := int(fixture["in/atomic_numbers"].max())) >= config.elements:
        raise ValueError(f"in/atomic_numbers holds {number}, max_num_elements={config.elements} allows less")

    batch = MoleculeBatch(
        torch.from_numpy(fixture["in/pos"]),
        torch.from_numpy(fixture["in/atomic_numbers"]).long(),
        torch.from_numpy(np.bincount(fixture["in/batch"])),
    )
    graph = model.graph(batch)
    found = _escaip_graph(config, graph, fixture)
    with torch.no_grad(), _Recorder(model) as record:
        output = model(batch)
    for name, value in record.features(config.layers).items():
        found[f"feat/{name}"] = value
    found["head/edge_vector"] = record[model.direction]
    found["head/force_magnitude"] = record[model.magnitude]
    found["out/forces"] = output.forces
    rotation = torch.from_numpy(fixture["in/rotation"])
    with torch.no_grad():
        rotated = model(batch.with_positions(rotate(batch.positions, rotation)))
    found["out/forces_rotated_input"] = rotated.forces
    if output.energy is not None:
        found["head/atom_energy"] = record[model.energy]
        found["out/energy"] = output.energy
        found["out/energy_rotated_input"] = rotated.energy

    atoms = torch.arange(len(batch.positions))
    exact = decompose_exact(output.head_tensor, torch.zeros_like(output.forces), atoms, len(atoms))
    found["derived/forces_group_mean"] = output.head_tensor.mean(1)
    found["derived/equiv_sqerr_per_atom"] = torch.from_numpy(exact.equivariance)
    return {
        key: _recorded_layout(value.detach().numpy(), key, graph, fixture)
        for key, value in found.items()
        if key in fixture or key == "out/forces"  # without which nothing would be verified
    }


def _escaip_graph(config: EScAIPConfig, graph: AngularGraph, fixture: dict) -> dict[str, torch.Tensor]:
    """Graph and feature tensors under the fixture's keys."""
    width = fixture["graph/neighbor_mask"].shape[1]
    mask = torch.zeros(len(graph.mask), width, dtype=torch.bool)
    mask[:, : graph.mask.shape[1]] = graph.mask
    step = config.max_radius / (config.distance_expansion - 1)
    distance = graph.pair_distance[graph.pair]
    return {
        "graph/neighbor_mask": mask,
        "graph/neighbor_list": graph.neighbour.int(),
        "graph/edge_direction": graph.direction,
        "graph/edge_distance": distance,
        "feat/edge_distance_expansion": gaussian(distance[:, None] / step - torch.arange(config.distance_expansion)),
        "feat/boo": graph.order,
    }


def _recorded_layout(ours: np.ndarray, key: str, graph: Graph, fixture: dict[str, np.ndarray]) -> np.ndarray:
    """Edge tensors in the fixture's (N, K, …) layout; empty slots are filled with what the fixture has there."""
    recorded = fixture[key]
    edges = len(graph.centre)
    if len(ours) != edges or recorded.shape[:2] != fixture["graph/neighbor_mask"].shape:
        return ours
    rows = graph.centre.numpy()
    columns = graph.slot.numpy() - rows * graph.mask.shape[1]
    layout = recorded.copy()
    layout[rows, columns] = ours
    return layout


class _Recorder:
    """Outputs of the modules of a model during one forward pass, by module."""

    def __init__(self, model: EScAIP):
        self.model, self.outputs, self.handles = model, {}, []

    def __enter__(self):
        for module in self.model.modules():
            self.handles.append(module.register_forward_hook(self._keep))
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def _keep(self, module, _, output):
        self.outputs[module] = output

    def __getitem__(self, module):
        return self.outputs[module]

    def features(self, layers: int) -> dict[str, torch.Tensor]:
        """Node and edge features after the input block, each block and the projections."""
        model = self.model
        named = {"after_input": self[model.input]}
        named |= {f"after_block{n}": self[model.blocks[n]] for n in range(layers)}
        named["projected"] = self[model.node_projection], self[model.edge_projection]
        return {
            f"{kind}_{name}": value
            for name, pair in named.items()
            for kind, value in zip(("node", "edge"), pair, strict=True)
        }


VERIFIERS: dict[str, Callable[[dict], dict]] = {"escaip": _verify_escaip}
