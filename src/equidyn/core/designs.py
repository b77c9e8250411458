"""Rotations that are spread evenly: cosets of finite groups, and of exact rules, turned by group elements of their own.

A coset is a fixed set of rotations o, each preceded by the same element g₀ of the group, drawn anew for each coset and
example. Each rotation is then distributed as the group's elements are, and cosets are independent, so that estimates
from two or more stay unbiased (`equidyn.core.decomposition.decompose`), with less variance than from as many
independent rotations.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from equidyn.core.cosets import coset_size
from equidyn.core.rotations import icosahedral_group, octahedral_group, quadrature, tetrahedral_group
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry


@cache
def chain() -> Float64[Tensor, "24 3 3"]:
    """The rotations of a cube, in an order in which the first 1, 2, 4, 12 and all 24 are a group each."""
    group = octahedral_group()
    permutation = group.abs()
    rank = [
        ~torch.isclose(torch.linalg.det(permutation), torch.ones((), dtype=group.dtype)),  # not of a tetrahedron
        (permutation != torch.eye(3, dtype=group.dtype)).any((1, 2)),  # not half turns about x, y and z
        group[:, 2, 2] != 1,  # not about z
        (group != torch.eye(3, dtype=group.dtype)).any((1, 2)),
    ]
    order = np.lexsort([key.numpy() for key in reversed(rank)])
    return group[torch.from_numpy(order)]


def size_of_cosets(symmetry: Symmetry, count: int) -> int:
    """Rotations in each of two or more cosets that so many elements of a group form; one if it moves the origin."""
    return coset_size(count) if symmetry.card.leaves_origin else 1


@cache
def rule(degree: int) -> tuple[Float64[Tensor, "m 3 3"], Float64[Tensor, " m"]]:
    """The smallest set of rotations here, with weights, whose averages are exact up to a degree in the entries of R."""
    groups = {2: tetrahedral_group, 3: octahedral_group, 5: icosahedral_group}
    for exact, group in groups.items():
        if degree <= exact:
            rotations = group()
            return rotations, torch.full((len(rotations),), 1 / len(rotations), dtype=torch.float64)
    return quadrature(degree)


def draw_cosets(
    symmetry: Symmetry, rotations: Float64[Tensor, "m 3 3"], cosets: int, examples: np.ndarray, seed: int
) -> Float64[Tensor, "cosets m B ..."]:
    """Cosets of a set of rotations for each example, which has a random stream of its own.

    Args:
        symmetry: The group; if its elements are no matrices, the set must be the identity alone.
        rotations: (m, 3, 3) the set.
        cosets: Number of cosets.
        examples: (B,) examples.
        seed: Seed of the elements g₀.
    """

    def of_one(example: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed_for(seed, "cosets", example))
        first = symmetry.sample(cosets, generator=generator)
        if len(rotations) == 1:
            return first[:, None]
        turned = [symmetry.compose(rotations, one.expand_as(rotations)) for one in first]
        return torch.stack(turned)

    return torch.stack([of_one(int(example)) for example in examples], 2)
