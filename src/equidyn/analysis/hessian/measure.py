"""Hessians of the two parts of the held-out loss, block by block; see `equidyn.analysis.curvature`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from equidyn.analysis.anatomy import block_parameters
from equidyn.analysis.convergence import CONVERGED, last_change
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
    keep_graphs: bool = True,
) -> list[dict[str, Any]]:
    """The Hessians of a checkpoint, one row per block and part of the loss.

    Sampled rotations form cosets (`equidyn.core.designs`), and each Hessian is made from fewer of them too, the
    first of each coset that are a group, so that it shows whether their number suffices.

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
        keep_graphs: ``keep`` of `equidyn.analysis.curvature.Hessian`.

    Returns:
        From all rotations: ``loss``, ``block``, ``block_parameters``, the summary of each
        `equidyn.analysis.curvature.Spectrum`, in which ``largest``, ``smallest`` (the most negative) and ``trace`` of
        both losses have one unit; ``mean_magnitude`` of the eigenvalues and ``mean_condition``, largest over this; and
        as lists its ``eigenvalue``, ``weight`` and ``probe``. As lists by the number of rotations, rising to all:
        ``series_rotations``, ``series_largest``, ``series_smallest``, ``series_trace`` and ``series_mean_condition``.
        ``largest_change`` and ``mean_condition_change`` are the relative changes by the last increase, 0 for exact
        averages and NaN where there is no increase; ``converged`` says whether both are at most
        `equidyn.analysis.convergence.CONVERGED`.
    """
    loss = HeldOutLoss(task, model, indices, protocol, condition, in_cosets=True)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {(block, part): [] for block in blocks for part in PARTS}
    for size in reversed(loss.sizes):
        loss.thin(size)
        for block, part in found:
            hessian = Hessian(loss, part, block_parameters(model, block), keep=keep_graphs)
            seed = seed_for(protocol.seed, "probes", block)
            of_all = spectrum(hessian, probes=probes, steps=lanczos_steps, tolerance=tolerance, seed=seed)
            found[block, part].append(
                {
                    "loss": part,
                    "block": block,
                    "block_parameters": hessian.size,
                    **loss.estimator,
                    **of_all.summary,
                    "mean_magnitude": of_all.mean_magnitude,
                    "mean_condition": of_all.summary["largest"] / of_all.mean_magnitude,
                    "eigenvalue": of_all.eigenvalues,
                    "weight": of_all.weights,
                    "probe": of_all.probe,
                }
            )
            del hessian  # or its graphs would be held while the next one is made
    return [row[0] | _series(row[::-1]) for row in found.values()]


def _series(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers of a Hessian by the number of rotations, and whether they have converged."""
    names = ("rotations", "largest", "smallest", "trace", "mean_condition")
    series: dict[str, Any] = {f"series_{name}": np.array([float(row[name]) for row in rows]) for name in names}
    changes = {name: last_change(series[f"series_{name}"]) for name in ("largest", "mean_condition")}
    if rows[-1]["estimator"] == "exact":
        changes = dict.fromkeys(changes, 0.0)
    return {
        **series,
        **{f"{name}_change": change for name, change in changes.items()},
        "converged": all(change <= CONVERGED for change in changes.values()),
    }
