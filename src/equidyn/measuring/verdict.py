"""What a real equivariance error comes from: a few experiments, and the causes that they speak for.

Each experiment turns some examples further, by g after a random start g₀, and looks at the change of the twisted
prediction, h_{g g₀} − h_{g₀}.

- **By angle.** A smooth function changes in proportion to a small angle. One that jumps at orientations of its own (a
  neighbour that comes or goes, a point that changes its voxel) changes with a smaller power, or not at all and then all
  at once; one that chooses between equals (neighbours at the same distance, axes of a frame) jumps at any angle.
- **About axes of the laboratory.** A feature of one axis is not disturbed by turns about it. The axis is where the
  quadratic form of small turns is least, and is then tried by large ones.
- **By the rotations of a cube**, which are in each coset: a cubic grid is not disturbed by them, nor are numbers of low
  precision, as these rotations round nothing.
- **With the cell left as it was**, or without it: a model that has not turned the cell gives itself away.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidyn.core.rotations import about_axis, haar
from equidyn.core.seeding import seed_for
from equidyn.measuring.design import Design
from equidyn.measuring.elements import Element, Elements
from equidyn.measuring.floors import rms
from equidyn.measuring.measurement import Property, Suspect
from equidyn.measuring.model import Model
from equidyn.measuring.twists import ENERGY, ENERGY_PER_ATOM, Twists, each_turned_back

EXAMPLES = 4
"""Most examples of an experiment."""

ANGLES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Angles of turns (radian)."""

PROBE = 1e-2
"""Angle of turns from which an axis is found (radian)."""

TRIALS = (0.7, 2.5)
"""Angles of turns by which it is tried (radian)."""

LOW_PRECISION = 0.02
"""Share of the prediction up to which arithmetic of low precision (bfloat16, TF32) may err."""

CLEAR = 0.01
"""An error that is below this share of others is clearly missing."""

WEAK = 0.1
"""An error that is below this share of others is perhaps missing."""

LOW = 90.0
"""Percent of the error of low degree above which a function of the orientation is simple."""


@dataclass(frozen=True)
class Evidence:
    """What the experiments have found of one property; changes are root mean squares per component.

    Attributes:
        changes: Change by each of `ANGLES`.
        axis: The direction, if any, turns about which change predictions least.
        about_axis: For each of `TRIALS` the square of the change by a turn about it over that by turns about the two
            directions normal to it.
        within: Share of the equivariance error within cosets of rotations of a cube; NaN if there are no such cosets.
        cell_ignored: Whether predictions are the same if the cell alone is left unturned; None without a cell.
        without_cell: Share of the error that is left without a cell; NaN if that cannot be tried.
        floor: The floor.
    """

    changes: tuple[float, ...]
    axis: np.ndarray
    about_axis: tuple[float, ...]
    within: float
    cell_ignored: bool | None
    without_cell: float
    floor: float

    @property
    def at_once(self) -> bool:
        """Whether the least turn changes predictions about as much as one a thousand times as large."""
        return self.changes[0] > max(5 * self.floor, 0.3 * self.changes[-2])

    @property
    def exponents(self) -> list[float]:
        """Powers by which changes grow with the angle, up to 0.1 rad and where they are above the floor."""
        found = []
        for (low, small), (high, large) in pairwise(zip(ANGLES, self.changes, strict=True)):
            if high <= 0.1 and large * low / high > 10 * self.floor:
                found.append(float(np.log(large / max(small, self.floor)) / np.log(high / low)))
        return found


def examine(
    properties: Mapping[str, Property], twists: Mapping[str, Twists], model: Model, design: Design
) -> dict[str, Property]:
    """The properties, those with a real error with suspects.

    Groups with elements that are no turns are left as they are.
    """
    real = {name: one for name, one in properties.items() if one.verdict == "real" and name != ENERGY_PER_ATOM}
    if not real or not (design.symmetry.card.has_angles or design.symmetry.name == "O(3)"):
        return dict(properties)
    largest = max(real.values(), key=lambda one: np.nan_to_num(one.numbers["relative_equivariance"]))
    order = np.argsort(-(largest.by_example["equivariance"] / largest.by_example["weight"]), kind="stable")
    evidence = _experiments(real, twists, [int(number) for number in order[:EXAMPLES]], model, design)
    found = dict(properties)
    for name, one in real.items():
        by_angle = np.stack([np.degrees(ANGLES), evidence[name].changes], 1)
        named = sorted(suspects(one, evidence[name], design), key=lambda suspect: not suspect.clear)
        found[name] = replace(one, suspects=tuple(named), by_angle=by_angle)
    if ENERGY in real and ENERGY_PER_ATOM in found:
        found[ENERGY_PER_ATOM] = replace(found[ENERGY_PER_ATOM], suspects=found[ENERGY].suspects)
    return found


