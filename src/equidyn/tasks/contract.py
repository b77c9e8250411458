"""The contract between a task and the stages.

To measure a model of your own, derive from :class:`Task` and give an instance to
`equidyn.run.evaluation.decompose_task`; to train and evaluate in studies, derive from :class:`TrainableTask`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.core.symmetry import symmetry

if TYPE_CHECKING:
    import numpy as np
    import torch
    from jaxtyping import Float, Int64, Shaped
    from torch import Tensor, nn

    from equidyn.core.symmetry import Symmetry
    from equidyn.data.store import Store


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
    """The random numbers of a training step.

    Attributes:
        shared: The stream of what is drawn once per step; the same in all portions of a batch.
        keys: (B,) int64, the key of each example of the portion for `equidyn.core.streams`, whatever else is in it.
    """

    shared: np.random.Generator
    keys: Int64[Tensor, " B"]


class Task(ABC):
    """What is predicted, how a group acts on it and how it is compared; a batch is whatever `batch` returns."""

    name: str
    unit: str
    """Unit of the loss per component, e.g. ``"eV²/Å²"``."""
    comparison: str = "vectors"
    """How predictions for transformed inputs are compared, as tables call it, unless a condition names a comparison."""
    has_fixed_shapes: bool = False
    """Whether batches of equally many examples have tensors of the same shapes, which kernels can be made for."""

    @abstractmethod
    def batch(self, indices: Int64[np.ndarray, " B"], device: torch.device) -> Any:
        """Inputs and targets of some examples of the store."""

    def inputs(self, model: nn.Module, batch: Any, condition: Mapping[str, Any], seed: int) -> Any:
        """The batch as the model sees it, with noise, times and the like put in.

        Each example has a random stream of its own, so that only the group element varies between the predictions for
        one example.

        Args:
            model: The network, in evaluation mode, for inputs that are themselves predictions.
            batch: What `batch` returned.
            condition: One combination of the study's conditions, a flow time for instance; empty without any.
            seed: Seed of the study's evaluation.
        """
        return batch

    def symmetry(self, condition: Mapping[str, Any]) -> Symmetry:
        """The group whose elements twist predictions: the condition's ``group``, or all rotations if it names none.

        Raises:
            ValueError: The group is unknown, or the task cannot use it.
        """
        return symmetry(condition.get("group", USUAL_GROUP))

    @abstractmethod
    def act(self, batch: Any, elements: Float[Tensor, "B ..."], symmetry: Symmetry) -> Any:
        """Inputs and targets transformed by elements (B, ...) of a group, one per example."""

    @abstractmethod
    def repeat(self, batch: Any, count: int) -> Any:
        """The batch `count` times, end to end."""

    @abstractmethod
    def predict(self, model: nn.Module, batch: Any) -> Float[Tensor, "N C"]:
        """Predictions (N, C) in physical units, all examples end to end, no padding."""

    @abstractmethod
    def act_on_prediction(
        self, prediction: Float[Tensor, "N C"], elements: Float[Tensor, "B ..."], batch: Any, symmetry: Symmetry
    ) -> Float[Tensor, "N C"]:
        """Predictions (N, C) transformed by elements (B, ...) of a group, one per example."""

    @abstractmethod
    def target(self, batch: Any) -> Float[Tensor, "N C"]:
        """What predictions are compared with, (N, C)."""

    def null(self, batch: Any) -> Float[Tensor, "N C"] | None:
        """(N, C) the prediction of a model that has learned nothing, which skill is measured against; None for zero."""
        return None

    @abstractmethod
    def example(self, batch: Any) -> Int64[Tensor, " N"]:
        """(N,) int64, the example in range(B) of each row of a prediction."""

    def head_tensor(self, model: nn.Module, batch: Any) -> Float[Tensor, "N 3 3"] | None:
        """(N, 3, 3) of `equidyn.core.decomposition.decompose_exact`, None for a model that has none.

        Evaluations warn if it does not give the predictions for two sampled elements.
        """
        return None

    @abstractmethod
    def cluster(self, indices: Int64[np.ndarray, " B"]) -> Shaped[np.ndarray, " B"]:
        """The unit that intervals resample: the molecule or sequence family of each example."""


class TrainableTask(Task):
    """A task that networks can be trained on, and that can be restored from a checkpoint."""

    store: Store

    @classmethod
    @abstractmethod
    def fit(cls, store: Store, indices: np.ndarray, **settings: Any) -> TrainableTask:
        """The task with its settings, and what it measures on its training examples, scales for instance."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """The settings and measurements of `fit`, as JSON-able values to keep with a checkpoint."""

    @classmethod
    @abstractmethod
    def restore(cls, store: Store, state: dict[str, Any]) -> TrainableTask:
        """The task as `state` described it."""

    @abstractmethod
    def check(self, model: nn.Module, indices: np.ndarray) -> None:
        """Raise ValueError for data that the model cannot take."""

    def whole(self, indices: np.ndarray) -> Whole:
        """The sizes of the batch that these examples of the store form."""
        return Whole(len(indices), int(self.store.lengths_of(indices).sum()))

    def prepare(self, model: nn.Module, batch: Any, draws: Draws, *, few_shapes: bool = False) -> Any:
        """The batch as `loss` needs it; dataclasses, tuples and lists, whose tensors are then moved to the device.

        This runs on the CPU, ahead of the step: what is random and small is drawn here, and what the network needs and
        does not learn is computed here. Large noise is better drawn in `loss`, from the examples' keys.

        Args:
            model: The network, whose weights do not count.
            batch: What `batch` returned, perhaps transformed.
            draws: The only source of randomness.
            few_shapes: Pad tensors such that batches of equally many examples have few different shapes, for compiled
                networks. Padding changes the loss by rounding only.
        """
        return batch

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, whole: Whole | None = None) -> Float[Tensor, ""]:
        """The training loss, a scalar, or a portion's share of it. Dropout aside, nothing in it is random.

        It reads no tensor back to the host, which would have to wait for the device: the host knows all sizes.

        Args:
            model: The network, in training mode.
            batch: What `prepare` returned, on the network's device.
            whole: The step's batch, if `batch` is a portion of it. The shares of all portions add up to its loss,
                however it was cut.
        """

    @abstractmethod
    def describe_batch(self, indices: np.ndarray) -> str:
        """The identity of these examples, for an error message."""
