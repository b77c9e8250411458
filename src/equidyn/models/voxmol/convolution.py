"""Convolutions of few channels on a CPU.

PyTorch's kernels fill the vectors of a CPU, of 16 numbers, with channels of the output. Here they are filled with f
neighbouring voxels of few channels: a convolution of stride f along the first axis, whose kernel has f + 2 voxels along
it, has f times as many channels, one set for each of the f voxels. Besides, PyTorch finds gradients of kernels up to
ten times as fast with channels last in memory. With two threads and more, changing layouts costs more than folding
gains, and channels are last throughout a network. Results are those of the usual convolution up to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LANES = 16


class Conv3d(nn.Conv3d):
    """A convolution of 3³ voxels, which keeps the shape of grids."""

    def __init__(self, width_in: int, width_out: int):
        super().__init__(width_in, width_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, G, G, G) -> (B, out, G, G, G)."""
        if not _gains(x) or _folds(self.out_channels, x) == 1:
            return super().forward(x)
        result: Tensor = _Convolution.apply(x, self.weight, self.bias)
        return result


def with_channels_last(step: nn.Module, x: Tensor) -> Tensor:
    """What another convolution makes of x (B, C, G, G, G), contiguous."""
    if not _gains(x) or x.shape[1] >= _LANES:
        return step(x)
    return step(_last(x)).contiguous()


def in_fastest_layout(grids: Tensor, width: int) -> Tensor:
    """Grids (B, C, G, G, G) with channels last in memory, if that is best throughout a network of this width."""
    if not _applies(grids) or width >= _LANES or torch.get_num_threads() == 1:
        return grids
    return _last(grids)


def _gains(x: Tensor) -> bool:
    """Whether layouts or kernels are changed for one convolution alone: not where channels are last throughout."""
    return _applies(x) and x.is_contiguous()


def _applies(x: Tensor) -> bool:
    """Whether these ways of computing have been measured to be faster: on CPUs, in single precision."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


class _Convolution(torch.autograd.Function):
    """A convolution of folded kernels; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _convolved(x, kernel, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        f = _folds(len(kernel), x)
        # As the folded kernel gives it, (B, f * out, G / f, G, G). Moving planes first is faster than all at once.
        gathered = gradient.unflatten(2, (-1, f)).permute(0, 3, 1, 2, 4, 5).flatten(1, 2)
        geometry = [f, 1, 1], [1, 1, 1], [1, 1, 1], False, [0, 0, 0], 1
        _, of_folded, of_bias = torch.ops.aten.convolution_backward(
            _last(gathered), _last(x), _folded(kernel, f), [f * len(kernel)], *geometry, [False, True, True]
        )
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = _convolved(gradient, kernel.transpose(0, 1).flip(2, 3, 4), None)
        return of_x, _copies(of_folded, f).sum(0), of_bias.unflatten(0, (f, -1)).sum(0)


def _convolved(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """(B, in, G, G, G) -> (B, out, G, G, G), contiguous."""
    f = _folds(len(kernel), x)
    if f == 1:
        return F.conv3d(x, kernel, bias, padding=1)
    bias = None if bias is None else bias.expand(f, -1).flatten()
    y = F.conv3d(x, _folded(kernel, f), bias, stride=(f, 1, 1), padding=1)
    return y.unflatten(1, (f, -1)).permute(0, 2, 3, 1, 4, 5).flatten(2, 3)


def _last(x: Tensor) -> Tensor:
    """x (B, C, G, G, G) with channels last in memory."""
    return x.contiguous(memory_format=torch.channels_last_3d)


def _folds(width_out: int, x: Tensor) -> int:
    """f, the number of voxels along the first axis that are computed at once."""
    f = max(1, _LANES // width_out)
    return f if x.shape[2] % f == 0 else 1


def _folded(kernel: Tensor, f: int) -> Tensor:
    """(out, in, 3, 3, 3) -> (f * out, in, f + 2, 3, 3): the kernel, moved by 0 to f - 1 voxels."""
    width_out, width_in = kernel.shape[:2]
    folded = kernel.new_zeros(f * width_out, width_in, f + 2, 3, 3)
    _copies(folded, f).copy_(kernel)
    return folded


def _copies(folded: Tensor, f: int) -> Tensor:
    """(f * out, in, f + 2, 3, 3) -> (f, out, in, 3, 3, 3): the places of the moved kernels."""
    return folded.unflatten(0, (f, -1)).unfold(3, 3, 1).diagonal(0, 0, 3).permute(5, 0, 1, 4, 2, 3)
