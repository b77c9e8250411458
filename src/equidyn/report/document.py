"""Tables of a study's results for documents in Markdown."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import yaml

from equidyn.core.marked import table
from equidyn.core.numbers import short
from equidyn.report.curves import at_ends, matrix, usual_condition
from equidyn.report.rendering import SYMBOLS, number
from equidyn.study.choice import Choice, choice_of
from equidyn.study.labels import BASELINE, label
from equidyn.tasks.registry import task_card


def part(name: str) -> str:
    """A table or a number of a study's results.

    Args:
        name: Folder of the results, then one of

            - ``claims``: a table of all verdicts;
            - a task: a table of the baseline's seeds under each condition, and of all runs under the one that figures
              show;
            - ``claim``, its name, task and weights: the value and its interval, for instance
              "results/cpu claim falls_below_2_percent force_field raw";
            - ``run``, its name, weights, a column of `equidyn.study.tables.minima`, and the values of those conditions
              by which several curves differ: a number, for instance "results/cpu run chains raw final_percent t=0.6".

    Raises:
        ValueError: There is no such part, or there are several.
    """
    folder, which, *how = name.split(" ")
    tables = Path(folder, "tables")
    config = yaml.safe_load(Path(folder, "config.yaml").read_text("utf-8"))
    if which == "claims" and not how:
        return _claims(pd.read_parquet(tables / "claims.parquet"))
    if which == "claim":
        return _found(_only(name, pd.read_parquet(tables / "claims.parquet"), ["claim", "task", "weights"], how))
    if which == "run" and len(how) >= 3:
        run, weights, column, *conditions = how
        pairs = [condition.partition("=") for condition in conditions]
        keys, values = ["run", "weights", *(key for key, *_ in pairs)], [run, weights, *(value for *_, value in pairs)]
        return number(_only(name, pd.read_csv(tables / "minima.csv"), keys, values)[column])
    if which not in config["figures"]["baseline"] or how:
        known = ["claims", *config["figures"]["baseline"], "claim NAME TASK WEIGHTS", "run NAME WEIGHTS COLUMN"]
        raise ValueError(f"{name}: no such part; there are {', '.join(known)}")
    return _runs(pd.read_parquet(tables / "evaluation.parquet"), choice_of(config, which))


def _only(name: str, rows: pd.DataFrame, keys: list[str], values: list[str]) -> pd.Series:
    """The only row with these values, as text."""
    for key, value in zip(keys, values, strict=True):
        rows = rows[rows[key].astype(str) == value]
    if len(rows) != 1:
        raise ValueError(f"{name}: {len(rows)} rows, where one was expected")
    return rows.iloc[0]


def _claims(claims: pd.DataFrame) -> str:
    """One row for each claim, one column for each task and kind of weights of which anything was found."""
    columns = [(task, weights) for task, kinds in matrix(claims, claims["task"].unique()).items() for weights in kinds]
    found = claims.set_index(["claim", "task", "weights"])
    rows = []
    for claim, of_claim in claims.groupby("claim", sort=False):
        cells = [_verdict(found.loc[(claim, *column)]) if (claim, *column) in found.index else "" for column in columns]
        rows.append([of_claim["label"].iloc[0], *cells])
    names = {"raw": "raw", "ema": "averaged"}
    return table(["claim", *(f"{task_card(task).words.title}, {names[kind]}" for task, kind in columns)], rows)


def _verdict(row: pd.Series) -> str:
    """Symbol, value and interval."""
    return SYMBOLS[row["verdict"]] if pd.isna(row["value"]) else f"{SYMBOLS[row['verdict']]} {_found(row)}"


def _found(row: pd.Series) -> str:
    """Value and interval."""
    interval = "no interval" if pd.isna(row["low"]) else f"{short(row['low'])} to {short(row['high'])}"
    return f"{short(row['value'])} ({interval})"


def _runs(evaluation: pd.DataFrame, choice: Choice) -> str:
    """The baseline under each condition, where there are several, and all designs under the one that is shown."""
    rows = at_ends(evaluation, choice)
    reference = rows[rows["run"] == choice.baseline].iloc[0]
    rows = rows.assign(named=[label(row, reference) for row in rows.to_dict("records")])
    baseline = rows[(rows["named"] == BASELINE) & (rows["final_step"] == reference["final_step"])]
    shown = usual_condition(rows, choice)
    parts = []
    if rows["condition"].nunique() > 1:
        parts.append(_table("condition", baseline, "condition", {}))
    designs = {"steps": lambda group: f"{group['final_step'].iloc[0]:,}", "parameters": _parameters}
    under = f" ({shown})" if shown else ""
    parts.append(_table(f"run{under}", rows[rows["condition"] == shown], ["named", "final_step"], designs))
    return "\n\n".join(parts)


_Column = Callable[[pd.DataFrame], str]


def _table(first: str, rows: pd.DataFrame, by: str | list[str], more: Mapping[str, _Column]) -> str:
    """A row for each group of seeds: a range over these, or the interval of a single one."""
    groups = [group for _, group in rows.groupby(by, sort=False)]
    columns: dict[str, _Column] = {
        first: lambda group: group[by if isinstance(by, str) else by[0]].iloc[0],
        **more,
        "seeds": lambda group: str(len(group)),
        "untrained": lambda group: _range(group["first_percent"], " %"),
        "≤ 2 % first at step": lambda group: _range(group["threshold_step"]),
        "lowest": lambda group: f"{_range(group['minimum_percent'], ' %')} at {_range(group['minimum_step'])}",
        "skill there": lambda group: _range(group["minimum_skill"]),
        "at the end": _end,
        "skill at the end": lambda group: _range(group["final_skill"]),
    }
    return table(list(columns), [[column(group) for column in columns.values()] for group in groups])


def _range(values: pd.Series, unit: str = "") -> str:
    """One number, or the least and the largest; "never" where some are missing."""
    known = values.dropna()
    low, high = (number(known.min()), number(known.max())) if len(known) else ("never", "never")
    if len(known) < len(values):
        high = "never"
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit if high != 'never' else ''}"


def _end(group: pd.DataFrame) -> str:
    if len(group) > 1:
        return _range(group["final_percent"], " %")
    row = group.iloc[0]
    return (
        f"{number(row['final_percent'])} % ({number(row['final_percent_low'])} to {number(row['final_percent_high'])})"
    )


def _parameters(group: pd.DataFrame) -> str:
    return f"{group['parameters'].iloc[0]:,}"
