"""Elements of a group, applied to arrays as users hold them: NumPy or PyTorch, of any floating type."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidyn.core.symmetry import Symmetry


@dataclass(frozen=True)
class Elements:
    """Several elements of a group, with what each does to values of each kind.

    An element maps points x to x L + b, vectors and pseudovectors to v L and tensors T to Lᵀ T L, where L and b are
    found once by letting the group act on unit vectors. Values are then transformed in double precision and rounded
    once, so that an exact model shows the rounding of its own type and no more.

    Attributes:
        symmetry: The group.
        values: (n, ...) the elements, as the group represents them.
    """

    symmetry: Symmetry
    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, number: int) -> "Element":
        return Element(self, number)

    @cached_property
    def inverse(self) -> "Elements":
        """The elements that undo these."""
        return Elements(self.symmetry, self.symmetry.inverse(self.values))

    @cached_property
    def _maps(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By kind (n, 3, 3) L and (n, 1, 3) b."""
        units = torch.eye(3, dtype=torch.float64).repeat(len(self), 1)
        number = torch.arange(len(self)).repeat_interleave(3)
        origin = self.symmetry.act_on_points(torch.zeros_like(units), self.values, number).numpy().reshape(-1, 3, 3)
        found = {}
        for kind in ("points", "vectors", "pseudovectors"):
            turned = getattr(self.symmetry, f"act_on_{kind}")(units, self.values, number).numpy().reshape(-1, 3, 3)
            shift = origin if kind == "points" else np.zeros_like(origin)
            found[kind] = (turned - shift, shift[:, :1])
        return found

    def select(self, numbers: Sequence[int]) -> "Elements":
        """Some of the elements."""
        chosen = Elements(self.symmetry, self.values[list(numbers)])
        maps = {kind: (linear[list(numbers)], shift[list(numbers)]) for kind, (linear, shift) in self._maps.items()}
        chosen.__dict__["_maps"] = maps  # where `cached_property` keeps it
        return chosen

    def act(self, kind: str, values: np.ndarray) -> np.ndarray:
        """Values of a kind, (n, rows, 3) or for tensors (n, rows, 3, 3), the first by the first element and so on."""
        if kind == "scalars":
            return values
        if kind == "tensors":
            linear, _ = self._maps["vectors"]
            return np.asarray(linear.swapaxes(1, 2)[:, None] @ values @ linear[:, None])
        linear, shift = self._maps[kind]
        return np.asarray(values @ linear + shift)


@dataclass(frozen=True)
class Element:
    """One of several elements of a group.

    Attributes:
        elements: All of them.
        number: The place of this one.
    """

    elements: Elements
    number: int

    @classmethod
    def of(cls, symmetry: Symmetry, value: Tensor) -> "Element":
        """An element by itself, (1, ...) as the group represents it."""
        return Elements(symmetry, value)[0]

    @property
    def symmetry(self) -> Symmetry:
        """The group."""
        return self.elements.symmetry

    @property
    def value(self) -> Tensor:
        """(1, ...) the element, as the group represents it."""
        return self.elements.values[self.number : self.number + 1]

    @property
    def inverse(self) -> "Element":
        """The element that undoes this one."""
        return self.elements.inverse[self.number]

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) its matrix, active, for row vectors: ``x ↦ x @ matrix.T``.

        Raises:
            ValueError: The element is no matrix.
        """
        if self.value.shape != (1, 3, 3):
            raise ValueError(f"elements of {self.symmetry.name} are no matrices: leave `rotate` out, or choose SO(3)")
        return np.asarray(self.value[0].numpy())

    def act(self, kind: str, values: Any) -> Any:
        """Values of a kind, transformed.

        Args:
            kind: "points", "vectors", "pseudovectors", "tensors" or "scalars", see `equidyn.core.symmetry`.
            values: (..., 3), for tensors (..., 3, 3), NumPy or PyTorch.

        Returns:
            A copy of the type, shape and device of `values`; whole numbers become double precision if they turn.
        """
        if kind == "scalars":
            return values.detach().clone() if isinstance(values, Tensor) else deepcopy(values)
        tail = (3, 3) if kind == "tensors" else (3,)
        if isinstance(values, Tensor):
            array = values.detach().to("cpu", torch.float64).numpy()
            dtype = values.dtype if values.is_floating_point() else torch.float64
            return torch.from_numpy(self._act(kind, array, tail)).to(values.device, dtype)
        array = np.asarray(values)
        return self._act(kind, array.astype(np.float64), tail).astype(array.dtype if array.dtype.kind == "f" else float)

    def _act(self, kind: str, array: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        one = self.elements.select([self.number]) if len(self.elements) > 1 else self.elements
        return one.act(kind, array.reshape(1, -1, *tail)).reshape(array.shape)
