"""Proteína and its flow-matching objective against golden fixtures."""

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equidyn.core.batch import ProteinBatch
from equidyn.models.proteina.network import (
    DISTANCE_RANGE,
    DISTOGRAM_CLASSES,
    Proteina,
    ProteinaConfig,
    index_embedding,
    time_embedding,
)
from equidyn.tasks.flow_matching.task import (
    CONTACT,
    DISTOGRAM_AFTER,
    DISTOGRAM_RANGE,
    NANOMETRE,
    auxiliary_loss,
    centred,
    clean_prediction,
    distance_matrix_loss,
    distogram_loss,
    flow_loss,
    interpolate,
)
from equidyn.verification.recorded import Recorded, Recorder, load_weights, refuse_other, renamed

_SIZES = {
    "nlayers": "layers",
    "token_dim": "width",
    "nheads": "heads",
    "dim_cond": "conditioning",
    "t_emb_dim": "time_embedding",
    "idx_emb_dim": "index_embedding",
    "fold_emb_dim": "fold_embedding",
    "pair_repr_dim": "pair",
    "seq_sep_dim": "separation_classes",
    "xt_pair_dist_dim": "distance_classes",
    "x_sc_pair_dist_dim": "sc_distance_classes",
    "num_registers": "registers",
}
_FIXED = {
    "residual_mha": True,
    "residual_transition": True,
    "parallel_mha_transition": False,
    "use_attn_pair_bias": True,
    "use_qkln": True,
    "strict_feats": False,
    "feats_cond_seq": ["time_emb", "fold_emb"],
    "feats_pair_repr": ["rel_seq_sep", "x_sc_pair_dists", "xt_pair_dists"],
    "feats_pair_cond": ["time_emb"],
    "xt_pair_dist_min": DISTANCE_RANGE[0],
    "xt_pair_dist_max": DISTANCE_RANGE[1],
    "x_sc_pair_dist_min": DISTANCE_RANGE[0],
    "x_sc_pair_dist_max": DISTANCE_RANGE[1],
    "num_buckets_predict_pair": DISTOGRAM_CLASSES,
}
_FIXED_LOSS = {
    "use_aux_loss": True,
    "aux_loss_t_lim": DISTOGRAM_AFTER,
    "thres_aux_2d_loss": CONTACT,
    "aux_loss_weight": 1.0,
    "num_dist_buckets": DISTOGRAM_CLASSES,
    "max_dist_boundary": DISTOGRAM_RANGE[1],
}
_NAMES = {
    "linear_3d_embed": "position",
    "cond_factory.feat_creators.1.embedding_C": "fold.0",
    "cond_factory.feat_creators.1.embedding_A": "fold.1",
    "cond_factory.feat_creators.1.embedding_T": "fold.2",
    "pair_repr_builder.init_repr_factory.linear_out": "pair_builder.classes",
    "pair_repr_builder.init_repr_factory.ln_out": "pair_builder.norm",
    "pair_repr_builder.cond_factory.linear_out": "pair_builder.time",
    "pair_repr_builder.cond_factory.ln_out": "pair_builder.time_norm",
    "pair_repr_builder.adaln": "pair_builder.adapt",
    "init_repr_factory.linear_out": "sequence",
    "cond_factory.linear_out": "conditioning",
    "transition_c_1": "condition_transitions.0",
    "transition_c_2": "condition_transitions.1",
    "norm_cond": "norm",
    "to_gamma.0": "scale",
    "to_beta": "shift",
    "transformer_layers": "layers",
    "scale_output.to_adaln_zero_gamma.0": "gate.scale",
    "mhba.adaln": "attention_norm",
    "mhba.gate": "attention_gate",
    "mhba.mha": "attention",
    "node_norm": "norm",
    "q_layer_norm": "query_norm",
    "k_layer_norm": "key_norm",
    "to_qkv": "project_in",
    "to_g.": "gate.",
    "to_out_node": "project_out",
    "to_bias": "pair_bias",
    "transition.adaln": "transition_norm",
    "transition.gate": "transition_gate",
    "transition.transition": "transition",
    "transition.swish_linear.0": "transition.up",
    "transition.linear_out": "transition.down",
    "transitions.0.swish_linear.0": "transitions.0.up",
    "transitions.1.swish_linear.0": "transitions.1.up",
    "transitions.0.linear_out": "transitions.0.down",
    "transitions.1.linear_out": "transitions.1.down",
    "pair_update_layers": "pair_updates",
    "linear_x": "tokens",
    "tri_mult_out.layer_norm_": "outgoing.norm_",
    "tri_mult_in.layer_norm_": "incoming.norm_",
    "tri_mult_out": "outgoing",
    "tri_mult_in": "incoming",
    "linear_a_p": "left",
    "linear_a_g": "left_gate",
    "linear_b_p": "right",
    "linear_b_g": "right_gate",
    "linear_z": "project_out",
    "linear_g": "gate",
    "transition_out.layer_norm": "transition.norm",
    "transition_out.linear_1": "transition.up",
    "transition_out.linear_2": "transition.down",
    "layer_norm_in": "norm",
    "pair_head_prediction": "distogram",
    "coors_3d_decoder": "decoder",
}
_SEQUENCE_FEATURES = "res_seq_pdb_idx", "chain_break_per_res", "x_sc"  # our order
_CASES = "nosc", "sc", "default_idx"


