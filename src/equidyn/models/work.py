"""What networks cost, in closed form: operations and memory for one example, layer by layer.

Counted are the operations of matrix products and convolutions, a multiplication and an addition being two; norms,
activations and neighbour lists move numbers and multiply few. Kept for the backward pass is what PyTorch's autograd
saves on an accelerator, each tensor once, weights not among them. Without a backward pass, the largest block takes
about what it would have kept, beside what is carried past it.
"""

from dataclasses import dataclass, replace

BYTE = 0.25
"""Of a number, for masks of dropout."""

INTEGER = 2.0
"""Numbers, for an index."""


@dataclass(frozen=True)
class Work:
    """What a network does for one example.

    Attributes:
        forward: Floating-point operations of a forward pass.
        backward: Those of the backward pass.
        kept: Numbers kept in between, as many as would be of single precision.
        peak: Numbers at once in a forward pass without a backward pass, likewise.
    """

    forward: float = 0.0
    backward: float = 0.0
    kept: float = 0.0
    peak: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        sums = self.forward + other.forward, self.backward + other.backward, self.kept + other.kept
        return Work(*sums, max(self.peak, other.peak))

    def __rmul__(self, times: float) -> "Work":
        return Work(times * self.forward, times * self.backward, times * self.kept, self.peak if times else 0.0)

    def beside(self, carried: float) -> "Work":
        """The same as a block that numbers are carried past."""
        return replace(self, peak=self.kept + carried)


def product(operations: float, kept: float = 0.0, *, constant: bool = False) -> Work:
    """A product with weights, or of two activations.

    In the backward pass there is one for each of the factors, but none for an input that is a constant.
    """
    return Work(operations, operations if constant else 2 * operations, kept)


def kept(numbers: float) -> Work:
    """Numbers that are kept, and nothing else."""
    return Work(kept=numbers)


def linear(rows: float, width_in: int, width_out: int, *, constant: bool = False) -> Work:
    """A linear layer."""
    return product(2 * rows * width_in * width_out, rows * width_in, constant=constant)


def convolution(voxels: float, width_in: int, width_out: int, *, kernel: int = 27, constant: bool = False) -> Work:
    """A convolution of stride 1, or a transposed one; voxels are those of the input."""
    return product(2 * voxels * kernel * width_in * width_out, voxels * width_in, constant=constant)


def mlp(rows: float, width_in: int, width_out: int) -> Work:
    """Linear, SiLU, linear; the second layer keeps what the activation made."""
    return linear(rows, width_in, width_in) + kept(rows * width_in) + linear(rows, width_in, width_out)


def exchange(rows: float, hidden: int) -> Work:
    """`equidyn.models.vectors.Exchange`."""
    mixed = linear(3 * rows, hidden, 2 * hidden) + kept(6 * rows * hidden)
    return mixed + mlp(rows, 2 * hidden, 3 * hidden) + kept(5 * rows * hidden)
