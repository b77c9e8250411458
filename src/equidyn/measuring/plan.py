"""What is measured and how, checked before anything is predicted; one plan serves many measurements of a model."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from equidyn.measuring.turns import check_turns, left_alone
from equidyn.measuring.twists import ENERGY, ENERGY_PER_ATOM, Twisted

ROTATIONS = 24
"""Rotations of each example unless another number is asked for: two cosets of the rotations of a tetrahedron."""

MOST_EXACT = 31
"""Largest degree up to which averages can be asked to be exact: 16,384 rotations of each example and more."""

# What else is usual unless a user says otherwise, here and in `equidyn.measuring.measure.measure`.
DEGREES = 3
BATCH_SIZE = 64
LEVEL = 0.95
RESAMPLES = 2000

FEW_CLUSTERS = 10
"""Fewer clusters than this give intervals that say little."""


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
        degrees: int = DEGREES,
        batch_size: int = BATCH_SIZE,
        seed: int = 0,
        level: float = LEVEL,
        resamples: int = RESAMPLES,
        check: bool = True,
    ) -> "Plan":
        """A plan from what a user has given, see `equidyn.measuring.measure.measure`.

        Raises:
            MeasureError: It does not fit together.
        """
        whole = {"batch_size": (batch_size, 1), "resamples": (resamples, 1), "degrees": (degrees, 1)}
        whole |= {"rotations": (rotations, 2)} if exact is None else {"exact": (exact, 1)}
        for name, (value, least) in whole.items():
            if not isinstance(value, int | np.integer) or value < least:
                raise MeasureError(f"{name}: {value!r} will not do; give {least} or more, as a whole number")
        if exact is not None and exact > MOST_EXACT:
            raise MeasureError(f"exact: {exact} is more than {MOST_EXACT}, and takes more rotations than is sensible")
        if not 0 < level < 1:
            raise MeasureError(f"level: {level!r} is no probability; 95 % is 0.95")
        design = Design.of(group, rotations, exact, seed)
        examples, known = examples_of(inputs, rotate=rotate, kinds=kinds), Ranks.of(ranks)
        counts = [examples.atoms(item) for item in examples.items]
        labels = np.arange(len(examples)) if clusters is None else np.asarray(clusters)
        if labels.shape != (len(examples),):
            raise MeasureError(f"clusters: {labels.shape} labels for {len(examples)} examples; give one for each")
        truth = {} if targets is None else by_example(targets, counts, "targets")
        nulls = {} if null is None else dict(null) if isinstance(null, Mapping) else {ONLY: null}
        own_ranks = ranks if isinstance(ranks, Mapping) else () if ranks is None else (ONLY,)
        if check:
            check_turns(examples, design.symmetry)
        named = {"targets": tuple(truth), "null": tuple(nulls), "ranks": tuple(own_ranks)}
        summary = Summary(design, truth, nulls, labels, degrees, level, resamples)
        return cls(examples, known, summary, batch_size, named)

    @property
    def design(self) -> Design:
        """The elements that turn the examples."""
        return self.summary.design

    def model(self, predict: Predict) -> Model:
        """A model, to be asked about the examples."""
        return Model(predict, self.examples, self.batch_size)

    def summary_of(self, predicted: Collection[str]) -> Summary:
        """How properties of these names are summed up; what was given without a name belongs to the only one.

        Raises:
            MeasureError: The model does not predict a property that the user has named.
        """
        names = sorted(set(predicted) - {ENERGY_PER_ATOM})
        for argument, named in self.named.items():
            if (unknown := set(named) - set(predicted)) and (len(names) > 1 or unknown != {ONLY}):
                raise MeasureError(f"{argument}: the model predicts {names}, but not {sorted(unknown)[0]!r}")
        truth = {names[0] if name == ONLY else name: values for name, values in self.summary.targets.items()}
        nulls = {names[0] if name == ONLY else name: value for name, value in self.summary.nulls.items()}
        if ENERGY in truth:
            counts = [self.examples.atoms(item) for item in self.examples.items]
            truth[ENERGY_PER_ATOM] = [value / count for value, count in zip(truth[ENERGY], counts, strict=True)]
        return replace(self.summary, targets=truth, nulls=nulls)

    def properties(self, twisted: Twisted, floors: Mapping[str, Floor]) -> dict[str, Property]:
        """What was found of each property.

        Raises:
            MeasureError: The model does not predict a property that the user has named.
        """
        summary = self.summary_of(twisted.properties)
        return {
            name: summary.of(twists, twisted, self.examples, floors.get(name))
            for name, twists in twisted.properties.items()
        }

    def warnings(self, examples: Sequence[int] | None = None) -> Iterator[str]:
        """What a reader should know of the inputs once predictions of examples, all or some, have been read."""
        for name in left_alone(self.examples):
            yield f"{name!r} looks like vectors and is not turned; if it should be, give kinds={{{name!r}: 'vectors'}}"
        clusters = len(np.unique(self.summary.clusters if examples is None else self.summary.clusters[examples]))
        if clusters < FEW_CLUSTERS:
            yield f"the interval says little with so few clusters of examples ({clusters}): give {FEW_CLUSTERS} or more"
        for name, rank in self.ranks.guessed.items():
            yield f"{name!r} was taken for rank {rank} by its shape; say so by ranks={{{name!r}: {rank}}}"
