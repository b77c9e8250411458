"""The shapes in the core's signatures are those that functions take and return, on the way of an evaluation."""

import subprocess
import sys

CHECKED = """
import sys, types
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

sys.modules["checking"] = types.ModuleType("checking")
sys.modules["checking"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # integers are numbers, too
hook = install_import_hook("equidyn.core", "checking.check")
import torch
from equidyn.core import actions, decomposition, pairs, rotations, streams, voxels

"""
PASSING = """
generator = torch.Generator().manual_seed(0)
example = torch.tensor([0, 0, 1])
x, tensor = torch.randn(3, 3, generator=generator), torch.randn(3, 3, 3, generator=generator)
R = rotations.haar(4, generator=generator)
turned = torch.stack([actions.rotate(x, r, example) for r in R])
split = decomposition.decompose(turned.double(), x, example, 2, null=x.mean(0).expand(3, 3))
decomposition.decompose_exact(tensor, x, example, 2)
decomposition.twist_from_tensor(tensor.double(), R)
decomposition.jensen_gap(turned, x, "huber")
decomposition.summarise(decomposition.concatenate([split, split]), [0, 1, 2, 3], resamples=10)
rotations.randomised_cosets(rotations.tetrahedral_group(), 2, generator=generator)
rotations.octahedral_group(), rotations.icosahedral_group(), rotations.quadrature(3)
pairs.distance_class(pairs.pair_distances(x), 0.0, 2.0, 5)
grid = voxels.Grid(8)
channel = voxels.element_channels(torch.tensor([6, 1, 8]))
positions = (x / 4).requires_grad_()
grids = voxels.voxelise(positions, channel, example, 2, grid)
grids.sum().backward()
grids = grids.detach()
actions.rotate_grid(grids, R[:2].float(), grid.origin)
actions.rotate_grid_exactly(grids, actions.inverse(rotations.octahedral_group()[:2]))
grid.axis(), voxels.published_rotation(x)
keys = streams.keys_for(0, "noise", examples=example.numpy())
streams.normal(keys, (2, 3)), streams.uniform(keys, ()), streams.philox(keys, 2)
"""


REFUSED = (
    "decomposition.decompose_exact(torch.zeros(3, 3, 3), torch.zeros(2, 3), torch.zeros(3, dtype=torch.int64), 2)",
    "actions.rotate(torch.zeros(3, 3), torch.zeros(2, 3, 3), torch.zeros(4, dtype=torch.int64))",
    "voxels.element_channels(torch.zeros(3))",
)
REFUSE = """
from jaxtyping import TypeCheckError
for call in {calls!r}:
    try:
        eval(call)
    except TypeCheckError:
        print("refused")
"""


def test_functions_take_and_return_what_they_say_and_nothing_else():
    code = CHECKED + PASSING + REFUSE.format(calls=REFUSED)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["refused"] * len(REFUSED)
