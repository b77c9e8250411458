"""Hessians of the two parts of the held-out loss, block by block; see `equidyn.analysis.curvature`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from equidyn.analysis.anatomy import block_parameters
from equidyn.analysis.curvature import Hessian, spectrum
from equidyn.analysis.losses import PARTS, HeldOutLoss
from equidyn.core.seeding import seed_for
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    blocks: Sequence[str],
    probes: int,
    lanczos_steps: int,
    tolerance: float = 1e-6,
) -> list[dict[str, Any]]:
    """The Hessians of a checkpoint, one row per block and part of the loss.

    Args:
        task: The task, which makes batches and compares predictions.
        model: Its network, in double precision.
        indices: (n,) examples.
        protocol: See `equidyn.analysis.losses.HeldOutLoss`.
        condition: See `Task.symmetry` and `Task.inputs`.
        blocks: See `equidyn.analysis.anatomy.block_parameters`.
        probes: See `equidyn.analysis.curvature.spectrum`.
        lanczos_steps: ``steps`` of `equidyn.analysis.curvature.spectrum`.
        tolerance: See `equidyn.analysis.curvature.spectrum`.

    Returns:
        ``loss``, ``block``, ``block_parameters``, the summary of each `equidyn.analysis.curvature.Spectrum`, and as
        lists its ``eigenvalue``, ``weight`` and ``probe``.
    """
    loss = HeldOutLoss(task, model, indices, protocol, condition)
    rows = []
    for block in blocks:
        for part in PARTS:
            hessian = Hessian(loss, part, block_parameters(model, block))
            seed = seed_for(protocol.seed, "probes", block)
            found = spectrum(hessian, probes=probes, steps=lanczos_steps, tolerance=tolerance, seed=seed)
            rows.append(
                {
                    "loss": part,
                    "block": block,
                    "block_parameters": hessian.size,
                    **loss.estimator,
                    **found.summary,
                    "eigenvalue": found.eigenvalues,
                    "weight": found.weights,
                    "probe": found.probe,
                }
            )
    return rows
