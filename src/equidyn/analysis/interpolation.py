"""Errors that rotating grids introduces by itself: those of a perfect prediction, by spacing, centre and comparison."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from equidyn.core.groups.cube.symmetry import CUBE
from equidyn.core.groups.so3.symmetry import ROTATIONS
from equidyn.core.symmetry import Symmetry
from equidyn.core.voxels import Grid
from equidyn.data.store import Store
from equidyn.run.evaluation import decompose_task, thinned
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.voxel_denoising.task import VoxelBatch, VoxelDenoising

OFFSET_IGNORED = "upstream, offset ignored"
UPSTREAM_SPACING = 0.25  # Å, the only one for which the upstream grid is known
RADIUS = 2.0  # of atoms, voxels: that of the published grid, and of coarser ones with all lengths in proportion


class OffsetIgnored(VoxelDenoising):
    """The task with the upstream grid wrongly assumed to be centred: it rotates about the middle of the array."""

    def act_on_prediction(self, prediction: Tensor, elements: Tensor, batch: VoxelBatch, symmetry: Symmetry) -> Tensor:
        """Voxels rotated about the middle."""
        centred = VoxelDenoising(self.store, Grid(self.grid.side, self.grid.spacing))
        return centred.act_on_prediction(prediction, elements, batch, symmetry)


def group_of(comparison: str) -> str:
    """The largest group of rotations that allows a comparison of grids: the cube's where voxels are permuted."""
    return (CUBE if comparison == "voxels" else ROTATIONS).name


def interpolation_floors(
    store: Store,
    indices: np.ndarray,
    *,
    box: float,
    spacings: Sequence[float],
    comparisons: Sequence[str],
    molecules: int,
    rotations: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Errors of a denoiser that always gives the clean grid of the molecule it sees.

    Atoms have a radius of `RADIUS` voxels.

    Args:
        store: Molecules.
        indices: (n,) examples.
        box: Edge of the grid, Å.
        spacings: Å between voxels.
        comparisons: Some of those on the task's card.
        molecules: Number of the examples to use, evenly spaced.
        rotations: Number K of rotations per example.
        seed: Seed of the rotations.

    Returns:
        One row per spacing, centre, group and comparison: `relative_error`, squared error of the grid rotated back
        relative to the clean grid's square; `total` and `equivariance` per voxel (density²) and `percent`, as in
        evaluation tables.
    """
    chosen = thinned(indices, molecules)
    protocol = EvaluationSettings(rotations=rotations, batch_size=2, seed=seed)
    rows = []
    for spacing in spacings:
        side = round(box / spacing)
        grids = {"symmetric": VoxelDenoising(store, Grid(side, spacing, radius=RADIUS * spacing))}
        if spacing == UPSTREAM_SPACING:
            upstream = Grid(side, spacing, "upstream")
            grids |= {"upstream": VoxelDenoising(store, upstream), OFFSET_IGNORED: OffsetIgnored(store, upstream)}
        for centre, task in grids.items():
            for comparison in comparisons:
                condition = {"group": group_of(comparison), "comparison": comparison}
                found = decompose_task(task, torch.nn.Identity(), chosen, protocol, condition, perfect=True)
                total, equivariance = found.total.sum(), found.equivariance.sum()
                rows.append(
                    {
                        "spacing": spacing,
                        "centre": centre,
                        **condition,
                        "relative_error": total / found.null_energy.sum(),
                        "total": total / found.weight.sum(),
                        "equivariance": equivariance / found.weight.sum(),
                        "percent": 100 * equivariance / total if total else 0.0,
                        "molecules": len(chosen),
                        "rotations": rotations,
                    }
                )
    return pd.DataFrame(rows)
