"""How a rotation acts on what a model reads and predicts.

Conventions, here and everywhere in the package: R is a 3×3 matrix in SO(3), active, and vectors are
rows: ``x ↦ x @ R.T``. Points rotate about the origin, so that points (centre them first where the
model is not blind to translations) and vectors attached to atoms (forces, velocities,
displacements) transform alike. Invariants such as elements, charges, energies, times and masks stay
as they are and need no code.

For a model f of vectors, the twist of Shen et al. 2025 (arXiv 2512.02303), h_g(x) = g⁻¹ f(g x), is
``rotate(f(rotate(x, R, example)), inverse(R), example)``.
"""

import torch
from torch import Tensor


def rotate(vectors: Tensor, R: Tensor, example: Tensor | None = None) -> Tensor:
    """Rotate points or vectors, all by one rotation or each example by its own.

    Args:
        vectors: (N, 3) row vectors of all examples of a batch, one after the other, in any unit.
        R: (3, 3), or (E, 3, 3) with one rotation per example; cast to the dtype and device of
            `vectors`.
        example: (N,) int64, the example in range(E) to which each vector belongs; needed with
            (E, 3, 3), without effect otherwise.

    Returns:
        (N, 3) rotated vectors, same unit, dtype and device.

    Raises:
        ValueError: if shapes do not fit, or `example` is missing.
    """
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise ValueError(f"vectors have shape {tuple(vectors.shape)}; expected (N, 3)")
    if R.ndim not in (2, 3) or R.shape[-2:] != (3, 3):
        raise ValueError(f"R has shape {tuple(R.shape)}; expected (3, 3) or (E, 3, 3)")
    R = R.to(vectors)
    if R.ndim == 2:
        return vectors @ R.mT
    if example is None or example.shape != vectors.shape[:1]:
        found = None if example is None else tuple(example.shape)
        raise ValueError(f"one rotation per example needs `example` of shape ({len(vectors)},), found {found}")
    return torch.einsum("nij,nj->ni", R[example], vectors)


def inverse(R: Tensor) -> Tensor:
    """Return the inverse rotations: transposes, (..., 3, 3) to (..., 3, 3)."""
    return R.mT
