"""The numbers of a property from its twisted predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from equidyn.core.cosets import nested
from equidyn.core.decomposition import LOSSES, Decomposition, decompose, summarise
from equidyn.core.degrees import energies
from equidyn.core.seeding import seed_for
from equidyn.measuring.design import Design
from equidyn.measuring.examples import Examples, MeasureError
from equidyn.measuring.floors import Floor, rms
from equidyn.measuring.measurement import Property
from equidyn.measuring.outputs import rows_of
from equidyn.measuring.twists import Twisted, Twists


@dataclass(frozen=True)
class Summary:
    """How properties are summed up.

    Attributes:
        design: The elements that examples were transformed by.
        targets: True values by property, an array for each example; empty if there are none.
        nulls: Null predictions by property; others are the best constant that is equivariant.
        clusters: (E,) label of each example.
        degrees: Largest degree that is told apart.
        level: Nominal coverage of intervals.
        resamples: Resamples of the bootstrap.
    """

    design: Design
    targets: Mapping[str, list[np.ndarray]]
    nulls: Mapping[str, float | np.ndarray]
    clusters: np.ndarray
    degrees: int
    level: float
    resamples: int

    def of(self, twists: Twists, twisted: Twisted, examples: Examples, floor: Floor | None) -> Property:
        """What was found of one property, of all examples.

        Raises:
            MeasureError: True values or the null prediction have another shape than predictions.
        """
        known = twists.name in self.targets
        rows = self.rows(twists, range(len(examples)))
        split = rows.split(self.design)
        numbers = self.numbers(twists.name, twists.rank, split, self.clusters)
        columns = ["weight", "equivariance", *(["total"] if known else [])]
        by_example = pd.DataFrame({"atoms": [examples.atoms(item) for item in examples.items]} | _sums(split, columns))
        return Property(
            name=twists.name,
            rank=twists.rank,
            per=twists.per,
            size=rms(twists.values),
            numbers=numbers,
            floors=floor,
            in_double=np.nan,
            permuted=np.nan,
            by_degree=self._by_degree(twists, twisted),
            convergence=self._convergence(rows) if known else np.empty((0, 2)),
            averaging=self._averaging(rows, numbers) if known else np.empty((0, 2)),
            by_example=by_example,
            by_element=self._by_element(twists, examples, rows, columns),
        )

    def rows(self, twists: Twists, examples: Sequence[int]) -> "Rows":
        """The rows of twisted predictions of some examples, beside true values and the null prediction.

        Raises:
            MeasureError: True values or the null prediction have another shape than predictions.
        """
        truth = self._true_rows(twists.name, twists.rank)
        if truth is None:
            target = np.zeros(np.concatenate([values[0] for values in twists.values]).shape)
        else:
            for number, values in zip(examples, twists.values, strict=True):
                if values.shape[1:] != truth[number].shape:
                    raise MeasureError(
                        f"targets: {twists.name!r} of example {number} has shape {truth[number].shape}, predictions "
                        f"have {values.shape[1:]}"
                    )
            target = np.concatenate([truth[number] for number in examples])
        null = np.zeros(target.shape) + self._null(twists.name, twists.rank, truth)
        counts = torch.tensor([values.shape[1] for values in twists.values])
        flat, y, n = (
            torch.from_numpy(array.reshape(*array.shape[: array.ndim - twists.rank], -1))
            for array in (np.concatenate(twists.values, 1), target, null)
        )
        return Rows(flat, y, n, torch.arange(len(counts)).repeat_interleave(counts), len(counts))

    def numbers(self, name: str, rank: int, split: Decomposition, clusters: np.ndarray) -> dict[str, float]:
        """The numbers of a property; NaN where they need true values and there are none."""
        seed = seed_for(self.design.seed, "bootstrap")
        numbers = summarise(split, clusters, level=self.level, resamples=self.resamples, seed=seed)
        if name in self.targets:
            return numbers
        kept = {"examples", "clusters", "equivariance", "equivariance_plugin", "equivariance_in_worst"}
        kept |= set() if rank == 0 else {"prediction_energy", "relative_equivariance"}
        return {key: value if key in kept else np.nan for key, value in numbers.items()}

    def _true_rows(self, name: str, rank: int) -> list[np.ndarray] | None:
        """True values (rows, 3, …) of every example; None if they are not known."""
        if name not in self.targets:
            return None
        return [rows_of(value, rank, f"targets: {name!r}") for value in self.targets[name]]

    def _null(self, name: str, rank: int, truth: list[np.ndarray] | None) -> np.ndarray:
        """The null prediction: what was given, or the best constant that is equivariant."""
        shape = (3,) * rank
        if name in self.nulls:
            given = np.asarray(self.nulls[name], dtype=np.float64)
            if given.shape not in ((), shape):
                raise MeasureError(f"null: {name!r} has shape {given.shape}; expected a number or the shape {shape}")
            return given
        if truth is None or rank == 1:
            return np.zeros(shape)
        mean = np.concatenate(truth).mean(0)
        return np.asarray(mean if rank == 0 else np.trace(mean) / 3 * np.eye(3))

    def _by_degree(self, twists: Twists, twisted: Twisted) -> tuple[float, ...]:
        """Percent of the equivariance error by degree, from 1, and of all beyond; empty if the group has none."""
        card, design = self.design.symmetry.card, self.design
        if not card.has_angles or card.permutes_voxels or design.cosets == 1:
            return ()
        # An exact set tells degrees apart whose products with one another and with a degree more are within its own.
        degrees = self.degrees if design.exact is None else min(self.degrees, (design.exact - 1) // 2)
        if degrees < 1:
            return ()
        sums = np.zeros(degrees + 2)
        for values, elements in zip(twists.values, twisted.elements, strict=True):
            drawn = elements.values.unflatten(0, (-1, design.size))
            flat = torch.from_numpy(values.reshape(len(values), -1))
            sums += energies(flat, drawn, design.weights, degrees)[0]
        error = sums[1:].sum()
        return tuple(float(100 * part / error) for part in sums[1:]) if error > 0 else ()

    def _convergence(self, rows: "Rows") -> np.ndarray:
        """(n, 2) numbers of rotations, doubled each time, and the percent that the first of them give."""
        design, found = self.design, []
        cosets = [2**power for power in range(design.cosets.bit_length()) if 2**power < design.cosets] + [design.cosets]
        for several in cosets if design.cosets else ():
            if (count := several * design.size) >= 2:
                split = replace(rows, twisted=rows.twisted[:count]).split(replace(design, cosets=several))
                total = split.total.sum()
                found.append((count, 100 * split.equivariance.sum() / total if total else np.nan))
        return np.array(found).reshape(-1, 2)

    def _averaging(self, rows: "Rows", numbers: Mapping[str, float]) -> np.ndarray:
        """(n, 2) numbers of rotations spread evenly, and the loss of predictions averaged over them.

        The variance of an average over a coset is the equivariance error less the variance within the coset. Averages
        over several cosets have a variance smaller by their number; those over an exact set have none to speak of.
        """
        design = self.design
        if not design.cosets:
            return np.array([(1, numbers["total"]), (design.count, numbers["twirled"])])
        blocks = rows.twisted.unflatten(0, (design.cosets, design.size))
        found = []
        for size in nested(design.size):
            part = blocks[:, :size]
            within = float((part - part.mean(1, keepdim=True)).square().mean()) if size > 1 else 0.0
            found.append((size, numbers["twirled"] + max(numbers["equivariance"] - within, 0.0)))
        rest = found[-1][1] - numbers["twirled"]
        found += [(design.size * several, numbers["twirled"] + rest / several) for several in (2, 4, 10)]
        return np.array(found)

    def _by_element(self, twists: Twists, examples: Examples, rows: "Rows", columns: Sequence[str]) -> pd.DataFrame:
        """Sums over atoms of each chemical element."""
        species = [examples.species(item) for item in examples.items]
        if twists.per != "atom" or any(one is None for one in species):
            return pd.DataFrame()
        names = np.concatenate([np.asarray(one) for one in species])
        if len(names) != len(rows.target):
            return pd.DataFrame()
        labels, number = np.unique(names, return_inverse=True)
        split = replace(rows, example=torch.from_numpy(number), examples=len(labels)).split(self.design)
        counts = np.bincount(number)
        return pd.DataFrame({"element": labels.tolist(), "atoms": counts} | _sums(split, columns))


@dataclass(frozen=True)
class Rows:
    """Twisted predictions beside what they are compared with.

    Attributes:
        twisted: (K, N, C) twisted predictions, C components each.
        target: (N, C) true values.
        null: (N, C) the null prediction.
        example: (N,) the example of each row.
        examples: Number of examples.
    """

    twisted: Tensor
    target: Tensor
    null: Tensor
    example: Tensor
    examples: int

    def split(self, design: Design) -> Decomposition:
        """The decomposition by example; averages are weighted if the design is an exact set."""
        if design.cosets:
            y, example, n = self.target, self.example, self.null
            return decompose(self.twisted, y, example, self.examples, null=n, cosets=design.cosets)
        return self._weighted(design.weights)

    def _weighted(self, weights: Tensor) -> Decomposition:
        """The decomposition with (K,) weights of sum 1."""
        flat, y, n = self.twisted, self.target, self.null
        mean = torch.einsum("k,knc->nc", weights, flat)
        lengths, mean_length = (flat - y).norm(dim=-1), (mean - y).norm(dim=-1)
        equivariance = torch.einsum("k,knc->n", weights, (flat - mean).square())
        rows = {
            "weight": torch.full((len(y),), float(y.shape[1]), dtype=torch.float64),
            "total": (mean - y).square().sum(1) + equivariance,
            "equivariance": equivariance,
            "equivariance_plugin": equivariance,
            "prediction_energy": (mean - n).square().sum(1) + equivariance,
            "null_energy": (n - y).square().sum(1),
            "gap_weight": torch.ones(len(y), dtype=torch.float64),
            **{f"gap_{name}": weights @ loss(lengths) - loss(mean_length) for name, loss in LOSSES.items()},
        }
        sums = {
            name: torch.zeros(self.examples, dtype=torch.float64).index_add(0, self.example, row)
            for name, row in rows.items()
        }
        return Decomposition(*(sums[part.name].numpy() for part in fields(Decomposition)))


def _sums(split: Decomposition, columns: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(split, name) for name in columns}
