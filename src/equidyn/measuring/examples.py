"""Examples as users hold them: arrays, lists of arrays, dictionaries, `ase.Atoms`, graphs of PyTorch Geometric.

Each kind of example knows how it is turned, how several are handed to a model together, and how many atoms it has.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
from torch import Tensor

from equidyn.measuring.elements import Element

KNOWN_KINDS = ("points", "vectors", "pseudovectors", "tensors", "scalars")
"""How a field can transform."""

USUAL_KINDS = {
    **dict.fromkeys(("positions", "pos", "coords", "coordinates", "xyz"), "points"),
    **dict.fromkeys(("cell", "lattice", "box", "velocities", "momenta", "forces", "field", "dipole"), "vectors"),
    **dict.fromkeys(("stress", "virial", "strain"), "tensors"),
}
"""How fields of these names transform unless `kinds` says otherwise; all other fields are left alone."""


CELL = "cell"
"""A field of this name holds the vectors of a periodic cell, unless a field ``pbc`` says that there is none."""

SPECIES = ("species", "symbols", "elements", "numbers", "atomic_numbers", "z")
"""Fields of these names hold the chemical element of each atom."""


class MeasureError(ValueError):
    """What was given cannot be measured; the message says which argument, and what to do."""


class Examples(ABC):
    """Examples of one kind.

    Attributes:
        items: The examples.
        kinds: How fields transform, by name: "points", "vectors", "pseudovectors", "tensors" or "scalars".
    """

    kinds: Mapping[str, str]

    def __init__(self, items: Sequence[Any]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @property
    def turned(self) -> tuple[str, ...]:
        """Names of what an element transforms, for the record."""
        return tuple(sorted(name for name, kind in self.kinds.items() if kind != "scalars"))

    @abstractmethod
    def turn(self, item: Any, element: Element) -> Any:
        """A transformed copy of an example."""

    @abstractmethod
    def fields(self, item: Any) -> Mapping[str, Any]:
        """The fields of `kinds` that an example has, by name, from which two examples can be compared."""

    @abstractmethod
    def atoms(self, item: Any) -> int:
        """Number of points of an example."""

    def others(self, item: Any) -> Mapping[str, Any]:
        """The fields of an example that are not in `kinds`, which an element leaves as they are."""
        return {}

    def join(self, items: list[Any]) -> Any:
        """What the model is given for several examples: a list of them, unless they have a form of their own."""
        return items

    def species(self, item: Any) -> list[Any] | None:
        """Chemical element of each atom, as a symbol or number; None if it is not known."""
        return None

    def permuted(self, item: Any, order: np.ndarray) -> Any | None:
        """A copy with its atoms in another order; None if there is no telling how."""
        return None

    def turn_but_cell(self, item: Any, element: Element) -> Any | None:
        """A transformed copy that keeps the cell as it was; None if there is no cell."""
        return None

    def without_cell(self, item: Any) -> Any | None:
        """A copy without a cell; None if there is none, or it cannot be left out."""
        return None

    def in_double(self, item: Any) -> Any | None:
        """A copy in double precision; None if there is no telling how."""
        return None


class Arrays(Examples):
    """Points alone: each example (n, 3), together in an array (E, n, 3) or in a list."""

    kinds = {"points": "points"}  # noqa: RUF012

    def __init__(self, items: Any, *, stacked: bool):
        super().__init__(items)
        self.stacked = stacked

    def turn(self, item: Any, element: Element) -> Any:
        """The points, transformed."""
        return element.act("points", item)

    def fields(self, item: Any) -> Mapping[str, Any]:
        """The points."""
        return {"points": item}

    def atoms(self, item: Any) -> int:
        """Number of points."""
        return int(np.prod(item.shape[:-1]))

    def join(self, items: list[Any]) -> Any:
        """An array (B, n, 3) if the examples came in one, else a list."""
        if not self.stacked:
            return items
        if isinstance(items[0], Tensor):
            import torch

            return torch.stack(items)
        return np.stack(items)

    def in_double(self, item: Any) -> Any | None:
        """The points, if they are a tensor."""
        return item.double() if isinstance(item, Tensor) else None


class Records(Examples):
    """Dictionaries of arrays, of which each transforms by its kind."""

    def __init__(self, items: Sequence[Mapping[str, Any]], kinds: Mapping[str, str] | None):
        super().__init__(items)
        names = {name for item in items for name in item}
        if unknown := set(kinds or {}) - names:
            raise MeasureError(f"kinds: no example has the field {sorted(unknown)[0]!r}; fields are {sorted(names)}")
        self.kinds = {name: kind for name, kind in {**USUAL_KINDS, **(kinds or {})}.items() if name in names}
        if "points" not in self.kinds.values():
            raise MeasureError(
                f"inputs: none of the fields {sorted(names)} is known to hold positions: "
                "name it, for example kinds={'xyz': 'points'}"
            )
        self.points = next(name for name, kind in self.kinds.items() if kind == "points")

    def turn(self, item: Mapping[str, Any], element: Element) -> dict[str, Any]:
        """The example with its fields of known kinds transformed."""
        return {name: element.act(self.kinds.get(name, "scalars"), value) for name, value in item.items()}

    def fields(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of known kinds."""
        return {name: item[name] for name in self.kinds if name in item}

    def others(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of no known kind."""
        return {name: value for name, value in item.items() if name not in self.kinds}

    def atoms(self, item: Mapping[str, Any]) -> int:
        """Number of points in the first field of points."""
        return int(np.prod(np.shape(item[self.points])[:-1]))

    def species(self, item: Mapping[str, Any]) -> list[Any] | None:
        """The first field that is named in `SPECIES`."""
        name = next((name for name in SPECIES if name in item), None)
        return None if name is None else np.asarray(item[name]).ravel().tolist()

    def permuted(self, item: Mapping[str, Any], order: np.ndarray) -> dict[str, Any]:
        """The example with all fields that have a row for each atom in another order."""
        count = len(order)
        return {
            name: value[order] if np.shape(value)[:1] == (count,) and isinstance(value, np.ndarray | Tensor) else value
            for name, value in item.items()
        }

    def turn_but_cell(self, item: Mapping[str, Any], element: Element) -> dict[str, Any] | None:
        """The example transformed, but for its `CELL`; None if it is not periodic."""
        if CELL not in item or not np.asarray(item.get("pbc", True)).any():
            return None
        return self.turn(item, element) | {CELL: item[CELL]}

    def in_double(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """The example with its floating-point tensors in double precision, if there are any."""
        if not any(isinstance(value, Tensor) for value in item.values()):
            return None
        return {name: in_double(value) for name, value in item.items()}


class Graphs(Examples):
    """Graphs of PyTorch Geometric, batched by its own rules."""

    def __init__(self, items: Sequence[Any], kinds: Mapping[str, str] | None):
        super().__init__(items)
        self.records = Records([item.to_dict() for item in items], kinds)
        self.kinds = self.records.kinds

    def turn(self, item: Any, element: Element) -> Any:
        """A clone with its fields of known kinds transformed."""
        found = item.clone()
        for name, value in self.fields(item).items():
            found[name] = element.act(self.kinds[name], value)
        return found

    def fields(self, item: Any) -> Mapping[str, Any]:
        """The fields of known kinds."""
        return self.records.fields(item.to_dict())

    def others(self, item: Any) -> Mapping[str, Any]:
        """The fields of no known kind."""
        return self.records.others(item.to_dict())

    def atoms(self, item: Any) -> int:
        """Number of nodes."""
        return self.records.atoms(item.to_dict())

    def join(self, items: list[Any]) -> Any:
        """A batch of graphs."""
        from torch_geometric.data import Batch

        return Batch.from_data_list(items)

    def species(self, item: Any) -> list[Any] | None:
        """The first field that is named in `SPECIES`."""
        return self.records.species(item.to_dict())

    def turn_but_cell(self, item: Any, element: Element) -> Any | None:
        """A turned clone, but for its `CELL`; None if it is not periodic."""
        fields = item.to_dict()
        if CELL not in fields or not np.asarray(fields.get("pbc", True)).any():
            return None
        found = self.turn(item, element)
        found[CELL] = fields[CELL]
        return found

    def in_double(self, item: Any) -> Any | None:
        """A clone with its floating-point tensors in double precision."""
        found = item.clone()
        for name, value in item.to_dict().items():
            found[name] = in_double(value)
        return found


class Rotated(Examples):
    """Examples of any kind that the user's own function turns."""

    def __init__(self, examples: Examples, rotate: Callable[[Any, np.ndarray], Any]):
        super().__init__(examples.items)
        self.examples, self.rotate, self.kinds = examples, rotate, examples.kinds

    @property
    def turned(self) -> tuple[str, ...]:
        """That it is left to the function."""
        return ("what `rotate` turns",)

    def turn(self, item: Any, element: Element) -> Any:
        """What the function returns."""
        return self.rotate(item, element.matrix)

    def fields(self, item: Any) -> Mapping[str, Any]:
        """Those of the examples."""
        return self.examples.fields(item)

    def atoms(self, item: Any) -> int:
        """Those of the examples."""
        return self.examples.atoms(item)

    def join(self, items: list[Any]) -> Any:
        """As the examples are joined."""
        return self.examples.join(items)

    def species(self, item: Any) -> list[Any] | None:
        """As the examples have it."""
        return self.examples.species(item)

    def in_double(self, item: Any) -> Any | None:
        """As the examples have it."""
        return self.examples.in_double(item)


def in_double(value: Any) -> Any:
    """A value, in double precision if it is a tensor of a floating type."""
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def examples_of(
    inputs: Any, *, rotate: Callable[[Any, np.ndarray], Any] | None = None, kinds: Mapping[str, str] | None = None
) -> Examples:
    """The examples that a user has given.

    Args:
        inputs: An array (E, n, 3), NumPy or PyTorch, or a sequence of arrays (n, 3), dictionaries, graphs or
            structures of ASE.
        rotate: Function of an example and a matrix (3, 3), active, for row vectors, that returns a turned copy.
        kinds: Kinds of fields of dictionaries, graphs and structures by name, which go before `USUAL_KINDS`.

    Raises:
        MeasureError: There are no examples, they are of no known kind, or something in them that turns is not finite.
    """
    for name, kind in (kinds or {}).items():
        if kind not in KNOWN_KINDS:
            near = get_close_matches(str(kind), KNOWN_KINDS, 1)
            asked = f"did you mean {near[0]!r}? Kinds" if near else "kinds"
            raise MeasureError(f"kinds: {name!r} has the kind {kind!r}; {asked} are {', '.join(KNOWN_KINDS)}")
    if isinstance(inputs, Mapping | str) or not (hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")):
        raise MeasureError(
            f"inputs: {type(inputs).__name__} is no sequence of examples: give an array (E, n, 3) or a list with an "
            "entry for each example"
        )
    if len(inputs) == 0:
        raise MeasureError("inputs: there are no examples; give ten or more")
    found = _of_known_kind(inputs, kinds)
    for number, item in enumerate(found.items):
        for name, value in found.fields(item).items():
            if found.kinds.get(name) != "scalars" and not _finite(value):
                raise MeasureError(f"inputs: {name!r} of example {number} is not finite")
    return found if rotate is None else Rotated(found, rotate)


def _finite(value: Any) -> bool:
    return bool((value.isfinite() if isinstance(value, Tensor) else np.isfinite(value)).all())


def _of_known_kind(inputs: Any, kinds: Mapping[str, str] | None) -> Examples:
    from equidyn.measuring.structures import Structures, is_structure  # which stands on this module

    if isinstance(inputs, np.ndarray | Tensor):
        if inputs.ndim != 3 or inputs.shape[-1] != 3:
            raise MeasureError(
                f"inputs: an array has shape (E, n, 3), E examples of n points; this one has {tuple(inputs.shape)}"
            )
        return Arrays(inputs, stacked=True)
    try:
        first = inputs[0]
    except (KeyError, TypeError, AttributeError):
        raise MeasureError(f"inputs: {type(inputs).__name__} has no entries by number: give a list") from None
    if is_structure(first):
        return Structures(inputs, kinds)
    if isinstance(first, Mapping):
        return Records(inputs, kinds)
    if hasattr(first, "to_dict") and hasattr(first, "clone"):
        return Graphs(inputs, kinds)
    if isinstance(first, np.ndarray | Tensor):
        for number, item in enumerate(inputs):
            if item.ndim != 2 or item.shape[-1] != 3:
                raise MeasureError(f"inputs: example {number} has shape {tuple(item.shape)}; expected (n, 3)")
        return Arrays(inputs, stacked=False)
    raise MeasureError(
        f"inputs: examples of type {type(first).__name__} are not known: give arrays (n, 3) or dictionaries of arrays"
    )
