"""Energy of a function on rotations by degree, its angular momentum.

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

The estimate takes g and g' from different cosets of a set of rotations whose averages are exact up to degree L + 2, so
that it is unbiased for every degree, also where predictions have degrees beyond. Up to degree L the twirl, by far the
largest part, cancels exactly, and so does what degrees l ≠ l' with l + l' ≤ L + 2 have in common, all that of degrees 1
and 2 in particular, which leaves less noise by far than independent rotations would. All degrees beyond L are one
remainder: the equivariance error less the others.
"""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor


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
        rotations: (cosets, m, 3, 3) two or more independent cosets of a set that is exact up to degree L; or the set
            itself, (1, m, 3, 3), if it is exact for the products of two values.
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
    pairs = torch.outer(share, share)
    if cosets > 1:
        pairs = pairs * (number[:, None] != number) * cosets / (cosets - 1)
    flat = rotations.to(values).reshape(len(values), 9)
    products = pairs * (centred @ centred.T)
    by_degree = [
        float((2 * degree + 1) * (character * products).sum())
        for degree, character in enumerate(characters(flat @ flat.T, degrees))
    ]
    error = float(share @ centred.square().sum(1)) - by_degree[0]
    by_degree[0] += float(mean.square().sum())
    return np.array([*by_degree, error - sum(by_degree[1:])]), error
