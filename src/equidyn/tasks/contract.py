"""The contract between a task and the stages.

To measure a model of your own, derive from :class:`Task` and give an instance to
`equidyn.run.evaluation.decompose_task`; only the methods marked *evaluation* are used there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Whole:
    """The batch of a whole training step, of which a loss may see a portion.

    Attributes:
        examples: Its examples.
        rows: Their ragged rows (atoms, residues) in the store.
    """

    examples: int
    rows: int


@dataclass(frozen=True)
class Draws:
    """Streams of random numbers for a training loss, all on the CPU.

    Attributes:
        shared: For what is drawn once per step; the same in all portions of its batch.
        each: A stream of its own for each example of the portion, whatever else is in it.
    """

    shared: Generator
    each: Sequence[Generator]


class Task(Protocol):
    """What is predicted, how it rotates and how it is compared; a batch is whatever `batch` returns."""

    name: str
    unit: str
    """Unit of the loss per component, e.g. ``"eV²/Å²"`` (evaluation)."""
    action: str = "rotate_vectors"
    """How rotations act on inputs and predictions, for tables; a condition of that name overrides it (evaluation)."""
    has_fixed_shapes: bool = False
    """Whether batches of equally many examples have tensors of the same shapes (training with compiled networks)."""

    @classmethod
    def fit(cls, store: Any, indices: np.ndarray, **settings: Any) -> Task:
        """The task with its settings, and what it measures on its training examples, scales for instance (training)."""

    def state(self) -> dict[str, Any]:
        """What `fit` was told and measured, as JSON-able values to keep with a checkpoint (training)."""

    @classmethod
    def restore(cls, store: Any, state: dict[str, Any]) -> Task:
        """The task as `state` described it (evaluation of checkpoints)."""

    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Raise ValueError for data the model cannot take (training)."""

    def batch(self, indices: np.ndarray, device: torch.device) -> Any:
        """Inputs and targets of some examples of the store (training, evaluation)."""

    def inputs(self, model: nn.Module, batch: Any, condition: Mapping[str, Any], seed: int) -> Any:
        """The batch as the model is to see it: noise, times and the like put in (evaluation).

        What is random comes from a stream of each example's own, so that only the rotation varies between the
        predictions for one example.

        Args:
            model: In evaluation mode; for inputs that are predictions themselves.
            batch: From `batch`.
            condition: One combination of the study's conditions, a flow time for instance; empty without any.
            seed: Of the study's evaluation.
        """
        return batch

    def rotations(self, count: int, condition: Mapping[str, Any], generator: Generator) -> Tensor:
        """(count, 3, 3) independent rotations to twist with: Haar on SO(3), or on a subgroup of it (evaluation)."""
        from equidyn.core.rotations import haar

        return haar(count, generator=generator)

    def rotate(self, batch: Any, R: Tensor) -> Any:
        """Inputs and targets rotated by R (B, 3, 3), one rotation per example (training, evaluation)."""

    def repeat(self, batch: Any, count: int) -> Any:
        """The batch `count` times, end to end (evaluation)."""

    def predict(self, model: nn.Module, batch: Any) -> Tensor:
        """Predictions (N, C) in physical units, all examples end to end, no padding (evaluation)."""

    def rotate_prediction(self, prediction: Tensor, R: Tensor, batch: Any) -> Tensor:
        """Predictions (N, C) rotated by R (B, 3, 3); the inverse action is that of the transpose (evaluation)."""

    def target(self, batch: Any) -> Tensor:
        """What predictions are compared with, (N, C) (evaluation)."""

    def null(self, batch: Any) -> Tensor | None:
        """(N, C) what one predicts who has learned nothing, the measure of skill; None for zero (evaluation)."""
        return None

    def example(self, batch: Any) -> Tensor:
        """(N,) int64, the example in range(B) of each row of a prediction (evaluation)."""

    def head_tensor(self, model: nn.Module, batch: Any) -> Tensor | None:
        """(N, 3, 3) of `equidyn.core.decomposition.decompose_exact`, None for a model that has none (evaluation)."""
        return None

    def cluster(self, indices: np.ndarray) -> np.ndarray:
        """Labels of what intervals resample: molecule or sequence family of each example (evaluation)."""

    def whole(self, indices: np.ndarray) -> Whole:
        """Sizes of the batch that these examples of the store make (training)."""
        return Whole(len(indices), int(self.store.lengths_of(indices).sum()))

    def loss(self, model: nn.Module, batch: Any, draws: Draws, whole: Whole | None = None) -> Tensor:
        """The training loss, a scalar, or a portion's share of it (training).

        Args:
            model: In training mode.
            batch: From `batch`, perhaps rotated.
            draws: What is random comes from here alone.
            whole: The step's batch, if `batch` is a portion of it. The shares of all portions add up to its loss,
                however it was cut.
        """

    def describe_batch(self, indices: np.ndarray) -> str:
        """Which examples these are, for an error message (training)."""
