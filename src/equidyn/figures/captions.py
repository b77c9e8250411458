"""Captions: what a figure shows, how its numbers were estimated and from how much, and how to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from equidyn.figures.catalogue import Entry
from equidyn.figures.numbers import short

if TYPE_CHECKING:
    from equidyn.figures.dynamics import Options

_ESTIMATORS = {
    "exact": "exact average over all rotations, in closed form",
    "sampled": "sampled rotations",
}


def caption(entry: Entry, data: pd.DataFrame, options: Options) -> str:
    """Text below a figure.

    Args:
        entry: The figure.
        data: Rows that its draw function returned.
        options: Those it was drawn with.
    """
    return " ".join([entry.description, *_evidence(data, options), *_reading(data, options)])


def _evidence(data: pd.DataFrame, options: Options) -> list[str]:
    """How the rows were estimated and from how much."""
    sentences = []
    for estimator, rows in data.groupby("estimator", sort=False):
        how = _ESTIMATORS.get(estimator, estimator)
        if estimator == "sampled":
            how = f"{_several(rows['rotations'])} sampled rotations per example"
        whose = "" if data["estimator"].nunique() == 1 else f" ({', '.join(dict.fromkeys(rows['run']))})"
        sentences.append(f"Estimator: {how}{whose}.")
    weights = {"ema": "moving average of the weights (EMA)", "raw": "raw weights"}.get(options.weights, options.weights)
    sentences.append(
        f"Networks: {weights}. Evidence: {_several(data['examples'])} validation examples "
        f"of {_several(data['clusters'])} molecules."
    )
    if "percent_low" in data:
        sentences.append(
            f"Bands: {100 * options.confidence:g} % intervals of the share for one network, "
            "by bootstrap over the molecules; they say nothing of the spread over seeds, which the lines show."
        )
    return sentences


def _reading(data: pd.DataFrame, options: Options) -> list[str]:
    """What shading, dashes and floors mean."""
    limit = f"{100 * options.useful_skill:g} %"
    steps = data.loc[data["silent"] & (data["run"] == options.baseline), "step"]
    sentences = [
        "Where the skill (1 − loss / loss of the best constant prediction, which is zero for forces) is below "
        f"{limit}, the network predicts nothing useful yet: "
    ]
    if "relative_equivariance" in data:
        sentences[0] += "open markers and shading, dark where it is no better than a constant, light where it is worse."
        sentences.append("Markers grow with the training step.")
    else:
        sentences[0] += (
            "dashed lines with open markers for each run, shading for the baseline, dark where it is no better than a "
            "constant (there a small share is empty: a network that predicts nothing has no equivariance error), "
            "light where it is worse."
        )
        if len(steps):
            sentences.append(
                f"The baseline is below {limit} at {len(steps)} evaluated steps, the last {steps.max():,}."
            )
    if "percent" in data:
        floor = short(float(data["floor_control"].max()))
        sentences.append(f"Numeric floor, by an exactly equivariant network: {floor} %.")
    if len(gone := [name for name in ("twirled", "equivariance") if name in data and (data[name] <= 0).any()]):
        sentences.append(f"Estimates of {' and '.join(gone)} at or below zero cannot be drawn and are left out.")
    if "below_axis" in data and data["below_axis"].any():
        sentences.append("Triangles at the lower edge: the value is below the axis.")
    return sentences


def _several(values: pd.Series) -> str:
    """A number, or the range of several."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
