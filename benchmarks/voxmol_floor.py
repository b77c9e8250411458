"""What rotating grids costs by itself: the error of a perfect denoiser, for each grid and way of interpolating.

    python benchmarks/voxmol_floor.py STORE [--molecules 16] [--rotations 3]

STORE has positions and atomic numbers of molecules (`equidyn.data.conformers.build_store` makes one); those that reach
farther than 6.5 Å from the origin, which a box of 16 Å would clip, are left out. The grid of a molecule is rotated (A),
and so are the molecule's coordinates before they become a grid (B). Printed is |A - B|² / |B|².
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from equidyn.actions import rotate, rotate_grid, rotate_grid_exactly
from equidyn.data.store import Store
from equidyn.rotations import haar, octahedral_group
from equidyn.voxels import Grid, element_channels, voxelise

GRIDS = {
    "symmetric, 0.25 Å": Grid(64),
    "upstream, 0.25 Å": Grid(64, centre="upstream"),
    "symmetric, 0.5 Å": Grid(32, spacing=0.5),
}


def molecules(store, count):
    """Positions and channels of molecules that fit into the box however they are turned."""
    found = []
    for index in range(len(store)):
        positions = torch.from_numpy(store[index]["positions"]).double()
        if positions.norm(dim=1).max() < 6.5 and len(found) < count:
            found.append((positions, element_channels(torch.from_numpy(store[index]["atomic_numbers"]).long())))
    return found


def errors(examples, rotations, grid, action):
    """The error of each molecule and rotation (K, 3, 3)."""
    found = []
    for positions, channel in examples:
        molecule = torch.zeros_like(channel)
        before = voxelise(positions, channel, molecule, 1, grid)
        for R in rotations:
            after = voxelise(rotate(positions, R), channel, molecule, 1, grid)
            found.append(float((action(before, R) - after).square().sum() / after.square().sum()))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--molecules", type=int, default=16)
    parser.add_argument("--rotations", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    examples = molecules(Store(arguments.store), arguments.molecules)
    sizes = [len(positions) for positions, _ in examples]
    print(f"{len(examples)} molecules of {np.mean(sizes):.0f} atoms on average")
    turns = haar(arguments.rotations, generator=torch.Generator().manual_seed(0))
    for name, grid in GRIDS.items():

        def interpolated(order, origin=grid.origin):
            return lambda values, R: rotate_grid(values, R, origin, order)

        middle = (grid.side - 1) / 2
        rows = {
            "trilinear": (examples, turns, grid, interpolated(1)),
            "cubic spline": (examples[:6], turns, grid, interpolated(3)),
            "octahedral, permuted": (examples[:6], octahedral_group()[1:], grid, rotate_grid_exactly),
        }
        if grid.origin != middle:
            rows["trilinear about the array's middle"] = (examples, turns, grid, interpolated(1, middle))
        for action, case in rows.items():
            found = errors(*case)
            print(f"{name:20}{action:36}mean {np.mean(found):9.2e}   largest {max(found):9.2e}   of {len(found)}")


if __name__ == "__main__":
    main()
