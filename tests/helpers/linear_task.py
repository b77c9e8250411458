"""A task and networks whose losses, gradients and Hessians are known in closed form."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from equidyn.models.anatomy import Anatomy
from equidyn.tasks.contract import Task


@dataclass(frozen=True)
class Vectors:
    """One vector x (B, 3) and one target y (B, 3) per example."""

    x: Tensor
    y: Tensor


class VectorTask(Task):
    """Predict a vector from a vector; every second example belongs to the same cluster as the one before."""

    name = "vectors"
    unit = "1"

    def __init__(self, examples: int, noise: float = 0.3, seed: int = 0):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(examples, 3, generator=generator)
        self.y = self.x + noise * torch.randn(examples, 3, generator=generator)

    def batch(self, indices, device="cpu"):
        return Vectors(self.x[indices].to(device), self.y[indices].to(device))

    def act(self, batch, elements, symmetry):
        example = torch.arange(len(batch.x))
        x, y = (symmetry.act_on_vectors(vectors, elements, example) for vectors in (batch.x, batch.y))
        return replace(batch, x=x, y=y)

    def repeat(self, batch, count):
        return Vectors(batch.x.repeat(count, 1), batch.y.repeat(count, 1))

    def predict(self, model, batch):
        return model(batch.x)

    def act_on_prediction(self, prediction, elements, batch, symmetry):
        return symmetry.act_on_vectors(prediction, elements, torch.arange(len(prediction)))

    def target(self, batch):
        return batch.y

    def example(self, batch):
        return torch.arange(len(batch.x))

    def cluster(self, indices):
        return np.asarray(indices) // 2


def multiple_of_identity(weight: Tensor) -> Tensor:
    """The nearest matrix that commutes with all rotations."""
    return torch.eye(3).to(weight) * weight.trace() / 3


class Matrix(nn.Module):
    """x ↦ x Aᵀ. Its twirl is tr(A) / 3 times x."""

    anatomy = Anatomy(groups={"head": ["linear"]}, head="linear.weight", symmetric_head=multiple_of_identity)

    def __init__(self, matrix=None):
        super().__init__()
        self.linear = nn.Linear(3, 3, bias=False)
        if matrix is not None:
            self.linear.weight.data = torch.as_tensor(matrix, dtype=torch.float32)

    def forward(self, x):
        return self.linear(x)


class Perceptron(nn.Module):
    """A small network with biases and a curved loss."""

    anatomy = Anatomy(
        groups={"embedding": ["first"], "head": ["last"]}, head="last.weight", symmetric_head=torch.zeros_like
    )

    def __init__(self, width=5):
        super().__init__()
        self.first, self.last = nn.Linear(3, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def matrix_equivariance(matrix: Tensor, x: Tensor) -> float:
    """E_g |g⁻¹ A g x − f̄(x)|² per component, by averaging a matrix over rotations.

    With D = A − tr(A)/3: its antisymmetric part is of degree 1, its symmetric one of degree 2, and
    E_g |g⁻¹ D g x|² = |D|² |x|² / 3 for either, since E_g g⁻¹ DᵀD g = tr(DᵀD) / 3.
    """
    deviation = matrix - multiple_of_identity(matrix)
    return float(deviation.square().sum() * x.square().sum(1).mean() / 9)
