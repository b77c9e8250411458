"""A callback of Hugging Face's Trainer that measures the model while it trains."""

from collections.abc import Callable
from typing import Any

from equidyn.core.extras import needed_by

with needed_by(__name__):
    from torch import nn
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

    from equidyn.measuring.model import Bound
    from equidyn.measuring.monitor import Monitor


class EquivarianceCallback(TrainerCallback):
    """Measures the model at step 0 and at the steps of a schedule, and adds the numbers to the trainer's history.

    They are in ``trainer.state.log_history``, which checkpoints hold; `log` may send them elsewhere.

    Attributes:
        monitor: The monitor, once training has begun.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        predict: Callable[[Any, Any], Any] | None = None,
        prefix: str = "equivariance_",
        **settings: Any,
    ):
        """Note what is to be measured.

        Args:
            inputs: Held-out examples, see `equidyn.measure`.
            targets: True values.
            predict: Function of the model and several examples; the model itself if it is absent.
            prefix: What stands before names of numbers in the history.
            settings: Further arguments of `equidyn.Monitor`, such as `log`.
        """
        self.inputs, self.targets, self.predict = inputs, targets, predict
        self.prefix, self.settings = prefix, settings
        self.monitor: Monitor | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Choose the examples, and measure the model as it is."""
        model: nn.Module = kwargs["model"]
        self.monitor = Monitor(Bound.of(model, self.predict), self.inputs, self.targets, **self.settings)
        marked = [one for one in state.log_history if any(self._is_own(name) for name in one)]  # of a checkpoint
        self.monitor.history = [
            {name.removeprefix(self.prefix): value for name, value in one.items() if name.startswith(self.prefix)}
            | {"step": one["step"]}
            for one in marked
        ]
        self._measure(state)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Measure the model if this step is due."""
        self._measure(state)

    def _measure(self, state: TrainerState) -> None:
        found = self.monitor(state.global_step) if self.monitor is not None else None
        if found is not None:
            named = {self.prefix + name: value for name, value in found.items() if name != "step"}
            state.log_history.append(named | {"step": state.global_step})

    def _is_own(self, name: str) -> bool:
        return name.startswith(self.prefix) and name.endswith("equivariance")
