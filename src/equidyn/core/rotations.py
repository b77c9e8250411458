"""Rotations to average over: Haar samples, finite groups, randomised cosets, quadrature.

Every rotation here is a proper 3×3 matrix R in SO(3), active, for row vectors: ``x ↦ x @ R.T``. A
product ``A @ B`` therefore rotates by B first, then by A. Random draws use only the generator that is
passed in.

The twirl of Shen et al. 2025 (arXiv 2512.02303) is an integral over the Haar measure of SO(3); the
paper samples it with independent rotations (`haar`). The other rules integrate the same measure
with less variance, or without any.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

_GOLDEN = (1 + 5**0.5) / 2
_THREEFOLD = ((0, 0, 1), (1, 0, 0), (0, 1, 0))  # about (1, 1, 1)
_TWOFOLD = ((-1, 0, 0), (0, -1, 0), (0, 0, 1))  # about z
_FOURFOLD = ((0, -1, 0), (1, 0, 0), (0, 0, 1))  # about z
_FIVEFOLD = (  # about (0, 1, golden ratio), a vertex of the icosahedron
    ((_GOLDEN - 1) / 2, -_GOLDEN / 2, 1 / 2),
    (_GOLDEN / 2, 1 / 2, (_GOLDEN - 1) / 2),
    (-1 / 2, (_GOLDEN - 1) / 2, _GOLDEN / 2),
)

# Degrees for which a Lebedev rule exists and has no negative weight (13, 25 and 27 have some).
_LEBEDEV_DEGREES = (3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 29, 31, *range(35, 132, 6))


def haar(
    count: int,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Float[Tensor, "count 3 3"]:
    """Draw independent rotations from the Haar (uniform) measure of SO(3).

    A Gaussian 4-vector has a uniform direction, and a uniform unit quaternion is a Haar rotation.
    Drawing and conversion happen in float64 on the generator's device, so that neither `dtype` nor
    `device` changes which rotations a seed gives.

    Args:
        count: number of rotations, at least 0.
        generator: the only source of randomness.
        dtype: of the result.
        device: of the result; None leaves it on the generator's device.

    Returns:
        (count, 3, 3) rotation matrices.
    """
    quaternions = torch.randn(count, 4, generator=generator, dtype=torch.float64, device=generator.device)
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    entries = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    matrices = torch.stack([torch.stack(row, dim=-1) for row in entries], dim=-2)
    return matrices.to(dtype=dtype, device=device)


def about_axis(axis: Float[Tensor, "*several 3"], angle: float) -> Float[Tensor, "*several 3 3"]:
    """Return the rotations by one angle about several axes, by Rodrigues' formula.

    Args:
        axis: (..., 3) unit vectors.
        angle: Radians; positive ones turn counterclockwise when seen from the tip of the axis.

    Returns:
        (..., 3, 3).
    """
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    versine = 2 * np.sin(angle / 2) ** 2  # 1 - cos ω without cancellation
    turns: Tensor = torch.eye(3, dtype=axis.dtype) + np.sin(angle) * cross + versine * (cross @ cross)
    return turns


def tetrahedral_group() -> Float64[Tensor, "12 3 3"]:
    """Return the 12 rotations of a tetrahedron: averages of degree ≤ 2 in R are exact.

    Returns:
        (12, 3, 3) float64, the identity first, always in the same order, all entries exactly -1, 0
        or 1.
    """
    return _closure((_TWOFOLD, _THREEFOLD)).clone()


def octahedral_group() -> Float64[Tensor, "24 3 3"]:
    """Return the 24 rotations of a cube or octahedron: averages of degree ≤ 3 in R are exact.

    They map a cubic voxel grid onto itself without interpolation.

    Returns:
        (24, 3, 3) float64, the identity first, always in the same order, all entries exactly -1, 0
        or 1.
    """
    return _closure((_FOURFOLD, _THREEFOLD)).clone()


def icosahedral_group() -> Float64[Tensor, "60 3 3"]:
    """Return the 60 rotations of an icosahedron: averages of degree ≤ 5 in R are exact.

    Returns:
        (60, 3, 3) float64, the identity first, always in the same order.
    """
    return _closure((_FIVEFOLD, _THREEFOLD)).clone()


def randomised_cosets(
    group: Float[Tensor, "m 3 3"], cosets: int, *, generator: torch.Generator
) -> Float[Tensor, "cosets m 3 3"]:
    """Turn a finite group into independent, unbiased sets of rotations.

    Each coset is the whole group times one Haar rotation g₀ of its own, ``g = o @ g₀``: the input
    is rotated by g₀ first, then by the group element o. Each single rotation is then Haar
    distributed; within a coset they spread evenly, and the cosets are independent.
    `decomposition.decompose` takes the rotations flattened in this order, ``result.flatten(0, 1)``,
    with ``cosets=cosets``.

    Args:
        group: (m, 3, 3) the elements o of a group.
        cosets: number of cosets.
        generator: the only source of randomness.

    Returns:
        (cosets, m, 3, 3) with the dtype of `group`, on the generator's device.
    """
    start = haar(cosets, generator=generator, dtype=group.dtype)
    return group.to(start.device) @ start[:, None]


def quadrature(degree: int) -> tuple[Float64[Tensor, "m 3 3"], Float64[Tensor, " m"]]:
    """Return a rule that integrates polynomials of degree ≤ `degree` in the entries of R exactly.

    A rotation is a direction (its third row) and an angle about it. The rule is the product of a
    Lebedev rule over directions and degree + 1 equally spaced angles: the angles annihilate every
    Wigner function D^l_mn with 0 < |m| ≤ degree, and what is left, m = 0, is a spherical harmonic
    of the direction, which the Lebedev rule integrates.

    Args:
        degree: largest l of the matrix elements D^l that are integrated exactly, 0 to 131.

    Returns:
        rotations: (m, 3, 3) float64.
        weights: (m,) float64, positive, with sum 1 (Haar measure of total mass 1).

    Raises:
        ValueError: if `degree` is outside 0 to 131.
    """
    if not 0 <= degree <= _LEBEDEV_DEGREES[-1]:
        raise ValueError(f"degree is {degree}; expected 0 to {_LEBEDEV_DEGREES[-1]}")
    from scipy.integrate import lebedev_rule  # takes half a second, which other rules and estimates need not wait for

    points, areas = lebedev_rule(min(d for d in _LEBEDEV_DEGREES if d >= degree))
    frames = _frames(points.T)
    angles = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    cos, sin, zero, one = np.cos(angles), np.sin(angles), 0 * angles, 1 + 0 * angles
    turns = np.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
    rotations = turns[:, None] @ frames
    weights = np.broadcast_to(areas / areas.sum() / len(angles), rotations.shape[:2])
    return torch.from_numpy(rotations.reshape(-1, 3, 3)), torch.from_numpy(weights.flatten())


def _frames(directions: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Return (n, 3, 3) rotations whose third rows are the unit vectors `directions` (n, 3)."""
    axes = np.eye(3)[np.abs(directions).argmin(axis=1)]  # never nearly parallel to the direction
    first = np.cross(axes, directions)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return np.stack([first, np.cross(directions, first), directions], axis=1)


@cache
def _closure(generators: Sequence[Sequence[Sequence[float]]]) -> Float64[Tensor, "m 3 3"]:
    """Return the finite group (m, 3, 3) made by `generators`: the identity, then breadth first."""
    factors = torch.tensor(generators, dtype=torch.float64)
    elements = torch.eye(3, dtype=torch.float64)[None]
    done = 0
    while done < len(elements):
        for product in factors @ elements[done]:
            if not torch.isclose(product, elements, atol=1e-9).all(dim=(1, 2)).any():
                elements = torch.cat([elements, product[None]])
        done += 1
    return elements + 0.0  # no negative zeros
