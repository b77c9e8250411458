"""Costs of networks in closed form: operations and memory for one example, layer by layer.

Only the operations of matrix products and convolutions count, a multiplication and an addition being two; norms,
activations and neighbour lists move numbers and multiply few. The memory kept for the backward pass is that of the
tensors that PyTorch's autograd saves on an accelerator, each once, weights excluded. Without a backward pass, the
largest block takes about the memory that it would have kept, besides the numbers that are carried past it.
"""

from dataclasses import dataclass, replace

BYTE = 0.25
"""Size of an element of a dropout mask, in numbers of single precision."""

INTEGER = 2.0
"""Size of an index, in numbers of single precision."""


@dataclass(frozen=True)
class Work:
    """The work of a network for one example.

    Attributes:
        forward: Floating-point operations of a forward pass.
        backward: Floating-point operations of the backward pass.
        kept: Memory kept between the two, in numbers of single precision.
        peak: Largest memory of a forward pass without a backward pass, in numbers of single precision.
        pieces: Number of products and of other operations that keep something, however many numbers they treat.
    """

    forward: float = 0.0
    backward: float = 0.0
    kept: float = 0.0
    peak: float = 0.0
    pieces: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        sums = self.forward + other.forward, self.backward + other.backward, self.kept + other.kept
        return Work(*sums, max(self.peak, other.peak), self.pieces + other.pieces)

    def __rmul__(self, times: float) -> "Work":
        products = times * self.forward, times * self.backward, times * self.kept
        return Work(*products, self.peak if times else 0.0, times * self.pieces)

    def beside(self, carried: float) -> "Work":
        """The work of the same block while other numbers are carried past it."""
        return replace(self, peak=self.kept + carried)


def product(operations: float, kept: float = 0.0, *, constant: bool = False) -> Work:
    """Work of a product with weights, or of two activations.

    In the backward pass there is one for each of the factors, but none for an input that is a constant.
    """
    return Work(operations, operations if constant else 2 * operations, kept, pieces=1)


def kept(numbers: float) -> Work:
    """Work that only keeps numbers."""
    return Work(kept=numbers, pieces=1)


def linear(rows: float, width_in: int, width_out: int, *, constant: bool = False) -> Work:
    """Work of a linear layer."""
    return product(2 * rows * width_in * width_out, rows * width_in, constant=constant)


def convolution(voxels: float, width_in: int, width_out: int, *, kernel: int = 27, constant: bool = False) -> Work:
    """Work of a convolution of stride 1, or of a transposed one; voxels are those of the input."""
    return product(2 * voxels * kernel * width_in * width_out, voxels * width_in, constant=constant)


def mlp(rows: float, width_in: int, width_out: int) -> Work:
    """Work of linear, SiLU, linear; the second layer keeps the result of the activation."""
    return linear(rows, width_in, width_in) + kept(rows * width_in) + linear(rows, width_in, width_out)


def exchange(rows: float, hidden: int) -> Work:
    """Work of `equidyn.models.vectors.Exchange`."""
    mixed = linear(3 * rows, hidden, 2 * hidden) + kept(6 * rows * hidden)
    return mixed + mlp(rows, 2 * hidden, 3 * hidden) + kept(5 * rows * hidden)
