"""Molecules as stacks of density grids, one channel per element.

Around every atom lies a Gaussian of height 1, g(d) = exp(-d² / (0.93 r)²) with the same radius r = 0.5 Å for every
element. The atoms of a channel form a union, V = 1 - prod_i (1 - g_i), so values lie between 0 and 1. Array axes are x,
y and z, in this order.

Source: VoxMol (Pinheiro et al. 2023, arXiv 2306.07473), whose grids the "upstream" centre reproduces.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

ELEMENT_CHANNELS = {6: 0, 1: 1, 8: 2, 7: 3, 9: 4, 16: 5, 17: 6, 35: 7, 15: 8, 53: 9, 5: 10}
"""Channel of each atomic number: C, H, O, N, F, S, Cl, Br, and P, I, B, which VoxMol leaves out of drugs."""

WIDTH = 0.93  # width of the Gaussian, in radii
REACH = 2.5  # reach of the symmetric window, in radii: 1.25 Å

_CHUNK = 2**20  # voxels of windows, in memory at once
_SPARSE = 8  # times as many voxels are converted one after the other in the time that it takes to find those of windows


@dataclass(frozen=True)
class Grid:
    """The places of the voxels of a cubic grid.

    The symmetric grid has the molecule's origin in its middle, and an atom contributes to voxels at most 2.5 radii
    away on each axis, whatever the spacing (5 voxels of 0.25 Å; 7e-4 is the largest value cut off). The 24 rotations
    of a cube then permute its voxels. The upstream grid is off-centre by 0.625 voxels on each axis, and so is its
    window of 11 voxels: this is VoxMol's library's convention, which is known for its own spacing and radius only.

    Attributes:
        side: Voxels along each axis.
        spacing: Distance between voxels, Å.
        centre: "symmetric" or "upstream".
        radius: Radius of atoms, Å.

    Raises:
        ValueError: A size is not positive, or the centre is unknown or not defined for the other values.
    """

    side: int
    spacing: float = 0.25
    centre: str = "symmetric"
    radius: float = 0.5

    def __post_init__(self) -> None:
        for name in ("side", "spacing", "radius"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, found {getattr(self, name)}")
        if self.centre not in ("symmetric", "upstream"):
            raise ValueError(f"unknown centre {self.centre!r}: use symmetric or upstream")
        if self.centre == "upstream" and (self.spacing != 0.25 or self.radius != 0.5 or self.side % 2):
            raise ValueError(
                f"centre='upstream' needs spacing 0.25, radius 0.5 and an even side, found {self.spacing}, "
                f"{self.radius} and {self.side}"
            )

    @property
    def origin(self) -> float:
        """Fractional index of a molecule's origin, the same on each axis."""
        return (self.side - 1) / 2 if self.centre == "symmetric" else self.side / 2 - 1.125

    @property
    def variance(self) -> float:
        """The divisor of squared distances in the Gaussian, in squared voxels."""
        return (WIDTH * self.radius / self.spacing) ** 2

    @property
    def reach(self) -> float:
        """How far along each axis an atom contributes in the symmetric grid, voxels."""
        return REACH * self.radius / self.spacing

    @property
    def window(self) -> int:
        """Voxels along each axis that an atom may contribute to."""
        return 11 if self.centre == "upstream" else math.ceil(2 * self.reach) + 1

    def axis(
        self, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
    ) -> Float[Tensor, " side"]:
        """(side,) coordinates of the voxels along each axis, Å."""
        index = torch.arange(self.side, dtype=dtype, device=device)
        return (index - self.origin) * self.spacing


