"""Tests of the way in which examples are turned, before anything is predicted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidyn.core.symmetry import Symmetry
from equidyn.measuring.elements import Element
from equidyn.measuring.examples import Examples, MeasureError


def check_turns(examples: Examples, symmetry: Symmetry) -> None:
    """Test the law of the group on one example.

    Raises:
        MeasureError: It does not hold, and a model however good would seem to break the symmetry.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = (Element.of(symmetry, one[None]) for one in symmetry.sample(2, generator=generator))
    both = Element.of(symmetry, symmetry.compose(second.value, first.value))
    item = examples.items[0]
    before = {name: np.array(_numbers(value)) for name, value in examples.fields(item).items()}
    once = examples.turn(item, first)
    for name, value in examples.fields(item).items():
        if not np.array_equal(before[name], _numbers(value), equal_nan=True):
            raise MeasureError(f"rotate: it changes the example that it is given ({name!r}); return a turned copy")
    turned = {name: _numbers(value) for name, value in examples.fields(once).items()}
    twice, at_once = examples.fields(examples.turn(once, second)), examples.fields(examples.turn(item, both))
    back = examples.fields(examples.turn(once, first.inverse))
    should = {name: _numbers(first.act(kind, before[name])) for name, kind in examples.kinds.items() if name in before}
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
        apart = _centred(turned[name]) - _centred(should.get(name, turned[name]))
        if examples.kinds.get(name) == "points" and np.abs(apart).max(initial=0) > max(tolerance, 1e-6 * size):
            raise MeasureError(
                f"rotate: {name!r} is turned by another rotation than that of the matrix, which is for row vectors "
                f"(x, y, z); if it holds no positions, say so by kinds={{{name!r}: 'scalars'}}"
            )
        if np.array_equal(turned[name], start) and not np.allclose(should[name], start, rtol=0, atol=tolerance):
            raise MeasureError(
                f"rotate: it leaves {name!r} as it is, which should turn with the points; turn it too, or say that it "
                f"is no vector by kinds={{{name!r}: 'scalars'}}"
            )


def left_alone(examples: Examples) -> list[str]:
    """Names of fields of the first example that look like vectors or tensors and are not turned."""
    fields = examples.others(examples.items[0])
    return [
        name
        for name, value in fields.items()
        if getattr(value, "ndim", 0) >= 1 and value.shape[-1] == 3 and _precision(value) > 0
    ]


def _centred(points: np.ndarray) -> np.ndarray:
    """Points about their mean, as a rotation may be about any centre."""
    rows = points.reshape(-1, 3)
    return np.asarray(rows - rows.mean(0))


def _numbers(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu().double() if isinstance(value, Tensor) else value, dtype=np.float64)


def _precision(value: Any) -> float:
    """Distance from 1 to the next number of the type of an array; 0 if it is of no floating type."""
    if isinstance(value, Tensor):
        return float(torch.finfo(value.dtype).eps) if value.is_floating_point() else 0.0
    array = np.asarray(value)
    return float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
