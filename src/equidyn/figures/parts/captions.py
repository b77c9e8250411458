"""Captions: what a figure shows, how its numbers were estimated and from how much, and how to read it.

Sentences are Jinja templates; functions here compute the values that they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined, Template

from equidyn.core.groups.card import USUAL_GROUP
from equidyn.core.numbers import several, short
from equidyn.core.plugins import load
from equidyn.figures.card import Figure
from equidyn.figures.parts.options import Options
from equidyn.study.selection import ACTION_FLOOR

EVIDENCE = """
{% if comparison %}Rotations: {{ comparison.text }}.{% endif %}
{% for name in groups %}Group: {{ name }}, {{ texts[name] }}.{% endfor %}
{% for how, runs in estimators %}
Estimator: {{ how }}{% if estimators | length > 1 %} ({{ runs }}){% endif %}.
{% endfor %}
Networks: {{ weights }}{{ conditioning }}.
Evidence: {{ examples }} validation {{ words.examples }} of {{ clusters }} {{ words.clusters }}.
{% if has_interval %}
Intervals: {{ level }}, of the share for one network, by bootstrap over the {{ words.clusters }}; they say nothing of
the spread over seeds.
{% endif %}
"""

READING = """
Where the skill (1 − loss / loss of {{ words.null }}, {{ words.remark }}) is below {{ limit }}, the network predicts
nothing useful yet:
{% if shows == "comparisons" %}{{ dashed }}. {{ empty }}
{% elif shows == "times" %}{{ dashed }}, or white bars. {{ empty }}
{% else %}
{{ dashed }} for each run, shading for the baseline, yellow where it is no better than {{ words.trivial }} (there a
small share is empty: a network that predicts nothing has no equivariance error), grey where it is worse.
{% endif %}
{% if useless %}{{ useless }}.{% endif %}
{% if averaged %}{{ averaged }}{% endif %}
{% if overfitted is not none %}
Overfitted is a run from the evaluation on at which its validation loss, averaged like the curves, exceeds its lowest
value so far by more than 5 % and after which it does so to the end: here {{ overfitted or "no run" }}.
{% endif %}
{% if shows == "comparisons" %}Interpolation floors at the last step: {{ floors }}.{% endif %}
{% if control_floor %}
{% if control_is_exact %}
Numeric floor, by an exactly equivariant network
{%- else %}
For comparison, an untrained network that is equivariant under the rotations of a cube alone
{%- endif %}:
{{ control_floor }} %.
{% endif %}
{% if interpolation_floor %}
Interpolation floor (dash-dotted, where the axis reaches it): the equivariance error that a perfect prediction has when
compared in the same way, {{ interpolation_floor }}.
{% endif %}
{% if unseen %}Estimates of {{ unseen }} at or below zero cannot be drawn and are left out.{% endif %}
"""

OVERVIEW = """
{% for task in tasks %}
{{ task.words.title }}: run {{ task.baseline }}, skill against {{ task.words.null }}. {{ task.evidence }}
{% if task.ways %}Rotations: {{ task.ways }}.{% endif %}
{% if task.averaged %}{{ averaged }}{% endif %}
{% endfor %}
Where the skill is below {{ limit }}, the network predicts nothing useful yet: {{ dashed }}. {{ empty }}
{% if unseen %}Estimates of {{ unseen }} at or below zero cannot be drawn and are left out.{% endif %}
"""

USELESS = """
Where the skill is below {{ limit }}, the network predicts nothing useful yet: dashed lines with open markers.
"""

_COMMON = {
    "dashed": "dashed lines with open markers",
    "empty": "There little equivariance error says nothing: a network that predicts nothing has none.",
}
_AVERAGED = (
    "Faint: as measured; on top: exponential average through the evaluations, of which it spans one per 1,000 steps of "
    "training so far."
)
_WEIGHTS = {"ema": "moving average of the weights (EMA)", "raw": "raw weights"}


def render(template: str, **values: Any) -> str:
    """A caption's template with its values, as one line.

    Raises:
        jinja2.TemplateError: The template is no template, or needs a value that is not given.
    """
    return " ".join(_template(template).render(_COMMON, **values).split())


@cache
def _template(template: str) -> Template:
    return Environment(undefined=StrictUndefined, autoescape=False).from_string(template)


def caption(figure: Figure, data: pd.DataFrame, options: Options | Mapping[str, Options]) -> str:
    """Text below a figure: what is drawn in few words, and, after an empty line, the method.

    Args:
        figure: Its ``caption`` and ``method`` are templates, to which ``words`` and ``ways``, of comparing predictions,
            are given.
        data: Rows that its draw function returned.
        options: Those it was drawn with, of one task or of each.
    """
    values: dict[str, Any] = {}
    if not isinstance(options, Mapping):
        drawn = set(data.get("comparison", []))
        ways = "; ".join(each.described for name, each in options.comparisons.items() if name in drawn)
        values = {"words": options.words, "ways": ways}
    if figure.notes:
        told = load(f"{figure.module}:{figure.notes}")(data, options)
    elif isinstance(options, Mapping):
        told = [_of_tasks(data, options)]
    else:
        told = [*evidence(data, options), _reading(figure, data, options)]
    method = " ".join([render(figure.method, **values), *told]).strip()
    return f"{render(figure.caption, **values)}\n\n{method}"


def evidence(data: pd.DataFrame, options: Options) -> list[str]:
    """How the rows were estimated and from how much."""
    estimators = []
    for estimator, rows in data.groupby("estimator", sort=False):
        how = {"exact": "exact average over all rotations, in closed form"}.get(estimator, estimator)
        if estimator == "sampled":
            how = f"{several(rows['rotations'])} sampled rotations per example"
        estimators.append((how, ", ".join(dict.fromkeys(rows["run"]))))
    conditioning = ""
    if "self_conditioning" in data:
        shown = ", shown their own first prediction"
        conditioning = shown if options.self_conditioning else ", without self-conditioning"
    text = render(
        EVIDENCE,
        comparison=options.compared_by(data),
        groups=[] if options.comparisons else [name for name in dict.fromkeys(data["group"]) if name != USUAL_GROUP],
        texts=options.group_texts,
        estimators=estimators,
        weights=_WEIGHTS.get(options.weights, options.weights),
        conditioning=conditioning + _average(data),
        examples=several(data["examples"]),
        clusters=several(data["clusters"]),
        words=options.words,
        has_interval="percent_low" in data,
        level=options.level,
    )
    return [text]


def _average(data: pd.DataFrame) -> str:
    """What dotted lines are, if there are any."""
    if "skill_ema" not in data or data["skill_ema"].isna().all():
        return ""
    decays = data["decay_ema"].dropna().unique() if "decay_ema" in data else []
    said = [f"with decay {decay:g}, which remembers some {1 / (1 - decay):,.0f} steps" for decay in decays]
    return f"; dotted, an exponential average of the weights (EMA) {' or '.join(said)}".rstrip()


def useful_note(options: Options) -> str:
    """What open markers mean, in figures where no share of a loss is drawn."""
    return render(USELESS, limit=options.limit)


def _of_tasks(data: pd.DataFrame, options: Mapping[str, Options]) -> str:
    """What each panel of a figure of several tasks shows, and how all are to be read."""
    tasks = []
    for task, rows in data.groupby("task", sort=False):
        own = options[task]
        known = rows.dropna(axis="columns", how="all")
        ways = [own.comparisons[name].described for name in dict.fromkeys(rows["comparison"]) if own.comparisons]
        tasks.append(
            {
                "words": own.words,
                "baseline": own.baseline,
                "evidence": " ".join(evidence(known, own)),
                "ways": "; ".join(ways) if len(ways) > 1 else "",
                "averaged": _is_averaged(known),
            }
        )
    limit = next(iter(options.values())).limit
    return render(OVERVIEW, tasks=tasks, averaged=_AVERAGED, limit=limit, unseen=_unseen(data, ["percent"]))


def _reading(figure: Figure, data: pd.DataFrame, options: Options) -> str:
    """What shading, dashes, averages and floors mean."""
    shows = "times" if "t" in data else "curves"
    if figure.by_comparison:
        shows = "comparisons"
    baseline = data[data["run"] == options.baseline]
    last = baseline[baseline["step"] == baseline["step"].max()]
    has_control = "percent" in data and shows != "comparisons" and data["floor_control"].notna().any()
    has_interpolation = ACTION_FLOOR in data and shows != "comparisons"
    return render(
        READING,
        shows=shows,
        words=options.words,
        limit=options.limit,
        useless=_useless(data, baseline, options),
        averaged=_AVERAGED if _is_averaged(data) else "",
        overfitted=_overfitted(data) if "overfitted" in data else None,
        floors=_floors_of_comparisons(last) if shows == "comparisons" else "",
        control_floor=short(float(data["floor_control"].max())) if has_control else "",
        control_is_exact=options.control_is_exact(data),
        interpolation_floor=_interpolation_floor(data, baseline) if has_interpolation else "",
        unseen=_unseen(data, ["twirled", "equivariance", *["percent"] * figure.log_share]),
    )


def _useless(data: pd.DataFrame, baseline: pd.DataFrame, options: Options) -> str:
    """When, or at which flow times, the baseline predicts nothing useful."""
    if "t" in data:
        times = baseline.loc[baseline["unskilled"] & (baseline["step"] == baseline["step"].max()), "t"].map(short)
        below = f"At its last step the baseline is below {options.limit} at t = {', '.join(times)}"
        return below if len(times) else ""
    steps = baseline.loc[baseline["unskilled"]].groupby("comparison", sort=False)["step"].agg(["nunique", "max"])
    if steps.empty:
        return ""
    said = [
        f"at {count} evaluated steps, the last {last:,}"
        + (f" ({options.comparisons[comparison].name})" if len(steps) > 1 else "")
        for comparison, (count, last) in zip(steps.index, steps.to_numpy(), strict=True)
    ]
    return f"The baseline is below {options.limit} {'; '.join(said)}"


def _floors_of_comparisons(last: pd.DataFrame) -> str:
    """Interpolation floors at the last step, percent, one for each way of comparing predictions."""
    pairs = zip(last["series"], last["percent_floor"], strict=True)
    return ", ".join(f"{short(floor)} % ({name})" for name, floor in pairs)


def _interpolation_floor(data: pd.DataFrame, baseline: pd.DataFrame) -> str:
    """How large the interpolation floor is."""
    if "percent_floor" in data:
        return f"as a share of the baseline's loss: at most {short(baseline['percent_floor'].max())} %"
    return f"{short(baseline[ACTION_FLOOR].iloc[0])} {' or '.join(data['unit'].unique())}"


def _is_averaged(data: pd.DataFrame) -> bool:
    """Whether some curve is drawn as a moving average that differs from what was measured."""
    return any(not data[name].equals(data[f"{name}_smoothed"]) for name in data if f"{name}_smoothed" in data)


def _unseen(data: pd.DataFrame, on_logarithmic: list[str]) -> str:
    """Which quantities have values without a place on logarithmic axes."""
    return " and ".join(name for name in on_logarithmic if name in data and (data[name] <= 0).any())


def _overfitted(data: pd.DataFrame) -> str:
    """The runs that are overfitted, and from where on."""
    first = data[data["overfitted"]].groupby("run", sort=False)["step"].min()
    return ", ".join(f"{run} from step {step:,}" for run, step in first.items())
