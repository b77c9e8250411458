"""A metric of TorchMetrics: the share of the loss that is equivariance error, over as many batches as there are."""

from dataclasses import fields, replace
from typing import Any

from equidyn.core.extras import needed_by

with needed_by(__name__):
    import numpy as np
    import torch
    from torch import Tensor
    from torchmetrics import Metric

    from equidyn.core.decomposition import Decomposition, summarise
    from equidyn.measuring.examples import MeasureError
    from equidyn.measuring.model import Predict, evaluating
    from equidyn.measuring.monitor import ROTATIONS, rank_and_processes
    from equidyn.measuring.plan import LEVEL, Plan
    from equidyn.measuring.twists import ENERGY_PER_ATOM, twisted

PARTS = tuple(part.name for part in fields(Decomposition))


class EquivariancePercent(Metric):
    """Percent of the squared error that is equivariance error, with an interval, of the batches since the last reset.

    Sums are gathered from all processes. Each batch gets other rotations, those after a reset too.
    """

    full_state_update = False
    higher_is_better = False

    def __init__(
        self,
        *,
        name: str | None = None,
        rotations: int = ROTATIONS,
        null: float = 0.0,
        seed: int = 0,
        level: float = LEVEL,
        settings: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        """Note what is to be measured.

        Args:
            name: Name of the property, for models that predict several.
            rotations: Rotations of each example.
            null: Prediction of a model that has learned nothing, which the skill is compared with.
            seed: Seed of rotations.
            level: Nominal coverage of the interval.
            settings: Further arguments of `equidyn.measure`, such as `ranks`, `kinds` and `batch_size`, but for
                `clusters`: each example is one.
            kwargs: Arguments of `torchmetrics.Metric`.

        Raises:
            MeasureError: There are clusters among the settings.
        """
        if settings and "clusters" in settings:
            raise MeasureError("clusters: batches of a metric have none; use equidyn.measure or equidyn.Monitor")
        super().__init__(**kwargs)
        self.property, self.rotations, self.null = name, rotations, null
        self.seed, self.level, self.settings = seed, level, settings or {}
        self._batches = 0  # which goes on after a reset, as the metric's own counter does not
        for part in PARTS:
            self.add_state(part, default=[], dist_reduce_fx="cat")

    def update(self, predict: Predict, inputs: Any, targets: Any) -> None:
        """Add a batch of examples.

        Args:
            predict: The model, see `equidyn.measure`.
            inputs: Examples.
            targets: True values.

        Raises:
            MeasureError: There are several properties, and none was named; or what is given does not fit together.
        """
        # Examples of other batches and processes get other rotations.
        self._batches += 1
        seed = self.seed + self._batches * 100_003 + rank_and_processes()[0] * 1_000_003
        plan = Plan.of(inputs, targets, rotations=self.rotations, seed=seed, **self.settings)
        numbers = range(len(plan.examples))
        with evaluating(predict):
            found = twisted(plan.model(predict), plan.design, plan.ranks, numbers).properties
        summary = plan.summary_of(found)
        found.pop(ENERGY_PER_ATOM, None)
        if (self.property is None and len(found) > 1) or self.property not in (None, *found):
            raise MeasureError(f"name: the model predicts {sorted(found)}; name one of them")
        name = self.property or next(iter(found))
        rows = summary.rows(found[name], numbers)
        split = replace(rows, null=torch.full_like(rows.target, self.null)).split(plan.design)
        for part in PARTS:
            getattr(self, part).append(torch.from_numpy(getattr(split, part)).to(self.device))

    def compute(self) -> dict[str, Tensor]:
        """The percent, the ends of its interval, the skill and the relative error.

        Raises:
            MeasureError: There are no examples.
        """
        if not len(getattr(self, PARTS[0])):
            raise MeasureError("compute: there are no examples yet; call update first")
        split = Decomposition(*(_joined(getattr(self, part)) for part in PARTS))
        numbers = summarise(split, np.arange(len(split)), level=self.level, seed=self.seed)
        numbers["relative_error"] = float(np.sqrt(max(numbers["relative_equivariance"], 0)))
        names = ("percent", "percent_low", "percent_high", "skill", "relative_error")
        return {name: torch.tensor(numbers[name]) for name in names}


def _joined(values: list[Tensor] | Tensor) -> np.ndarray:
    """The values of all batches, which are a list until processes have gathered them."""
    found = values if isinstance(values, Tensor) else torch.cat(values)
    return np.asarray(found.cpu().numpy())
