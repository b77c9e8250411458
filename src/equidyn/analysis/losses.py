"""Held-out losses as functions of a network's weights, for gradients, Hessians and landscapes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

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

    Args:
        task: The task, which makes batches and compares predictions.
        model: Its network; switched to evaluation mode.
        indices: (n,) examples.
        protocol: Number K of sampled group elements, examples per forward pass, seed of noise and elements.
        condition: See `Task.symmetry` and `Task.inputs`.
        exact: Whether to use the closed form of models and groups that have one.
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
        self.draw(protocol.seed)

    def draw(self, seed: int) -> None:
        """Draw new group elements."""
        count = self.protocol.rotations
        self.elements = [draw_elements(self.symmetry, chosen, count, seed) for chosen in self.chosen]

    @property
    def estimator(self) -> dict[str, Any]:
        """Name of the estimator in tables."""
        return {"estimator": "exact", "rotations": 0} if self.exact else sampled(self.protocol)

    def __iter__(self) -> Iterator[Loss]:
        """The contribution of each batch, with a graph of its own; their sum is the loss of all examples."""
        for batch, elements in zip(self.batches, self.elements, strict=True):
            with sdpa_kernel(SDPBackend.MATH):  # other kernels have no second derivative
                total, equivariance = self._exact(batch) if self.exact else self._sampled(batch, elements)
            yield Loss(total / self.components, equivariance / self.components)

    @torch.no_grad()
    def values(self) -> dict[str, float]:
        """The two parts and the total as numbers."""
        losses = [(float(loss.total), float(loss.equivariance)) for loss in self]
        total, equivariance = map(sum, zip(*losses, strict=True))
        return {"twirled": total - equivariance, "total": total, "equivariance": equivariance}

    def _exact(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Sums from one forward pass, see `equidyn.core.decomposition.decompose_exact`."""
        tensor = self.task.head_tensor(self.model, batch)
        assert tensor is not None
        twirl = tensor.mean(1)
        equivariance = (tensor - twirl[:, None]).square().sum() / 3
        return (twirl - self.task.target(batch)).square().sum() + equivariance, equivariance

    def _sampled(self, batch: Any, elements: Tensor) -> tuple[Tensor, Tensor]:
        """Sums from K group elements, see `equidyn.core.decomposition.decompose`."""
        twisted = twisted_predictions(self.task, self.model, batch, elements, self.symmetry)
        residual = twisted - self.task.target(batch)
        return residual.square().sum() / len(elements), residual.var(0).sum()


def sampled(protocol: EvaluationSettings) -> dict[str, Any]:
    """Columns of tables about the sampled group elements."""
    return {"estimator": "sampled", "rotations": protocol.rotations}


@torch.no_grad()
def inputs(
    task: Task, model: nn.Module, chosen: np.ndarray, protocol: EvaluationSettings, condition: Mapping[str, Any]
) -> Any:
    """Some examples as the model sees them, see `Task.inputs`, in the precision of its parameters."""
    parameter = next(model.parameters())
    batch = _cast(task.batch(chosen, parameter.device), parameter.dtype)
    return task.inputs(model, batch, condition, protocol.seed)


def _cast(batch: Any, dtype: torch.dtype) -> Any:
    """A batch with its single-precision tensors in another precision, also those in dataclasses inside it.

    Tensors that are double already, energies for instance, stay as they are.
    """
    if isinstance(batch, Tensor):
        return batch.to(dtype) if batch.dtype == torch.float32 else batch
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{item.name: _cast(getattr(batch, item.name), dtype) for item in fields(batch)})
    return batch