def element_channels(atomic_numbers: Int64[Tensor, " N"], channels: int = 8) -> Int64[Tensor, " N"]:
    """Channel of each atom, (N,) int64.

    Args:
        atomic_numbers: (N,) int64.
        channels: Number of channels; elements of later channels are unknown.

    Raises:
        ValueError: Some elements have no channel; the message lists them.
    """
    known = {number: channel for number, channel in ELEMENT_CHANNELS.items() if channel < channels}
    unknown = sorted(set(atomic_numbers.unique().tolist()) - known.keys())
    if unknown:
        raise ValueError(f"atomic numbers {unknown} have no channel among {channels}: those of {sorted(known)} have")
    table = torch.zeros(max(known) + 1, dtype=torch.int64)
    table[list(known)] = torch.tensor(list(known.values()))
    return table.to(atomic_numbers.device)[atomic_numbers]


def check_atoms(
    positions: Float[Tensor, "N 3"],
    channel: Int64[Tensor, " N"],
    molecule: Int64[Tensor, " N"],
    molecules: int,
    channels: int = 8,
) -> None:
    """Refuse atoms that have no place in grids; arguments are those of `voxelise`.

    Raises:
        ValueError: If a position, channel or molecule is out of range.
    """
    if not bool(positions.isfinite().all()):
        raise ValueError("positions must be finite")
    for name, index, count in (("channel", channel, channels), ("molecule", molecule, molecules)):
        if bool(((index < 0) | (index >= count)).any()):
            raise ValueError(f"{name} must lie in 0 to {count - 1}, found {int(index.min())} to {int(index.max())}")


def voxelise(
    positions: Float[Tensor, "N 3"],
    channel: Int64[Tensor, " N"],
    molecule: Int64[Tensor, " N"],
    molecules: int,
    grid: Grid,
    channels: int = 8,
) -> Float[Tensor, "molecules channels side side side"]:
    """Density grids of a batch of molecules; differentiable once with respect to positions.

    Apart from the result, memory is bounded whatever the number of atoms. Parts of atoms outside the box are cut off.
    Values of tensors are not checked, for which a GPU would have to be waited for: `check_atoms` does that.

    Args:
        positions: (N, 3) Å, float32 or float64, of all molecules; the origin is the grid's.
        channel: (N,) int64 in range(channels).
        molecule: (N,) int64 in range(molecules), the molecule of each atom.
        molecules: Number of molecules B.
        grid: The places of the voxels.
        channels: Number of channels C.

    Returns:
        (B, C, side, side, side), dtype and device of `positions`. A voxel exactly at an atom's centre holds the largest
        number below 1, so that gradients are finite.

    Raises:
        ValueError: If shapes do not fit.
    """
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions have shape {tuple(positions.shape)}; expected (N, 3)")
    for name, index in (("channel", channel), ("molecule", molecule)):
        if index.shape != positions.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(index.shape)}; expected ({len(positions)},)")
    values: Tensor = _Union.apply(positions / grid.spacing, molecule * channels + channel, molecules * channels, grid)
    return values.view(molecules, channels, *(grid.side,) * 3)


def published_rotation(angles: Float[Tensor, "*several 3"]) -> Float[Tensor, "*several 3 3"]:
    """Rotations R = Rz(c) Ry(b) Rx(a) of VoxMol's augmentation, whose Ry has the opposite sense to the usual one.

    With independent angles, uniform on [0, 2π), they are not uniform on SO(3). VoxMol applies them about the mean
    position of all atoms and then shifts by a vector uniform in [-0.5, 0.5] Å on each axis.

    Args:
        angles: (..., 3), a, b and c in radians.

    Returns:
        (..., 3, 3), active, for row vectors ``x @ R.T``.
    """
    turns = []
    for axis, angle in enumerate(angles.unbind(-1)):
        one, zero, cos, sin = torch.ones_like(angle), torch.zeros_like(angle), angle.cos(), angle.sin()
        turn = ((one, zero, zero), (zero, cos, -sin), (zero, sin, cos))  # about x; the others in cyclic order
        rows = torch.stack([torch.stack(row, -1) for row in turn], -2)
        turns.append(rows.roll((axis, axis), (-2, -1)))
    x, y, z = turns
    return z @ y.mT @ x


