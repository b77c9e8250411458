"""Calculators of ASE: which share of their error is broken symmetry, and their averages over rotations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equidyn.core.extras import needed_by

with needed_by(__name__):
    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import BaseCalculator, Calculator, all_changes
    from ase.io import read
    from ase.outputs import Properties, all_outputs

    from equidyn.core.groups.card import USUAL_GROUP
    from equidyn.measuring.design import Design
    from equidyn.measuring.examples import MeasureError
    from equidyn.measuring.measure import measure
    from equidyn.measuring.measurement import Measurement
    from equidyn.measuring.outputs import KINDS
    from equidyn.measuring.structures import Structures, full_tensor, is_structure, six_components

RANKS = {
    **dict.fromkeys(("energy", "free_energy", "energies", "charges", "magmom", "magmoms"), 0),
    **dict.fromkeys(("forces", "dipole"), 1),
    **dict.fromkeys(("stress", "stresses", "dielectric_tensor"), 2),
}
"""Ranks of those of ASE's properties that can be measured."""

OF_CELLS = ("stress", "stresses")
"""Properties that structures without a cell do not have."""

STORED = "stored"
"""Targets are the results that came with the structures."""

EACH = "structures"
"""Each structure is a cluster."""


def measure_calculator(
    calculator: BaseCalculator | Callable[[], BaseCalculator],
    structures: str | Path | Atoms | Sequence[Atoms],
    targets: Any = None,
    *,
    properties: Sequence[str] | None = None,
    clusters: Sequence[Any] | int | str | None = None,
    **settings: Any,
) -> Measurement:
    """Measure which share of a calculator's squared error is broken symmetry.

    Args:
        calculator: A calculator of ASE, or a class or function that makes one, which is called once. The calculator is
            reset before each calculation and told that everything has changed, so that none sees the one before.
        structures: Name of a file that ASE reads, all of its frames or those of "name@index"; or structures. Copies of
            them are turned, without constraints (`equidyn.measuring.structures`).
        targets: "stored" for results that came with the structures; or, by property, the name under which `arrays` or
            `info` hold it; or values as `equidyn.measure` takes them, stresses in ASE's order of six too. Without
            targets there is no loss, and the equivariance error alone is found.
        properties: What is measured, by ASE's names. If absent: energy and forces, and the stress if all structures
            are periodic in three directions, as far as the calculator implements them.
        clusters: What intervals resample. If absent, structures of one formula are a cluster, or each by itself if all
            are of one formula. A number makes clusters of so many consecutive structures, for frames of a trajectory,
            "structures" takes each as independent of all others, and a list has a label for each.
        settings: Those of `equidyn.measure`: `rotations`, `exact`, `group`, `kinds`, `null`, `seed` and others.

    Returns:
        The measurement; print it.

    Raises:
        MeasureError: What was given does not fit together, or the calculator fails, in which case the structure is
            named.
    """
    items = _structures(structures)
    one = calculator_of(calculator)
    names = _properties(one, items, properties)
    labels, notes = _clusters(clusters, items)
    truth = _targets(targets, items, names)
    if isinstance(targets, Mapping):
        items = [_without(item, targets.values()) for item in items]

    def predict(turned: list[Atoms]) -> list[dict[str, np.ndarray]]:
        return [_predicted(one, atoms, names, items) for atoms in turned]

    ranks = {name: RANKS[name] for name in names}
    found = measure(predict, items, truth, ranks=ranks, clusters=labels, **settings)
    return replace(found, warnings=(*found.warnings, *notes))


