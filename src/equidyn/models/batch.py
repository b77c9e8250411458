"""What force-field networks take and give: batches of molecules, forces and energies."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class MoleculeBatch:
    """B molecules, N atoms in all, laid end to end.

    Attributes:
        positions: (N, 3) float, Å, row vectors.
        atomic_numbers: (N,) int64.
        atoms_per_molecule: (B,) int64, each at least 1, summing to N.
    """

    positions: Tensor
    atomic_numbers: Tensor
    atoms_per_molecule: Tensor

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

    def mean(self, values: Tensor) -> Tensor:
        """(N,) atomic values averaged over each molecule, (B,)."""
        return values.new_zeros(self.molecules).index_add(0, self.molecule, values) / self.atoms_per_molecule.to(
            values.dtype
        )

    def with_positions(self, positions: Tensor) -> "MoleculeBatch":
        """The same molecules at other positions, (N, 3)."""
        return replace(self, positions=positions)

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
    """What a force-field network returns, in its own normalised units.

    Attributes:
        forces: (N, 3).
        energy: (B,), or None for a network without an energy head.
        head_tensor: (N, 3, 3) T with F(Rx)_k = sum_b T_kb R_kb for every rotation R, forces being its diagonal; None
            where a network has no such closed form.
    """

    forces: Tensor
    energy: Tensor | None
    head_tensor: Tensor | None
