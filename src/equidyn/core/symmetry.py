"""Symmetries: groups that can be sampled and that act on what a model reads and predicts.

One object serves everything that depends on the group: its elements orient data, augment training and twist
predictions. Elements are tensors (n, ...), one per example of a batch, in double precision on the CPU; each group
chooses the form of its elements. Matrices act on row vectors actively, ``x ↦ x Rᵀ``, see `equidyn.core.actions`.

Values are of kinds that transform differently: points (positions), vectors (forces, velocities, displacements),
pseudovectors (angular momenta), scalars (energies) and grids (densities on voxels). A translation moves points and
leaves vectors unchanged; an inversion reverses vectors and leaves pseudovectors unchanged.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from equidyn.core.actions import inverse, rotate, rotate_grid, rotate_grid_exactly
from equidyn.core.groups.card import GroupCard, group_card
from equidyn.core.plugins import load


def symmetry(name: str) -> "Symmetry":
    """The symmetry of that name.

    Raises:
        ValueError: No symmetry has this name; the message lists the known ones.
    """
    found: Symmetry = load(group_card(name).symmetry)
    return found


class Symmetry(ABC):
    """A group, how its elements are drawn, and how they act on each kind of value.

    Attributes:
        card: The card of the group, with its name and what is known of it without PyTorch.
        has_closed_form: Whether `equidyn.core.decomposition.decompose_exact` holds: averages over the group of even
            functions of an element's matrix are those over SO(3), E[g_ka g_lb] = δ_kl δ_ab / 3 among them. A network
            whose weights are invariant under the group then has its average from one forward pass.
    """

    card: GroupCard
    has_closed_form: bool = False

    @property
    def name(self) -> str:
        """Name of the group in tables."""
        return self.card.name

    @abstractmethod
    def sample(self, count: int, *, generator: Generator) -> Float64[Tensor, "n ..."]:
        """Draw `count` independent elements, with the generator as the only source of randomness."""

    @abstractmethod
    def identity(self, count: int = 1) -> Float64[Tensor, "count ..."]:
        """The identity, `count` times."""

    @abstractmethod
    def inverse(self, elements: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """The inverse of each element."""

    @abstractmethod
    def compose(self, second: Float64[Tensor, "n ..."], first: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """Elements that act as `first` followed by `second`, one by one."""

    @abstractmethod
    def act_on_points(
        self,
        points: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Points, each transformed by the element of its example.

        Args:
            points: (N, 3), all examples end to end, or (B, L, 3), padded to equal length.
            elements: (B, ...), one per example.
            example: (N,) int64, the example of each point, for points end to end.

        Returns:
            The shape, type and device of `points`.
        """

    @abstractmethod
    def act_on_vectors(
        self,
        vectors: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Vectors, shaped like points."""

    @abstractmethod
    def act_on_pseudovectors(
        self, vectors: Float[Tensor, "N 3"], elements: Float[Tensor, "B ..."], example: Int64[Tensor, " N"]
    ) -> Float[Tensor, "N 3"]:
        """Pseudovectors (N, 3), such as cross products of two vectors."""

    def act_on_scalars(self, scalars: Float[Tensor, "*any"], elements: Float[Tensor, "B ..."]) -> Float[Tensor, "*any"]:
        """Scalars, of any shape, which no element changes."""
        return scalars

    @abstractmethod
    def act_on_grids(
        self, grids: Float[Tensor, "B C G G G"], elements: Float[Tensor, "B ..."], origin: float, order: int
    ) -> Float[Tensor, "B C G G G"]:
        """Cubic grids (B, C, G, G, G), transformed by one element per example.

        Args:
            grids: Array axes x, y, z.
            elements: (B, ...), one per example.
            origin: Index of the point that elements leave fixed, the same on each axis.
            order: Order of the interpolation between voxels, see `equidyn.core.actions.rotate_grid`; 0 for elements
                that permute the voxels, which need no interpolation.
        """


class MatrixGroup(Symmetry):
    """A group of orthogonal 3×3 matrices; its elements are (n, 3, 3)."""

    def identity(self, count: int = 1) -> Float64[Tensor, "count ..."]:
        """(count, 3, 3) unit matrices."""
        return torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)

    def inverse(self, elements: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """The transposes."""
        return inverse(elements)

    def compose(self, second: Float64[Tensor, "n ..."], first: Float64[Tensor, "n ..."]) -> Float64[Tensor, "n ..."]:
        """Products of matrices."""
        return second @ first

    def act_on_points(
        self,
        points: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Points rotated about the origin, like vectors."""
        return self.act_on_vectors(points, elements, example)

    def act_on_vectors(
        self,
        vectors: Float[Tensor, "*many 3"],
        elements: Float[Tensor, "B ..."],
        example: Int64[Tensor, " N"] | None = None,
    ) -> Float[Tensor, "*many 3"]:
        """Vectors R v."""
        if vectors.ndim == 3:
            return vectors @ elements.to(vectors).mT
        return rotate(vectors, elements, example)

    def act_on_pseudovectors(
        self, vectors: Float[Tensor, "N 3"], elements: Float[Tensor, "B ..."], example: Int64[Tensor, " N"]
    ) -> Float[Tensor, "N 3"]:
        """Pseudovectors det(R) R v."""
        parity: Tensor = torch.linalg.det(elements).sign().to(vectors)
        return rotate(vectors, elements, example) * parity[example, None]

    def act_on_grids(
        self, grids: Float[Tensor, "B C G G G"], elements: Float[Tensor, "B ..."], origin: float, order: int
    ) -> Float[Tensor, "B C G G G"]:
        """Grids rotated about the point with index `origin`, or about their middle where voxels are permuted."""
        if order == 0:
            return rotate_grid_exactly(grids, elements.round())
        return rotate_grid(grids, elements, origin, order)
