"""Measure a model: predictions for transformed inputs, transformed back, compared with their average and the target."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from equidyn.core.cosets import coset_size
from equidyn.core.decomposition import LOSSES, Decomposition, concatenate, decompose, summarise
from equidyn.core.degrees import energies
from equidyn.core.designs import chain, draw_cosets, rule
from equidyn.core.groups.card import USUAL_GROUP
from equidyn.core.rotations import haar
from equidyn.core.seeding import seed_for
from equidyn.core.symmetry import Symmetry, symmetry
from equidyn.measuring.elements import Element
from equidyn.measuring.examples import Examples, MeasureError, examples_of
from equidyn.measuring.measurement import Measurement, Property
from equidyn.measuring.outputs import ONLY, Ranks, by_example, rows_of, turn

ROTATIONS = 24
"""Rotations of each example unless another number is asked for: two cosets of the rotations of a tetrahedron."""

FLOOR_EXAMPLES = 16
"""Most examples that floors are measured with."""

SMALL_ANGLE = 5e-7
"""An angle (radian) of some units in the last place of single precision."""

WORST = 5
"""Number of worst examples that are named."""

FEW_CLUSTERS = 10
"""Fewer clusters than this give intervals that say little."""

STABLE = 0.01
"""Relative change of a percent by twice the rotations above which there is a warning."""

Predict = Callable[[Any], Any]


def measure(
    predict: Predict,
    inputs: Any,
    targets: Any = None,
    *,
    rotate: Callable[[Any, np.ndarray], Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    ranks: Mapping[str, int] | int | None = None,
    null: Mapping[str, float | np.ndarray] | float | np.ndarray | None = None,
    clusters: Sequence[Any] | None = None,
    rotations: int = ROTATIONS,
    exact: int | None = None,
    group: str = USUAL_GROUP,
    degrees: int = 3,
    batch_size: int = 64,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = 2000,
    floors: bool = True,
    check: bool = True,
    progress: bool = False,
) -> Measurement:
    """Measure which share of a model's squared error is broken symmetry.

    For each example x and element g of the group the twisted prediction is h_g(x) = g⁻¹ f(g x); the equivariance error
    is the variance of h_g over the group, and the loss is the sum of it and of the loss of the average (Shen et al.
    2025, arXiv 2512.02303; `equidyn.core.decomposition`). Estimates are unbiased for two or more rotations.

    Args:
        predict: The model: a function of several examples, or a `torch.nn.Module`, which is put into evaluation mode
            for the time of the measurement. It is given an array (B, n, 3) if `inputs` is an array, a batch of PyTorch
            Geometric for its graphs, and else a list. It returns an array or a list with a value for each example, or
            an array with one for each atom of all examples end to end; or a dictionary of several such properties; or
            a list with a dictionary for each example.
        inputs: The examples, see `equidyn.measuring.examples.examples_of`.
        targets: True values, shaped as predictions are, of all or some of the properties. Without them there is no
            loss, and the variance and the relative error alone are found.
        rotate: Your own function to turn an example, see `equidyn.measuring.examples.examples_of`.
        kinds: How fields of dictionaries and graphs transform: "points", "vectors", "pseudovectors", "tensors" or
            "scalars", by name.
        ranks: Ranks of properties by name: 0 for scalars, 1 for vectors, 2 for tensors; one number for the only one.
        null: Prediction of a model that has learned nothing, by property; one alone for the only one. If absent: the
            mean target of scalars, zero for vectors, the mean isotropic part of target tensors.
        clusters: Label of each example; intervals resample clusters, all conformers of one molecule for instance.
        rotations: Number of random elements, 2 or more; they form cosets where they can.
        exact: Take a fixed set of rotations instead, whose averages are exact up to this degree in their entries. For
            variances, this is twice the degree of the twisted prediction.
        group: "SO(3)", "O(3)", "cube" or "translations".
        degrees: Largest degree l that is told apart in the equivariance error; at most half of `exact`.
        batch_size: Most examples in one call.
        seed: Seed of rotations and of the bootstrap.
        level: Nominal coverage of intervals.
        resamples: Resamples of the bootstrap.
        floors: Measure what rounding and chance alone do, with a few examples.
        check: Test that turning an example obeys the group's law, that is, that it is a turn by the right matrix.
        progress: Show a progress bar on stderr.

    Returns:
        The measurement; print it.

    Raises:
        MeasureError: What was given does not fit together; the message says what to do.
    """
    chosen = _chosen_symmetry(group)
    design = _Design.of(chosen, rotations, exact, seed)
    examples, known = examples_of(inputs, rotate=rotate, kinds=kinds), Ranks.of(ranks)
    counts = [examples.atoms(item) for item in examples.items]
    labels = np.arange(len(examples)) if clusters is None else np.asarray(clusters)
    if labels.shape != (len(examples),):
        raise MeasureError(f"clusters: {labels.shape} labels for {len(examples)} examples; give one for each")
    truth = {} if targets is None else by_example(targets, counts, "targets")
    if check:
        _check_turns(examples, chosen)
    parts: dict[str, list[_Part]] = {}
    with _evaluating(predict), tqdm(total=len(examples), desc="measure", disable=not progress) as bar:
        call = _Call(predict, examples, counts)
        for start in range(0, len(examples), batch_size):
            numbers = range(start, min(start + batch_size, len(examples)))
            elements = design.elements(numbers)
            found = [call(numbers, row) for row in elements]
            for name in found[0]:
                parts.setdefault(name, []).append(_Part.of(name, found, elements, known, [counts[i] for i in numbers]))
            bar.update(len(numbers))
        floor = _floors(call, known, chosen, seed) if floors else {}
    nulls = {} if null is None else null if isinstance(null, Mapping) else {ONLY: null}
    own_ranks = {} if ranks is None else {ONLY: ranks} if isinstance(ranks, int) else ranks
    for argument, names in {"targets": truth, "null": nulls, "ranks": own_ranks}.items():
        if unknown := set(names) - set(parts):
            raise MeasureError(f"{argument}: the model predicts {sorted(parts)}, but not {sorted(unknown)[0]!r}")
    for name in [name for name in parts if name == "energy"]:
        each, total = f"{name} per atom", parts[name]
        if all(len(rows) == 1 for part in total for rows in part.rows) and max(counts) > 1:
            places = np.cumsum([0, *(len(part.rows) for part in total)])
            parts[each] = [part.divided(counts[a:]) for part, a in zip(total, places, strict=False)]
            known.guessed[each] = 0
            if name in truth:
                truth[each] = [value / count for value, count in zip(truth[name], counts, strict=True)]
            if name in floor:
                floor[each] = floor[name] / float(np.mean(counts))
    properties = {
        name: _property(name, known, several, truth.get(name), nulls.get(name), labels, design, exact, degrees,
                        floor.get(name, np.nan), seed, level, resamples)
        for name, several in parts.items()
    }  # fmt: skip
    return Measurement(
        properties, group, design.count, exact, examples.turned, tuple(_warnings(properties, labels, known, design))
    )


@dataclass(frozen=True)
class _Design:
    """The elements that each example is transformed by.

    Attributes:
        symmetry: The group.
        rotations: (m, 3, 3) a set of which each example has `cosets` turned copies, or itself alone if it is exact.
        weights: (m,) with sum 1.
        cosets: Number of cosets; 0 for the exact set itself.
        seed: Seed of the cosets.
    """

    symmetry: Symmetry
    rotations: Tensor
    weights: Tensor
    cosets: int
    seed: int

    @classmethod
    def of(cls, symmetry: Symmetry, count: int, exact: int | None, seed: int) -> "_Design":
        if exact is not None:
            rotations, weights = _exact_set(symmetry, exact)
            return cls(symmetry, rotations, weights, 0, seed)
        if count < 2:
            raise MeasureError(f"rotations: {count} show no variance; give 2 or more")
        size = coset_size(count) if symmetry.card.leaves_origin else 1
        weights = torch.full((size,), 1 / size, dtype=torch.float64)
        return cls(symmetry, chain()[:size], weights, count // size, seed)

    @property
    def count(self) -> int:
        """Elements of each example."""
        return len(self.weights) * (self.cosets or 1)

    def drawn(self, numbers: Sequence[int]) -> Tensor:
        """(cosets or 1, m, B, ...) elements of examples."""
        if self.cosets:
            return draw_cosets(self.symmetry, self.rotations, self.cosets, np.asarray(numbers), self.seed)
        return self.rotations[None, :, None].expand(1, -1, len(numbers), 3, 3)

    def elements(self, numbers: Sequence[int]) -> list[list[Element]]:
        """K lists of one element for each example."""
        every = self.drawn(numbers).flatten(0, 1)
        return [[Element(self.symmetry, one[None]) for one in row] for row in every]


def _chosen_symmetry(group: str) -> Symmetry:
    try:
        return symmetry(group)
    except ValueError as error:
        raise MeasureError(f"group: {error}") from None


def _exact_set(symmetry: Symmetry, degree: int) -> tuple[Tensor, Tensor]:
    """A fixed set of elements, with weights, whose averages are exact up to a degree, or always for a finite group."""
    if symmetry.name == "cube":
        return rule(3)
    if symmetry.name not in ("SO(3)", "O(3)"):
        raise MeasureError(f"exact: there is no exact set of {symmetry.name}; leave it out to draw elements at random")
    try:
        rotations, weights = rule(degree)
    except ValueError as error:
        raise MeasureError(f"exact: {error}") from None
    if symmetry.name == "SO(3)":
        return rotations, weights
    return torch.cat([rotations, -rotations]), torch.cat([weights, weights]) / 2


@dataclass(frozen=True)
class _Call:
    """The model as a function of examples by number and of elements."""

    predict: Predict
    examples: Examples
    counts: Sequence[int]

    def __call__(self, numbers: Sequence[int], elements: Sequence[Element]) -> dict[str, list[np.ndarray]]:
        """Values by property and example, of transformed inputs, not turned back."""
        items = [
            self.examples.turn(self.examples.items[number], element)
            for number, element in zip(numbers, elements, strict=True)
        ]
        found = self.predict(self.examples.join(items))
        return by_example(found, [self.counts[number] for number in numbers], "predict")


@dataclass(frozen=True)
class _Part:
    """Twisted predictions of one property for a batch of examples: one (K, rows, 3, …) array for each."""

    rows: list[np.ndarray]
    twisted: list[np.ndarray]

    @classmethod
    def of(
        cls,
        name: str,
        found: list[dict[str, list[np.ndarray]]],
        elements: list[list[Element]],
        ranks: Ranks,
        atoms: Sequence[int],
    ) -> "_Part":
        rank = ranks.learn(name, found[0][name], atoms)
        twisted = []
        for place in range(len(elements[0])):
            values = [rows_of(one[name][place], rank, f"predict: {name!r}") for one in found]
            if len({value.shape for value in values}) > 1:
                raise MeasureError(f"predict: {name!r} changes its shape with the orientation of an example")
            pairs = zip(values, elements, strict=True)
            twisted.append(np.stack([turn(value, rank, row[place].inverse) for value, row in pairs]))
        return cls([each[0] for each in twisted], twisted)

    def divided(self, counts: Sequence[int]) -> "_Part":
        """The same, divided by the number of atoms of each example."""
        return _Part(
            [rows / count for rows, count in zip(self.rows, counts, strict=False)],
            [values / count for values, count in zip(self.twisted, counts, strict=False)],
        )


def _property(
    name: str,
    ranks: Ranks,
    parts: list[_Part],
    truth: list[np.ndarray] | None,
    null: float | np.ndarray | None,
    labels: np.ndarray,
    design: _Design,
    exact: int | None,
    degrees: int,
    floor: float,
    seed: int,
    level: float,
    resamples: int,
) -> Property:
    """The numbers of a property from its twisted predictions."""
    twisted = [values for part in parts for values in part.twisted]
    rank = ranks[name]
    if truth is None:
        targets = [np.zeros(values.shape[1:]) for values in twisted]
    else:
        targets = [rows_of(value, rank, f"targets: {name!r}") for value in truth]
        for number, (values, target) in enumerate(zip(twisted, targets, strict=True)):
            if values.shape[1:] != target.shape:
                raise MeasureError(
                    f"targets: {name!r} of example {number} has shape {target.shape}, predictions have "
                    f"{values.shape[1:]}"
                )
    nothing = _null(null, targets if truth is not None else None, rank)
    if nothing.shape not in ((), (3,) * rank):
        raise MeasureError(f"null: {name!r} has shape {nothing.shape}; expected a number or the shape {(3,) * rank}")
    one_by_one = [
        _decompose(values, target, np.zeros(target.shape) + nothing, design)
        for values, target in zip(twisted, targets, strict=True)
    ]
    split = concatenate(one_by_one)
    numbers = summarise(split, labels, level=level, resamples=resamples, seed=seed_for(seed, "bootstrap"))
    if truth is None:
        known = ("examples", "clusters", "equivariance", "equivariance_plugin", "equivariance_in_worst")
        relative = () if rank == 0 else ("prediction_energy", "relative_equivariance")
        numbers = {key: value if key in (*known, *relative) else np.nan for key, value in numbers.items()}
    order = np.argsort(-split.equivariance / split.weight, kind="stable")
    per = "structure" if all(values.shape[1] == 1 for values in twisted) else "atom"
    # An exact set tells degrees apart whose sum is within its own.
    by_degree = _by_degree(twisted, design, degrees if exact is None else min(degrees, exact // 2))
    fewer = _of_half(twisted, targets, design) if truth is not None else np.nan
    return Property(name, rank, per, numbers, floor, by_degree, tuple(int(i) for i in order[:WORST]), fewer)


def _null(given: float | np.ndarray | None, targets: list[np.ndarray] | None, rank: int) -> np.ndarray:
    """The null prediction: the best constant that is equivariant."""
    if given is not None:
        return np.asarray(given, dtype=np.float64)
    if targets is None or rank == 1:
        return np.zeros((3,) * rank)
    mean = np.concatenate(targets).mean(0)
    return np.asarray(mean if rank == 0 else np.trace(mean) / 3 * np.eye(3))


def _decompose(values: np.ndarray, target: np.ndarray, null: np.ndarray, design: _Design) -> Decomposition:
    """The decomposition of one example from its twisted predictions (K, rows, 3, …)."""
    flat = torch.from_numpy(values.reshape(*values.shape[:2], -1))
    y, n = (torch.from_numpy(array.reshape(flat.shape[1:])) for array in (target, null))
    if design.cosets:
        example = torch.zeros(len(y), dtype=torch.int64)
        return decompose(flat, y, example, 1, null=n, cosets=design.cosets)
    weights = design.weights
    mean = torch.einsum("k,knc->nc", weights, flat)
    lengths, mean_length = (flat - y).norm(dim=-1), (mean - y).norm(dim=-1)
    equivariance = float(weights @ (flat - mean).square().sum((1, 2)))
    found = {
        "weight": float(y.numel()),
        "total": float((mean - y).square().sum()) + equivariance,
        "equivariance": equivariance,
        "equivariance_plugin": equivariance,
        "prediction_energy": float((mean - n).square().sum()) + equivariance,
        "null_energy": float((n - y).square().sum()),
        "gap_weight": float(len(y)),
        **{f"gap_{name}": float((weights @ loss(lengths) - loss(mean_length)).sum()) for name, loss in LOSSES.items()},
    }
    return Decomposition(*(np.array([found[part.name]]) for part in fields(Decomposition)))


def _by_degree(twisted: list[np.ndarray], design: _Design, degrees: int) -> tuple[float, ...]:
    """Percent of the equivariance error by degree, from 1, and of all beyond; empty if the group has none."""
    if not design.symmetry.card.has_angles or design.symmetry.card.permutes_voxels or design.cosets == 1:
        return ()
    sums = np.zeros(degrees + 2)
    for number, values in enumerate(twisted):
        flat = torch.from_numpy(values.reshape(len(values), -1))
        drawn = design.drawn([number])[:, :, 0]
        sums += energies(flat, drawn, design.weights, degrees)[0]
    error = sums[1:].sum()
    return tuple(float(100 * part / error) for part in sums[1:]) if error > 0 else ()


def _of_half(twisted: list[np.ndarray], targets: list[np.ndarray], design: _Design) -> float:
    """Percent from the first half of random rotations; NaN if there are fewer than four or they are exact."""
    half = design.cosets // 2
    if half < 1 or design.count < 4:
        return np.nan
    count = half * len(design.weights)
    if half == 1 and len(design.weights) == 1:
        return np.nan
    smaller = _Design(design.symmetry, design.rotations, design.weights, half, design.seed)
    split = concatenate([
        _decompose(values[:count], target, np.zeros(target.shape), smaller)
        for values, target in zip(twisted, targets, strict=True)
    ])  # fmt: skip
    return float(100 * split.equivariance.sum() / split.total.sum()) if split.total.sum() else np.nan


def _floors(call: _Call, ranks: Ranks, symmetry: Symmetry, seed: int) -> dict[str, float]:
    """By property, the root mean square by which predictions differ where only rounding and chance can matter."""
    step = -(-len(call.examples) // FLOOR_EXAMPLES)
    numbers = range(0, len(call.examples), step)
    still = [Element(symmetry, symmetry.identity()) for _ in numbers]
    rounds = [call(numbers, still), call(numbers, still)]
    turned = still
    if symmetry.card.has_angles or symmetry.name == "O(3)":
        generator = torch.Generator().manual_seed(seed_for(seed, "floor"))
        turned = [Element(symmetry, _small(generator)) for _ in numbers]
        rounds.append(call(numbers, turned))
    generator = torch.Generator().manual_seed(seed_for(seed, "floor of turning"))
    anywhere = [Element(symmetry, one[None]) for one in symmetry.sample(len(numbers), generator=generator)]
    found: dict[str, float] = {}
    for name, values in rounds[0].items():
        rank = ranks[name]
        first = [rows_of(value, rank, name) for value in values]
        there = [turn(rows, rank, element) for rows, element in zip(first, anywhere, strict=True)]
        of_turning = _apart(first, there, rank, anywhere)
        of_model = [
            _apart(first, [rows_of(value, rank, name) for value in other[name]], rank, elements) / np.sqrt(2)
            for other, elements in zip(rounds[1:], (still, turned), strict=False)
        ]  # both predictions are off, by as much
        found[name] = float(np.hypot(of_turning, max(of_model)))
    return found


def _apart(first: list[np.ndarray], other: list[np.ndarray], rank: int, elements: list[Element]) -> float:
    """Root mean square by which values, turned back, differ from others; at least the last place of these."""
    back = [turn(rows, rank, element.inverse) for rows, element in zip(other, elements, strict=True)]
    rows, difference = np.concatenate(first), np.concatenate(back) - np.concatenate(first)
    return float(max(np.sqrt(np.square(difference).mean()), np.finfo(np.float64).eps * np.sqrt(np.square(rows).mean())))


def _small(generator: torch.Generator) -> Tensor:
    """(1, 3, 3) a rotation by `SMALL_ANGLE` about a random axis."""
    axis = haar(1, generator=generator)[0, 0]
    x, y, z = (SMALL_ANGLE * axis).tolist()
    turn_by = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(turn_by)[None]


def _check_turns(examples: Examples, symmetry: Symmetry) -> None:
    """Test the law of the group on one example.

    Raises:
        MeasureError: It does not hold, and a model however good would seem to break the symmetry.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = (Element(symmetry, one[None]) for one in symmetry.sample(2, generator=generator))
    both = Element(symmetry, symmetry.compose(second.value, first.value))
    item = examples.items[0]
    before = {name: np.array(_numbers(value)) for name, value in examples.fields(item).items()}
    once = examples.turn(item, first)
    for name, value in examples.fields(item).items():
        if not np.array_equal(before[name], _numbers(value), equal_nan=True):
            raise MeasureError(f"rotate: it changes the example that it is given ({name!r}); return a turned copy")
    twice, at_once = examples.fields(examples.turn(once, second)), examples.fields(examples.turn(item, both))
    back = examples.fields(examples.turn(once, first.inverse))
    for name, start in before.items():
        size = np.abs(start).max(initial=0) + 1e-30
        tolerance = size * max(1e-9, 100 * _precision(examples.fields(item)[name]))
        if not np.allclose(_numbers(back[name]), start, rtol=0, atol=tolerance):
            raise MeasureError(
                f"rotate: {name!r} turned and turned back is not itself: is it turned about another centre each time, "
                "or wrapped into a cell?"
            )
        if not np.allclose(_numbers(twice[name]), _numbers(at_once[name]), rtol=0, atol=tolerance):
            raise MeasureError(
                f"rotate: turning {name!r} twice is not one turn by the product of the matrices: is it turned by the "
                "inverse? For row vectors it is x @ R.T, not x @ R"
            )


