"""Equivariance error by angular momentum: the energy of the twisted prediction by degree, as a function on rotations.

For an example x, the twisted prediction h_g = g⁻¹ f(g x) is a function of g with values in Rⁿ, n being the number of
predicted components. It is a sum of parts h^l, each a combination of the matrix elements of the irreducible
representation of degree l (Peter and Weyl), and the parts are orthogonal:

    E_g |h_g|² = Σ_l E_l,    E_l = E_g |h^l_g|² = (2l + 1) E_{g, g'} χ_l(g⁻¹ g') ⟨h_g, h_g'⟩,

with independent g and g', and the character χ_l(ω) = 1 + 2 Σ_k≤l cos kω of a rotation by ω. E_0 is the energy of the
twirl, and the others add up to the equivariance error.

Nothing depends on how the example lies: for y = a x the function is a h_{g a}, a shift and a rotation of its values,
and characters do not change if both rotations are multiplied by the same one, on either side. Hence conformers drawn in
random orientation have the same energies. Degrees are those of h, not of g ↦ f(g x), from which they differ by up to
one, as vectors are turned back.

What is known in closed form: EScAIP's twisted prediction is a sum of products of two entries of the same row of g,
which are of degree 0 and 2 alone (`equidyn.core.decomposition.decompose_exact`). A matrix A applied to vectors has
g⁻¹ A g, of degree 0 (its trace), 1 (its antisymmetric part) and 2 (the rest).

The estimate takes g and g' from different cosets of a set of rotations whose averages are exact up to degree L + 2, so
that it is unbiased for every degree, also where predictions have degrees beyond. Up to degree L the twirl, by far the
largest part, cancels exactly, and so does what degrees l ≠ l' with l + l' ≤ L + 2 have in common, all that of degrees 1
and 2 in particular, which leaves less noise by far than independent rotations would. All degrees beyond L are one
remainder: the equivariance error less the others.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from equidyn.analysis.designs import draw_cosets, rule
from equidyn.analysis.losses import inputs, sampled
from equidyn.analysis.spectrum.card import AT_ONCE, BEYOND
from equidyn.core.decomposition import interval
from equidyn.core.seeding import seed_for
from equidyn.run.batches import in_batches
from equidyn.run.evaluation import twisted_predictions
from equidyn.run.protocol import EvaluationSettings
from equidyn.tasks.contract import Task


def characters(traces: Tensor, degrees: int) -> list[Tensor]:
    """χ_0 to χ_L of rotations with these traces, 1 + 2 cos ω, each of the shape of the traces."""
    twice = traces - 1  # 2 cos ω
    before, now = torch.ones_like(twice), twice / 2  # cos kω by Chebyshev's recurrence
    found = [before]
    for _ in range(degrees):
        found.append(found[-1] + 2 * now)
        before, now = now, twice * now - before
    return found


def energies(
    values: Float64[Tensor, "K n"],
    rotations: Float64[Tensor, "cosets m 3 3"],
    weights: Float64[Tensor, " m"],
    degrees: int,
) -> tuple[Float64[np.ndarray, " several"], float]:
    """Energy by degree of a function on SO(3), and that of all degrees but 0, unbiased.

    Args:
        values: (K, n) the function at the rotations, coset by coset.
        rotations: (cosets, m, 3, 3) two or more independent cosets of a set that is exact up to degree L.
        weights: (m,) of the set, with sum 1.
        degrees: L.

    Returns:
        (L + 2,) degrees 0 to L, and all beyond; and the sum without degree 0.
    """
    cosets = len(rotations)
    share = weights.repeat(cosets).to(values) / cosets
    mean = share @ values
    centred = values - mean  # changes no degree up to L but 0, and loses fewer digits
    number = torch.arange(cosets, device=values.device).repeat_interleave(len(weights))
    pairs = torch.outer(share, share) * (number[:, None] != number) * cosets / (cosets - 1)
    flat = rotations.to(values).reshape(len(values), 9)
    products = pairs * (centred @ centred.T)
    by_degree = [
        float((2 * degree + 1) * (character * products).sum())
        for degree, character in enumerate(characters(flat @ flat.T, degrees))
    ]
    error = float(share @ centred.square().sum(1)) - by_degree[0]
    by_degree[0] += float(mean.square().sum())
    return np.array([*by_degree, error - sum(by_degree[1:])]), error


@torch.no_grad()
def measure(
    task: Task,
    model: nn.Module,
    indices: np.ndarray,
    protocol: EvaluationSettings,
    condition: Mapping[str, Any],
    *,
    degrees: int,
) -> list[dict[str, Any]]:
    """The energy of twisted predictions by degree, one row per degree.

    Args:
        task: The task, which makes batches and compares predictions.
        model: The network, in double precision.
        indices: (n,) examples.
        protocol: Number K of rotations, two or more cosets; batch size, seed, level of intervals.
        condition: See `Task.symmetry` and `Task.inputs`.
        degrees: L, see `equidyn.analysis.spectrum.card.COSET`.

    Returns:
        ``degree``, 0 to L, and L + 1 for the remainder, whose ``and_above`` is true; ``energy`` per component,
        ``error_share`` in percent of the equivariance error and ``loss_share`` in percent of the total loss, each with
        ``_low`` and ``_high`` by clusters, both shares NaN for degree 0; ``error``, the equivariance error per
        component, and ``loss``, of the same rotations; ``cosets``. Estimates are unbiased and can be negative.

    Raises:
        ValueError: The condition's group is not that of all rotations.
    """
    symmetry = task.symmetry(condition)
    if not symmetry.card.has_angles:
        raise ValueError(f"functions on the group {symmetry.name!r} have no degrees: use 'SO(3)'")
    rotations, weights = rule(degrees + BEYOND)
    cosets = protocol.rotations // len(rotations)
    model.eval()
    found = []
    for chosen in in_batches(indices, protocol):
        batch = inputs(task, model, chosen, protocol, condition)
        drawn = draw_cosets(symmetry, rotations, cosets, chosen, protocol.seed)
        parts = drawn.flatten(0, 1).split(AT_ONCE)
        twisted = torch.cat([twisted_predictions(task, model, batch, part, symmetry) for part in parts]).double()
        target, example = task.target(batch).double(), task.example(batch)
        for place in range(len(chosen)):
            own = example == place
            values, truth = twisted[:, own].flatten(1), target[own].flatten()
            parts_of, error_of = energies(values, drawn[:, :, place], weights, degrees)
            squares = (values - truth).square().sum(1).unflatten(0, (cosets, -1)).mean(0)
            found.append([*parts_of, error_of, float(weights.to(squares) @ squares), truth.numel()])
    *by_degree, error, loss, components = np.array(found).T
    cluster, error = task.cluster(indices), np.maximum(error, 0)

    def column(name: str, values: np.ndarray, below: np.ndarray, unit: float) -> dict[str, float]:
        if not below.sum() > 0:
            return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan}
        low, high = interval(
            values, below, cluster, level=protocol.confidence, resamples=protocol.resamples,
            seed=seed_for(protocol.seed, "bootstrap"),
        )  # fmt: skip
        return {name: unit * values.sum() / below.sum(), f"{name}_low": unit * low, f"{name}_high": unit * high}

    return [
        {
            "degree": degree,
            "and_above": degree > degrees,
            **column("energy", values, components, 1),
            **column("error_share", values, error * bool(degree), 100),
            **column("loss_share", values, loss * bool(degree), 100),
            "error": error.sum() / components.sum(),
            "loss": loss.sum() / components.sum(),
            "cosets": cosets,
            **sampled(protocol),
        }
        for degree, values in enumerate(by_degree)
    ]