class Symmetrised(Calculator):
    """A calculator averaged over a fixed set of rotations: each calculation takes as many of the calculator.

    The average of its energies over rotated copies is again an energy, the same each time, and forces and stresses,
    turned back and averaged, are its derivatives if those of the calculator are. Beside each property stands in
    `results` its root mean square deviation over the rotations, such as ``forces_std`` (n,), the length of the vector;
    it says how far the calculator is from what the symmetry demands, and so bounds its error from below.

    What the average does not depend on is told by the degree of the calculator's error in the rotation: all degrees up
    to `exact` are gone, and others are left.

    Args:
        calculator: A calculator of ASE, or a class or function that makes one.
        exact: Degree up to which averages are exact: 2 takes 12 rotations, 3 takes 24, 5 takes 60, more take many.
        group: "SO(3)", "O(3)", which takes twice as many, or "cube".
    """

    def __init__(
        self,
        calculator: BaseCalculator | Callable[[], BaseCalculator],
        *,
        exact: int = 3,
        group: str = USUAL_GROUP,
    ):
        super().__init__()
        self.calculator = calculator_of(calculator)
        design = Design.of(group, 0, exact, 0)
        self.elements, self.weights = design.elements([0]), design.weights.numpy()
        self.implemented_properties = [name for name in self.calculator.implemented_properties if name in RANKS]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """All properties that the calculator gives when it is asked for some of them."""
        super().calculate(atoms, properties, system_changes)
        structures = Structures([self.atoms])
        found = [
            single_point(self.calculator, structures.turn(self.atoms, self.elements[number]), properties)
            for number in range(len(self.elements))
        ]
        self.results = {}
        for name in found[0]:
            rank, shape = RANKS[name], found[0][name].shape
            rows = np.stack([one[name].reshape(-1, *(3,) * rank) for one in found])
            twisted = self.elements.inverse.act(KINDS[rank], rows)
            mean = np.tensordot(self.weights, twisted, 1)
            squares = np.square(twisted - mean).sum(tuple(range(2, 2 + rank)))
            spread = np.sqrt(np.tensordot(self.weights, squares, 1)).reshape(shape[: len(shape) - rank])
            self.results[name] = as_six(name, mean.reshape(shape))[()]
            self.results[f"{name}_std"] = spread[()]

    def reset(self) -> None:
        """Forget all calculations."""
        super().reset()
        self.calculator.results = {}

    def export_properties(self) -> Properties:
        """The results, without their deviations, for which ASE has no names."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})


def single_point(calculator: BaseCalculator, atoms: Atoms, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Properties of a structure, calculated anew, and whatever of `RANKS` comes with them; see `as_tensor`.

    Raises:
        MeasureError: The calculator does not give one of them, or it is not finite.
    """
    calculator.atoms, calculator.results = None, {}
    if hasattr(calculator, "reset"):
        calculator.reset()
    calculator.calculate(atoms, list(names), list(all_changes))
    if missing := [name for name in names if calculator.results.get(name) is None]:
        raise MeasureError(f"there is no {missing[0]!r} among its results, {', '.join(map(repr, calculator.results))}")
    known = {name: value for name, value in calculator.results.items() if name in RANKS and value is not None}
    if np.ndim(known.get("magmoms", ())) > 1:
        if "magmoms" in names:
            raise MeasureError("its 'magmoms' are vectors, which cannot be measured: leave them out of `properties`")
        del known["magmoms"]
    found = {name: as_tensor(name, value) for name, value in known.items()}
    for name in names:
        if not np.isfinite(found[name]).all():
            raise MeasureError(f"its {name!r} is not finite")
    return found


def as_tensor(name: str, value: Any) -> np.ndarray:
    """A copy of a property as an array; symmetric tensors of six components become (..., 3, 3)."""
    array = np.array(value)
    return full_tensor(array) if RANKS[name] == 2 and array.shape[-1] == 6 else array


def as_six(name: str, value: np.ndarray) -> np.ndarray:
    """A property as ASE's calculators give it: stresses as six components."""
    return six_components((value + value.swapaxes(-1, -2)) / 2) if name in OF_CELLS else value


def calculator_of(given: BaseCalculator | Callable[[], BaseCalculator]) -> BaseCalculator:
    """A calculator of ASE, from itself or from what makes it.

    Raises:
        MeasureError: It is neither, or making it fails.
    """
    found: Any = given
    if callable(given) and (isinstance(given, type) or not hasattr(given, "calculate")):
        try:
            found = given()
        except Exception as error:
            name = getattr(given, "__qualname__", repr(given))
            raise MeasureError(f"calculator: {name}() fails: {type(error).__name__}: {error}") from error
    if not hasattr(found, "calculate"):
        raise MeasureError(f"calculator: {found!r} is no calculator of ASE and no function that makes one")
    return found


def _structures(given: str | Path | Atoms | Sequence[Atoms]) -> list[Atoms]:
    if isinstance(given, str | Path):
        return _read(str(given))
    found = [given] if is_structure(given) else list(given)
    for number, one in enumerate(found):
        if not is_structure(one):
            raise MeasureError(f"structures: number {number} is of type {type(one).__name__}; expected ase.Atoms")
    if not found:
        raise MeasureError("structures: there are none; give ten or more")
    return found


def _read(name: str) -> list[Atoms]:
    whole = Path(name).exists()
    file, at, index = (name, "", "") if whole else name.rpartition("@") if "@" in name else (name, "", "")
    if not Path(file).exists():
        raise MeasureError(f"structures: there is no file {file}")
    try:
        found = read(file, index=index if at else ":", do_not_split_by_at_sign=True)
    except Exception as error:
        raise MeasureError(f"structures: ASE cannot read {name}: {error}") from error
    if is_structure(found):
        return [found]
    if not found:
        raise MeasureError(f"structures: {name} holds none")
    return list(found)