class _Window(NamedTuple):
    """The voxels around some of the atoms, w along each axis.

    Attributes:
        rows: The atoms.
        place: (n * w³,) place of each voxel among all; an arbitrary place where the window leaves the grid.
        displacement: (n, 3, w) from the atom to the voxel along each axis, voxels.
        density: (n, w, w, w), zero where the window leaves the grid.
    """

    rows: slice
    place: Tensor
    displacement: Tensor
    density: Tensor

    @property
    def log_complement(self) -> Float[Tensor, "n w w w"]:
        """(n, w, w, w) log(1 - density), finite."""
        largest = 1 - torch.finfo(self.density.dtype).eps / 2
        return torch.log1p(-self.density.clamp(max=largest))


def _windows(x: Float[Tensor, "N 3"], plane: Int64[Tensor, " N"], grid: Grid) -> Iterator[_Window]:
    """Windows of atoms at x (N, 3), in voxels from the origin, on planes (N,), a bounded number at a time."""
    side, origin = grid.side, grid.origin
    reach, width = grid.reach, grid.window
    steps = torch.arange(width, device=x.device, dtype=x.dtype)
    atoms = max(1, _CHUNK // width**3)
    for start in range(0, len(x), atoms):
        rows = slice(start, start + atoms)
        here = x[rows]
        first = here.floor() + (side / 2 - 5) if grid.centre == "upstream" else (here + (origin - reach)).floor()
        index = first[..., None] + steps
        # Index and origin are exact, so that opposite atoms have exactly opposite displacements.
        displacement = (index - origin) - here[..., None]
        inside = (index >= 0) & (index < side)
        if grid.centre == "symmetric":
            inside &= displacement.abs() <= reach
        a, b, c = (torch.exp(-displacement.square() / grid.variance) * inside).unbind(1)
        i, j, k = index.long().clamp(0, side - 1).unbind(1)  # what is no number, too, gets a place
        index = ((plane[rows, None] * side + i)[:, :, None] * side + j[:, None])[..., None] * side + k[:, None, None]
        density = (a[:, :, None] * b[:, None])[..., None] * c[:, None, None]
        yield _Window(rows, index.flatten(), displacement, density)


def _log_complements(
    x: Float[Tensor, "N 3"], plane: Int64[Tensor, " N"], planes: int, grid: Grid
) -> Float[Tensor, " voxels"]:
    """(planes * side³,) sum_i log(1 - g_i) over the atoms of each plane; at most 0."""
    result = x.new_zeros(planes * grid.side**3)
    for window in _windows(x, plane, grid):
        result.index_add_(0, window.place, window.log_complement.flatten())
    return result


class _Union(torch.autograd.Function):
    """1 - prod_i (1 - g_i), in logarithms; where atoms are few, only voxels near them are ever computed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, plane: Tensor, planes: int, grid: Grid) -> Tensor:
        ctx.save_for_backward(x, plane)
        ctx.planes, ctx.grid = planes, grid
        values = _log_complements(x, plane, planes, grid)
        if len(values) <= _SPARSE * len(x) * grid.window**3:
            return values.expm1_().abs_()  # not negated, which would leave a negative zero
        for window in _windows(x, plane, grid):
            found = values.index_select(0, window.place)
            # Logarithms are at most 0 and densities at least 0: a positive value has been converted already.
            values.index_copy_(0, window.place, torch.where(found < 0, -torch.expm1(found), found))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, plane = ctx.saved_tensors
        total = _log_complements(x, plane, ctx.planes, ctx.grid)
        result = torch.empty_like(x)
        for window in _windows(x, plane, ctx.grid):
            shape = window.density.shape
            others = torch.exp(total.index_select(0, window.place).view(shape) - window.log_complement)
            upstream = gradient.index_select(0, window.place).view(shape) * others * window.density
            along = torch.stack([upstream.sum(axes) for axes in ((2, 3), (1, 3), (1, 2))], 1)
            result[window.rows] = (along * window.displacement).sum(2) * (2 / ctx.grid.variance)
        return result, None, None, None
