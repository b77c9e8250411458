"""Structures as ASE holds them, turned with everything in them that has a direction."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from equidyn.measuring.elements import Element
from equidyn.measuring.examples import USUAL_KINDS, Examples, MeasureError

OWN_KINDS = {"positions": "points", "cell": "pseudovectors", "celldisp": "vectors", "initial_magmoms": "pseudovectors"}
"""How what ASE names itself transforms.

A magnetic moment is a pseudovector. So is a vector of a cell here: the opposite vectors span the same lattice, and an
inversion that leaves them as they are leaves the cell right-handed, which many programs want.
"""

VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
"""Rows and columns of the six components of a symmetric tensor, in ASE's order xx, yy, zz, yz, xz, xy."""

SHAPES = {**dict.fromkeys(("points", "vectors", "pseudovectors"), ((3,),)), "tensors": ((3, 3), (6,))}
"""Shapes of one value of each kind."""


class Structures(Examples):
    """`ase.Atoms`, each turned as a copy, without its constraints and its calculator.

    Everything turns about the origin: positions, the cell where there is one, momenta, magnetic moments that are
    vectors, and fields of `arrays` and `info` of known kinds. Translations move positions and leave the cell. Nothing
    is wrapped into the cell. Numbers for each atom, such as collinear moments and charges, stay.
    """

    def __init__(self, items: Sequence[Any], kinds: Mapping[str, str] | None = None):
        super().__init__(items)
        for number, item in enumerate(items):
            if not is_structure(item):
                raise MeasureError(f"inputs: example {number} is of type {type(item).__name__}; expected ase.Atoms")
            if len(item) == 0:
                raise MeasureError(f"inputs: structure {number} has no atoms")
        names = {name for item in items for name in (*item.arrays, *item.info)}
        if unknown := set(kinds or {}) - names:
            raise MeasureError(
                f"kinds: no structure has an array or an info of the name {sorted(unknown)[0]!r}; "
                f"names are {sorted(names)}"
            )
        self.asked = set(kinds or {})
        self.kinds = {**USUAL_KINDS, **OWN_KINDS, **(kinds or {})}
        present = {name for item in items for name in self.fields(item)}
        self.kinds = {name: kind for name, kind in self.kinds.items() if name in present}

    def turn(self, item: Any, element: Element) -> Any:
        """A copy in which everything that has a direction is transformed; its attribute `origin` is the structure."""
        found = item.copy()
        found.origin = item
        found.set_constraint()
        found.info = deepcopy(found.info)
        for name, value in self._directed(item):
            turned = _act(element, self.kinds[name], value)
            if name == "cell":
                found.cell[:] = turned
            elif name == "celldisp":
                found.set_celldisp(turned)
            elif name in found.arrays:
                found.arrays[name] = turned
            else:
                found.info[name] = turned
        return found

    def fields(self, item: Any) -> Mapping[str, Any]:
        """What turns, by name; tensors are (..., 3, 3)."""
        return {
            name: full_tensor(value) if self.kinds[name] == "tensors" and value.shape[-1] == 6 else value
            for name, value in self._directed(item)
        }

    def atoms(self, item: Any) -> int:
        """Number of atoms."""
        return len(item)

    def others(self, item: Any) -> Mapping[str, Any]:
        """What is left as it is; of arrays, those with more than a number for each atom."""
        known = {**item.info, **{name: value for name, value in item.arrays.items() if value.ndim > 1}}
        return {name: value for name, value in known.items() if name not in self.kinds}

    def species(self, item: Any) -> list[Any] | None:
        """Symbols of the elements."""
        return list(item.symbols)

    def permuted(self, item: Any, order: np.ndarray) -> Any:
        """The structure with its atoms in another order."""
        return item[order]

    def turn_but_cell(self, item: Any, element: Element) -> Any | None:
        """A turned copy with the cell as it was."""
        if not item.cell.any() or not item.pbc.any():
            return None
        found = self.turn(item, element)
        found.cell[:] = item.cell
        return found

    def without_cell(self, item: Any) -> Any | None:
        """A copy without a cell, which is not periodic."""
        if not item.cell.any() or not item.pbc.any():
            return None
        found = item.copy()
        found.set_cell(None)
        found.pbc = False
        return found

    def _directed(self, item: Any) -> Iterator[tuple[str, np.ndarray]]:
        """Names and values of what turns; an array goes before an info of the same name."""
        yield "positions", item.positions
        if item.cell.any():
            yield "cell", item.cell.array
        if (displaced := item.get_celldisp().ravel()).any():
            yield "celldisp", displaced
        for name, value in {**item.info, **item.arrays}.items():
            kind = self.kinds.get(name, "scalars")
            if kind == "scalars" or name in ("positions", "cell", "celldisp"):
                continue
            array = np.asarray(value)
            shape = array.shape[1:] if name in item.arrays else array.shape
            if array.dtype.kind in "fi" and shape in SHAPES[kind]:
                yield name, array
            elif name in self.asked:
                raise MeasureError(f"kinds: {name!r} has shape {array.shape}, which is not that of {kind}")


def is_structure(item: Any) -> bool:
    """Whether something is an `ase.Atoms`; nothing is where ASE has not been imported."""
    ase = sys.modules.get("ase")
    return ase is not None and isinstance(item, ase.Atoms)


def full_tensor(voigt: np.ndarray) -> np.ndarray:
    """Symmetric tensors (..., 3, 3) from six components (..., 6) in ASE's order."""
    rows, columns = VOIGT
    found = np.empty((*voigt.shape[:-1], 3, 3), voigt.dtype)
    found[..., rows, columns] = found[..., columns, rows] = voigt
    return found


def six_components(tensor: np.ndarray) -> np.ndarray:
    """The six components (..., 6) in ASE's order of symmetric tensors (..., 3, 3)."""
    return np.asarray(tensor[(..., *VOIGT)])


def _act(element: Element, kind: str, value: np.ndarray) -> np.ndarray:
    if kind == "tensors" and value.shape[-2:] != (3, 3):
        return six_components(element.act(kind, full_tensor(value)))
    return np.asarray(element.act(kind, value))
