"""One element of a group, applied to arrays as users hold them: NumPy or PyTorch, of any floating type."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidyn.core.symmetry import Symmetry


@dataclass(frozen=True)
class Element:
    """An element of a group.

    Attributes:
        symmetry: The group.
        value: (1, ...) the element, as the group represents it.
    """

    symmetry: Symmetry
    value: Tensor

    @property
    def inverse(self) -> "Element":
        """The element that undoes this one."""
        return Element(self.symmetry, self.symmetry.inverse(self.value))

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

        They are computed in double precision and rounded once, so that an exact model shows the rounding of its own
        type and no more.

        Args:
            kind: "points", "vectors", "pseudovectors", "tensors" or "scalars", see `equidyn.core.symmetry`.
            values: (..., 3), for tensors (..., 3, 3), NumPy or PyTorch.

        Returns:
            A copy of the type, shape and device of `values`; whole numbers become double precision if they turn.
        """
        if kind == "scalars":
            return values.detach().clone() if isinstance(values, Tensor) else deepcopy(values)
        tensor = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
        tail = 2 if kind == "tensors" else 1
        if not tensor.is_floating_point():
            tensor = tensor.to(torch.float64)
        rows = tensor.to("cpu", torch.float64).reshape(-1, *tensor.shape[tensor.ndim - tail :])
        example = torch.zeros(len(rows), dtype=torch.int64)
        found: Tensor = getattr(self.symmetry, f"act_on_{kind}")(rows, self.value, example)
        turned = found.reshape(tensor.shape)
        return turned.to(tensor) if isinstance(values, Tensor) else turned.to(tensor.dtype).numpy()
