"""A callback of Lightning that measures the module while it trains."""

from collections.abc import Callable, Mapping
from typing import Any

from equidyn.core.extras import needed_by

with needed_by(__name__):
    from torch import nn

    try:
        from lightning.pytorch import Callback, LightningModule, Trainer
    except ImportError:
        from pytorch_lightning import Callback, LightningModule, Trainer

    from equidyn.measuring.model import Bound
    from equidyn.measuring.monitor import Monitor


class EquivarianceCallback(Callback):
    """Measures the module at step 0 and at the steps of a schedule, and sends the numbers to the trainer's loggers.

    What is logged does not wait for ``log_every_n_steps``, as steps of the schedule rarely fall on it. The history is
    kept in checkpoints.

    Attributes:
        monitor: The monitor, once training has begun.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any = None,
        *,
        predict: Callable[[Any, Any], Any] | None = None,
        averaged: Callable[[LightningModule], nn.Module] | None = None,
        prefix: str = "val/equivariance_",
        **settings: Any,
    ):
        """Note what is to be measured.

        Args:
            inputs: Held-out examples, see `equidyn.measure`.
            targets: True values.
            predict: Function of the module and several examples; the module itself if it is absent.
            averaged: Function of the module that finds averaged weights, as a module, which are measured as well.
            prefix: What stands before names of numbers in logs.
            settings: Further arguments of `equidyn.Monitor`.
        """
        self.inputs, self.targets, self.predict, self.averaged = inputs, targets, predict, averaged
        self.prefix, self.settings = prefix, settings
        self.monitor: Monitor | None = None
        self._state: Mapping[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the examples, and measure the module as it is."""
        models: Any = Bound.of(pl_module, self.predict)
        if self.averaged is not None:
            models = {"raw": models, "averaged": Bound.of(self.averaged(pl_module), self.predict)}
        self.monitor = Monitor(models, self.inputs, self.targets, **self.settings)
        if self._state is not None:
            self.monitor.load_state_dict(self._state)
        self._measure(trainer)

    def on_train_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Measure the module if this step is due."""
        self._measure(trainer)

    def _measure(self, trainer: Trainer) -> None:
        found = self.monitor(trainer.global_step) if self.monitor is not None else None
        if found is not None:
            for logger in trainer.loggers:
                metrics = {self.prefix + name: value for name, value in found.items() if name != "step"}
                logger.log_metrics(metrics, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {} if self.monitor is None else self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._state = state_dict or None