def proteina_parameter_name(published: str) -> str:
    """Our name of a parameter of the published Proteína's state dict."""
    return renamed(published, _NAMES)


def proteina_config(published: dict) -> ProteinaConfig:
    """Our configuration from the published one.

    Raises:
        ValueError: For options this package does not implement, named with what it does implement.
    """
    nn = published["nn"]
    refuse_other(nn, _FIXED | {"use_tri_mult": nn["update_pair_repr"]})
    refuse_other(published["loss"], _FIXED_LOSS)
    refuse_other(published, {"target_pred": "v", "fold_cond": False})
    return ProteinaConfig(
        **{ours: nn[key] for key, ours in _SIZES.items()},
        fold_classes=[published["fold_classes"][level] for level in "CAT"],
        update_every=nn["update_pair_repr_every_n"] if nn["update_pair_repr"] else 0,
    )


def verify(fixture: Recorded) -> dict[str, np.ndarray]:
    """Every quantity that the inputs allow, computed by our network and objective."""
    published = json.loads(str(fixture["config"]))
    config, order = proteina_config(published), published["nn"]["feats_init_seq"]
    model = Proteina(config).eval()
    load_weights(model, _with_our_sequence_features(fixture, order, config), proteina_parameter_name)
    found = {"num_params": torch.tensor(sum(parameter.numel() for parameter in model.parameters()))}
    for derived in (_noise, _data, _noisy, _weight):
        found |= fixture.where_held(derived, fixture)
    for case in _CASES:
        found |= fixture.where_held(_case, case, model, fixture, order)
    found |= fixture.where_held(_steps, model, fixture)
    return {key: value.detach().numpy() for key, value in found.items()}


def _case(case: str, model: Proteina, fixture: Recorded, order: list[str]) -> dict[str, Tensor]:
    """Outputs, losses and gradients of one case of inputs, and intermediate tensors with self-conditioning."""
    batch = _batch(fixture, case)
    model.zero_grad()
    with Recorder(model) as record:
        loss, computed = _objective(model, batch, fixture.tensor("in/x_1"))
    loss.backward()
    found = {key.format(case): value for key, value in computed.items()}
    found |= fixture.where_held(_gradients, case, model, fixture)
    if case == "nosc":
        found["in/x_sc"] = computed["out/{}/x_1_pred"]
    if case == "sc":
        found |= {f"mid/sc/{key}": value for key, value in _inside(model, batch, record, order).items()}
    return found


def _gradients(case: str, model: Proteina, fixture: Recorded) -> dict[str, Tensor]:
    """Norms of the gradients in the fixture's order."""
    parameters = dict(model.named_parameters())
    in_order = [parameters[proteina_parameter_name(str(name))] for name in fixture["param_names"]]
    # The distogram's last layers have no gradient where the loss does not include it.
    norms = [torch.zeros(()) if p.grad is None else p.grad.double().norm() for p in in_order]
    return {f"grad_norm/{case}": torch.stack(norms)}


def _with_our_sequence_features(fixture: Recorded, order: list[str], config: ProteinaConfig) -> dict:
    """The fixture with the columns that read the residues' features, published in various orders, in ours."""
    name, width = "param/init_repr_factory.linear_out.weight", {"res_seq_pdb_idx": config.index_embedding, "x_sc": 3}
    if sorted(order) != sorted(_SEQUENCE_FEATURES):
        raise ValueError(f"feats_init_seq={order!r} is not implemented, only {list(_SEQUENCE_FEATURES)!r} in any order")
    parts = np.split(fixture[name], np.cumsum([width.get(feature, 1) for feature in order])[:-1], axis=1)
    return dict(fixture) | {name: np.concatenate([parts[order.index(feature)] for feature in _SEQUENCE_FEATURES], 1)}


def _noise(fixture: Recorded) -> dict[str, Tensor]:
    return {"in/x_0": centred(fixture.tensor("in/x_0_raw"), fixture.tensor("in/mask"))}


def _data(fixture: Recorded) -> dict[str, Tensor]:
    # Published rotations multiply row vectors from the right.
    turned = fixture.tensor("in/ca_coords_angstrom") @ fixture.tensor("in/rotation")
    return {"in/x_1": centred(turned / NANOMETRE, fixture.tensor("in/mask"))}


def _noisy(fixture: Recorded) -> dict[str, Tensor]:
    return {"in/x_t": interpolate(*(fixture.tensor(f"in/{name}") for name in ("x_0", "x_1", "t")))}


def _weight(fixture: Recorded) -> dict[str, Tensor]:
    ones = torch.ones_like(fixture.tensor("in/x_1"))
    return {"in/fm_loss_weight": flow_loss(ones, 0 * ones, fixture.tensor("in/t"), fixture.tensor("in/mask"))}


