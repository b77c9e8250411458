"""What a measurement has found: numbers by property, in words, as a dictionary and as tables."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from equidyn.core.numbers import short
from equidyn.measuring.floors import Floor

TIMES_FLOOR = 3.0
"""An error of at most so many times the floor is round-off."""

STABLE = 0.01
"""Relative change of a percent by twice the rotations above which the rotations do not suffice."""


@dataclass(frozen=True)
class Suspect:
    """A cause of a real equivariance error that the evidence speaks for.

    Attributes:
        name: Short name of the cause.
        evidence: What was found, in words.
        clear: Whether the evidence is clear rather than weak.
        remedy: What to do next.
    """

    name: str
    evidence: str
    clear: bool
    remedy: str


@dataclass(frozen=True)
class Property:
    """What was found of one property.

    Attributes:
        name: Its name.
        rank: 0 for scalars, 1 for vectors, 2 for tensors.
        per: "atom" or "structure": what has a value each.
        size: Root mean square per component of the prediction, over all examples and rotations.
        numbers: The numbers of `equidyn.core.decomposition.summarise`; NaN where they need targets and none were given.
        floors: By how much predictions differ where only rounding and chance can matter; None if it was not measured.
        in_double: Equivariance error (RMS per component) of the model in double precision over that of the model as it
            is, for a few examples; NaN if the model cannot be turned to double precision.
        permuted: Root mean square per component by which predictions change when atoms of one element change places;
            NaN if the elements are not known.
        by_degree: Percent of the equivariance error by degree l of its dependence on the rotation, from 1; the last
            entry is of all degrees beyond. Empty if the group has no degrees.
        convergence: (n, 2) numbers of rotations, and the percent that they alone give; empty without targets.
        averaging: (n, 2) numbers of rotations spread evenly, and the loss per component of predictions averaged over
            them; empty without targets.
        by_example: Table with a row for each example: `atoms`, `weight`, `equivariance` and, with targets, `total`,
            sums over its components.
        by_element: The same for atoms of each chemical element; empty if it is not known or values are not per atom.
        suspects: Causes of a real error that the evidence speaks for, the clearest first.
        by_angle: (n, 2) angles (degree) and the root mean square by which a turn by them changes the twisted
            prediction; empty if no cause was looked for.
    """

    name: str
    rank: int
    per: str
    size: float
    numbers: Mapping[str, float]
    floors: Floor | None
    in_double: float
    permuted: float
    by_degree: tuple[float, ...]
    convergence: np.ndarray
    averaging: np.ndarray
    by_example: pd.DataFrame
    by_element: pd.DataFrame
    suspects: tuple[Suspect, ...] = ()
    by_angle: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))

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
    def share(self) -> float:
        """`percent`; without targets, 100 times the error over the prediction, both root mean squares."""
        if not np.isnan(self.percent):
            return self.percent
        return 100 * self.rmse["equivariance"] / self.size if self.size else 0.0

    @property
    def floor(self) -> float:
        """Root mean square per component of what rounding and chance do; NaN if floors were not measured."""
        if self.floors is None:
            return np.nan
        # The variance is found from differences from the targets, whose own rounding counts where they are large.
        return float(np.fmax(self.floors.value, np.finfo(np.float64).eps * self.rmse["oriented"]))

    @property
    def verdict(self) -> str:
        """What the equivariance error is: "round-off", "real", "not repeatable", or "unknown" without floors."""
        if self.floors is None:
            return "unknown"
        if self.in_double < AMPLIFIED:
            return "round-off"
        if self.rmse["equivariance"] > TIMES_FLOOR * self.floor:
            return "real"
        return "round-off" if self.floors.repeats else "not repeatable"

    @property
    def worst(self) -> tuple[int, ...]:
        """Numbers of the examples with the largest equivariance error per component, the worst first."""
        order = np.argsort(-(self.by_example["equivariance"] / self.by_example["weight"]), kind="stable")
        return tuple(int(number) for number in order[:WORST])

    @property
    def sufficient(self) -> int | None:
        """The number of rotations from which on the percent stays within 1 % of itself; None if it never does."""
        if not len(self.convergence):
            return None
        last = self.convergence[-1, 1]
        steady = np.abs(self.convergence[:, 1] - last) <= STABLE * abs(last)
        if not steady[:-1].any() or not steady[-2]:
            return None
        first = len(steady) - int(np.argmin(steady[::-1])) if not steady.all() else 0
        return int(self.convergence[first, 0])

    def __str__(self) -> str:
        words = [f"{self.name}: equivariance error {short(self.rmse['equivariance'])} (RMS per component)"]
        if not np.isnan(self.percent):
            low, high = self.interval
            between = "no interval" if np.isnan(low + high) else f"{short(low)} to {short(high)} %"
            words.append(f"{short(self.percent)} % of the loss ({between})")
            if not np.isnan(skill := self.numbers["skill"]):
                words.append(f"skill {short(skill)}")
        if self.floors is not None:
            words.append(f"{self.verdict}, floor {short(self.floor)}")
        return "; ".join(words)

    @property
    def next_step(self) -> str:
        """What to do next, in a sentence or two."""
        if self.verdict == "unknown":
            return "Measure again with floors=True."
        if self.verdict == "not repeatable":
            return "Switch off dropout and noise, fix seeds, reset what the model keeps between calls; measure again."
        if self.verdict == "round-off":
            return "Nothing needs to be done: the model is equivariant as far as its precision can show."
        return (
            self.suspects[0].remedy
            if self.suspects
            else "Measure more examples or rotations, and look at the worst ones."
        )

    @property
    def sentence(self) -> str:
        """The verdict in a sentence, with its evidence and how sure it is."""
        error = self.rmse["equivariance"]
        if self.verdict == "unknown":
            return f"Whether the error of {self.name!r} is round-off is unknown, as floors were not measured."
        if self.verdict == "not repeatable":
            return (
                f"The same input gives different values of {self.name!r} each time: the model keeps state or draws "
                "random numbers, and nothing can be said of its symmetry below that."
            )
        times = error / self.floor if self.floor else 0.0
        if self.verdict == "round-off":
            why = (
                f"in double precision it is {short(self.in_double)} times as large"
                if self.in_double < AMPLIFIED
                else f"it is {short(times)} times what rounding does to the same input"
            )
            return f"The equivariance error of {self.name!r} is round-off: {why}."
        start = f"The equivariance error of {self.name!r} is real, {short(times)} times what rounding does."
        if self.floors is not None and not self.floors.repeats:
            start += f" The same input gives values that differ by {short(self.floors.repeat)} (RMS), too."
        if not self.suspects:
            return f"{start} The evidence speaks for no cause in particular."
        first, *others = self.suspects
        sure = "clearly" if first.clear else "weakly"
        more = f" It could also be {' or '.join(one.name for one in others)}." if others else ""
        return f"{start} The evidence speaks {sure} for {first.name}: {first.evidence}.{more}"


AMPLIFIED = 1e-3
"""A model whose error shrinks below this share of it in double precision shows round-off, however large."""

WORST = 5
"""Number of worst examples that are named."""


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
        """All of it as plain values, for JSON."""
        found = asdict(self)
        for name, one in self.properties.items():
            entry = found["properties"][name]
            entry |= {key: getattr(one, key) for key in ("rmse", "relative_error", "floor", "verdict", "sentence")}
            entry |= {"worst": list(one.worst), "sufficient": one.sufficient}
            entry |= {key: entry[key].tolist() for key in ("convergence", "averaging", "by_angle")}
            entry |= {key: entry[key].to_dict("list") for key in ("by_example", "by_element")}
        return found

    def table(self) -> pd.DataFrame:
        """A row for each property, with all its numbers."""
        rows = [
            {"property": name, "rank": one.rank, "per": one.per, **one.numbers}
            | {"floor": one.floor, "verdict": one.verdict, "group": self.group, "rotations": self.rotations}
            for name, one in self.properties.items()
        ]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        elements = f"{self.rotations} elements of {self.group}" + ("" if self.exact is None else ", exact averages")
        lines = [f"{elements}; turned: {', '.join(self.turned)}", *map(str, self.properties.values())]
        lines += [one.sentence for one in self.properties.values() if one.floors is not None]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])
