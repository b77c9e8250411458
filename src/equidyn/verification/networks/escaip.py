"""EScAIP against its golden fixtures."""

import json

import numpy as np
import torch

from equidyn.core.actions import rotate
from equidyn.core.batch import MoleculeBatch
from equidyn.core.decomposition import decompose_exact
from equidyn.models.escaip.network import AngularGraph, EScAIP, EScAIPConfig, gaussian
from equidyn.models.graph import Graph
from equidyn.verification.recorded import Recorded, Recorder, load_weights, refuse_other, renamed

_SIZES = {
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
_FIXED = {
    "activation": "gelu",
    "normalization": "rmsnorm",
    "distance_function": "gaussian",
    "energy_reduce": "mean",
    "use_angle_embedding": True,
    "regress_forces": True,
    "direct_force": True,
    "enforce_max_neighbors_strictly": True,
}
_NAMES = {
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
    return renamed(published, _NAMES)


def escaip_config(published: dict, *, energy: bool) -> EScAIPConfig:
    """Our configuration from the published one.

    Raises:
        ValueError: For options this package does not implement, named with what it does implement.
    """
    refuse_other(published, _FIXED)
    return EScAIPConfig(energy=energy, **{ours: published[key] for key, ours in _SIZES.items()})


def verify(fixture: Recorded) -> dict[str, np.ndarray]:
    """Every quantity that the inputs allow, computed by our network."""
    generation = json.loads(str(fixture["meta_json"])).get("generation", "g1")
    if generation != "g1":
        raise ValueError(f"EScAIP generation {generation!r} is not implemented, only the paper's 'g1'")
    energy = any(key.startswith("param/output_heads.energy.") for key in fixture)
    config = escaip_config(json.loads(str(fixture["config_json"])), energy=energy)
    model = EScAIP(config).eval()
    load_weights(model, fixture, escaip_parameter_name)
    if (number := int(fixture["in/atomic_numbers"].max())) >= config.elements:
        raise ValueError(f"in/atomic_numbers holds {number}, max_num_elements={config.elements} allows less")

    batch = MoleculeBatch(
        fixture.tensor("in/pos"),
        fixture.tensor("in/atomic_numbers").long(),
        torch.from_numpy(np.bincount(fixture["in/batch"])),
    )
    graph = model.graph(batch)
    found = _graph(config, graph, fixture)
    with torch.no_grad(), Recorder(model) as record:
        output = model(batch)
    found |= {f"feat/{name}": value for name, value in _features(model, record).items()}
    found["head/edge_vector"] = record[model.direction]
    found["head/force_magnitude"] = record[model.magnitude]
    found["out/forces"] = output.forces
    if output.energy is not None:
        found["head/atom_energy"] = record[model.energy]
        found["out/energy"] = output.energy
    found |= fixture.where_held(_rotated, model, batch, fixture)

    atoms = torch.arange(len(batch.positions))
    exact = decompose_exact(output.head_tensor, torch.zeros_like(output.forces), atoms, len(atoms))
    found["derived/forces_group_mean"] = output.head_tensor.mean(1)
    found["derived/equiv_sqerr_per_atom"] = torch.from_numpy(exact.equivariance)
    return {key: _recorded_layout(value.detach().numpy(), fixture.get(key), graph) for key, value in found.items()}


def _rotated(model: EScAIP, batch: MoleculeBatch, fixture: Recorded) -> dict[str, torch.Tensor]:
    """Outputs for rotated molecules."""
    with torch.no_grad():
        output = model(batch.with_positions(rotate(batch.positions, fixture.tensor("in/rotation"))))
    found = {"out/forces_rotated_input": output.forces}
    return found if output.energy is None else found | {"out/energy_rotated_input": output.energy}


def _graph(config: EScAIPConfig, graph: AngularGraph, fixture: Recorded) -> dict[str, torch.Tensor]:
    """Graph and feature tensors under the fixture's keys."""
    mask = graph.mask
    if (recorded := fixture.get("graph/neighbor_mask")) is not None:
        mask = torch.zeros(len(graph.mask), recorded.shape[1], dtype=torch.bool)
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


def _recorded_layout(ours: np.ndarray, recorded: np.ndarray | None, graph: Graph) -> np.ndarray:
    """Edge tensors in the fixture's (N, K, …) layout; empty slots are filled with what the fixture has there."""
    if recorded is None or recorded.ndim != ours.ndim + 1 or len(ours) != len(graph.centre):
        return ours
    rows = graph.centre.numpy()
    columns = graph.slot.numpy() - rows * graph.mask.shape[1]
    layout = recorded.copy()
    real = graph.real.numpy()
    layout[rows[real], columns[real]] = ours[real]
    return layout


def _features(model: EScAIP, record: Recorder) -> dict[str, torch.Tensor]:
    """Node and edge features after the input block, each block and the projections."""
    named = {"after_input": record[model.input]}
    named |= {f"after_block{n}": record[block] for n, block in enumerate(model.blocks)}
    named["projected"] = record[model.node_projection], record[model.edge_projection]
    return {
        f"{kind}_{name}": value
        for name, pair in named.items()
        for kind, value in zip(("node", "edge"), pair, strict=True)
    }
