"""Loss landscapes: both parts of the held-out loss on a plane of weights around a checkpoint.

With common random numbers, all points of the grid see the same examples, noise and rotations, so that the surface shows
nothing but the loss. The protocol of Shen et al. 2025 (arXiv 2512.02303), to judge by their surfaces, draws rotations
anew at every point, which adds sampling noise to the loss; it is here for comparison.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from equidyn.analysis.anatomy import block_parameters
from equidyn.analysis.convergence import CONVERGED, last_change
from equidyn.analysis.curvature import DENSE_LIMIT, Hessian, lanczos, largest_eigenpairs, rounding, spectrum
from equidyn.analysis.landscape.card import FRESH_ROTATIONS
from equidyn.analysis.losses import PARTS, HeldOutLoss
from equidyn.analysis.roughness import roughness
from equidyn.analysis.steps import step
from equidyn.core.seeding import seed_for
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task

PROTOCOLS = ("common", "fresh")
RANDOM = "random"

_LANCZOS_STEPS = 100  # steps of Lanczos that find a flat direction
_TOLERANCE = 1e-4  # relative tolerance of the largest eigenvalue


def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    block: str,
    directions: Sequence[str],
    points: int,
    extent: float,
    fresh_rotations: int = FRESH_ROTATIONS,
) -> list[dict[str, Any]]:
    """Landscapes around a checkpoint, one row per plane, protocol, part of the loss and point of the grid.

    Rotations are sampled even where a closed form exists, as its surfaces have no sampling noise to show. Those that
    all points share form cosets (`equidyn.core.designs`), so that the grid from fewer of them, nested in these, is
    at hand too, and shows whether their number suffices. Those drawn anew are independent, as in the paper.

    Args:
        task: The task, which makes batches and compares predictions.
        model: Its network, in double precision.
        indices: (n,) examples.
        protocol: See `equidyn.analysis.losses.HeldOutLoss`.
        condition: See `Task.symmetry` and `Task.inputs`.
        block: Weights that move, see `equidyn.analysis.anatomy.block_parameters`.
        directions: Planes: of the Hessian of the "twirled" loss, of the "equivariance" error, or "random".
        points: Number of points along each axis; an odd number has the checkpoint itself in the middle.
        extent: Farthest coordinate along an axis, as a fraction of the length of the block's weights.
        fresh_rotations: Number of rotations drawn anew at every point.

    Returns:
        ``block``, ``block_parameters``, ``scale`` (that length), ``directions``, ``eigenvalue_x`` and ``eigenvalue_y``
        (NaN for random ones), ``protocol``, ``loss``, ``i``, ``j``, ``x``, ``y`` (fractions of the length), ``value``,
        and the constants of `equidyn.analysis.roughness.roughness` for each grid. For the protocol "common" as lists,
        the same at all points, ``series_rotations``, rising to all, and ``series_roughness``; ``roughness_change``, the
        relative change by the last increase; and ``converged``, whether it is at most
        `equidyn.analysis.convergence.CONVERGED`. For "fresh" lists have one entry, and nothing has converged.
    """
    parameters = block_parameters(model, block)
    scale = float(torch.cat([weight.detach().flatten() for weight in parameters.values()]).norm())
    coordinates = np.linspace(-extent, extent, points)
    loss = HeldOutLoss(task, model, indices, protocol, condition, exact=False, in_cosets=True)
    rows = []
    for name in directions:
        if name == RANDOM:
            plane, eigenvalues = random_plane(parameters, protocol.seed), np.full(2, np.nan)
        else:

            def eigenvectors(part: str = name) -> list[np.ndarray]:
                exact = HeldOutLoss(task, model, indices, protocol, condition, in_cosets=True)
                directions, curvatures = eigenplane(exact, part, parameters)
                return [directions.cpu().numpy(), curvatures]

            found, eigenvalues = step(eigenvectors)
            plane = torch.from_numpy(found).to(next(iter(parameters.values())))
        for drawn in PROTOCOLS:

            def redraw(i: int, j: int, name: str = name) -> None:
                loss.draw(seed_for(protocol.seed, "fresh", name, i, j), count=fresh_rotations)

            if drawn == "fresh":
                redraw(0, 0)  # as many as at all points, whose values may be known
            else:
                loss.draw(protocol.seed, in_cosets=True)
            grids = surface(
                loss, parameters, plane, scale * coordinates, redraw=redraw if drawn == "fresh" else None,
                title=f"{name} plane, {drawn}",
            )  # fmt: skip
            for part in PARTS:
                by_size = [roughness(coordinates, coordinates, grid[part]) for grid in grids]
                series = np.array([each["roughness"] for each in by_size])
                change = last_change(series)
                values = grids[-1][part]
                shared = {
                    "block": block,
                    "block_parameters": plane.shape[1],
                    "scale": scale,
                    "directions": name,
                    "eigenvalue_x": float(eigenvalues[0]),
                    "eigenvalue_y": float(eigenvalues[1]),
                    "protocol": drawn,
                    "loss": part,
                    **loss.estimator,
                    **by_size[-1],
                    "series_rotations": np.array([float(loss.cosets * size) for size in loss.sizes]),
                    "series_roughness": series,
                    "roughness_change": change,
                    "converged": change <= CONVERGED,
                }
                rows += [
                    shared | {"i": i, "j": j, "x": coordinates[j], "y": coordinates[i], "value": values[i, j]}
                    for i in range(points)
                    for j in range(points)
                ]
    return rows


def eigenplane(
    loss: HeldOutLoss, part: str, parameters: Mapping[str, nn.Parameter], *, dense: bool | None = None
) -> tuple[Tensor, np.ndarray]:
    """Directions of the smallest positive and of the largest eigenvalue of a block's Hessian.

    Where the Hessian is too large to compute in full, the first is that of the smallest positive Ritz value after some
    steps of Lanczos: not an eigenvector, but a direction of little curvature, which is the Ritz value.

    Args:
        loss: Held-out loss.
        part: Part of the loss whose Hessian is used.
        parameters: Parameters of the block.
        dense: Whether to compute it in full; None to do so if it is small enough.

    Returns:
        (2, P) x and y, unit vectors, the largest component of each positive; and the curvatures (2,) along them.

    Raises:
        ValueError: No two eigenvalues are positive.
    """
    hessian = Hessian(loss, part, parameters)
    if dense or (dense is None and hessian.size <= DENSE_LIMIT):
        found = spectrum(hessian, probes=1, steps=1, dense=True)
        assert found.vectors is not None
        values, vectors = found.eigenvalues[found.positive()], found.vectors[:, found.positive()].T
    else:
        operator = hessian.operator()
        start = np.random.default_rng(0).standard_normal(hessian.size)
        top, direction = step(lambda: largest_eigenpairs(operator, 1, _TOLERANCE, start))
        start -= direction[:, 0] * (direction[:, 0] @ start)
        ritz, inner, basis = lanczos(operator, start / np.linalg.norm(start), _LANCZOS_STEPS, direction)
        values, vectors = np.append(ritz, top), np.vstack([inner.T @ basis, direction.T])
        positive = values > rounding(values)
        values, vectors = values[positive], vectors[positive]
    if len(values) < 2:
        raise ValueError(f"the {part} loss has {len(values)} positive eigenvalue(s) in this block: no plane to draw")
    plane = vectors[[0, -1]]
    signs = np.sign(np.take_along_axis(plane, np.abs(plane).argmax(1)[:, None], 1))
    return torch.from_numpy(plane * signs).to(hessian.parameters[0]), values[[0, -1]]


def random_plane(parameters: Mapping[str, nn.Parameter], seed: int) -> Tensor:
    """(2, P) two random directions, filter-normalised, and scaled to unit length.

    Raises:
        ValueError: The block has no matrix.

    Each row of a weight matrix, or filter of a convolution, gets a random vector of the length of that filter; biases
    and other vectors stay as they are. Source: Li et al. 2018 (arXiv 1712.09913).
    """
    if all(weight.ndim < 2 for weight in parameters.values()):
        raise ValueError(f"{', '.join(parameters)}: filter-normalised directions need a matrix; choose another block")
    generator = torch.Generator().manual_seed(seed_for(seed, "directions"))
    directions = []
    for _ in range(2):
        parts = []
        for weight in parameters.values():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
            if weight.ndim < 2:
                parts.append(torch.zeros_like(weight).flatten())
            else:
                rows, like = noise.flatten(1), weight.detach().flatten(1)
                parts.append((rows * (like.norm(dim=1) / rows.norm(dim=1))[:, None]).flatten())
        direction = torch.cat(parts)
        directions.append(direction / direction.norm())
    return torch.stack(directions)


def surface(
    loss: HeldOutLoss,
    parameters: Mapping[str, nn.Parameter],
    plane: Tensor,
    coordinates: np.ndarray,
    *,
    redraw: Callable[[int, int], None] | None = None,
    title: str = "landscape",
) -> list[dict[str, np.ndarray]]:
    """Both parts of the loss on a grid of a plane through the present weights, which are put back afterwards.

    Args:
        loss: Held-out loss.
        parameters: The block that moves.
        plane: (2, P) directions x and y.
        coordinates: (n,) multiples of the directions, along x and y alike.
        redraw: Draws new rotations of the loss for each point (i, j); None for common random numbers.
        title: Title of the progress bar.

    Returns:
        For each of the loss's `sizes` (n, n) of each part; row i moves along y, column j along x.
    """
    start = [parameter.detach().clone() for parameter in parameters.values()]

    def row(i: int) -> list[np.ndarray]:
        found = []
        for j, x in enumerate(coordinates):
            _move(parameters.values(), start, x * plane[0] + coordinates[i] * plane[1])
            if redraw is not None:
                redraw(i, j)
            found.append(loss.values_by_size())
        return [np.array([[[values[part] for values in point] for point in found] for part in PARTS])]

    try:
        rows = [step(partial(row, i))[0] for i in tqdm(range(len(coordinates)), desc=title, mininterval=5)]
    finally:
        _move(parameters.values(), start, torch.zeros_like(plane[0]))
    grids = np.moveaxis(np.stack(rows), 3, 0)  # size, row, part, column
    return [dict(zip(PARTS, np.ascontiguousarray(of_size.swapaxes(0, 1)), strict=True)) for of_size in grids]


@torch.no_grad()
def _move(parameters: Any, start: Sequence[Tensor], shift: Tensor) -> None:
    sizes = [weight.numel() for weight in start]
    for parameter, weight, part in zip(parameters, start, shift.split(sizes), strict=True):
        parameter.copy_(weight + part.view_as(weight))
