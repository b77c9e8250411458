"""Examples as users hold them: arrays, lists of arrays, dictionaries, `ase.Atoms`, graphs of PyTorch Geometric.

Each kind of example knows how it is turned, how several are handed to a model together, and how many atoms it has.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from equidyn.measuring.elements import Element

USUAL_KINDS = {
    **dict.fromkeys(("positions", "pos", "coords", "coordinates", "xyz"), "points"),
    **dict.fromkeys(("cell", "lattice", "box", "velocities", "momenta", "forces", "field", "dipole"), "vectors"),
    **dict.fromkeys(("stress", "virial", "strain"), "tensors"),
}
"""How fields of these names transform unless `kinds` says otherwise; all other fields are left alone."""


class MeasureError(ValueError):
    """What was given cannot be measured; the message says which argument, and what to do."""


class Examples(ABC):
    """Examples of one kind.

    Attributes:
        items: The examples.
        turned: Names of what an element transforms, for the record.
    """

    turned: tuple[str, ...]

    def __init__(self, items: Sequence[Any]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @abstractmethod
    def turn(self, item: Any, element: Element) -> Any:
        """A transformed copy of an example."""

    @abstractmethod
    def fields(self, item: Any) -> Mapping[str, Any]:
        """The floating-point arrays of an example by name, from which two examples can be compared."""

    @abstractmethod
    def atoms(self, item: Any) -> int:
        """Number of points of an example."""

    def join(self, items: list[Any]) -> Any:
        """What the model is given for several examples: a list of them, unless they have a form of their own."""
        return items


class Arrays(Examples):
    """Points alone: each example (n, 3), together in an array (E, n, 3) or in a list."""

    turned = ("points",)

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


class Records(Examples):
    """Dictionaries of arrays, of which each transforms by its kind."""

    def __init__(self, items: Sequence[Mapping[str, Any]], kinds: Mapping[str, str] | None):
        super().__init__(items)
        names = {name for item in items for name in item}
        if unknown := set(kinds or {}) - names:
            raise MeasureError(f"kinds: no example has the field {sorted(unknown)[0]!r}; fields are {sorted(names)}")
        self.kinds = {name: kind for name, kind in {**USUAL_KINDS, **(kinds or {})}.items() if name in names}
        self.turned = tuple(sorted(name for name, kind in self.kinds.items() if kind != "scalars"))
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

    def atoms(self, item: Mapping[str, Any]) -> int:
        """Number of points in the first field of points."""
        return int(np.prod(np.shape(item[self.points])[:-1]))


class Graphs(Examples):
    """Graphs of PyTorch Geometric, batched by its own rules."""

    def __init__(self, items: Sequence[Any], kinds: Mapping[str, str] | None):
        super().__init__(items)
        self.records = Records([item.to_dict() for item in items], kinds)
        self.turned = self.records.turned

    def turn(self, item: Any, element: Element) -> Any:
        """A clone with its fields of known kinds transformed."""
        found = item.clone()
        for name, value in self.fields(item).items():
            found[name] = element.act(self.records.kinds[name], value)
        return found

    def fields(self, item: Any) -> Mapping[str, Any]:
        """The fields of known kinds."""
        return self.records.fields(item.to_dict())

    def atoms(self, item: Any) -> int:
        """Number of nodes."""
        return self.records.atoms(item.to_dict())

    def join(self, items: list[Any]) -> Any:
        """A batch of graphs."""
        from torch_geometric.data import Batch

        return Batch.from_data_list(items)


class Rotated(Examples):
    """Examples of any kind that the user's own function turns."""

    turned = ("what `rotate` turns",)

    def __init__(self, examples: Examples, rotate: Callable[[Any, np.ndarray], Any]):
        super().__init__(examples.items)
        self.examples, self.rotate = examples, rotate

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


def examples_of(
    inputs: Any, *, rotate: Callable[[Any, np.ndarray], Any] | None = None, kinds: Mapping[str, str] | None = None
) -> Examples:
    """The examples that a user has given.

    Args:
        inputs: An array (E, n, 3), NumPy or PyTorch, or a sequence of arrays (n, 3), dictionaries or graphs.
        rotate: Function of an example and a matrix (3, 3), active, for row vectors, that returns a turned copy.
        kinds: Kinds of fields of dictionaries and graphs by name, which go before `USUAL_KINDS`.

    Raises:
        MeasureError: There are no examples, or they are of no known kind.
    """
    if len(inputs) == 0:
        raise MeasureError("inputs: there are no examples; give ten or more")
    found = _of_known_kind(inputs, kinds)
    return found if rotate is None else Rotated(found, rotate)


def _of_known_kind(inputs: Any, kinds: Mapping[str, str] | None) -> Examples:
    if isinstance(inputs, np.ndarray | Tensor):
        if inputs.ndim != 3 or inputs.shape[-1] != 3:
            raise MeasureError(
                f"inputs: an array has shape (E, n, 3), E examples of n points; this one has {tuple(inputs.shape)}"
            )
        return Arrays(inputs, stacked=True)
    first = inputs[0]
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
