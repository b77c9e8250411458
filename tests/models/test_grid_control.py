"""The exactly equivariant network of grids: the shared suite, and its convolution."""

import pytest
import torch
import torch.nn.functional as F
from suite import CHANNELS, VoxelModelSuite, assert_close

from equidyn.core.actions import rotate_grid_exactly
from equidyn.core.rotations import octahedral_group
from equidyn.models.grid_control.network import GridControl, GridControlConfig, SymmetricConv3d, _halved


class TestGridControl(VoxelModelSuite):
    network = GridControl
    config = GridControlConfig(channels=CHANNELS, width=5, levels=3)
    small = {"levels": 2}  # noqa: RUF012
    is_equivariant = True

    def test_turned_over_it_sees_the_same(self):
        model, batch = self.make(), self.batch()
        assert_close(self.run(model, batch.flip(3)), self.run(model, batch).flip(3), 1e-5)

    def test_compiles_in_one_piece(self):
        self.assert_compiles_in_one_piece()

    def test_gradients_have_a_fixed_order_on_gpus(self):
        """`torch.use_deterministic_algorithms` refuses the gradient of average pooling there."""
        steps, names = [self.make()(self.batch()).grad_fn], set()
        while steps:
            step = steps.pop()
            names.add(step.name())
            steps += [before for before, _ in step.next_functions if before is not None]
        assert "UnbindBackward0" in names
        assert not {name for name in names if "Pool" in name}

    def test_impossible_sizes(self):
        with pytest.raises(ValueError, match="levels must be positive, found 0"):
            GridControlConfig(levels=0)


def test_symmetric_kernels_have_four_weights():
    torch.manual_seed(0)
    layer = SymmetricConv3d(2, 3)
    kernel = layer.kernel.detach()
    for R in octahedral_group():
        assert torch.equal(rotate_grid_exactly(kernel, R), kernel)
    assert torch.equal(kernel.flip(2), kernel)
    places, counts = kernel[0, 0].flatten().unique(return_counts=True)
    assert sorted(counts.tolist()) == [1, 6, 8, 12]
    assert kernel[1, 0, 1, 1, 1] == layer.weight[1, 0, 0]
    assert kernel[1, 0, 0, 1, 1] == layer.weight[1, 0, 1]
    assert kernel[1, 0, 0, 1, 0] == layer.weight[1, 0, 2]
    assert kernel[1, 0, 0, 2, 0] == layer.weight[1, 0, 3]
    assert float(layer.weight.detach().abs().max()) <= 54**-0.5
    assert len(places) == 4


def test_halving_is_average_pooling():
    x = torch.randn(2, 3, 4, 4, 4)
    assert_close(_halved(x), F.avg_pool3d(x, 2), 1e-6)


def test_symmetric_convolution_is_one():
    torch.manual_seed(0)
    layer, x = SymmetricConv3d(2, 3), torch.randn(2, 2, 5, 5, 5)
    assert_close(layer(x), F.conv3d(x, layer.kernel, layer.bias, padding=1), 0)
