"""The exactly equivariant network of molecules: the shared suite, and what is its own."""

from dataclasses import replace

import pytest
import torch
from suite import DTYPES, TOLERANCE, ForceFieldModelSuite, molecules

from equidyn.models.molecule_control.network import Control, ControlConfig


class TestControl(ForceFieldModelSuite):
    network = Control
    config = ControlConfig(layers=2, hidden=12, radial=6, max_neighbors=7, max_radius=4.0, elements=12)
    is_equivariant = True
    has_head_tensor = False

    def test_impossible_sizes(self):
        with pytest.raises(ValueError, match="layers must be positive, found 0"):
            ControlConfig(layers=0)

    @DTYPES
    def test_far_from_the_origin_only_rounding_grows(self, dtype):
        model, batch = self.make(dtype), molecules(dtype=dtype)
        far = batch.with_positions(batch.positions + 100)
        error = self.equivariance_deviation(model, far)
        assert error <= 1000 * TOLERANCE[dtype]

    def test_vanishes_at_the_cutoff(self):
        # An atom that comes within reach does so without a jump in energy.
        model = self.make(torch.float64)
        numbers, sizes = torch.tensor([6, 8, 1]), torch.tensor([3])
        energies = []
        for distance in (self.config.max_radius - 1e-6, self.config.max_radius + 1e-6):
            positions = torch.tensor([[0.0, 0, 0], [0, 1.2, 0], [0, 0, 0]], dtype=torch.float64)
            # 1e-6 Å inside or outside the reach of atom 0, well within that of atom 1
            positions[2] = distance * torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
            batch = molecules((3,), dtype=torch.float64)
            batch = replace(batch, positions=positions, atomic_numbers=numbers, atoms_per_molecule=sizes)
            energies.append(float(self.run(model, batch).energy))
        assert energies[0] == pytest.approx(energies[1], abs=1e-8)