def suspects(one: Property, evidence: Evidence, design: Design) -> Iterator[Suspect]:
    """The causes that the evidence speaks for, those that explain most first.

    Args:
        one: What was found of the property.
        evidence: What the experiments have found of it.
        design: The elements that examples were transformed by; if averages over them are exact, degrees are told apart
            without noise.
    """
    if design.symmetry.name == "O(3)" and max(evidence.changes) < CLEAR * one.rmse["equivariance"]:
        remedy = "Whether this is a fault depends on the target: chiral molecules differ in some properties."
        reason = "no turn changes predictions, only reflections do"
        yield Suspect("a feature that tells left from right", reason, True, remedy)
        return
    known = False
    if evidence.cell_ignored:
        known = True
        yield Suspect(
            "a cell that is not turned",
            "predictions are the same whether the cell is turned with the atoms or not, so that the model does not "
            "read the cell that it is given, or keeps an older one",
            True,
            "Let the model read the cell of each structure anew, and turn it wherever positions are turned.",
        )
    elif evidence.without_cell < WEAK:
        known = True
        yield Suspect(
            "the periodic cell",
            f"without the cell {_percent(evidence.without_cell)} of the error is left, so that look whether the model "
            "turns the cell, and how it searches neighbours in a cell that is not aligned with the axes",
            evidence.without_cell < CLEAR,
            "Compare with a cell that is turned to lie along the axes; look at how images and neighbours are found.",
        )
    if evidence.within < WEAK:
        known = True
        low = one.size and one.rmse["equivariance"] < LOW_PRECISION * one.size and np.isnan(one.in_double)
        yield Suspect(
            "a cubic grid, or arithmetic of low precision" if low else "a cubic grid",
            f"rotations of a cube cause {_percent(evidence.within)} of the error",
            evidence.within < CLEAR and not low,
            "Refine the grid or raise the order of interpolation, and see whether the error shrinks.",
        )
    if max(evidence.about_axis) < WEAK:
        known = True
        axis = _named(evidence.axis)
        yield Suspect(
            f"a feature tied to {axis} of the laboratory",
            f"turns about it cause {_percent(max(evidence.about_axis))} of the error that turns about other axes cause",
            max(evidence.about_axis) < CLEAR,
            "Look for inputs or frames that name this axis: fields, surfaces, a first axis of a local frame.",
        )
    powers = evidence.exponents
    if evidence.at_once:
        known = True
        yield Suspect(
            "a choice between equals, such as a list of neighbours cut off among equally distant ones",
            f"predictions jump by as much for a turn of {ANGLES[0]:g} rad as for large ones",
            True,
            "Give the list of neighbours more room, or a cut-off by distance that falls smoothly to zero.",
        )
    elif not powers and evidence.changes[-1] > 10 * evidence.floor:
        yield Suspect(
            "jumps at some orientations, as of a frame whose axes change signs or places",
            "small turns change nothing that is above the floor, large ones do",
            False,
            "Look for axes that are sorted or given signs, and for lists of neighbours that are cut off.",
        )
    elif powers and not all(0.8 < power < 1.2 for power in powers):
        yield Suspect(
            "jumps at some orientations, as of a list of neighbours that is cut off, or of a grid",
            f"predictions change with the power {min(powers):.2f} to {max(powers):.2f} of a small angle, smooth ones "
            "with 1",
            len(powers) > 1,
            "Give lists of neighbours more room, let weights fall smoothly to zero, and refine grids.",
        )
    elif powers and not known:
        exact = not design.cosets
        low = sum(one.by_degree[:-1]) if exact else 100 * evidence.within
        what = f"is of degree {len(one.by_degree) - 1} or less" if exact else "averages out over a few even rotations"
        smooth = "predictions change smoothly, in proportion to the angle"
        more = "" if np.isnan(low) else f", and {low:.1f} % of the error {what}"
        clear = len(powers) > 1 and not low < LOW
        remedy = (
            "Train longer or with rotated examples, or average predictions over a few rotations; look at the gain of "
            "averaging before you pay for it."
        )
        yield Suspect("a network that is not constrained to be equivariant", smooth + more, clear, remedy)


