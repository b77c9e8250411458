"""What the evaluation of a study says, as the report shows it: curves to explore, ends of runs, findings in words."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from equidyn.claims.verdicts import NOT_TESTABLE
from equidyn.report.rendering import SYMBOLS, number
from equidyn.study.choice import NEARLY, Choice
from equidyn.study.tables import CONDITIONS, minima, prefer_estimator

MEASURES = {
    "percent": "share of the loss (%)",
    "relative_equivariance": "relative error",
    "skill": "skill",
    "total": "loss",
    "twirled": "twirled loss",
    "equivariance": "equivariance error",
}
"""Columns of the evaluation table that the explorer draws against training, each with its name."""

_POINT = ("step", "percent_low", "percent_high", *MEASURES)
_ENDS = {
    "task": "task",
    "condition": "condition",
    "final_percent": "share at the end (%)",
    "final_percent_low": "from (%)",
    "final_percent_high": "to (%)",
    "final_skill": "skill at the end",
    "minimum_percent": "lowest share (%)",
    "minimum_step": "at step",
    "first_percent": "share untrained (%)",
    "model": "model",
    "parameters": "parameters",
    "train_examples": "training examples",
    "optimiser": "optimiser",
    "lr": "learning rate",
    "augmentation": "share rotated",
    "seed": "seed",
    "final_step": "steps",
    "seconds": "training time (s)",
    "flops": "training compute (FLOP)",
}


def curves(evaluation: pd.DataFrame, costs: pd.DataFrame, choices: Sequence[Choice]) -> dict[str, Any]:
    """All points of a study's curves, for the page's script.

    Args:
        evaluation: Evaluation table.
        costs: Columns ``run``, ``seconds_per_step`` and ``step_flops``.
        choices: The choice of each task.

    Returns:
        ``tasks``: by name, ``conditions`` (flow times, groups and comparisons, in words), the one that is ``shown``
        first, the ``baseline``, names of ``weights`` and those ``averaged`` first, and ``skill``, below which nothing
        useful is predicted. ``runs``: by name, ``task``, and ``seconds`` and ``flops`` of a step. ``columns`` and
        ``points``: rows of run, condition, weights, `_POINT`, with five digits; what is missing is None.
    """
    tasks, points = {}, []
    for choice in choices:
        rows = _labelled(evaluation, choice)
        weights = list(dict.fromkeys(rows["weights"]))
        tasks[choice.task] = {
            "conditions": list(dict.fromkeys(rows["condition"])),
            "shown": usual_condition(rows, choice),
            "baseline": choice.baseline,
            "weights": weights,
            "averaged": choice.weights if choice.weights in weights else weights[0],
            "skill": choice.useful_skill,
        }
        columns = ["run", "condition", "weights", *(name for name in _POINT if name in rows)]
        points += [
            [_digits(row.get(name)) for name in ("run", "condition", "weights", *_POINT)]
            for row in rows[columns].sort_values("step", kind="stable").to_dict("records")
        ]
    steps = costs.drop_duplicates("run").set_index("run")
    task_of = evaluation.drop_duplicates("run").set_index("run")["task"]
    runs = {
        run: {
            "task": task,
            "seconds": _digits(_of(steps, run, "seconds_per_step")),
            "flops": _digits(_of(steps, run, "step_flops")),
        }
        for run, task in task_of.items()
    }
    return {"tasks": tasks, "runs": runs, "columns": ["run", "condition", "weights", *_POINT], "points": points}


def ends(evaluation: pd.DataFrame, costs: pd.DataFrame, choices: Sequence[Choice]) -> pd.DataFrame:
    """One row per run and condition: its design, what it cost, and its share and skill; with the weights of the choice.

    Args:
        evaluation: Evaluation table.
        costs: Columns ``run``, ``seconds`` and ``step_flops``.
        choices: The choice of each task.
    """
    found = [at_ends(evaluation, choice) for choice in choices]
    cost = costs.drop_duplicates("run").set_index("run")
    table = pd.concat(found, ignore_index=True)
    table["seconds"] = [_of(cost, run, "seconds") for run in table["run"]]
    table["flops"] = [
        _of(cost, run, "step_flops") * step for run, step in zip(table["run"], table["final_step"], strict=True)
    ]
    kept = [name for name in _ENDS if name in table and not (name == "condition" and (table[name] == "").all())]
    return table[["run", *kept]].rename(columns=_ENDS)


def at_ends(evaluation: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """`equidyn.study.tables.minima` of a task, with the weights of the choice, and the ``condition`` in words."""
    rows = _labelled(evaluation, choice)
    weights = choice.weights if (rows["weights"] == choice.weights).any() else rows["weights"].iloc[0]
    found = minima(rows[rows["weights"] == weights])
    keys = ["run", *(name for name in CONDITIONS if name in found)]
    return found.merge(rows.drop_duplicates(keys)[[*keys, "condition"]], on=keys)


def findings(
    evaluation: pd.DataFrame, choices: Sequence[Choice], tasks: Mapping[str, str], claims: pd.DataFrame | None
) -> list[tuple[str, list[str]]]:
    """Three findings in words, each a sentence and what it says of each task: how large, how fast, and what holds.

    The first two are of the baselines under the condition that figures show.

    Args:
        evaluation: Evaluation table.
        choices: The choice of each task.
        tasks: Titles of tasks.
        claims: The table of `equidyn.claims.definitions.judge`; None if none were judged, and nothing is said of them.
    """
    large, fast, shares, reached = [], [], [], 0
    for choice in choices:
        rows = _labelled(evaluation, choice)
        rows = rows[(rows["run"] == choice.baseline) & (rows["condition"] == usual_condition(rows, choice))]
        rows = rows[rows["weights"] == choice.weights].dropna(subset="percent").sort_values("step")
        if rows.empty:
            continue
        title, first, last = tasks[choice.task], rows.iloc[0], rows.iloc[-1]
        where = f" ({last['condition']})" if last["condition"] else ""
        shares.append(last["percent"])
        large.append(
            f"{title}{where}: {number(first['percent'])} % at step {first['step']:,}, {number(last['percent'])} % "
            f"({number(last['percent_low'])} to {number(last['percent_high'])}) at {last['step']:,}; "
            f"skill {number(last['skill'])}"
        )
        below = rows[rows["percent"] <= NEARLY]
        if below.empty:
            lowest = number(rows["percent"].min())
            fast.append(f"{title}{where}: not within {last['step']:,} steps; {lowest} % at the lowest")
            continue
        reached += 1
        skill = below["skill"].iloc[0]
        having = f"with a skill of {number(skill)}" if skill > 0 else "without any skill"
        fast.append(f"{title}{where}: by step {below['step'].iloc[0]:,}, {having}")
    found = []
    if shares:
        ends = f"{number(min(shares))} %" + (f" to {number(max(shares))} %" if len(shares) > 1 else "")
        found.append((f"When training ends, {ends} of the held-out loss is equivariance error.", large))
        found.append(
            (f"It falls to {NEARLY:g} % of the loss in {reached} of {len(fast)} tasks; read the skill beside it.", fast)
        )
    if claims is not None and len(claims):
        found.append(_held(claims, tasks))
    return found


def _held(claims: pd.DataFrame, tasks: Mapping[str, str]) -> tuple[str, list[str]]:
    """What became of the claims that were decided for most tasks. Verdicts depend on one another, so none are counted.

    Of raw and averaged weights, one verdict suffices; two must agree.
    """
    said = []
    for place, (_, rows) in enumerate(claims.groupby("claim", sort=False)):
        by_verdict: dict[str, list[str]] = {verdict: [] for verdict in SYMBOLS}
        for task, of_task in rows.groupby("task", sort=False):
            verdicts = set(of_task["verdict"]) - {NOT_TESTABLE}
            by_verdict[verdicts.pop() if len(verdicts) == 1 else NOT_TESTABLE].append(tasks[task])
        undecided = by_verdict.pop(NOT_TESTABLE)
        words = [f"{verdict} in {', '.join(where)}" for verdict, where in by_verdict.items() if where]
        decided = sum(map(len, by_verdict.values()))
        if decided:
            told = "; ".join([*words, *(["not testable elsewhere"] if undecided else [])])
            said.append((-decided, place, f"{rows['statement'].iloc[0]} {told[0].upper()}{told[1:]}."))
    if not said:
        return "None of the claims can be decided at this scale.", []
    first, *others = [text for *_, text in sorted(said)[:3]]
    return first, others


def matrix(claims: pd.DataFrame, tasks: Iterable[str]) -> dict[str, list[str]]:
    """Columns of the matrix of verdicts: by task, the weights of which anything was found at all."""
    found = claims[claims["value"].notna() | (claims["verdict"] != NOT_TESTABLE)]
    return {
        task: list(dict.fromkeys(found["weights"][found["task"] == task]))
        for task in tasks
        if task in set(claims["task"])
    }


def _labelled(evaluation: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Rows of a task with the wanted estimator, and in a column what conditions they were evaluated under, in words."""
    rows = prefer_estimator(evaluation[evaluation["task"] == choice.task], choice.estimator)
    varied = [name for name in CONDITIONS if name in rows and rows[name].nunique() > 1]
    words = [", ".join(filter(None, map(_word, varied, values))) for values in rows[varied].itertuples(index=False)]
    return rows.assign(condition=words if varied else "")


def _word(name: str, value: Any) -> str:
    """A condition in words."""
    if pd.isna(value):
        return ""
    if name == "t":
        return f"t = {value:g}"
    if name == "self_conditioning":
        return "self-conditioned" if value else "unconditioned"
    return str(value)


def usual_condition(rows: pd.DataFrame, choice: Choice) -> str:
    """The condition that figures show; of several flow times, the middle one."""
    kept = rows
    for name, value in choice.conditions.items():
        if name in kept and (kept[name] == value).any():
            kept = kept[kept[name] == value]
    labels = list(dict.fromkeys(kept["condition"]))
    return labels[len(labels) // 2]


def _of(table: pd.DataFrame, run: str, column: str) -> float:
    return table[column].get(run, math.nan) if column in table else math.nan


def _digits(value: Any) -> Any:
    """A value as JSON has it, of a float five digits; None where it is missing or not finite."""
    if isinstance(value, str) or value is None:
        return value
    if not math.isfinite(value):
        return None
    return float(f"{value:.5g}") if isinstance(value, float) else int(value)
