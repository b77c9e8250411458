"""Captions: what a figure shows, how its numbers were estimated and from how much, and how to read it."""

from __future__ import annotations

import pandas as pd

from equidyn.figures.catalogue import Entry
from equidyn.figures.numbers import short
from equidyn.figures.options import Options

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
    if entry.table == "data":
        return " ".join([entry.description, *_amounts(data, options)])
    return " ".join([entry.description, *_evidence(data, options), *_reading(entry, data, options)])


def _amounts(data: pd.DataFrame, options: Options) -> list[str]:
    """How much data there is of each side."""
    words = options.words
    return [
        f"{'Training' if side.side == 'train' else 'Validation'}: {side.of_examples:,} {words.examples} of "
        f"{side.of_clusters:,} {words.clusters}."
        for side in data.drop_duplicates("side").itertuples()
    ]


def _evidence(data: pd.DataFrame, options: Options) -> list[str]:
    """How the rows were estimated and from how much."""
    words = options.words
    sentences = []
    for estimator, rows in data.groupby("estimator", sort=False):
        how = _ESTIMATORS.get(estimator, estimator)
        if estimator == "sampled":
            how = f"{_several(rows['rotations'])} sampled rotations per example"
        whose = "" if data["estimator"].nunique() == 1 else f" ({', '.join(dict.fromkeys(rows['run']))})"
        sentences.append(f"Estimator: {how}{whose}.")
    weights = {"ema": "moving average of the weights (EMA)", "raw": "raw weights"}.get(options.weights, options.weights)
    if "self_conditioning" in data:
        weights += ", shown their own first prediction" if options.self_conditioning else ", without self-conditioning"
    sentences.append(
        f"Networks: {weights}. Evidence: {_several(data['examples'])} validation {words.examples} "
        f"of {_several(data['clusters'])} {words.clusters}."
    )
    if "percent_low" in data:
        sentences.append(
            f"Intervals: {100 * options.confidence:g} %, of the share for one network, by bootstrap over the "
            f"{words.clusters}; they say nothing of the spread over seeds."
        )
    return sentences


def _reading(entry: Entry, data: pd.DataFrame, options: Options) -> list[str]:
    """What shading, dashes, averages and floors mean."""
    words = options.words
    sentences = [
        f"Where the skill (1 − loss / loss of {words.null}, {words.remark}) is below "
        f"{100 * options.useful_skill:g} %, the network predicts nothing useful yet: "
    ]
    if "relative_equivariance" in data:
        sentences[0] += (
            f"open markers and shading, dark where it is no better than {words.trivial}, light where it is worse."
        )
        sentences.append("Markers grow with the training step.")
    elif "t" in data:
        sentences[0] += (
            "dashed lines with open markers, or white bars. There little equivariance error says nothing: "
            "a network that predicts nothing has none."
        )
    else:
        sentences[0] += (
            f"dashed lines with open markers for each run, shading for the baseline, dark where it is no better than "
            f"{words.trivial} (there a small share is empty: a network that predicts nothing has no equivariance "
            "error), light where it is worse."
        )
    sentences += _silence(data, options)
    if any(not data[name].equals(data[f"{name}_smoothed"]) for name in data if f"{name}_smoothed" in data):
        sentences.append(
            "Faint: as measured; on top: exponential average through the evaluations, of which it spans one per "
            "1,000 steps of training so far."
        )
    if "overfitted" in data:
        sentences.append(_overfitting(data))
    if "percent" in data:
        floor = short(float(data["floor_control"].max()))
        sentences.append(f"Numeric floor, by an exactly equivariant network: {floor} %.")
    on_logarithmic = ["twirled", "equivariance"]
    if entry.labels.get("axes", "log-log") == "log-log":
        on_logarithmic.append("percent")
    if len(gone := [name for name in on_logarithmic if name in data and (data[name] <= 0).any()]):
        sentences.append(f"Estimates of {' and '.join(gone)} at or below zero cannot be drawn and are left out.")
    if "below_axis" in data and data["below_axis"].any():
        sentences.append("Triangles at the lower edge: the value is below the axis.")
    return sentences


def _silence(data: pd.DataFrame, options: Options) -> list[str]:
    """When, or at which flow times, the baseline predicts nothing useful."""
    limit = f"{100 * options.useful_skill:g} %"
    baseline = data[data["run"] == options.baseline]
    if "t" in data:
        times = baseline.loc[baseline["silent"] & (baseline["step"] == baseline["step"].max()), "t"].map(short)
        return [f"At its last step the baseline is below {limit} at t = {', '.join(times)}."] if len(times) else []
    steps = baseline.loc[baseline["silent"], "step"]
    if "relative_equivariance" in data or steps.empty:
        return []
    return [f"The baseline is below {limit} at {len(steps)} evaluated steps, the last {steps.max():,}."]


def _overfitting(data: pd.DataFrame) -> str:
    """The rule, and the runs that it finds."""
    first = data[data["overfitted"]].groupby("run", sort=False)["step"].min()
    found = ", ".join(f"{run} from step {step:,}" for run, step in first.items()) or "no run"
    return (
        "Overfitted is a run from the evaluation on at which its validation loss, averaged like the curves, exceeds "
        f"its lowest value so far by more than 5 % and after which it does so to the end: here {found}."
    )


def _several(values: pd.Series) -> str:
    """A number, or the range of several."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
