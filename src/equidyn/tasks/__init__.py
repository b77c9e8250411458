"""Tasks: what is predicted, how it rotates, how it is compared.

A task is the only thing the training loop and the evaluation know of the science. To measure a model of your own, give
`equidyn.evaluation.decompose_task` an object with the methods of :class:`Task`; only those marked *evaluation* are
used there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

TASKS = {"force_field": "equidyn.tasks.force_field:ForceField"}
"""Class of each task, as ``"module:name"``."""


class Task(Protocol):
    """The contract between a task and the stages; a batch is whatever `batch` returns.

    Noise and times that belong to an example are drawn in `batch`, from the example's number, so that only the
    rotation varies between predictions for one example.
    """

    name: str
    unit: str
    """Unit of the loss per component, e.g. ``"eV²/Å²"`` (evaluation)."""

    @classmethod
    def fit(cls, store: Any, indices: np.ndarray) -> Task:
        """The task with what it measures on its training examples, scales for instance (training)."""

    def state(self) -> dict[str, Any]:
        """What `fit` measured, as JSON-able values to keep with a checkpoint (training)."""

    @classmethod
    def restore(cls, store: Any, state: dict[str, Any]) -> Task:
        """The task as `state` described it (evaluation of checkpoints)."""

    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Raise ValueError for data the model cannot take (training)."""

    def batch(self, indices: np.ndarray, device: torch.device) -> Any:
        """Inputs and targets of some examples of the store (training, evaluation)."""

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

    def example(self, batch: Any) -> Tensor:
        """(N,) int64, the example in range(B) of each row of a prediction (evaluation)."""

    def head_tensor(self, model: nn.Module, batch: Any) -> Tensor | None:
        """(N, 3, 3) of `equidyn.decomposition.decompose_exact` where the model has one, else None (evaluation)."""

    def cluster(self, indices: np.ndarray) -> np.ndarray:
        """Labels of what intervals resample: molecule or sequence family of each example (evaluation)."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The training loss, a scalar (training)."""

    def describe_batch(self, indices: np.ndarray) -> str:
        """Which examples these are, for an error message (training)."""
