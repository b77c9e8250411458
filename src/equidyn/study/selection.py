"""The rows of the evaluation table that a figure shows.

Tables hold one study: a run name means one run. Runs are compared by their design, the columns in
`equidyn.run.recipe.DESIGN`, and by seed; two runs of equal design are replicates. A run is a curve, or several where
it was evaluated under several conditions, flow times for instance, of which a figure shows one or all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from equidyn.core.shares import worst_count, worst_percent
from equidyn.models.card import CONTROL
from equidyn.run.recipe import DESIGN
from equidyn.study.choice import Choice, comparable
from equidyn.study.tables import CONDITIONS, prefer_estimator

KEYS = (
    "study", "run", *DESIGN, "variant", "seed", "train_examples", "parameters", "step", "weights", "estimator",
    "rotations", "group", "comparison", "examples", "clusters", "unit", "floor_control", "estimator_version",
    "package_version",
)  # fmt: skip

RAW, EMA = "raw", "ema"
"""Values of the column ``weights``: the network itself, and the study's own average of its weights along training."""

DECAY = 0.999
"""Decay of the average of the weights that the paper's authors evaluate."""

ACTION_FLOOR = "floor_action_equivariance"
"""Column of the interpolation floor: the equivariance error of a perfect prediction, compared in the same way."""