def _properties(calculator: BaseCalculator, items: list[Atoms], asked: Sequence[str] | None) -> list[str]:
    implemented = list(calculator.implemented_properties)
    without_cell = [number for number, item in enumerate(items) if item.cell.rank < 3]
    if asked is None:
        usual = ["energy", "forces", "stress"] if all(item.pbc.all() for item in items) else ["energy", "forces"]
        found = [name for name in usual if name in implemented]
    else:
        found = [asked] if isinstance(asked, str) else list(asked)
    for name in found:
        if name not in RANKS:
            raise MeasureError(f"properties: {name!r} cannot be measured; those that can are {', '.join(RANKS)}")
        if name not in implemented:
            raise MeasureError(f"properties: the calculator has no {name!r}; it implements {', '.join(implemented)}")
        if name in OF_CELLS and without_cell:
            raise MeasureError(f"properties: {name!r} needs a cell, which structure {without_cell[0]} lacks")
    if not found:
        raise MeasureError(f"properties: name some that the calculator implements: {', '.join(implemented)}")
    return found


def _clusters(given: Sequence[Any] | int | str | None, items: list[Atoms]) -> tuple[Sequence[Any], list[str]]:
    """Labels of clusters, and what a reader should know of them."""
    each = range(len(items))
    if given is None:
        formulas = [item.get_chemical_formula() for item in items]
        if len(set(formulas)) > 1:
            return formulas, []
        if len(items) == 1:
            return each, []
        return each, [
            f"all structures are of one formula, {formulas[0]}, and the interval takes them as independent; for frames "
            "of a trajectory say how many consecutive ones belong together, such as clusters=20"
        ]
    if isinstance(given, str):
        if given != EACH:
            raise MeasureError(f"clusters: {given!r} is not known; give {EACH!r}, a number, or a list of labels")
        return each, []
    if isinstance(given, int):
        if given < 1:
            raise MeasureError(f"clusters: {given} consecutive structures are none; give a positive number")
        return [number // given for number in each], []
    return given, []


def _targets(given: Any, items: list[Atoms], names: Sequence[str]) -> Any:
    if isinstance(given, str):
        if given != STORED:
            raise MeasureError(f"targets: {given!r} is not known; give {STORED!r}, or names by property")
        return _stored(items, names)
    if isinstance(given, Mapping):
        return {name: _of_name(name, values, items) for name, values in given.items()}
    return {names[0]: given} if given is not None and len(names) == 1 else given


def _stored(items: list[Atoms], names: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Results that came with the structures, of those properties that any of them has."""
    found: dict[str, list[np.ndarray]] = {}
    for name in names:
        values = [item.calc and item.calc.get_property(name, item, allow_calculation=False) for item in items]
        missing = [number for number, value in enumerate(values) if value is None]
        if len(missing) == len(items):
            continue
        if missing:
            raise MeasureError(f"targets: structure {missing[0]} stores no {name!r}, others do; leave it out")
        found[name] = [as_tensor(name, value) for value in values]
    if not found:
        raise MeasureError(
            f"targets: the structures store none of {', '.join(names)}; if they have them by names of their own, say "
            f"so, such as targets={{{names[0]!r}: 'REF_{names[0]}'}}"
        )
    return found


def _of_name(name: str, values: Any, items: list[Atoms]) -> Any:
    """Targets of a property: what `arrays` or `info` have by a name, or values that were given."""
    if isinstance(values, str):
        for number, item in enumerate(items):
            if values not in item.arrays and values not in item.info:
                raise MeasureError(f"targets: structure {number} has no array and no info {values!r}")
        values = [item.arrays[values] if values in item.arrays else item.info[values] for item in items]
    return [as_tensor(name, value) for value in values] if RANKS.get(name) == 2 else values


def _without(item: Atoms, names: Iterable[Any]) -> Atoms:
    """A copy without arrays and infos of some names, as true values are nothing that a model sees."""
    found = item.copy()
    for name in names:
        if isinstance(name, str):
            found.arrays.pop(name, None)
            found.info.pop(name, None)
    return found


def _predicted(
    calculator: BaseCalculator, atoms: Atoms, names: Sequence[str], items: list[Atoms]
) -> dict[str, np.ndarray]:
    try:
        found = single_point(calculator, atoms, names)
        return {name: found[name] for name in names}
    except Exception as error:
        number = next((number for number, item in enumerate(items) if item is getattr(atoms, "origin", None)), None)
        which = "a structure" if number is None else f"structure {number}"
        reason = str(error) if isinstance(error, MeasureError) else f"{type(error).__name__}: {error}"
        raise MeasureError(f"calculator: it fails for {which}, {atoms.get_chemical_formula()}: {reason}") from error