def _batch(fixture: Recorded, case: str) -> ProteinBatch:
    batch = ProteinBatch(*(fixture.tensor(f"in/{name}") for name in ("x_t", "t", "mask")))
    if case == "default_idx":
        return batch
    index, chain_break = (fixture.tensor(f"in/{name}") for name in ("residue_pdb_idx", "chain_breaks_per_residue"))
    batch = replace(batch, residue_index=index, chain_break=chain_break)
    return replace(batch, x_sc=fixture.tensor("in/x_sc")) if case == "sc" else batch


def _objective(model: nn.Module, batch: ProteinBatch, x_1: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The training loss, and outputs and losses under the fixture's keys, with a place for the case."""
    t, mask = batch.t, batch.mask
    velocity, logits = model(batch)
    prediction = clean_prediction(batch.x_t, t, velocity)
    flow, auxiliary = flow_loss(prediction, x_1, t, mask), auxiliary_loss(logits, x_1, t, mask)
    distogram = torch.zeros_like(t) if logits is None else distogram_loss(logits, x_1, mask)
    distances = distance_matrix_loss(prediction, x_1, mask)
    loss = (flow + auxiliary).mean()
    computed = {
        "out/{}/coors_pred": velocity,
        "out/{}/x_1_pred": prediction,
        "loss/{}/fm_loss": flow,
        "loss/{}/auxiliary_loss": auxiliary,
        "loss/{}/distogram_loss": distogram,
        "loss/{}/dist_mat_loss": distances,
        "loss/{}/train_loss": loss,
        "logged/{}/trans_loss": flow.mean(),
        "logged/{}/auxiliary_loss": auxiliary.mean(),
        "logged/{}/auxiliary_loss_no_w": auxiliary.mean(),  # its weight is 1
        "logged/{}/distogram_loss": distogram.mean(),
        "logged/{}/dist_mat_loss": distances.mean(),
    }
    return loss, computed | ({} if logits is None else {"out/{}/pair_pred": logits})


def _inside(model: Proteina, batch: ProteinBatch, record: Recorder, order: list[str]) -> dict[str, Tensor]:
    """Intermediate tensors, as published: one conditioning per residue, and zero at padding."""
    config, mask = model.config, batch.mask
    length = mask.shape[1]
    present = torch.nn.functional.pad(mask, (config.registers, 0), value=True)

    def of_residues(x: Tensor) -> Tensor:
        return x * mask[..., None]

    def of_tokens(x: Tensor) -> Tensor:
        return x * present[..., None]

    def of_pairs(x: Tensor, real: Tensor) -> Tensor:
        size = real.shape[1]
        return x.reshape(-1, size, size, config.pair) * (real[:, :, None] & real[:, None])[..., None]

    # The number of published padding, -1, is not shifted as those of residues are.
    assert batch.residue_index is not None
    index = torch.where(mask, batch.residue_index, batch.residue_index[:, :1] - 2)
    features = {
        "res_seq_pdb_idx": (
            "IdxEmbedding",
            index_embedding(index, config.index_embedding, torch.float32),
        ),
        "chain_break_per_res": ("ChainBreakPerResidue", batch.chain_break[..., None].float()),
        "x_sc": ("Xsc", batch.x_sc),
    }
    named = [(place, *features[feature]) for place, feature in enumerate(order)]
    found: dict[str, Any] = {f"feat_seq_{place}_{name}SeqFeat": value for place, name, value in named}
    found |= {
        "feat_time": time_embedding(batch.t, config.time_embedding),
        "seq_feats_embedded": of_residues(record[model.sequence]),
        "cond_raw": of_residues(record[model.conditioning][:, None].expand(-1, length, -1)),
        "cond": of_residues(record[model.condition_transitions][:, None].expand(-1, length, -1)),
        "pair_before_adaln": of_pairs(record[model.pair_builder.norm], mask),
        "pair_init": of_pairs(record[model.pair_builder], mask),
    }
    for place, layer in enumerate(model.layers):
        found[f"attn_branch_{place}"] = of_tokens(record[layer.attention_gate])
        found[f"seqs_after_layer_{place}"] = of_tokens(record[layer])
    for layer_name, update in model.pair_updates.items():
        found[f"pair_after_update_{layer_name}"] = of_pairs(record[update], present)
    return found


def _steps(model: Proteina, fixture: Recorded) -> dict[str, Tensor]:
    """Losses and gradient norms along three optimiser steps, as published training makes them."""
    model, batch, x_1 = copy.deepcopy(model), _batch(fixture, "nosc"), fixture.tensor("in/x_1")
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    averaged.update_parameters(model)  # the first update copies
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses, norms = [], []
    for _ in range(3):
        optimiser.zero_grad()
        loss, _ = _objective(model, batch, x_1)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        losses.append(loss)
        optimiser.step()
        averaged.update_parameters(model)
    losses.append(_objective(model, batch, x_1)[0])
    return {
        "steps/loss": torch.stack(losses),
        "steps/grad_norm_before_clip": torch.stack(norms),
        "steps/loss_with_ema_weights": _objective(averaged.module, batch, x_1)[0],
    }
