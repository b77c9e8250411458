"""Helpers for the tests of those who write models."""

from typing import Any

from equidyn.core.numbers import short
from equidyn.measuring.measure import measure
from equidyn.measuring.measurement import Measurement, Property
from equidyn.measuring.model import Predict


def assert_equivariant(
    predict: Predict, inputs: Any, targets: Any = None, *, rtol: float | None = None, **settings: Any
) -> Measurement:
    """Assert that a model is equivariant.

    Args:
        predict: The model, see `equidyn.measure`.
        inputs: Examples, see `equidyn.measure`; a handful suffices.
        targets: True values, which only make the message say more.
        rtol: Largest equivariance error as a share of the prediction, both root mean squares over all examples; None
            for no more than round-off, as measured with the same model.
        settings: Further arguments of `equidyn.measure`, such as `ranks`, `group` and `rotations`.

    Returns:
        The measurement, for further assertions.

    Raises:
        AssertionError: The model is not equivariant; the message says by how much, in which property, with which
            examples most, and what may be the cause.
        MeasureError: What was given does not fit together.
    """
    found = measure(predict, inputs, targets, **{**settings, "floors": True})
    failed = [one for one in found.properties.values() if not _holds(one, rtol)]
    if failed:
        allowed = "round-off" if rtol is None else f"{short(rtol)} of the prediction"
        lines = [f"the model is not equivariant under {found.group} (allowed: {allowed})"]
        for one in failed:
            share = one.rmse["equivariance"] / one.size if one.size else float("inf")
            lines.append(
                f"  {one.name}: off by {short(one.rmse['equivariance'])} (RMS per component), {short(share)} of the "
                f"prediction; floor {short(one.floor)}; worst examples {', '.join(map(str, one.worst))}"
            )
            lines.append(f"  {one.sentence}")
        lines += [f"  warning: {text}" for text in found.warnings]
        raise AssertionError("\n".join(lines))
    return found


def _holds(one: Property, rtol: float | None) -> bool:
    if rtol is None or one.floors is None:
        return one.verdict == "round-off"
    return one.rmse["equivariance"] <= rtol * one.size
