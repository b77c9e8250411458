"""VoxMol against its golden fixtures: the network, the voxels it reads, and the optimiser that trains it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equidyn.core.voxels import Grid, check_atoms, published_rotation, voxelise
from equidyn.models.voxmol.network import VoxMol, VoxMolConfig
from equidyn.verification.recorded import Recorded, renamed

ADAM_EPSILON = 1e-20
"""Stands for the published optimiser's 0, with which it makes no step where the denominator is zero.

Far below any gradient's size in training; still, a gradient so small that its square is zero in single precision, below
1e-21, moves a weight by no more than a tenth of an ordinary step.
"""

_SIZES = {
    "n_elements": "channels",
    "n_channels": "width",
    "ch_mults": "multipliers",
    "is_attn": "attention",
    "n_blocks": "blocks",
    "n_groups": "groups",
    "dropout": "dropout",
}
_NAMES = {
    "grid_projection": "first",
    "final": "last",
    "middle.res1": "middle.0.res",
    "middle.attn": "middle.0.attn",
    "middle.res2": "middle.1",
    ".res.": ".residual.",
    ".attn.projection": ".attn.project_in",
    ".attn.output": ".attn.project_out",
    ".attn.": ".attention.",
    "norm1": "norm_in",
    "norm2": "norm_out",
    "conv1": "conv_in",
    "conv2": "conv_out",
    ".conv.": ".",
}
_PADDING = 999  # the channel of atoms that are none
_ROUNDING = 1e-6  # relative to the largest gradient


def voxmol_parameter_name(published: str) -> str:
    """Our name of a parameter of the published VoxMol."""
    return renamed(published, _NAMES)


def voxmol_config(published: Mapping[str, Any]) -> VoxMolConfig:
    """Our configuration from the published one."""
    return VoxMolConfig(**{ours: published[key] for key, ours in _SIZES.items()})


def verify(fixture: Recorded) -> dict[str, np.ndarray]:
    """Every quantity that the inputs allow, computed by our network, grids or optimiser: the fixture is about one."""
    if "coords" in fixture:
        found = _voxels(fixture)
    elif "lr" in fixture:
        found = _optimiser(fixture)
    else:
        found = _network(fixture)
    return {key: value.detach().numpy() for key, value in found.items()}


def _network(fixture: Recorded) -> dict[str, Tensor]:
    """Output, loss and gradients of the U-Net."""
    model = VoxMol(voxmol_config(json.loads(str(fixture["config"])))).eval()
    model.load_state_dict(
        {
            voxmol_parameter_name(key.removeprefix("param.")): torch.from_numpy(value)
            for key, value in fixture.items()
            if key.startswith("param.")
        }
    )
    output = model(fixture.tensor("input"))
    count = torch.tensor(sum(parameter.numel() for parameter in model.parameters()))
    return {"n_params": count, "output": output} | fixture.where_held(_learned, model, output, fixture)


def _learned(model: VoxMol, output: Tensor, fixture: Recorded) -> dict[str, Tensor]:
    """Loss, and gradients."""
    loss = (output - fixture.tensor("target")).square().sum(dtype=torch.float64)
    loss.backward()
    found = {
        "loss_sum": loss,
        "grad_grid_projection_weight": model.first.weight.grad,
        "grad_final_weight": model.last.weight.grad,
    }
    return found | fixture.where_held(_gradients, model, fixture)


def _gradients(model: VoxMol, fixture: Recorded) -> dict[str, Tensor]:
    """Norms of the gradients in the fixture's order."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    in_order = [gradients[voxmol_parameter_name(name)] for name in json.loads(str(fixture["param_names"]))]
    norms = torch.stack([torch.tensor(-1.0) if g is None else torch.linalg.vector_norm(g) for g in in_order]).double()
    return {"grad_norms": _without_rounding(norms, fixture.tensor("grad_norms"))}