def chosen(table: pd.DataFrame, choice: Choice, *, every: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of the task, as `choose` chooses them: under the conditions of the choice, but for every value of some.

    Averaged weights are those of `usual_average`. Where raw weights are chosen, rows of runs that were evaluated with
    averaged weights too have the losses of these beside their own, in columns whose names end in ``_ema``;
    ``decay_ema`` is the average's decay.
    """
    rows = table[table["task"] == choice.task] if "task" in table else table
    if "task" in table and rows.empty:
        there = ", ".join(sorted(table["task"].unique())) or "no rows"
        raise ValueError(f"no rows of task {choice.task!r} to draw; the evaluation table has {there}")
    conditions = {name: value for name, value in choice.conditions.items() if name not in every}
    average = usual_average(rows, choice.baseline)
    found = choose(rows, average if choice.weights == EMA else choice.weights, choice.estimator, conditions)
    averaged = rows[rows["weights"] == average]
    if choice.weights != RAW or averaged.empty:
        return found
    averaged = choose(averaged, average, choice.estimator, conditions)
    curve = ["run", "step", *(name for name in CONDITIONS if name in rows)]
    losses = {name: f"{name}_ema" for name in _AVERAGED if name in averaged}
    return found.merge(averaged[[*curve, *losses]].rename(columns=losses), on=curve, how="left")


def averages(evaluation: pd.DataFrame, run: str) -> dict[str, float]:
    """Averages of a run's weights, by their names in the column ``weights``, each with its decay, NaN if unknown."""
    rows = evaluation[(evaluation["run"] == run) & (evaluation["weights"] != RAW)]
    return dict(zip(rows["weights"], rows.get("decay", pd.Series(math.nan, rows.index)), strict=True))


def usual_average(evaluation: pd.DataFrame, run: str) -> str:
    """Name of the average that figures show and claims judge: of the authors' decay if the run has it, else its own."""
    return next((name for name, decay in averages(evaluation, run).items() if decay == DECAY), EMA)


def shown(rows: pd.DataFrame, columns: Sequence[str], choice: Choice, series: Iterable[str]) -> pd.DataFrame:
    """The columns that identify rows, that are drawn, and that name and flag them: legend name and ``unskilled``.

    What averaged weights have of the drawn columns stands beside them, see `chosen`.
    """
    wanted = list(dict.fromkeys([*KEYS, *columns, "skill"]))
    need(rows, wanted)
    averaged = [f"{name}_ema" for name in (*wanted, "decay") if f"{name}_ema" in rows]
    data = rows[[*wanted, *averaged]].reset_index(drop=True)
    data.insert(0, "series", list(series))
    data["unskilled"] = ~(data["skill"] >= choice.useful_skill)
    return data


def of_analysis(table: pd.DataFrame, choice: Choice, columns: Sequence[str], *, others: bool = False) -> pd.DataFrame:
    """Rows of the baseline in the table of an analysis, which may have many for one step and condition.

    Args:
        table: Table of an analysis.
        choice: Weights, estimator and conditions, chosen as in the evaluation table, except that an analysis under a
            single group and comparison is shown under these.
        columns: Columns that the table must have, beyond those that identify rows.
        others: Whether other runs follow, except controls.

    Returns:
        All columns of the rows, by run, condition and step, with the flag ``unskilled``; without empty conditions.

    Raises:
        ValueError: As `chosen`; or columns are missing.
    """
    key = ["run", "step", "weights", "estimator"]
    need(table, [*key, "skill", "unit", *columns])
    key += [name for name in ("task", *CONDITIONS) if name in table]
    pair = [name for name in ("group", "comparison") if name in table and getattr(choice, name)]
    if pair and len(alone := table[pair].drop_duplicates()) == 1:
        choice = replace(choice, **alone.iloc[0])
    rows = chosen(table.drop_duplicates(key), choice)
    kept = [of_baseline(rows, choice)]
    if others:
        kept.append(rows[(rows["run"] != choice.baseline) & ~is_control(rows)])
    rows = pd.concat(kept)[key].merge(table, on=key, how="left")
    empty = [name for name in CONDITIONS if name in rows and rows[name].isna().all()]
    return rows.drop(columns=empty).assign(unskilled=~(rows["skill"] >= choice.useful_skill))


def choose(
    table: pd.DataFrame,
    weights: str = "ema",
    estimator: str = "exact",
    conditions: Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """One row per run, step and condition: the wanted weights, and the wanted estimator where a run has it.

    Args:
        table: Evaluation table.
        weights: "raw" or "ema".
        estimator: "exact" or "sampled"; a run without it is shown by its other estimator, at all steps.
        conditions: Values of some of `equidyn.study.tables.CONDITIONS`; runs keep a curve for each value of the others.
            Rows that do not say are kept too.

    Returns:
        Runs in the table's order, each by the other conditions, if any, and step.

    Raises:
        ValueError: There are no rows, a run was not evaluated in this way, or a run has two rows for a step.
    """
    need(table, ["run", "step", "weights", "estimator"])
    if table.empty:
        raise ValueError("the evaluation table has no rows: evaluate a run first")
    order = _names(table)
    rows = _only(table, "weights", weights)
    curve = ["run"]
    for name in CONDITIONS:
        if name not in table:
            continue
        if conditions and name in conditions:
            rows = _only(rows, name, conditions[name])
        else:
            curve.append(name)
    rows = prefer_estimator(rows, estimator)
    twice = rows[rows.duplicated([*curve, "step"])]
    if len(twice):
        run, step = twice.iloc[0][["run", "step"]]
        raise ValueError(f"run {run!r} has several rows for step {step}: does the table mix studies?")
    rank = rows["run"].map({run: i for i, run in enumerate(order)})
    by = ["_rank", *curve[1:], "step"]
    return rows.assign(_rank=rank).sort_values(by).drop(columns="_rank").reset_index(drop=True)


def _only(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """Rows with a value, or with none; every run must have some."""
    rows = table[(table[column] == value) | table[column].isna()]
    if missing := [run for run in _names(table) if run not in set(rows["run"])]:
        there = ", ".join(sorted(map(str, table[column].dropna().unique())))
        raise ValueError(
            f"no rows with {column} {value!r} for run(s) {', '.join(missing)}; the table has {column} {there}"
        )
    return rows


def of_baseline(table: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Rows of the baseline run.

    Raises:
        ValueError: There is none; the message says which runs there are.
    """
    rows = replicates(table, choice.baseline)
    return rows[rows["run"] == choice.baseline]


def replicates(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Rows of the baseline run and of the runs that differ from it by seed alone, baseline first, then by seed."""
    return varying(table, baseline, [])


def varying(
    table: pd.DataFrame,
    baseline: str,
    columns: Sequence[str],
    *,
    include_controls: bool = False,
    all_lengths: bool = False,
) -> pd.DataFrame:
    """Rows of the baseline run and of the runs that differ from it in nothing but some columns and the seed.

    Args:
        table: Evaluation table, whole or chosen from.
        baseline: Name of a run.
        columns: Some of the design.
        include_controls: Whether to keep runs of exactly equivariant models.
        all_lengths: See `equidyn.study.choice.comparable`.

    Returns:
        The baseline first, the others by seed, then in the table's order.

    Raises:
        ValueError: No run has this name, a column is not one of the design, or rows of one run disagree about it.
    """
    runs = settings(table)
    names = comparable(
        runs.to_dict("index"), baseline, columns, include_controls=include_controls, all_lengths=all_lengths
    )
    order = {run: i for i, run in enumerate(names)}
    rows = table[table["run"].isin(list(order))]
    return rows.iloc[rows["run"].map(order).argsort(kind="stable")].reset_index(drop=True)


def settings(table: pd.DataFrame) -> pd.DataFrame:
    """Design, variant, seed and ``steps`` (the last in the table) of each run, by its name, in the table's order.

    Raises:
        ValueError: Rows of one run disagree.
    """
    columns = [*DESIGN, "variant", "seed"]
    need(table, ["run", "step", *columns])
    runs = table[["run", *columns]].drop_duplicates()
    twice = runs["run"][runs["run"].duplicated()]
    if len(twice):
        differing = [name for name in columns if runs.loc[runs["run"] == twice.iloc[0], name].nunique(dropna=False) > 1]
        raise ValueError(
            f"run {twice.iloc[0]!r} has several values of {', '.join(differing)}: does the table mix studies?"
        )
    return runs.set_index("run").assign(steps=table.groupby("run")["step"].max())


def worst_examples(
    evaluation: pd.DataFrame, clusters: Mapping[str, pd.DataFrame], choices: Iterable[Choice]
) -> pd.DataFrame:
    """How much of the loss and of the equivariance error the worst 1 % of the examples carry at the last step.

    Evaluation tables that do not record it leave it to the sums over clusters.

    Args:
        evaluation: Evaluation table.
        clusters: By run name, its sums over clusters, see `equidyn.study.tables.cluster_sums`.
        choices: The choice of each task.

    Returns:
        One row per run and condition: those, ``step``, ``worst`` (of how many examples how many) and `WORST` (percent).
    """
    found = []
    for choice in choices:
        rows = chosen(evaluation, choice)
        curve = ["run", *(name for name in CONDITIONS if name in rows and rows[name].notna().any())]
        for _, row in rows.groupby(curve, sort=False, dropna=False).tail(1).iterrows():
            unit, shares = "examples", {name: row.get(name, math.nan) for name in WORST}
            if all(map(math.isnan, shares.values())):
                sums = clusters[row["run"]]
                for name in ("step", "weights", "estimator", *curve[1:]):
                    sums = sums[(sums[name] == row[name]) | (sums[name].isna() & pd.isna(row[name]))]
                unit, shares = "clusters", {name: worst_percent(sums[of]) for name, of in WORST.items()}
            worst = f"{worst_count(row[unit])} of {row[unit]:,} {unit}"
            found.append({"task": choice.task, **row[[*curve, "step"]], "worst": worst, **shares})
    return pd.DataFrame(found)


WORST = {"total_in_worst": "total", "equivariance_in_worst": "equivariance"}
"""Columns of the evaluation table, each with the sum that it is a percentage of."""


def is_control(rows: pd.DataFrame) -> pd.Series:
    """Whether rows are of exactly equivariant models."""
    return rows["variant"] == CONTROL


_AVERAGED = ("percent", "total", "twirled", "equivariance", "relative_equivariance", "skill", "decay")


def _names(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["run"]))


def need(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise a ValueError that names the columns a table lacks."""
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"the table lacks the column(s) {', '.join(missing)}")
