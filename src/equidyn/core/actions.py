"""The action of rotations on the inputs and predictions of a model.

Conventions, here and everywhere in the package: R is a 3×3 matrix in SO(3), active, and vectors are
rows: ``x ↦ x @ R.T``. Rotations are about the origin, so that points (to be centred first if the
model is not invariant under translations) and vectors attached to atoms (forces, velocities,
displacements) transform alike. Invariants such as elements, charges, energies, times and masks do
not change and need no code.

For a model f of vectors, the twist of Shen et al. 2025 (arXiv 2512.02303), h_g(x) = g⁻¹ f(g x), is
``rotate(f(rotate(x, R, example)), inverse(R), example)``.

A function on space rotates with what it describes, (R V)(x) = V(R⁻¹ x). On a grid of voxels, the 24 rotations of a cube
only permute the voxels (`rotate_grid_exactly`); all others need values between voxels, which introduces an error of its
own (`rotate_grid`).
"""

import torch
from jaxtyping import Float, Int64
from scipy.ndimage import affine_transform
from torch import Tensor
from torch.nn import functional


def rotate(
    vectors: Float[Tensor, "N 3"],
    R: Float[Tensor, "3 3"] | Float[Tensor, "E 3 3"],
    example: Int64[Tensor, " N"] | None = None,
) -> Float[Tensor, "N 3"]:
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


def inverse(R: Float[Tensor, "*several 3 3"]) -> Float[Tensor, "*several 3 3"]:
    """Return the inverse rotations: transposes, (..., 3, 3) to (..., 3, 3)."""
    return R.mT


def rotate_grid_exactly(
    values: Float[Tensor, "B C G G G"], R: Float[Tensor, "3 3"] | Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B C G G G"]:
    """Rotate cubic grids about their middle by rotations that map the cube onto itself: axes are permuted and flipped.

    Args:
        values: (B, C, G, G, G), array axes x, y, z.
        R: (3, 3), or (B, 3, 3) with one rotation per example; all entries -1, 0 or 1.

    Returns:
        (B, C, G, G, G), the same numbers in other places.

    Raises:
        ValueError: If shapes do not fit, or R has other entries.
    """
    R = _one_per_example(values, R)
    size = R.abs()
    if not bool(((size == 0) | (size == 1)).all() & (size.sum(-1) == 1).all() & (size.sum(-2) == 1).all()):
        raise ValueError("R does not map the axes onto each other; such rotations need `rotate_grid`")
    source, sign = size.argmax(-1).tolist(), R.sum(-1).tolist()  # for each new axis, the old one and whether it flips
    turned = [
        example.permute(0, *(1 + axis for axis in source[b])).flip([1 + i for i in range(3) if sign[b][i] < 0])
        for b, example in enumerate(values)
    ]
    return torch.stack(turned)


def rotate_grid(
    values: Float[Tensor, "B C G G G"],
    R: Float[Tensor, "3 3"] | Float[Tensor, "B 3 3"],
    origin: float,
    order: int = 1,
) -> Float[Tensor, "B C G G G"]:
    """Rotate cubic grids by any rotation, with interpolation; values outside a grid are zero.

    Args:
        values: (B, C, G, G, G), array axes x, y, z.
        R: (3, 3), or (B, 3, 3) with one rotation per example.
        origin: Index of the point to rotate about, the same on each axis, such as `equidyn.core.voxels.Grid.origin`.
        order: 1 interpolates trilinearly; 3 by cubic splines, some thirty times slower, on the CPU and without
            gradients.

    Returns:
        (B, C, G, G, G), dtype and device of `values`.

    Raises:
        ValueError: If shapes do not fit, or another order is asked for.
    """
    R = _one_per_example(values, R)
    if order not in (1, 3):
        raise ValueError(f"order is {order}; expected 1 (trilinear) or 3 (cubic splines)")
    if order == 3:
        turned = torch.empty_like(values)
        for b, matrix in enumerate(R.double().mT.cpu().numpy()):
            for c, grid in enumerate(values[b].cpu().numpy()):
                # Where a voxel comes from: R⁻¹ (k - origin) + origin.
                offset = origin - origin * matrix.sum(1)
                spline = affine_transform(grid, matrix, offset, order=3, mode="grid-constant")
                turned[b, c] = torch.from_numpy(spline)
        return turned
    # PyTorch's coordinates run from -1 to 1 between the outer voxels' centres, and name the last axis first.
    back, middle = R.mT.to(values), (values.shape[-1] - 1) / 2
    shift = (1 - back.sum(-1)) * (origin - middle) / middle
    theta = torch.cat([back, shift[..., None]], -1)[:, [2, 1, 0]][..., [2, 1, 0, 3]]
    points = functional.affine_grid(theta, list(values.shape), align_corners=True)
    return functional.grid_sample(values, points, align_corners=True)


def _one_per_example(
    values: Float[Tensor, "B C G G G"], R: Float[Tensor, "3 3"] | Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 3 3"]:
    """R as (B, 3, 3), for grids (B, C, G, G, G)."""
    if values.ndim != 5 or len(set(values.shape[2:])) != 1:
        raise ValueError(f"grids have shape {tuple(values.shape)}; expected (B, C, G, G, G)")
    if R.shape not in ((3, 3), (len(values), 3, 3)):
        raise ValueError(f"R has shape {tuple(R.shape)}; expected (3, 3) or ({len(values)}, 3, 3)")
    return R.expand(len(values), 3, 3)
