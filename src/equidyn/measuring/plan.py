"""What is measured and how, checked before anything is predicted; one plan serves many measurements of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.measuring.design import Design
from equidyn.measuring.examples import Examples, MeasureError, examples_of
from equidyn.measuring.floors import Floor
from equidyn.measuring.measurement import Property
from equidyn.measuring.model import Model, Predict
from equidyn.measuring.outputs import ONLY, Ranks, by_example
from equidyn.measuring.summary import Summary
from equidyn.measuring.turns import check_turns
from equidyn.measuring.twists import ENERGY, ENERGY_PER_ATOM, Twisted

ROTATIONS = 24
"""Rotations of each example unless another number is asked for: two cosets of the rotations of a tetrahedron."""


@dataclass(frozen=True)
class Plan:
    """Examples, the elements that turn them, and how predictions are summed up.

    Attributes:
        examples: The examples.
        ranks: Ranks of properties.
        summary: True values, the design, and the settings of intervals.
        batch_size: Most examples in one call.
        named: For each argument the names of properties that the user has given.
    """

    examples: Examples
    ranks: Ranks
    summary: Summary
    batch_size: int
    named: Mapping[str, Sequence[str]]

    @classmethod
    def of(
        cls,
        inputs: Any,
        targets: Any = None,
        *,
        rotate: Callable[[Any, np.ndarray], Any] | None = None,
        kinds: Mapping[str, str] | None = None,
        ranks: Mapping[str, int] | int | None = None,
        null: Mapping[str, float | np.ndarray] | float | np.ndarray | None = None,
        clusters: Sequence[Any] | None = None,
        rotations: int = ROTATIONS,
        exact: int | None = None,
        group: str = USUAL_GROUP,
        degrees: int = 3,
        batch_size: int = 64,
        seed: int = 0,
        level: float = 0.95,
        resamples: int = 2000,
        check: bool = True,
    ) -> "Plan":
        """A plan from what a user has given, see `equidyn.measuring.measure.measure`.

        Raises:
            MeasureError: It does not fit together.
        """
        design = Design.of(group, rotations, exact, seed)
        examples, known = examples_of(inputs, rotate=rotate, kinds=kinds), Ranks.of(ranks)
        counts = [examples.atoms(item) for item in examples.items]
        labels = np.arange(len(examples)) if clusters is None else np.asarray(clusters)
        if labels.shape != (len(examples),):
            raise MeasureError(f"clusters: {labels.shape} labels for {len(examples)} examples; give one for each")
        truth = {} if targets is None else by_example(targets, counts, "targets")
        nulls = {} if null is None else dict(null) if isinstance(null, Mapping) else {ONLY: null}
        own_ranks = {} if ranks is None else {ONLY: ranks} if isinstance(ranks, int) else ranks
        if check:
            check_turns(examples, design.symmetry)
        named = {"targets": tuple(truth), "null": tuple(nulls), "ranks": tuple(own_ranks)}
        if ENERGY in truth:
            truth[ENERGY_PER_ATOM] = [value / count for value, count in zip(truth[ENERGY], counts, strict=True)]
        summary = Summary(design, truth, nulls, labels, degrees, level, resamples)
        return cls(examples, known, summary, batch_size, named)

    @property
    def design(self) -> Design:
        """The elements that turn the examples."""
        return self.summary.design

    def model(self, predict: Predict) -> Model:
        """A model, to be asked about the examples."""
        return Model(predict, self.examples, self.batch_size)

    def properties(self, twisted: Twisted, floors: Mapping[str, Floor]) -> dict[str, Property]:
        """What was found of each property.

        Raises:
            MeasureError: The model does not predict a property that the user has named.
        """
        for argument, names in self.named.items():
            if unknown := set(names) - set(twisted.properties):
                raise MeasureError(
                    f"{argument}: the model predicts {sorted(twisted.properties)}, but not {sorted(unknown)[0]!r}"
                )
        return {
            name: self.summary.of(twists, twisted, self.examples, floors.get(name))
            for name, twists in twisted.properties.items()
        }