def _experiments(
    properties: Mapping[str, Property],
    twists: Mapping[str, Twists],
    numbers: Sequence[int],
    model: Model,
    design: Design,
) -> dict[str, Evidence]:
    """The evidence on each of some properties, from some examples."""
    symmetry, examples, count = design.symmetry, model.examples, len(numbers)
    generator = torch.Generator().manual_seed(seed_for(design.seed, "experiments"))
    start = haar(count, generator=generator)
    random_axes = haar(count, generator=generator)[:, 0]
    still, first = Elements(symmetry, symmetry.identity(count)), Elements(symmetry, start)

    def predictions(elements: Elements, turn: Callable[[Any, Element], Any] = examples.turn) -> dict[str, Any]:
        values = model.of_items(lambda place: turn(examples.items[numbers[place]], elements[place]), count)
        return {name: each_turned_back(name, twists[name].rank, values[name], elements) for name in properties}

    def turned(axes: Tensor, angle: float) -> dict[str, Any]:
        return predictions(Elements(symmetry, about_axis(axes, angle) @ start))

    def cell_kept() -> dict[str, Any] | None:
        item = examples.items[numbers[0]]
        return None if examples.turn_but_cell(item, first[0]) is None else predictions(first, examples.turn_but_cell)

    def without_cell() -> list[dict[str, Any]] | None:
        bare = [examples.without_cell(examples.items[number]) for number in numbers]
        if any(item is None for item in bare):
            return None
        number = {id(examples.items[numbers[place]]): item for place, item in enumerate(bare)}
        return [predictions(one, lambda item, g: examples.turn(number[id(item)], g)) for one in (still, first)]

    base, as_given = predictions(first), predictions(still)
    by_angle = [turned(random_axes, angle) for angle in ANGLES]
    form = {place: turned(axis.expand(count, 3), PROBE) for place, axis in _directions().items()}
    kept, bare = _tried(cell_kept), _tried(without_cell)
    found = {}
    for name, one in properties.items():
        full = rms(base[name], as_given[name])
        axes = _axes({place: rms(base[name], other[name]) ** 2 for place, other in form.items()})
        tried = [
            [rms(base[name], turned(axis.expand(count, 3), angle)[name]) ** 2 for axis in axes] for angle in TRIALS
        ]
        found[name] = Evidence(
            changes=tuple(rms(base[name], other[name]) for other in by_angle),
            axis=axes[0].numpy(),
            about_axis=tuple(2 * about / max(one + other, 1e-300) for about, one, other in tried),
            within=_within(twists[name], design),
            cell_ignored=None if kept is None else rms(base[name], kept[name]) <= one.floor,
            without_cell=_left(None if bare is None else [each[name] for each in bare], full, rms(as_given[name])),
            floor=one.floor,
        )
    return found


def _directions() -> dict[tuple[int, int], Tensor]:
    """Directions from which a quadratic form is found: along the axes and between two of them."""
    units = torch.eye(3, dtype=torch.float64)
    return {(i, j): torch.nn.functional.normalize(units[i] + units[j], dim=0) for i in range(3) for j in range(i, 3)}


def _axes(squares: Mapping[tuple[int, int], float]) -> Tensor:
    """(3, 3) principal directions of a quadratic form with these values in `_directions`, the least first."""
    form = torch.zeros(3, 3, dtype=torch.float64)
    for (i, j), value in squares.items():
        if i == j:
            form[i, i] = value
        else:
            form[i, j] = form[j, i] = value - (squares[i, i] + squares[j, j]) / 2
    directions: Tensor = torch.linalg.eigh(form).eigenvectors.T
    return directions


def _named(axis: np.ndarray) -> str:
    """A direction in words."""
    largest = int(np.argmax(np.abs(axis)))
    if abs(axis[largest]) > 0.999:
        return f"the {'xyz'[largest]} axis"
    entries = np.round(axis * np.sign(axis[largest]), 2) + 0.0
    return f"the axis ({', '.join(f'{entry:g}' for entry in entries)})"


def _within(twists: Twists, design: Design) -> float:
    """Share of the equivariance error within cosets; NaN if there are fewer than two, or cosets are small."""
    if design.cosets < 2 or design.size < 4:
        return np.nan
    parts = [values.reshape(design.cosets, design.size, -1) for values in twists.values]
    means = [part.mean(1) for part in parts]
    within = sum(np.square(part - mean[:, None]).mean((0, 1)).sum() for part, mean in zip(parts, means, strict=True))
    between = sum(mean.var(0, ddof=1).sum() for mean in means)
    return float(within / (within + between)) if within + between else np.nan


def _left(bare: list[Any] | None, full: float, size: float) -> float:
    """Share of the error that is left without a cell; NaN if hardly a prediction is left."""
    if bare is None or not full or rms(bare[0]) < WEAK * size:
        return np.nan
    return (rms(*bare) / full) ** 2


def _tried(experiment: Callable[[], Any]) -> Any:
    """What an experiment gives; None if the model cannot do what it asks for."""
    try:
        return experiment()
    except Exception:  # whatever somebody's model raises on input that it was not made for
        return None


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
