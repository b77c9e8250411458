"""Random numbers of examples, the same on every device.

Each example has a key. Its numbers follow from the key and their place alone: they depend neither on what else is in
the batch, nor on how many are drawn, nor on where. They come from the counter-based generator Philox4x64-10 (Salmon et
al., SC 2011, doi:10.1145/2063384.2063405); on the CPU from NumPy's, on other devices from the same integers by tensor
operations, where they are used.
"""

import math

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from equidyn.core.seeding import seed_for

_MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
_INCREMENTS = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B  # of the key, from round to round
_ROUNDS = 10
_LOW = 0xFFFFFFFF


def keys_for(*purpose: int | str, examples: np.ndarray) -> Int64[Tensor, " B"]:
    """(B,) a key for each example: `equidyn.core.seeding.seed_for` the purpose and the example's number."""
    return torch.tensor([seed_for(*purpose, int(example)) for example in examples], dtype=torch.int64)


def uniform(keys: Int64[Tensor, " B"], shape: tuple[int, ...], stream: int = 0) -> Float32[Tensor, "B ..."]:
    """Numbers (B, *shape) uniform on [0, 1), on the device of the keys.

    Args:
        keys: (B,) one key for each example.
        shape: Shape of an example's numbers.
        stream: Number of the stream; those of one key are independent.
    """
    return _shaped(_words(keys, math.prod(shape), stream).mul_(2.0**-32).clamp_(max=1 - 2.0**-24), shape)


def normal(keys: Int64[Tensor, " B"], shape: tuple[int, ...], stream: int = 0) -> Float32[Tensor, "B ..."]:
    """Standard normal numbers (B, *shape), see `uniform`; equal on all devices up to rounding.

    Two of them come from two words by the transformation of Box and Muller.
    """
    count = math.prod(shape)
    words = _words(keys, count + count % 2, stream)
    radius = words[:, ::2].add(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
    angle = words[:, 1::2].mul(2 * math.pi * 2.0**-32)
    torch.mul(radius, angle.cos(), out=words[:, ::2])
    torch.mul(radius, angle.sin_(), out=words[:, 1::2])
    return _shaped(words[:, :count], shape)


def _shaped(numbers: Float32[Tensor, "B n"], shape: tuple[int, ...]) -> Float32[Tensor, "B ..."]:
    return numbers.reshape(len(numbers), *shape)


def _words(keys: Int64[Tensor, " B"], count: int, stream: int) -> Float32[Tensor, "B count"]:
    """(B, count) words of 32 bits as numbers, rounded: the halves of Philox's words, the lower one first."""
    if keys.device.type == "cpu":
        drawn = [np.random.Philox(key=key + (stream << 64)).random_raw(-(-count // 2)) for key in keys.tolist()]
        halves = np.stack(drawn).astype("<u8", copy=False).view("<u4")
        return torch.from_numpy(halves[:, :count].astype(np.float32))
    return _words_by_tensors(keys, count, stream)


def _words_by_tensors(keys: Int64[Tensor, " B"], count: int, stream: int) -> Float32[Tensor, "B count"]:
    words = philox(keys, -(-count // 8), stream)
    return torch.stack([words & _LOW, _high(words)], -1).flatten(1).float()[:, :count]


def philox(keys: Int64[Tensor, " B"], blocks: int, stream: int = 0) -> Int64[Tensor, "B words"]:
    """(B, 4 * blocks) 64-bit words of Philox4x64-10 for the keys (key, stream) and counters 1, 2, …

    These are the words of NumPy's ``Philox(key=key + (stream << 64))``, by operations that every device has.
    """
    zero = torch.zeros(len(keys), blocks, dtype=torch.int64, device=keys.device)
    counter = [zero + torch.arange(1, blocks + 1, device=keys.device), zero, zero, zero]
    key = [keys[:, None], torch.full_like(keys[:, None], stream)]
    for _ in range(_ROUNDS):
        high_0, low_0 = _product(counter[0], _MULTIPLIERS[0])
        high_2, low_2 = _product(counter[2], _MULTIPLIERS[1])
        counter = [high_2.bitwise_xor_(counter[1] ^ key[0]), low_2, high_0.bitwise_xor_(counter[3] ^ key[1]), low_0]
        key = [word + _signed(step) for word, step in zip(key, _INCREMENTS, strict=True)]
    return torch.stack(counter, -1).flatten(1)


def _product(x: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Upper and lower 64 bits of the product of unsigned numbers of 64 bits, which int64 holds."""
    x_low, x_high, low, high = x & _LOW, _high(x), factor & _LOW, factor >> 32
    crossed = _high(x_low * low).add_(x_high, alpha=low)
    carried = (crossed & _LOW).add_(x_low, alpha=high)
    return _high(crossed).add_(x_high, alpha=high).add_(_high(carried)), x * _signed(factor)


def _high(x: Tensor) -> Tensor:
    """The upper 32 bits of 64."""
    return (x >> 32).bitwise_and_(_LOW)


def _signed(value: int) -> int:
    """The number of int64 that has the bits of an unsigned number of 64 bits."""
    return value - (value >> 63 << 64)