def _numbers(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=np.float64)


def _precision(value: Any) -> float:
    """Distance from 1 to the next number of the type of an array."""
    if isinstance(value, Tensor):
        return float(torch.finfo(value.dtype).eps) if value.is_floating_point() else 0.0
    array = np.asarray(value)
    return float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0


def _warnings(properties: Mapping[str, Property], labels: np.ndarray, ranks: Ranks, design: _Design) -> Iterator[str]:
    clusters = len(np.unique(labels))
    if clusters < FEW_CLUSTERS:
        yield f"{clusters} clusters of examples are few: the interval says little, give {FEW_CLUSTERS} or more"
    for name, rank in ranks.guessed.items():
        if name in properties and not name.endswith(" per atom"):
            yield f"{name!r} was taken for rank {rank} by its shape; say so by ranks={{{name!r}: {rank}}}"
    for name, one in properties.items():
        if one.percent and abs(one.percent - one.fewer) > STABLE * abs(one.percent) and one.is_rounding is not True:
            yield (
                f"{name!r}: half of the {design.count} rotations gave {one.fewer:.3g} % in place of {one.percent:.3g} "
                "%: give more rotations, or more examples"
            )


@contextmanager
def _evaluating(predict: Predict) -> Iterator[None]:
    """Put a module into evaluation mode for the time of the block."""
    modules = [module for module in predict.modules() if module.training] if isinstance(predict, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True
