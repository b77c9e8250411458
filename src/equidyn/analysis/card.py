"""What other rooms may know of an analysis of checkpoints without importing it.

A card imports nothing heavy: the workflow reads it whenever it is parsed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from equidyn.core.groups.card import group_card
from equidyn.core.settings import Distinct, Settings
from equidyn.models.work import Work
from equidyn.run.protocol import BatchSize, Examples, Rotations, SymmetrySettings

EIGENVALUES = 300
"""Products of a Hessian with a vector until its extreme eigenvalues are known."""


INEXACT = "features of a network cannot be turned exactly in this way"
"""Why an analysis of features cannot use a comparison."""


class AnalysisSettings(Settings):
    """Which checkpoints of a task are analysed, and on which examples."""

    runs: Distinct[str] = Field(description="Names of runs of the task, the baseline of the figures among them.")
    steps: Literal["all"] | Distinct[Annotated[int, Field(ge=0)]] = Field(
        description="Kept checkpoints to analyse, or all of them."
    )
    examples: Examples
    batch_size: BatchSize
    rotations: Rotations
    symmetries: Distinct[SymmetrySettings] | None = Field(
        None, description="Some of those that the task is evaluated under; all of them if not given."
    )
    conditions: dict[str, Distinct[Any]] | None = Field(
        None, min_length=1, description="Some of those that the task is evaluated under; all of them if not given."
    )


def _one_pass(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    return how["rotations"] * example.forward


def _of_a_batch(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    return how["batch_size"] * copies * example.peak


def of_second_derivatives(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Numbers in the graphs of all first derivatives, each of which has twice the numbers of the forward pass's."""
    return how["examples"] * copies * 3 * example.kept


def hessian_product(example: Work, copies: int) -> float:
    """Operations of a Hessian times a vector for one example: a backward pass through a backward pass."""
    return 2 * example.backward * copies


@dataclass(frozen=True)
class AnalysisCard:
    """What other rooms may know of an analysis of checkpoints.

    Cost functions take the costs of an example in a network, the settings of the evaluation as the analysis follows
    them, its own settings, and how many copies of an example go through the network at once.

    Attributes:
        name: Its name in configurations and of its tables.
        measure: What `equidyn.analysis.checkpoints` calls for each checkpoint, as ``"module:name"``.
        settings: Section ``analysis.<name>.<task>`` of a configuration.
        operations: Operations for one example of a checkpoint, in double precision.
        activations: Numbers that are held at once besides those of the size of the weights.
        weights: How often numbers of the size of the weights are held, from the analysis's own settings.
        closed_form: Whether one copy of an example is enough for networks with a closed form.
        cannot: Comparisons of predictions that the analysis cannot use, each with the reason.
        needs: What the card of a group must say for the analysis to be of use under it, e.g. ``"has_angles"``.
        order: Place among analyses.
    """

    name: str
    measure: str
    settings: type[AnalysisSettings] = AnalysisSettings
    operations: Callable[[Work, Mapping[str, Any], Mapping[str, Any], int], float] = _one_pass
    activations: Callable[[Work, Mapping[str, Any], Mapping[str, Any], int], float] = _of_a_batch
    weights: Callable[[Mapping[str, Any]], int] = lambda told: 2
    closed_form: bool = False
    cannot: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    order: int = 100

    def cannot_under(self, group: str) -> str:
        """Why the analysis is of no use under a group; "" if it is."""
        fits = not self.needs or getattr(group_card(group), self.needs)
        return "" if fits else f"the card of the group does not say {self.needs}"

    @property
    def module(self) -> str:
        """Module of what measures, for digests of code."""
        return self.measure.partition(":")[0]
