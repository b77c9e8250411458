"""What a measurement has found: numbers by property, in words, as a dictionary and as a table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from equidyn.core.numbers import short

TIMES_FLOOR = 3.0
"""An error of at most so many times the floor is round-off."""

NOISE = 1e-3
"""A floor above this share of the prediction is no rounding: predictions jump."""


@dataclass(frozen=True)
class Property:
    """What was found of one property.

    Attributes:
        name: Its name.
        rank: 0 for scalars, 1 for vectors, 2 for tensors.
        per: "atom" or "structure": what has a value each.
        numbers: The numbers of `equidyn.core.decomposition.summarise`; NaN where they need targets and none were given.
        floor: Root mean square by which predictions differ where only rounding and chance can matter: for the same
            input given twice, or turned by so small an angle that it is rounded and no more, whichever is larger,
            together with what turning predictions rounds; NaN if floors were not measured.
        by_degree: Percent of the equivariance error by degree l of its dependence on the rotation, from 1; the last
            entry is of all degrees beyond. Empty if the group has no degrees.
        worst: Numbers of the examples with the largest equivariance error per component, the worst first.
        fewer: Percent from the first half of the rotations alone; NaN if they cannot be halved.
    """

    name: str
    rank: int
    per: str
    numbers: Mapping[str, float]
    floor: float
    by_degree: tuple[float, ...]
    worst: tuple[int, ...]
    fewer: float

    @property
    def percent(self) -> float:
        """Percent of the loss that is equivariance error; NaN without targets."""
        return self.numbers["percent"]

    @property
    def interval(self) -> tuple[float, float]:
        """Confidence interval of `percent`."""
        return self.numbers["percent_low"], self.numbers["percent_high"]

    @property
    def rmse(self) -> dict[str, float]:
        """Root mean squared errors per component: ``oriented² = averaged² + equivariance²``, in the target's unit."""
        squares = {"oriented": "total", "averaged": "twirled", "equivariance": "equivariance"}
        return {name: float(np.sqrt(max(self.numbers[column], 0))) for name, column in squares.items()}

    @property
    def relative_error(self) -> float:
        """Equivariance error as a share of the prediction, both root mean squares; NaN for scalars without targets."""
        return float(np.sqrt(max(self.numbers["relative_equivariance"], 0)))

    @property
    def is_rounding(self) -> bool | None:
        """Whether the error is round-off; None if floors were not measured."""
        if np.isnan(self.floor):
            return None
        size = np.sqrt(self.numbers["prediction_energy"])
        return bool(self.rmse["equivariance"] <= TIMES_FLOOR * self.floor and not self.floor > NOISE * size)

    def averaging(self, rotations: int) -> float:
        """Loss per component of predictions averaged over so many independent rotations, which costs as many times."""
        return self.numbers["twirled"] + self.numbers["equivariance"] / rotations

    def __str__(self) -> str:
        error = self.rmse["equivariance"]
        words = [f"{self.name}: equivariance error {short(error)} (RMS per component)"]
        if not np.isnan(self.percent):
            low, high = self.interval
            between = "no interval" if np.isnan(low + high) else f"{short(low)} to {short(high)} %"
            words.append(f"{short(self.percent)} % of the loss ({between})")
            if not np.isnan(skill := self.numbers["skill"]):
                words.append(f"skill {short(skill)}")
        if self.is_rounding is not None:
            words.append(f"{'round-off' if self.is_rounding else 'real'}, floor {short(self.floor)}")
        return "; ".join(words)


@dataclass(frozen=True)
class Measurement:
    """What `equidyn.measuring.measure.measure` has found.

    Attributes:
        properties: By name.
        group: Name of the group.
        rotations: Number of elements for each example.
        exact: Degree up to which averages over the elements are exact; None if they were drawn at random.
        turned: What was transformed in the inputs.
        warnings: What a reader should know of the numbers.
    """

    properties: Mapping[str, Property]
    group: str
    rotations: int
    exact: int | None
    turned: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())

    def __getitem__(self, name: str) -> Property:
        return self.properties[name]

    @property
    def percent(self) -> float:
        """Percent of the only property.

        Raises:
            ValueError: There are several.
        """
        if len(self.properties) > 1:
            raise ValueError(f"there are several properties, ask for one: {', '.join(self.properties)}")
        (only,) = self.properties.values()
        return only.percent

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        found = asdict(self)
        for name, one in self.properties.items():
            found["properties"][name] |= {"rmse": one.rmse, "relative_error": one.relative_error}
            found["properties"][name] |= {"is_rounding": one.is_rounding}
        return found

    def __str__(self) -> str:
        elements = f"{self.rotations} elements of {self.group}" + ("" if self.exact is None else ", exact averages")
        lines = [f"{elements}; turned: {', '.join(self.turned)}", *map(str, self.properties.values())]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])
