"""Equivariance error by angular momentum: the twisted prediction as a function on rotations (`equidyn.core.degrees`).

What is known in closed form: EScAIP's twisted prediction is a sum of products of two entries of the same row of g,
which are of degree 0 and 2 alone (`equidyn.core.decomposition.decompose_exact`). A matrix A applied to vectors has
g⁻¹ A g, of degree 0 (its trace), 1 (its antisymmetric part) and 2 (the rest).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from equidyn.analysis.losses import inputs, sampled
from equidyn.analysis.spectrum.card import AT_ONCE, BEYOND
from equidyn.core.decomposition import interval
from equidyn.core.degrees import energies
from equidyn.core.designs import draw_cosets, rule
from equidyn.core.seeding import seed_for
from equidyn.run.batches import in_batches
from equidyn.run.evaluation import twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


@torch.no_grad()
def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    degrees: int,
) -> list[dict[str, Any]]:
    """The energy of twisted predictions by degree, one row per degree.

    Args:
        task: The task, which makes batches and compares predictions.
        model: The network, in double precision.
        indices: (n,) examples.
        protocol: Number K of rotations, two or more cosets; batch size, seed, level of intervals.
        condition: See `Task.symmetry` and `Task.inputs`.
        degrees: L, see `equidyn.analysis.spectrum.card.COSET`.

    Returns:
        ``degree``, 0 to L, and L + 1 for the remainder, whose ``and_above`` is true; ``energy`` per component,
        ``error_share`` in percent of the equivariance error and ``loss_share`` in percent of the total loss, each with
        ``_low`` and ``_high`` by clusters, both shares NaN for degree 0; ``error``, the equivariance error per
        component, and ``loss``, of the same rotations; ``cosets``. Estimates are unbiased and can be negative.

    Raises:
        ValueError: The condition's group is not that of all rotations.
    """
    symmetry = task.symmetry(condition)
    if not symmetry.card.has_angles:
        raise ValueError(f"functions on the group {symmetry.name!r} have no degrees: use 'SO(3)'")
    rotations, weights = rule(degrees + BEYOND)
    cosets = protocol.rotations // len(rotations)
    model.eval()
    found = []
    for chosen in in_batches(indices, protocol):
        batch = inputs(task, model, chosen, protocol, condition)
        drawn = draw_cosets(symmetry, rotations, cosets, chosen, protocol.seed)
        target, example = task.target(batch).double(), task.example(batch)
        twisted = target.new_empty(len(rotations) * cosets, *target.shape)
        for part, out in zip(drawn.flatten(0, 1).split(AT_ONCE), twisted.split(AT_ONCE), strict=True):
            out.copy_(twisted_predictions(task, model, batch, part, symmetry))
        for place in range(len(chosen)):
            own = example == place
            values, truth = twisted[:, own].flatten(1), target[own].flatten()
            parts_of, error_of = energies(values, drawn[:, :, place], weights, degrees)
            squares = (values - truth).square().sum(1).unflatten(0, (cosets, -1)).mean(0)
            found.append([*parts_of, error_of, float(weights.to(squares) @ squares), truth.numel()])
    *by_degree, error, loss, components = np.array(found).T
    cluster, error = task.cluster(indices), np.maximum(error, 0)

    def column(name: str, values: np.ndarray, below: np.ndarray, unit: float) -> dict[str, float]:
        if not below.sum() > 0:
            return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
        low, high = interval(
            values, below, cluster, level=protocol.confidence, resamples=protocol.resamples,
            seed=seed_for(protocol.seed, "bootstrap"),
        )  # fmt: skip
        return {name: unit * values.sum() / below.sum(), f"{name}_low": unit * low, f"{name}_high": unit * high}

    return [
        {
            "degree": degree,
            "and_above": degree > degrees,
            **column("energy", values, components, 1),
            **column("error_share", values, error * bool(degree), 100),
            **column("loss_share", values, loss * bool(degree), 100),
            "error": error.sum() / components.sum(),
            "loss": loss.sum() / components.sum(),
            "cosets": cosets,
            **sampled(protocol),
        }
        for degree, values in enumerate(by_degree)
    ]