def _without_rounding(norms: Tensor, recorded: Tensor) -> Tensor:
    """Norms of gradients, with the recorded values in place of those that are zero up to rounding in both.

    A bias that acts on a whole group of the following norm has no effect, and its gradient is the rounding error of a
    sum of large numbers.
    """
    negligible = _ROUNDING * recorded.max()
    vanishing = (norms < negligible) & (recorded < negligible) & (norms >= 0) & (recorded >= 0)
    return torch.where(vanishing, recorded, norms)


def _voxels(fixture: Recorded) -> dict[str, Tensor]:
    """Grids of molecules and their sums; a rotation of the augmentation."""
    channels = int(fixture["num_channels"])

    def grids(prefix: str) -> Tensor:
        positions, channel, side = (fixture[prefix + key] for key in ("coords", "channels", "grid_dim"))
        grid = Grid(int(side), float(fixture["resolution"]), "upstream")
        if (reach := int(fixture["cubes_around"])) != grid.reach:
            raise ValueError(f"cubes_around={reach} is not implemented, only 5")
        real = channel != _PADDING
        if (radius := fixture.get(prefix + "radius")) is not None and (radius[real] != grid.radius).any():
            raise ValueError(f"radius must be {grid.radius} for all atoms")
        molecule, _ = real.nonzero()
        where, kind, owner = (torch.from_numpy(values) for values in (positions[real], channel[real], molecule))
        atoms = where, kind.long(), owner, len(real)
        check_atoms(*atoms, channels)
        return voxelise(*atoms, grid, channels)

    def small() -> dict[str, Tensor]:
        grid = grids("")
        return {"grid": grid, "channel_sums": grid.sum((2, 3, 4), dtype=torch.float64)}

    def large() -> dict[str, Tensor]:
        drug = grids("drug_")[0]
        channel, x, y, z = fixture.tensor("drug_index").long().unbind(1)
        return {
            "drug_value": drug[channel, x, y, z],
            "drug_channel_sums": drug.sum((1, 2, 3), dtype=torch.float64),
            "drug_sum_of_squares": drug.double().square().sum(),
        }

    def turned() -> dict[str, Tensor]:
        return {"rotation_matrix": published_rotation(fixture.tensor("rotation_angles_xyz")).float()}

    return {key: value for part in (small, large, turned) for key, value in fixture.where_held(part).items()}


def _optimiser(fixture: Recorded) -> dict[str, Tensor]:
    """Weights along some steps of AdamW, and their moving averages."""
    if fixture["eps"] != 0:
        raise ValueError(f"eps={fixture['eps']} is not implemented, only 0")
    initial = [fixture.tensor(key) for key in fixture if key.startswith("init.")]
    model = nn.ParameterList(value.clone() for value in initial)
    averages = {decay: AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) for decay in (0.9, 0.999)}
    for average in averages.values():
        average.update_parameters(model)  # the first update copies
    optimiser = torch.optim.AdamW(
        model.parameters(),
        float(fixture["lr"]),
        betas=tuple(fixture["betas"].tolist()),
        eps=ADAM_EPSILON,
        weight_decay=float(fixture["weight_decay"]),
        fused=True,
    )
    found: dict[str, Tensor] = {}
    for step in range(1, int(fixture["steps"]) + 1):
        keys = [f"grad.{place}.step{step}" for place in range(len(model))]
        if not (gradients := fixture.where_held(lambda keys=keys: {key: fixture.tensor(key) for key in keys})):
            break
        for parameter, gradient in zip(model, gradients.values(), strict=True):
            parameter.grad = gradient
        optimiser.step()
        found |= {f"param.{place}.step{step}": value.detach().clone() for place, value in enumerate(model)}
        for decay, average in averages.items():
            average.update_parameters(model)
            values = list(average.module.parameters())
            found |= {f"ema{decay}.{place}.step{step}": value.detach().clone() for place, value in enumerate(values)}
    return found
