"""Measure a model: predictions for transformed inputs, transformed back, compared with their average and the target."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.core.numbers import short
from equidyn.measuring.floors import floors as floors_of
from equidyn.measuring.floors import in_double
from equidyn.measuring.measurement import TIMES_FLOOR, Measurement, Property
from equidyn.measuring.model import Predict, evaluating
from equidyn.measuring.permutations import permuted
from equidyn.measuring.plan import BATCH_SIZE, DEGREES, LEVEL, RESAMPLES, ROTATIONS, Plan
from equidyn.measuring.twists import twisted
from equidyn.measuring.verdict import examine

SUMS = 1e-6
"""Share of the prediction by which sums differ in single precision when their terms change places."""


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
    degrees: int = DEGREES,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
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
        floors: Measure what rounding and chance alone do, and look for causes of what is more, with a few examples.
        check: Test that turning an example obeys the group's law, that is, that it is a turn by the right matrix.
        progress: Show a progress bar on stderr.

    Returns:
        The measurement; print it.

    Raises:
        MeasureError: What was given does not fit together; the message says what to do.
    """
    plan = Plan.of(
        inputs, targets, rotate=rotate, kinds=kinds, ranks=ranks, null=null, clusters=clusters, rotations=rotations,
        exact=exact, group=group, degrees=degrees, batch_size=batch_size, seed=seed, level=level, resamples=resamples,
        check=check,
    )  # fmt: skip
    model, design = plan.model(predict), plan.design
    with evaluating(predict):
        found = twisted(model, design, plan.ranks, range(len(plan.examples)), progress=progress)
        floor = floors_of(model, found, design.symmetry, seed) if floors else {}
        properties = plan.properties(found, floor)
        if floors:
            for name, share in in_double(model, found, design.symmetry, seed).items():
                properties[name] = replace(properties[name], in_double=share)
            for name, change in permuted(model, found, seed).items():
                properties[name] = replace(properties[name], permuted=change)
            properties = examine(properties, found.properties, model, design)
    warnings = tuple(_warnings(properties, plan))
    return Measurement(properties, group, design.count, exact, plan.examples.turned, warnings)


def _warnings(properties: Mapping[str, Property], plan: Plan) -> Iterator[str]:
    yield from plan.warnings()
    for name, one in properties.items():
        if one.permuted > TIMES_FLOOR * max(one.floor, SUMS * one.size):
            yield f"{name!r} changes by {short(one.permuted)} when atoms of one element change places"
        if len(one.convergence) > 1 and one.sufficient is None and one.verdict in ("real", "unknown"):
            (count, fewer), (_, percent) = one.convergence[-2:]
            yield (
                f"{name!r}: {count:.0f} of the {plan.design.count} rotations gave {fewer:.3g} % in place of "
                f"{percent:.3g} %: give more rotations, or more examples"
            )
