"""Cards of analyses: what other rooms may know of an analysis of checkpoints without importing it.

A card imports nothing heavy: the workflow reads it whenever it is parsed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from equidyn.core.cosets import coset_size, nested
from equidyn.core.groups.card import group_card
from equidyn.core.settings import Distinct, Settings
from equidyn.models.work import Work
from equidyn.run.protocol import Examples, FittingBatch, Rotations, SymmetrySettings, Weights

EIGENVALUES = 300
"""Number of products of a Hessian with a vector until its extreme eigenvalues are known."""

ALL = "all"
"""Name of the block of all parameters."""

NEAR_OUTPUT = 0.02
"""Share of a network that derivatives in another block pass through: blocks that are looked at are near the output."""


INEXACT = "features of a network cannot be rotated exactly in this way"
"""The reason why an analysis of features cannot use a comparison."""


class AnalysisSettings(Settings):
    """The checkpoints of a task that are analysed, and the examples that are used."""

    runs: Distinct[str] = Field(description="Names of runs of the task, the baseline of the figures among them.")
    steps: Literal["all"] | Distinct[Annotated[int, Field(ge=0)]] = Field(
        description="Steps of the kept checkpoints to analyse, or `all`."
    )
    examples: Examples
    batch_size: FittingBatch = None
    rotations: Rotations
    symmetries: Distinct[SymmetrySettings] | None = Field(
        None, description="Groups and comparisons, from those that the task is evaluated under; all if not given."
    )
    conditions: dict[str, Distinct[Any]] | None = Field(
        None, min_length=1, description="Conditions, from those that the task is evaluated under; all if not given."
    )
    weights: Literal["all"] | Distinct[Weights] | None = Field(
        None,
        description="Which weights, by names as in `evaluation.weights`, or `all` that runs of the task keep; those "
        "that figures show if not given.",
    )


def _one_pass(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    return how["rotations"] * example.forward


def _of_a_batch(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    return how["batch_size"] * copies * example.peak


def share_of(block: str) -> float:
    """Share of a network that second derivatives in a block pass through, by plan."""
    return 1.0 if block == ALL else NEAR_OUTPUT


def of_second_derivatives(example: Work, how: Mapping[str, Any], told: Mapping[str, Any], copies: int) -> float:
    """Numbers in the graphs of first derivatives, each of which has twice the numbers of the forward pass's.

    Those of all examples are kept, or of a batch alone.
    """
    count = how["examples"] if told.get("keep_graphs", True) else how["batch_size"]
    share = max(map(share_of, told["blocks"] if "blocks" in told else [told["block"]]))
    return count * copies * 3 * share * example.kept


def in_series(copies: int) -> int:
    """Copies of an example in all estimates of a series from cosets of ever larger groups, `copies` in the last."""
    size = coset_size(copies)
    return sum(nested(size)) * (copies // size)


def hessian_product(example: Work, copies: int) -> float:
    """Operations of a Hessian times a vector for one example: a backward pass through a backward pass."""
    return 2 * example.backward * copies


@dataclass(frozen=True)
class AnalysisCard:
    """What other rooms may know of an analysis of checkpoints.

    Cost functions take the costs of an example in a network, the settings of the evaluation as the analysis uses them,
    the analysis's own settings, and the number of copies of an example that go through the network at once.

    Attributes:
        name: Name in configurations and of its tables.
        measure: Function that `equidyn.analysis.checkpoints` calls for each checkpoint, as ``"module:name"``.
        settings: Section ``analysis.<name>.<task>`` of a configuration.
        operations: Operations for one example of a checkpoint, in double precision.
        step: The same for the longest of the steps of which each is kept (`equidyn.analysis.steps`); those of all if
            nothing is kept until a checkpoint is done.
        activations: Numbers held at once, besides arrays of the size of the weights.
        weights: Number of arrays of the size of the weights that are held, from the analysis's own settings.
        closed_form: Whether one copy of an example is enough for networks with a closed form.
        cannot: Comparisons of predictions that the analysis cannot use, each with the reason.
        needs: Attribute of a group's card that must be true for the analysis to be of use, e.g. ``"has_angles"``.
        order: Place among analyses.
    """

    name: str
    measure: str
    settings: type[AnalysisSettings] = AnalysisSettings
    operations: Callable[[Work, Mapping[str, Any], Mapping[str, Any], int], float] = _one_pass
    step: Callable[[Work, Mapping[str, Any], Mapping[str, Any], int], float] | None = None
    activations: Callable[[Work, Mapping[str, Any], Mapping[str, Any], int], float] = _of_a_batch
    weights: Callable[[Mapping[str, Any]], int] = lambda told: 2
    closed_form: bool = False
    cannot: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    order: int = 100

    def cannot_under(self, group: str) -> str:
        """The reason why the analysis is of no use under a group; "" if it is of use."""
        fits = not self.needs or getattr(group_card(group), self.needs)
        return "" if fits else f"the card of the group does not say {self.needs}"

    @property
    def module(self) -> str:
        """Module of the measuring function, for digests of code."""
        return self.measure.partition(":")[0]
