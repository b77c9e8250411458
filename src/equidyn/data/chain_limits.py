"""Settings of the sources of protein chains: which chains become examples, and which of them are related.

Imports nothing heavy, as the cards of the sources use it.
"""

from typing import Self

from pydantic import Field, model_validator

from equidyn.core.settings import Settings
from equidyn.data.card import Seed


class ChainLimits(Settings):
    """Limits on the chains that become examples."""

    min_length: int = Field(
        ge=3, description="Fewest residues of a chain: of the deposited sequence for `pdb`, else of those resolved."
    )
    max_length: int = Field(ge=3, description="Most residues of a chain, counted in the same way.")
    worst_resolution: float = Field(
        5.0,
        gt=0,
        description="Chains from structures that are resolved worse than this (Å) are left out, and so are those from "
        "other experiments than diffraction and electron microscopy; neither applies to files that do not say.",
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length is {self.min_length}, max_length {self.max_length}: expected min_length <= max_length"
            )
        return self


class ChainRecipe(ChainLimits):
    """Limits on the chains in a store, and on the likeness of sequences within a cluster."""

    complete: bool = Field(
        False, description="Leave out chains with a break; they are kept otherwise, and the break is marked."
    )
    standard: bool = Field(
        True,
        description="Leave out chains that had a non-standard residue (selenomethionine is not one); they are kept "
        "otherwise, without that residue.",
    )
    identity: float = Field(
        gt=0, le=1, description="Least sequence identity with the representative of a cluster (MMseqs2)."
    )
    coverage: float = Field(gt=0, le=1, description="Least share of a sequence that must be aligned to it.")
    seed: Seed = 0
