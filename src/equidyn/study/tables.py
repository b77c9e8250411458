"""Tables of a study: parts of runs joined, written in full or not at all."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from equidyn.core.files import replacing
from equidyn.run.recipe import DESIGN
from equidyn.study.choice import NEARLY

CONDITIONS = ("group", "comparison", "t", "self_conditioning")
"""Columns with the conditions of predictions; missing or empty where a task has no such choice."""


EVALUATED = (
    "percent", "percent_low", "percent_high", "total", "twirled", "equivariance", "null_loss", "skill", "unit",
    "floor_control", "floor_action_equivariance", "estimator_version",
)  # fmt: skip
"""Columns of the evaluation that tables of analyses carry too."""


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a parquet or CSV file, by its ending, under a temporary name first."""
    write: Callable = {".parquet": table.to_parquet, ".csv": table.to_csv}[Path(path).suffix]
    with replacing(path) as temporary:
        write(temporary, index=False)


def join(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Rows of several parquet files, in order."""
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def cluster_sums(examples: pd.DataFrame) -> pd.DataFrame:
    """Sums over the examples of each cluster, the unit that intervals resample, in single precision.

    Args:
        examples: One row per example, checkpoint and condition, from `equidyn.run.evaluation.evaluate_run`.

    Returns:
        One row per cluster, checkpoint and condition: what identifies it, ``weight`` (components compared), and the
        sums ``total``, ``equivariance``, ``prediction_energy`` and ``null_energy``. Ratios of their sums over clusters
        are the losses, percents and skills of the evaluation table.
    """
    names = ("study", "run", "step", "weights", "estimator", *CONDITIONS, "cluster")
    sums = ["weight", "total", "equivariance", "prediction_energy", "null_energy"]
    keys = [name for name in names if name in examples]
    summed = examples.groupby(keys, sort=False, dropna=False)[sums].sum()
    return summed.astype("float32").reset_index()


def prefer_estimator(evaluation: pd.DataFrame, estimator: str) -> pd.DataFrame:
    """Rows of one estimator, "exact" or "sampled"; a run without it keeps all of its rows."""
    chosen = evaluation["estimator"] == estimator
    return evaluation[chosen | ~chosen.groupby(evaluation["run"]).transform("any")]


def with_evaluation(table: pd.DataFrame, evaluation: pd.DataFrame, estimator: str = "exact") -> pd.DataFrame:
    """Rows of an analysis, each with the evaluation of the same checkpoint under the same condition.

    Args:
        table: Rows of an analysis.
        evaluation: Evaluation table.
        estimator: Estimator to use where a run has it; otherwise the other one.

    Returns:
        The same rows, with the columns `EVALUATED` that they lack.

    Raises:
        ValueError: A checkpoint was not evaluated under the condition, or twice.
    """
    keys = ["run", "step", "weights", *(name for name in CONDITIONS if name in table and name in evaluation)]
    rows = prefer_estimator(evaluation[evaluation["run"].isin(table["run"])], estimator)
    found = rows[[*keys, *(name for name in EVALUATED if name in rows and name not in table)]]
    joined = table.merge(found, on=keys, how="left", validate="many_to_one", indicator=True)
    if (lost := joined[joined.pop("_merge") == "left_only"]).size:
        raise ValueError(f"not evaluated: {dict(lost.iloc[0][keys])}")
    return joined


def without_lists(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that hold one value a row, as text files can; eigenvalues, say, come as lists."""
    listed = [name for name in table if table[name].map(pd.api.types.is_list_like).any()]
    return table.drop(columns=listed)


def minima(table: pd.DataFrame) -> pd.DataFrame:
    """Fall and return of the percent of every curve.

    A curve is a run under one kind of weights, one estimator and one combination of conditions. Values are those of the
    table, not averages over steps.

    Args:
        table: Evaluation table; rows without a percent are left out.

    Returns:
        One row per curve, in the table's order: what identifies it; ``first_percent``; percent, step, interval and
        skill at the minimum (the first, if equal) and at the final step; ``threshold_step``, the first step at or below
        ``threshold``, missing if there is none; percent and step of the largest value after the minimum (``rise``),
        missing if the minimum is the final step.
    """
    curve = [name for name in ("study", "run", "weights", "estimator", *CONDITIONS) if name in table]
    model = DESIGN.index("model") + 1
    design = (*DESIGN[:model], "variant", *DESIGN[model:], "seed", "train_examples", "parameters")
    identity = [*curve, *(name for name in design if name in table)]
    rows = []
    for _, part in table.dropna(subset="percent").groupby(curve, sort=False, dropna=False):
        part = part.sort_values("step")
        lowest, final = part.loc[part["percent"].idxmin()], part.iloc[-1]
        below, after = part[part["percent"] <= NEARLY], part[part["step"] > lowest["step"]]
        row = {**final[identity], "threshold": NEARLY, "first_percent": part["percent"].iloc[0]}
        row["threshold_step"] = below["step"].iloc[0] if len(below) else None
        for name, at in (("minimum", lowest), ("final", final)):
            row |= {f"{name}_{column}": at[column] for column in _POINT}
        row |= {
            f"rise_{column}": after.loc[after["percent"].idxmax(), column] if len(after) else None for column in _RISE
        }
        rows.append(row)
    steps = ["threshold_step", "minimum_step", "final_step", "rise_step"]
    return pd.DataFrame(rows).astype(dict.fromkeys(steps, "Int64"))


_POINT = ("percent", "step", "percent_low", "percent_high", "skill")
_RISE = ("percent", "step")
