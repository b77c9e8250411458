"""Captions: what a figure shows, how its numbers were estimated and from how much, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from equidyn.core.numbers import several, short
from equidyn.core.plugins import load
from equidyn.figures.catalogue import Entry
from equidyn.figures.parts.options import ACTIONS, Options
from equidyn.study.selection import ACTION_FLOOR, control_is_exact

_ESTIMATORS = {
    "exact": "exact average over all rotations, in closed form",
    "sampled": "sampled rotations",
}
_DASHED = "dashed lines with open markers"
_EMPTY = "There little equivariance error says nothing: a network that predicts nothing has none."
_AVERAGED = (
    "Faint: as measured; on top: exponential average through the evaluations, of which it spans one per 1,000 steps of "
    "training so far."
)


def caption(entry: Entry, data: pd.DataFrame, options: Options | Mapping[str, Options]) -> str:
    """Text below a figure.

    Args:
        entry: The figure.
        data: Rows that its draw function returned.
        options: Those it was drawn with, of one task or of each.
    """
    if entry.notes:
        return " ".join([entry.description, *load(entry.notes)(data, options)])
    if isinstance(options, Mapping):
        return " ".join([entry.description, *_of_tasks(data, options)])
    return " ".join([entry.description, *evidence(data, options), *_reading(entry, data, options)])


def _of_tasks(data: pd.DataFrame, options: Mapping[str, Options]) -> list[str]:
    """What each panel of a figure of several tasks shows, and how all are to be read."""
    sentences = []
    for task, rows in data.groupby("task", sort=False):
        words = options[task].words
        known = rows.dropna(axis="columns", how="all")
        said = " ".join(evidence(known, options[task]))
        sentences.append(f"{words.title}: run {options[task].baseline}, skill against {words.null}. {said}")
        if rows["action"].nunique() > 1:
            ways = "; ".join(ACTIONS[action].described for action in dict.fromkeys(rows["action"]))
            sentences.append(f"Rotations: {ways}.")
        if "percent_smoothed" in known and not rows["percent"].equals(rows["percent_smoothed"]):
            sentences.append(_AVERAGED)
    limit = _limit(options[task])
    sentences.append(f"Where the skill is below {limit}, the network predicts nothing useful yet: {_DASHED}. {_EMPTY}")
    return [*sentences, *_unseen(data, ["percent"])]


def evidence(data: pd.DataFrame, options: Options) -> list[str]:
    """How the rows were estimated and from how much."""
    words = options.words
    sentences = []
    if len(actions := [action for action in dict.fromkeys(data["action"]) if action in ACTIONS]) == 1:
        sentences.append(f"Rotations: {ACTIONS[actions[0]].text}.")
    for estimator, rows in data.groupby("estimator", sort=False):
        how = _ESTIMATORS.get(estimator, estimator)
        if estimator == "sampled":
            how = f"{several(rows['rotations'])} sampled rotations per example"
        whose = "" if data["estimator"].nunique() == 1 else f" ({', '.join(dict.fromkeys(rows['run']))})"
        sentences.append(f"Estimator: {how}{whose}.")
    weights = {"ema": "moving average of the weights (EMA)", "raw": "raw weights"}.get(options.weights, options.weights)
    if "self_conditioning" in data:
        weights += ", shown their own first prediction" if options.self_conditioning else ", without self-conditioning"
    sentences.append(
        f"Networks: {weights}. Evidence: {several(data['examples'])} validation {words.examples} "
        f"of {several(data['clusters'])} {words.clusters}."
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
        f"Where the skill (1 − loss / loss of {words.null}, {words.remark}) is below {_limit(options)}, the network "
        "predicts nothing useful yet: "
    ]
    if "relative_equivariance" in data:
        sentences[0] += (
            f"open markers and shading, dark where it is no better than {words.trivial}, light where it is worse."
        )
        sentences.append("Markers grow with the training step.")
    elif _is_by_action(entry):
        sentences[0] += f"{_DASHED}. {_EMPTY}"
    elif "t" in data:
        sentences[0] += f"{_DASHED}, or white bars. {_EMPTY}"
    else:
        sentences[0] += (
            f"{_DASHED} for each run, shading for the baseline, dark where it is no better than "
            f"{words.trivial} (there a small share is empty: a network that predicts nothing has no equivariance "
            "error), light where it is worse."
        )
    sentences += _silence(data, options)
    if any(not data[name].equals(data[f"{name}_smoothed"]) for name in data if f"{name}_smoothed" in data):
        sentences.append(_AVERAGED)
    if "overfitted" in data:
        sentences.append(_overfitting(data))
    sentences += _floors(entry, data, options)
    on_logarithmic = ["twirled", "equivariance"]
    if entry.labels.get("axes", "log-log") == "log-log":
        on_logarithmic.append("percent")
    sentences += _unseen(data, on_logarithmic)
    if "below_axis" in data and data["below_axis"].any():
        sentences.append("Triangles at the lower edge: the value is below the axis.")
    return sentences


def _is_by_action(entry: Entry) -> bool:
    """Whether a figure shows several ways of comparing predictions."""
    return entry.labels.get("varies") == "rotations"


def _limit(options: Options) -> str:
    return f"{100 * options.useful_skill:g} %"


def _silence(data: pd.DataFrame, options: Options) -> list[str]:
    """When, or at which flow times, the baseline predicts nothing useful."""
    limit = _limit(options)
    baseline = data[data["run"] == options.baseline]
    if "t" in data:
        times = baseline.loc[baseline["silent"] & (baseline["step"] == baseline["step"].max()), "t"].map(short)
        return [f"At its last step the baseline is below {limit} at t = {', '.join(times)}."] if len(times) else []
    steps = baseline.loc[baseline["silent"]].groupby("action", sort=False)["step"].agg(["nunique", "max"])
    if "relative_equivariance" in data or steps.empty:
        return []
    said = [
        f"at {count} evaluated steps, the last {last:,}" + (f" ({ACTIONS[action].name})" if len(steps) > 1 else "")
        for action, (count, last) in zip(steps.index, steps.to_numpy(), strict=True)
    ]
    return [f"The baseline is below {limit} {'; '.join(said)}."]


def _floors(entry: Entry, data: pd.DataFrame, options: Options) -> list[str]:
    """What is measured where there is nothing to find: of equivariant networks, and of perfect predictions."""
    sentences = []
    baseline = data[data["run"] == options.baseline]
    if _is_by_action(entry):
        last = baseline[baseline["step"] == baseline["step"].max()]
        said = [f"{short(floor)} % ({name})" for name, floor in zip(last["series"], last["percent_floor"], strict=True)]
        return [f"Interpolation floors at the last step: {', '.join(said)}."]
    if "percent" in data:
        what = "Numeric floor, by an exactly equivariant network"
        if not control_is_exact(data):
            what = "For comparison, an untrained network that is equivariant under the rotations of a cube alone"
        sentences.append(f"{what}: {short(float(data['floor_control'].max()))} %.")
    if ACTION_FLOOR in data:
        if "percent_floor" in data:
            much = f"as a share of the baseline's loss: at most {short(baseline['percent_floor'].max())} %"
        else:
            much = f"{short(baseline[ACTION_FLOOR].iloc[0])} {' or '.join(data['unit'].unique())}"
        sentences.append(
            "Interpolation floor (dash-dotted, where the axis reaches it): the equivariance error that a perfect "
            f"prediction has when compared in the same way, {much}."
        )
    return sentences


def _unseen(data: pd.DataFrame, on_logarithmic: list[str]) -> list[str]:
    """Which quantities have values without a place on logarithmic axes."""
    if len(gone := [name for name in on_logarithmic if name in data and (data[name] <= 0).any()]):
        return [f"Estimates of {' and '.join(gone)} at or below zero cannot be drawn and are left out."]
    return []


def _overfitting(data: pd.DataFrame) -> str:
    """The rule, and the runs that it finds."""
    first = data[data["overfitted"]].groupby("run", sort=False)["step"].min()
    found = ", ".join(f"{run} from step {step:,}" for run, step in first.items()) or "no run"
    return (
        "Overfitted is a run from the evaluation on at which its validation loss, averaged like the curves, exceeds "
        f"its lowest value so far by more than 5 % and after which it does so to the end: here {found}."
    )


def useful_note(options: Options) -> str:
    """What open markers mean, for captions."""
    limit = f"{100 * options.useful_skill:g} %"
    return f"Where the skill is below {limit}, the network predicts nothing useful yet: dashed lines with open markers."
