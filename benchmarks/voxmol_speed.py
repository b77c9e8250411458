"""Voxels against a loop over atoms (and PyUUL where it is installed); training steps of small U-Nets, by convolution.

python benchmarks/voxmol_speed.py [--repeats 3] [--threads 1] [--molecules 64] [--models voxmol-1M …] [--sides 24 32]
"""

import argparse
import importlib.util
import resource
from contextlib import nullcontext
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
import workload

from equidyn.core.voxels import Grid, voxelise
from equidyn.models.registry import build
from equidyn.models.voxmol import convolution

SIDE, CHANNELS = 64, 8
MODELS = "voxmol-0.2M", "voxmol-0.3M", "voxmol-1M"


def molecules(count, atoms=45):
    """Random molecules: positions, Å, channels and molecules of their atoms."""
    rng = np.random.default_rng(0)
    positions = torch.from_numpy(workload.molecules(count, atoms, rng))
    channel = torch.from_numpy(rng.integers(CHANNELS, size=count * atoms))
    return (
        (positions - positions.mean(1, keepdim=True)).flatten(0, 1),
        channel,
        torch.arange(count).repeat_interleave(atoms),
    )


def by_atom(positions, channel, molecule, count, grid):
    """The same grids, an atom at a time."""
    result = torch.zeros(count, CHANNELS, *(grid.side,) * 3)
    axis = grid.axis()
    for x, c, m in zip(positions, channel.tolist(), molecule.tolist(), strict=True):
        near, squared = [], []
        for centre in x:
            inside = ((axis - centre).abs() <= 2.5 * grid.radius).nonzero()[:, 0]
            near.append(slice(int(inside[0]), int(inside[-1]) + 1))
            squared.append((axis[inside] - centre).square())
        distance = squared[0][:, None, None] + squared[1][:, None] + squared[2]
        box = result[m, c][tuple(near)]
        box += (1 - box) * torch.exp(-distance / (0.93 * grid.radius) ** 2)
    return result


def pyuul(positions, channel, count):
    """PyUUL's grids, 132 voxels wide, as VoxMol makes and crops them."""
    from pyuul.VolumeMaker import Voxels

    corners = torch.tensor([[-15.0] * 3, [15.0] * 3]).expand(count, -1, -1)
    positions = torch.cat([positions.unflatten(0, (count, -1)), corners], 1)
    channel = torch.cat([channel.unflatten(0, (count, -1)), torch.zeros(count, 2, dtype=torch.long)], 1)
    maker = Voxels(device=torch.device("cpu"), sparse=False)
    options = {"resolution": 0.25, "cubes_around_atoms_dim": 5, "function": "gaussian", "numberchannels": CHANNELS}
    grids = maker(positions, torch.full(channel.shape, 0.5), channel, **options)
    first = grids.shape[-1] // 2 - SIDE // 2
    return grids[(...,) + (slice(first, first + SIDE),) * 3]


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare_voxels(count, repeats):
    """Equal grids, then what each way of making them costs."""
    positions, channel, molecule = molecules(count)
    grid, upstream = Grid(SIDE), Grid(SIDE, centre="upstream")
    before = peak_mib()
    ours = voxelise(positions, channel, molecule, count, grid, CHANNELS)
    size = ours.numel() * ours.element_size() / 2**20
    print(f"{count} molecules at {SIDE}³: result {size:.0f} MiB, peak {peak_mib() - before:.0f} MiB more than before")
    few = molecule < 4
    loop = by_atom(positions[few], channel[few], molecule[few], min(count, 4), grid)
    assert (ours[:4] - loop).abs().max() < 1e-5, "the loop over atoms gives other grids"
    del ours, loop
    functions = {
        "ours": lambda: voxelise(positions, channel, molecule, count, grid, CHANNELS),
        "loop over atoms": lambda: by_atom(positions, channel, molecule, count, grid),
    }
    if importlib.util.find_spec("pyuul"):
        theirs = pyuul(positions[few], channel[few], min(count, 4))
        ours = voxelise(positions[few], channel[few], molecule[few], min(count, 4), upstream, CHANNELS)
        assert (ours - theirs).abs().max() < 1e-5, "PyUUL gives other grids"
        functions["PyUUL"] = lambda: pyuul(positions, channel, count)
    else:
        print("PyUUL is not installed")
    least = workload.least_seconds(functions, repeats)
    for name, (processor, elapsed) in least.items():
        ratio = processor / least["ours"][0]
        print(f"    {name:20}{processor:8.2f} CPU-s{elapsed:8.2f} s{ratio:8.1f} x ours")


def training_step(model, optimiser, noisy, clean, autocast):
    """Forward, loss, backward, update."""
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        output = model(noisy)
    (output.float() - clean).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def usual_training_step(*arguments):
    """A training step with PyTorch's convolutions alone."""
    with patch.object(convolution, "_applies", return_value=False):
        training_step(*arguments)


def compare_convolutions(name, batch, side, repeats):
    """Training steps in single precision: the network's own convolutions on a CPU, and PyTorch's; bfloat16 autocast."""
    positions, channel, molecule = molecules(batch, atoms=12)
    clean = voxelise(positions, channel, molecule, batch, Grid(side, spacing=0.5), CHANNELS)
    noisy = clean + 0.9 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    functions = {}
    for kind, step in (("fp32", training_step), ("fp32 usual", usual_training_step), ("bf16", training_step)):
        model = build(name)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        functions[kind] = partial(step, model, optimiser, noisy, clean, kind == "bf16")
    least = workload.least_seconds(functions, repeats)
    usual = least["fp32 usual"][1]
    print(f"{name}, {batch} x {CHANNELS} x {side}³:", flush=True)
    for kind, (_, elapsed) in least.items():
        print(f"    {kind:24}{elapsed:8.3f} s{elapsed / usual:8.2f} x fp32 usual", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--molecules", type=int, default=64)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--sides", nargs="*", type=int, default=[24, 32])
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.molecules:
        compare_voxels(arguments.molecules, arguments.repeats)
    for name in arguments.models:
        for side in arguments.sides:
            compare_convolutions(name, arguments.batch, side, arguments.repeats)


if __name__ == "__main__":
    main()
