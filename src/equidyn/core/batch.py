"""Inputs and outputs of networks: molecules and forces, noisy protein chains and velocities, density grids."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class MoleculeBatch:
    """A batch of B molecules, N atoms in all, laid end to end.

    Attributes:
        positions: (N, 3) float, Å, row vectors.
        atomic_numbers: (N,) int64.
        atoms_per_molecule: (B,) int64, each at least 1, summing to N.
        graph: What a network's `prepare` has put in, for this network alone; None before.
    """

    positions: Tensor
    atomic_numbers: Tensor
    atoms_per_molecule: Tensor
    graph: Any = None

    @property
    def molecules(self) -> int:
        """Number of molecules B."""
        return len(self.atoms_per_molecule)

    @cached_property
    def molecule(self) -> Tensor:
        """(N,) molecule of each atom."""
        index = torch.arange(self.molecules, device=self.positions.device)
        return index.repeat_interleave(self.atoms_per_molecule, output_size=len(self.positions))

    @cached_property
    def local_index(self) -> Tensor:
        """(N,) place of each atom within its molecule."""
        first = self.atoms_per_molecule.cumsum(0) - self.atoms_per_molecule
        return torch.arange(len(self.positions), device=self.positions.device) - first[self.molecule]

    @cached_property
    def max_atoms(self) -> int:
        """Atoms of the largest molecule."""
        return int(self.atoms_per_molecule.max())

    def with_positions(self, positions: Tensor) -> "MoleculeBatch":
        """The same molecules at other positions, (N, 3)."""
        return replace(self, positions=positions, graph=None)

    def repeat(self, count: int) -> "MoleculeBatch":
        """The whole batch `count` times, end to end."""
        return MoleculeBatch(
            self.positions.repeat(count, 1),
            self.atomic_numbers.repeat(count),
            self.atoms_per_molecule.repeat(count),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "MoleculeBatch":
        """The batch on a device, positions in a dtype."""
        return MoleculeBatch(
            self.positions.to(device, dtype or self.positions.dtype),
            self.atomic_numbers.to(device),
            self.atoms_per_molecule.to(device),
        )


class ForceOutput(NamedTuple):
    """The output of a force-field network, in its own normalised units.

    Attributes:
        forces: (N, 3).
        energy: (B,), or None for a network without an energy head.
        head_tensor: (N, 3, 3) T with F(Rx)_k = sum_b T_kb R_kb for every rotation R, forces being its diagonal; None
            where a network has no such closed form.
    """

    forces: Tensor
    energy: Tensor | None
    head_tensor: Tensor | None


@dataclass(frozen=True)
class ProteinBatch:
    """The input of a flow-matching network of Cα traces: B chains padded to L residues.

    Attributes:
        x_t: (B, L, 3) float, nm: noisy positions, each chain centred, zero at padding.
        t: (B,) flow time in [0, 1]: 0 is noise, 1 is data.
        mask: (B, L) bool, true at residues.
        residue_index: (B, L) int64, author residue numbers, which may jump; None for 1 to L.
        chain_break: (B, L) bool, whether the next residue is not bonded to this one; None for nowhere.
        x_sc: (B, L, 3) float, nm: self-conditioning, an earlier prediction of the clean positions, or None.
    """

    x_t: Tensor
    t: Tensor
    mask: Tensor
    residue_index: Tensor | None = None
    chain_break: Tensor | None = None
    x_sc: Tensor | None = None


class GridOutput(NamedTuple):
    """The output of a network of voxels; those of this package return the tensor alone.

    Attributes:
        grids: (B, C, G, G, G) densities.
    """

    grids: Tensor


class VelocityOutput(NamedTuple):
    """The output of a flow-matching network.

    Attributes:
        velocity: (B, L, 3) nm per unit of flow time, zero at padding.
        distogram: (B, L, L, classes) logits of the distance between residues, or None for a network without that head.
    """

    velocity: Tensor
    distogram: Tensor | None
