"""Held-out losses as functions of a network's weights, for gradients, Hessians and landscapes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from equidyn.core.cosets import nested
from equidyn.core.designs import chain, draw_cosets, size_of_cosets
from equidyn.core.transfer import map_tensors
from equidyn.run.batches import in_batches
from equidyn.run.evaluation import draw_elements, twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task

PARTS = ("twirled", "equivariance")
"""The two parts of the squared error, which add up to the total."""


@dataclass(frozen=True)
class Loss:
    """Squared error of some examples and its two parts, scalars with gradient; per component.

    Attributes:
        total: Mean over rotations, an unbiased estimate for sampled ones.
        equivariance: Equivariance error, likewise.
    """

    total: Tensor
    equivariance: Tensor

    @property
    def twirled(self) -> Tensor:
        """Twirled loss, unbiased too."""
        return self.total - self.equivariance


class HeldOutLoss:
    """The losses of `equidyn.core.decomposition`, differentiable, of examples in which everything random is drawn once.

    Batches, noise and rotations are the same at every call, so that values at several weights differ by the weights
    alone; a network's own first prediction, where it sees one, is an input and stays that of the first weights. Numbers
    have the precision of the network's parameters; double precision (``model.double()``) is what Hessians need.

    Group elements are independent, or they form cosets of the largest group of rotations that two or more cosets can
    have (`equidyn.core.designs`), so that the same loss with fewer of them, nested in these, is at hand too. Both
    parts of the loss are unbiased in either case.

    Args:
        task: The task, which makes batches and compares predictions.
        model: Its network; switched to evaluation mode.
        indices: (n,) examples.
        protocol: Number K of sampled group elements, examples per forward pass, seed of noise and elements.
        condition: See `Task.symmetry` and `Task.inputs`.
        exact: Whether to use the closed form of models and groups that have one.
        in_cosets: Whether sampled elements form cosets.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        indices: np.ndarray,
        protocol: EvaluationSettings,
        condition: Mapping[str, Any] | None = None,
        *,
        exact: bool = True,
        in_cosets: bool = False,
    ):
        self.task, self.model, self.protocol, self.condition = task, model.eval(), protocol, condition or {}
        self.symmetry = task.symmetry(self.condition)
        self.chosen = list(in_batches(indices, protocol))
        self.batches = [inputs(task, model, chosen, protocol, self.condition) for chosen in self.chosen]
        with torch.no_grad():
            closed = exact and self.symmetry.has_closed_form
            self.exact = closed and task.head_tensor(model, self.batches[0]) is not None
        self.components: float = sum(task.target(batch).numel() for batch in self.batches)
        """Number of components that the sums are divided by."""
        self.draw(protocol.seed, in_cosets=in_cosets)

    def draw(self, seed: int, *, count: int | None = None, in_cosets: bool = False) -> None:
        """Draw new group elements, as many as the protocol says if no number is given."""
        count = self.protocol.rotations if count is None else count
        self.size = size_of_cosets(self.symmetry, count) if in_cosets else 1
        self.cosets = count // self.size
        self.elements = [
            draw_cosets(self.symmetry, chain()[: self.size], self.cosets, chosen, seed).flatten(0, 1)
            if in_cosets
            else draw_elements(self.symmetry, chosen, count, seed)
            for chosen in self.chosen
        ]

    @property
    def sizes(self) -> list[int]:
        """Elements that `thin` can leave of each coset, all of them last; one number alone where nothing is sampled."""
        return [self.size] if self.exact else nested(self.size)

    def thin(self, size: int) -> None:
        """Keep the first elements of each coset alone, which form cosets of a smaller group."""
        self.elements = [drawn.unflatten(0, (self.cosets, -1))[:, :size].flatten(0, 1) for drawn in self.elements]
        self.size = size

    @property
    def estimator(self) -> dict[str, Any]:
        """Name of the estimator in tables, with how many elements there are, in how many independent cosets."""
        if self.exact:
            return {"estimator": "exact", "rotations": 0, "cosets": 0}
        return {"estimator": "sampled", "rotations": self.cosets * self.size, "cosets": self.cosets}

    def __iter__(self) -> Iterator[Loss]:
        """The contribution of each batch, with a graph of its own; their sum is the loss of all examples."""
        for batch, elements in zip(self.batches, self.elements, strict=True):
            with sdpa_kernel(SDPBackend.MATH):  # other kernels have no second derivative
                total, equivariance = self._exact(batch) if self.exact else self._sampled(batch, elements)
            yield Loss(total / self.components, equivariance / self.components)

    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The two parts and the total as numbers."""
        return self.values_by_size()[-1]

    @torch.no_grad()
    def values_by_size(self) -> list[dict[str, float]]:
        """The same with so many elements of each coset as `sizes` says, all of them last, from one computation."""
        sums = np.zeros((len(self.sizes), 2))
        for batch, elements in zip(self.batches, self.elements, strict=True):
            with sdpa_kernel(SDPBackend.MATH):
                if self.exact:
                    found = [self._exact(batch)]
                else:
                    residual = self._residual(batch, elements).unflatten(0, (self.cosets, -1))
                    found = [spread_of(residual[:, :size]) for size in self.sizes]
            sums += np.array([[float(value) for value in pair] for pair in found])
        return [
            {"twirled": total - equivariance, "total": total, "equivariance": equivariance}
            for total, equivariance in (sums / self.components).tolist()
        ]

    def _exact(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Sums from one forward pass, see `equidyn.core.decomposition.decompose_exact`."""
        tensor = self.task.head_tensor(self.model, batch)
        assert tensor is not None
        twirl = tensor.mean(1)
        equivariance = (tensor - twirl[:, None]).square().sum() / 3
        return (twirl - self.task.target(batch)).square().sum() + equivariance, equivariance

    def _sampled(self, batch: Any, elements: Tensor) -> tuple[Tensor, Tensor]:
        """Sums from sampled group elements, see `equidyn.core.decomposition.decompose`."""
        return spread_of(self._residual(batch, elements).unflatten(0, (self.cosets, -1)))

    def _residual(self, batch: Any, elements: Tensor) -> Tensor:
        """(K, N, C) errors of twisted predictions."""
        twisted = twisted_predictions(self.task, self.model, batch, elements, self.symmetry)
        return twisted - self.task.target(batch)


def spread_of(residual: Float[Tensor, "cosets m N C"]) -> tuple[Tensor, Tensor]:
    """Sums of the total loss and of the equivariance error from errors of twisted predictions, both unbiased."""
    means = residual.mean(1)
    equivariance = means.var(0).sum()
    if residual.shape[1] > 1:
        equivariance = equivariance + (residual - means[:, None]).square().mean((0, 1)).sum()
    return residual.square().mean((0, 1)).sum(), equivariance


def sampled(protocol: EvaluationSettings) -> dict[str, Any]:
    """Columns of tables about the sampled group elements."""
    return {"estimator": "sampled", "rotations": protocol.rotations}


@torch.no_grad()
def inputs(
    task: Task, model: nn.Module, chosen: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> Any:
    """Some examples as the model sees them, see `Task.inputs`, in the precision of its parameters."""
    parameter = next(model.parameters())

    def cast(tensor: Tensor) -> Tensor:  # what is double already, energies for instance, stays so
        return tensor.to(parameter.dtype) if tensor.dtype == torch.float32 else tensor

    batch = map_tensors(cast, task.batch(chosen, parameter.device))
    return task.inputs(model, batch, condition, protocol.seed)
