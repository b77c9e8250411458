"""Predictions and targets as users hold them, taken apart by example and property."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidyn.measuring.examples import MeasureError

KINDS = ("scalars", "vectors", "tensors")
"""How values of rank 0, 1 and 2 transform."""

USUAL_RANKS = {
    **dict.fromkeys(("energy", "energies", "charge", "charges", "energy_per_atom"), 0),
    **dict.fromkeys(("forces", "force", "dipole", "velocities", "displacements"), 1),
    **dict.fromkeys(("stress", "virial", "polarizability", "polarisability"), 2),
}
"""Ranks of properties of these names, unless `ranks` says otherwise."""

ONLY = "prediction"
"""Name of the property of a model that predicts one."""

VOIGT = ("stress", "virial")
"""Six components under names with one of these are a symmetric tensor, not six scalars."""

BFLOAT16 = np.dtype(np.float32, metadata={"eps": torch.finfo(torch.bfloat16).eps})
"""What holds numbers of bfloat16, which NumPy lacks: it remembers their precision; see `precision`."""


class NotFiniteError(MeasureError):
    """Values are NaN or infinite."""


@dataclass(frozen=True)
class Ranks:
    """Ranks of properties; those that nobody named are guessed from the shape of values, and noted.

    Attributes:
        given: Ranks by property.
        guessed: Ranks that were guessed, filled while values are read.
        only: Rank of the only property, whatever its name; None if it was not given.
    """

    given: Mapping[str, int]
    guessed: dict[str, int]
    only: int | None = None

    @classmethod
    def of(cls, ranks: Mapping[str, int] | int | None) -> "Ranks":
        """The ranks that a user has given.

        Raises:
            MeasureError: A rank is not 0, 1 or 2.
        """
        given = dict(ranks) if isinstance(ranks, Mapping) else {} if ranks is None else {ONLY: ranks}
        for name, rank in given.items():
            if not isinstance(rank, int | np.integer) or rank not in range(len(KINDS)):
                raise MeasureError(f"ranks: {name!r} has rank {rank!r}; expected 0 (scalar), 1 (vector) or 2 (tensor)")
        only = None if ranks is None or isinstance(ranks, Mapping) else given.pop(ONLY)
        return cls({**USUAL_RANKS, **given}, {}, only)

    def __getitem__(self, name: str) -> int:
        return self.given.get(name, self.guessed.get(name, 0)) if self.only is None else self.only

    def learn(self, name: str, values: Sequence[np.ndarray], atoms: Sequence[int]) -> int:
        """The rank of a property, from its values for examples of so many atoms.

        Raises:
            MeasureError: The examples have three atoms, and values could have one for each or be of a higher rank.
        """
        if self.only is not None or name in self.given or name in self.guessed:
            return self[name]
        shapes = [value.shape for value in values]
        if any(word in name.lower() for word in VOIGT) and all(shape[-1:] == (6,) for shape in shapes):
            raise MeasureError(f"predict: {name!r} has shape {shapes[0]}: {_FULL}")
        rank = next((rank for rank in (2, 1) if all(shape[-rank:] == (3,) * rank for shape in shapes)), 0)
        if rank and all(len(shape) == rank and count == 3 for shape, count in zip(shapes, atoms, strict=True)):
            raise MeasureError(
                f"ranks: {name!r} of shape {shapes[0]} for three atoms could be of rank {rank}, or of rank {rank - 1} "
                f"for each atom; say which by ranks={{{name!r}: {rank - 1}}} or {{{name!r}: {rank}}}"
            )
        self.guessed[name] = rank
        return rank


_FULL = "give full (3, 3) tensors; see equidyn.measuring.structures.full_tensor"


def precision(array: np.ndarray) -> float:
    """Distance from 1 to the next number of the type that an array came in."""
    noted: Mapping[str, Any] = array.dtype.metadata or {}
    return float(noted.get("eps", np.finfo(array.dtype).eps))


def by_example(found: Any, atoms: Sequence[int], argument: str) -> dict[str, list[np.ndarray]]:
    """Values by property, a list with an array for each example.

    Args:
        found: A dictionary of arrays or lists, one of them alone, or a list with a dictionary for each example.
        atoms: Number of atoms of each example.
        argument: Name of what is read, for messages.

    Raises:
        MeasureError: There is no value for each example or each atom.
    """
    if isinstance(found, tuple):
        raise MeasureError(f"{argument}: a tuple does not say what is what; give a dictionary, such as {{'forces': …}}")
    if isinstance(found, Mapping):
        return {name: _split(values, atoms, f"{argument}: {name!r}") for name, values in found.items()}
    if isinstance(found, Sequence) and len(found) and isinstance(found[0], Mapping):
        names = list(found[0])
        if any(list(one) != names for one in found):
            raise MeasureError(f"{argument}: examples have different properties; give the same ones for each")
        return {name: _split([one[name] for one in found], atoms, f"{argument}: {name!r}") for name in names}
    return {ONLY: _split(found, atoms, argument)}


def rows_of(values: np.ndarray, rank: int, what: str) -> np.ndarray:
    """Values (rows, 3, …) of an example with `rank` threes, in double precision; one row for one value of the whole.

    Raises:
        MeasureError: The shape does not end in so many threes.
        NotFiniteError: A value is not finite.
    """
    if rank == 2 and values.shape[-1:] == (6,):
        raise MeasureError(f"{what} has shape {values.shape}: {_FULL}")
    if values.shape[values.ndim - rank :] != (3,) * rank:
        raise MeasureError(f"{what} has shape {values.shape}, whose end is not that of rank {rank}; see `ranks`")
    if not np.isfinite(values).all():
        raise NotFiniteError(f"{what} is not finite")
    return values.astype(np.float64, copy=False).reshape(-1, *(3,) * rank)


def _split(values: Any, atoms: Sequence[int], what: str) -> list[np.ndarray]:
    if isinstance(values, list | tuple) and len(values) == len(atoms):
        return [_array(value) for value in values]
    array = _array(values)
    if array.ndim and len(array) == len(atoms):
        return [array[number, ...] for number in range(len(array))]
    if array.ndim and len(array) == sum(atoms):
        return np.split(array, np.cumsum(atoms)[:-1])
    raise MeasureError(
        f"{what} has shape {array.shape}; expected {len(atoms)} values, one for each example, or {sum(atoms)}, "
        "one for each atom of all examples end to end"
    )


def _array(values: Any) -> np.ndarray:
    """A copy as an array of a floating type, as models may use the memory of their output again.

    Whole numbers become double precision, and bfloat16 becomes `BFLOAT16`.

    Raises:
        MeasureError: The values are complex, or no numbers at all.
    """
    bfloat16 = isinstance(values, Tensor) and values.dtype == torch.bfloat16
    if isinstance(values, Tensor):
        values = (values.float() if bfloat16 else values).detach().cpu().numpy()
    array = np.asarray(values).astype(BFLOAT16) if bfloat16 else np.array(values)
    if array.dtype.kind not in "fiub":
        raise MeasureError(f"values of the type {array.dtype} cannot be measured: give real numbers")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
