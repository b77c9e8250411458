"""Voxel denoising: recover the density grids of a molecule from grids with noise on every voxel.

Grid, noise level and loss are VoxMol's (Pinheiro et al. 2023, arXiv 2306.07473), which Shen et al. 2025 (arXiv
2512.02303) train. Voxels do not turn as points do, so there are several ways to compare predictions for a rotated and
for an unrotated molecule. The task's card describes them, and tables keep them apart.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.core.batch import GridOutput
from equidyn.core.plugins import load
from equidyn.core.streams import keys_for, normal, uniform
from equidyn.core.symmetry import Symmetry
from equidyn.core.voxels import Grid, check_atoms, element_channels, voxelise
from equidyn.data.store import Store
from equidyn.tasks.contract import Draws, TrainableTask, Whole
from equidyn.tasks.outputs import checked

CHANNELS = 8  # C, H, O, N, F, S, Cl, Br
SHIFT = 0.5  # Å, largest along each axis, of training examples

_ORDERS = {"voxels": 0, "trilinear": 1, "cubic": 3}
"""Order of interpolation of the comparisons that rotate grids back; inputs are rotated as atoms, before gridding."""

_FINE = 2  # cells of noise along each edge of a voxel
_CHUNK = 2**20  # cells of noise, of any number of orientations, that are placed at once
_NOISE, _SHIFT = 0, 1  # streams of an example, in training
_CELLS, _CORNERS = 0, 1  # those in evaluation


@dataclass(frozen=True)
class VoxelBatch:
    """B molecules, N atoms in all, laid end to end.

    Attributes:
        examples: (B,) numbers of the examples.
        positions: (N, 3) Å, each molecule centred on the mean of its atoms.
        channel: (N,) int64, channel of each atom's element.
        molecule: (N,) int64, molecule of each atom.
        orientation: (B, 3, 3), what each molecule was rotated by, and with it its noise.
        comparison: Name of the comparison of predictions, for evaluation.
        seed: Seed of the noise, for evaluation.
        keys: (B,) int64, keys of the noise, for training.
    """

    examples: np.ndarray
    positions: Tensor
    channel: Tensor
    molecule: Tensor
    orientation: Tensor
    comparison: str | None = None
    seed: int | None = None
    keys: Tensor | None = None


class VoxelDenoising(TrainableTask):
    """The denoising task on a store with fields positions, atomic_numbers and cluster.

    Predictions are densities, without unit. A predictor that has learned nothing leaves the grid blank.

    Args:
        store: Molecules.
        grid: The places of the voxels.
        noise: Standard deviation of the noise on each voxel. Per volume, 0.9 on voxels of 0.25 Å is as much as 0.32 on
            voxels of 0.5 Å.
    """

    name = "voxel_denoising"
    unit = "density²"
    comparison = "trilinear"
    has_fixed_shapes = True

    def __init__(self, store: Store, grid: Grid, noise: float = 0.9):
        self.store, self.grid, self.noise = store, grid, noise

    @classmethod
    def fit(cls, store: Store, indices: np.ndarray, *, noise: float = 0.9, **grid: Any) -> "VoxelDenoising":
        """The task with this noise, on a grid with sizes of `equidyn.core.voxels.Grid`; nothing is measured."""
        return cls(store, Grid(**grid), noise)

    def state(self) -> dict[str, Any]:
        """Grid and noise."""
        return {"noise": self.noise, **asdict(self.grid)}

    @classmethod
    def restore(cls, store: Store, state: dict[str, Any]) -> "VoxelDenoising":
        """The task as `state` described it."""
        return cls.fit(store, np.empty(0, np.int64), **state)

    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Refuse elements that have no channel.

        Raises:
            ValueError: The molecules contain such elements; the message lists them.
        """
        try:
            element_channels(torch.from_numpy(self.store.distinct("atomic_numbers", indices)).long(), CHANNELS)
        except ValueError as error:
            raise ValueError(f"{self.store.path}: {error}: filter the data") from None

    def batch(self, indices: np.ndarray, device: torch.device | str = "cpu") -> VoxelBatch:
        """Molecules in the given order, centred, without noise yet.

        Raises:
            ValueError: A position is not finite; the message lists the examples.
        """
        rows, lengths = self.store.rows(indices), torch.from_numpy(self.store.lengths_of(indices))
        positions = torch.from_numpy(self.store.ragged("positions")[rows]).float()
        molecule = torch.arange(len(lengths)).repeat_interleave(lengths)
        mean = torch.zeros(len(lengths), 3).index_add(0, molecule, positions) / lengths[:, None]
        numbers = torch.from_numpy(self.store.ragged("atomic_numbers")[rows]).long()
        positions, channel = positions - mean[molecule], element_channels(numbers, CHANNELS)
        try:
            check_atoms(positions, channel, molecule, len(lengths), CHANNELS)
        except ValueError as error:
            raise ValueError(f"{self.store.path}: {self.describe_batch(indices)}: {error}") from None
        return VoxelBatch(
            np.asarray(indices),
            positions.to(device),
            channel.to(device),
            molecule.to(device),
            torch.eye(3, device=device).repeat(len(lengths), 1, 1),
        )

    def inputs(self, model: nn.Module, batch: VoxelBatch, condition: Mapping[str, Any], seed: int) -> VoxelBatch:
        """The batch with the condition's `comparison`, and noise that belongs to the molecule and rotates with it."""
        return replace(batch, comparison=condition.get("comparison", self.comparison), seed=seed)

    def symmetry(self, condition: Mapping[str, Any]) -> Symmetry:
        """The condition's group.

        Raises:
            ValueError: The group cannot act on what is compared.
        """
        group = super().symmetry(condition)
        # Not imported, and so in no digest: words on a card decide no result.
        load("equidyn.tasks.voxel_denoising.card:CARD").check_symmetry(
            group.name, condition.get("comparison", self.comparison)
        )
        return group

    def act(self, batch: VoxelBatch, elements: Tensor, symmetry: Symmetry) -> VoxelBatch:
        """Atoms, and the noise that belongs to them, transformed by one element per molecule."""
        orientation = symmetry.compose(elements.to(batch.orientation), batch.orientation)
        positions = symmetry.act_on_points(batch.positions, elements, batch.molecule)
        return replace(batch, positions=positions, orientation=orientation)

    def repeat(self, batch: VoxelBatch, count: int) -> VoxelBatch:
        """The batch `count` times, end to end."""
        molecules = len(batch.examples)
        shift = torch.arange(count, device=batch.molecule.device).repeat_interleave(len(batch.molecule)) * molecules
        return replace(
            batch,
            examples=np.tile(batch.examples, count),
            positions=batch.positions.repeat(count, 1),
            channel=batch.channel.repeat(count),
            molecule=batch.molecule.repeat(count) + shift,
            orientation=batch.orientation.repeat(count, 1, 1),
        )

    def predict(self, model: nn.Module, batch: VoxelBatch) -> Tensor:
        """Densities (B G³, 8), or overlaps with each atom's density (N, 8)."""
        return self._rows(self._denoised(model, self._noisy(batch)), batch)

    def act_on_prediction(self, prediction: Tensor, elements: Tensor, batch: VoxelBatch, symmetry: Symmetry) -> Tensor:
        """Predictions transformed by one element per molecule: grids as the comparison says, overlaps not at all."""
        if batch.comparison == "atoms":
            return symmetry.act_on_scalars(prediction, elements)
        side = self.grid.side
        grids = prediction.view(len(batch.examples), side, side, side, CHANNELS).permute(0, 4, 1, 2, 3)
        order = _ORDERS[batch.comparison]
        return self._rows(symmetry.act_on_grids(grids, elements, self.grid.origin, order), batch)

    def target(self, batch: VoxelBatch) -> Tensor:
        """The clean grids, in the form that `predict` returns."""
        return self._rows(self._grids(batch), batch)

    def example(self, batch: VoxelBatch) -> Tensor:
        """(N,) molecule of each row of a prediction."""
        if batch.comparison == "atoms":
            return batch.molecule
        molecules = torch.arange(len(batch.examples), device=batch.molecule.device)
        return molecules.repeat_interleave(self.grid.side**3)

    def cluster(self, indices: np.ndarray) -> np.ndarray:
        """(B,) distinct molecule of each conformer."""
        return self.store.scalar("cluster")[indices]

    def prepare(self, model: nn.Module, batch: VoxelBatch, draws: Draws, *, few_shapes: bool = False) -> VoxelBatch:
        """The batch after a random shift, with the keys of the noise."""
        shift = SHIFT * (2 * uniform(draws.keys, (3,), _SHIFT) - 1)
        return replace(batch, positions=batch.positions + shift[batch.molecule], keys=draws.keys)

    def loss(self, model: nn.Module, batch: VoxelBatch, whole: Whole | None = None) -> Tensor:
        """Sum of squared errors over molecules, channels and voxels, under the noise of the keys."""
        grids = self._grids(batch)
        noise = normal(batch.keys, tuple(grids.shape[1:]), _NOISE)
        return (self._denoised(model, grids + self.noise * noise) - grids).square().sum()

    def describe_batch(self, indices: np.ndarray) -> str:
        """The numbers of the examples and of their distinct molecules."""
        return f"examples {indices.tolist()}, molecules {np.unique(self.cluster(indices)).tolist()}"

    def _denoised(self, model: nn.Module, noisy: Tensor) -> Tensor:
        """A network's prediction from noisy grids (B, 8, G, G, G)."""
        output = checked(model(noisy), GridOutput, noisy.shape, model)
        return output.grids.to(noisy)

    def _noisy(self, batch: VoxelBatch) -> Tensor:
        """(B, 8, G, G, G) grids with noise, kept with the batch, as many networks are asked about the same one."""
        kept = vars(batch)
        if "noisy" not in kept:
            grids = self._grids(batch)
            kept["noisy"] = grids + self.noise * self._noise(batch).to(grids)
        noisy: Tensor = kept["noisy"]
        return noisy

    def _grids(self, batch: VoxelBatch) -> Tensor:
        """(B, 8, G, G, G) clean grids."""
        return voxelise(batch.positions, batch.channel, batch.molecule, len(batch.examples), self.grid, CHANNELS)

    def _noise(self, batch: VoxelBatch) -> Tensor:
        """White noise (B, 8, G, G, G) of variance one, rotated with each molecule.

        The noise is a field in space: independent numbers in cells of half a voxel's edge. A voxel gets the sum of the
        cells that lie in it once the molecule is rotated, divided by the root of their number, so it has variance
        one and no correlation with its neighbours in any orientation, and the rotations of a cube permute it exactly.
        Cells fill the unrotated box; voxels in the corners of a rotated box, far from any atom, get fresh noise.
        """
        side, device = self.grid.side, batch.positions.device
        cells = (_FINE * side) ** 3
        noise = torch.empty(len(batch.examples), CHANNELS, *(side,) * 3, device=device)
        examples, example = np.unique(batch.examples, return_inverse=True)
        for number, key in enumerate(keys_for(batch.seed, "noise", examples=examples).to(device)):
            # Multiples of 2^-12: their sums are exact in any order. Ones count the cells of a voxel.
            field = torch.ones(CHANNELS + 1, 1, cells, device=device)
            field[:-1] = normal(key[None], (CHANNELS, 1, cells), _CELLS)[0].mul_(2**12).round_().mul_(2**-12)
            corners = normal(key[None], (CHANNELS, *(side,) * 3), _CORNERS)
            for places in torch.from_numpy(np.flatnonzero(example == number)).split(max(1, _CHUNK // cells)):
                voxels = self._voxels_of_cells(batch.orientation[places]).expand(len(field), -1, -1)
                sums = field.new_zeros(len(field), len(places), (side + 2) ** 3)
                sums.scatter_add_(2, voxels, field.expand_as(voxels))
                sums = sums.unflatten(2, (side + 2,) * 3)[..., 1:-1, 1:-1, 1:-1].transpose(0, 1)
                count = sums[:, -1:]
                noise[places] = torch.where(count > 0, sums[:, :-1] * count.clamp(min=1).rsqrt(), corners)
        return noise

    def _voxels_of_cells(self, orientation: Tensor) -> Tensor:
        """(P, cells) the voxel that each cell lies in for orientations (P, 3, 3); the grid has a margin of one voxel.

        Cells that left the box lie in the margin.
        """
        side, origin = self.grid.side, self.grid.origin
        axis = (torch.arange(_FINE * side, device=orientation.device) + 0.5) / _FINE - 0.5 - origin
        x, y, z = (orientation.to(axis)[..., None] * axis).unbind(2)  # (P, 3, cells along an axis) each
        place = (x[..., None] + (y + (origin + 1.5))[..., None, :])[..., None] + z[..., None, None, :]
        i, j, k = place.clamp_(0, side + 1).int().unbind(1)
        return k.add_(j.add_(i, alpha=side + 2), alpha=side + 2).flatten(1).long()

    def _rows(self, grids: Tensor, batch: VoxelBatch) -> Tensor:
        """Rows of a prediction from grids (B, 8, G, G, G): voxels, or overlaps with each atom's Gaussian.

        The overlap is divided by that of the Gaussian with itself, so that it is 1 for a lone atom in its channel. Sums
        over the lattice of functions this smooth hardly depend on its orientation: nothing is interpolated.
        """
        if batch.comparison != "atoms":
            return grids.permute(0, 2, 3, 4, 1).reshape(-1, CHANNELS)
        axis = self.grid.axis(dtype=grids.dtype, device=grids.device)
        # (N, 3, G): the Gaussian of each atom is a product over axes.
        factors = torch.exp(-((axis - batch.positions[..., None]) / self.grid.spacing).square() / self.grid.variance)
        overlaps = [
            torch.einsum("cxyz,nx,ny,nz->nc", grid, *factors[batch.molecule == place].unbind(1))
            for place, grid in enumerate(grids)
        ]
        return torch.cat(overlaps) / (math.pi * self.grid.variance / 2) ** 1.5
