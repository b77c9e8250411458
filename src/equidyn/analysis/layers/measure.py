"""Equivariance error of hidden features that should rotate in a known way, and of the prediction after them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.analysis.anatomy import feature_modules, needed_anatomy
from equidyn.analysis.losses import inputs, sampled
from equidyn.run.batches import in_batches
from equidyn.run.evaluation import draw_elements
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task

OUTPUT = "prediction"


@torch.no_grad()
def measure(
    task: Task, model: nn.Module, indices: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The share of each layer's output, once rotated back, that depends on the orientation of the input.

    Args:
        task: The task, which makes batches and compares predictions.
        model: A network whose anatomy names features.
        indices: (n,) examples.
        protocol: Number K of rotations, batch size, seed.
        condition: See `Task.symmetry` and `Task.inputs`.

    Returns:
        One dictionary per layer, in the order in which they are called, and the prediction last: ``layer``, ``place``,
        ``kind_of_action``, ``energy`` (mean square of the features), ``relative_error`` (variance over rotations,
        unbiased, relative to the energy) and ``floor``, the same for one rotation repeated.

    Raises:
        ValueError: Features lie on a grid, and the group does not permute its voxels.
    """
    model.eval()
    symmetry = task.symmetry(condition)
    modules = feature_modules(model, needed_anatomy(model, symmetry))
    sums: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    for chosen in in_batches(indices, protocol):
        batch = inputs(task, model, chosen, protocol, condition)
        drawn = draw_elements(symmetry, chosen, protocol.rotations, protocol.seed)
        for identical, elements in enumerate((drawn, drawn[:1].expand_as(drawn))):
            copies, flat = task.repeat(batch, len(elements)), elements.flatten(0, 1)
            back = symmetry.inverse(flat)
            with _recorded({name: module for name, (module, _) in modules.items()}) as outputs:
                prediction = task.predict(model, task.act(copies, flat, symmetry))
            found = {name: (modules[name][1], outputs[name]) for name in outputs}
            found[OUTPUT] = "output", [task.act_on_prediction(prediction, back, copies, symmetry)]
            for name, (kind, values) in found.items():
                kinds[name] = kind
                if kind == "grid":  # features lie about the middle of their grid
                    values = [symmetry.act_on_grids(v, back, (v.shape[-1] - 1) / 2, order=0) for v in values]
                moments = sum(_moments(value.unflatten(0, (len(elements), -1))) for value in values)
                sums.setdefault(name, np.zeros((2, 3)))[identical] += moments
    return [
        {
            "layer": name,
            "place": place,
            "kind_of_action": kinds[name],
            "energy": float(energy / count),
            "relative_error": float(variance / energy),
            "floor": float(repeated[0] / repeated[1]),
            **sampled(protocol),
        }
        for place, (name, ((variance, energy, count), repeated)) in enumerate(sums.items())
    ]


@contextmanager
def _recorded(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """Outputs of modules, by name, in the order in which they are called."""
    outputs: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            outputs[name] = list(output) if isinstance(output, tuple) else [output]

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _moments(values: Tensor) -> np.ndarray:
    """Sums over features (K, ...) of their variance over copies, of their mean square, and their number."""
    values = values.double()
    return np.array([float(values.var(0).sum()), float(values.square().mean(0).sum()), values[0].numel()])
