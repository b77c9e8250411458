"""Which rows of the evaluation table a figure shows.

Tables hold one study: a run name means one run. Runs are compared by their design, the columns in `DESIGN`, and by
seed; two runs of equal design are replicates.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

DESIGN = ("task", "model", "train_subset", "batch_size", "optimiser", "lr", "augmentation")


def choose(table: pd.DataFrame, weights: str = "ema", estimator: str = "exact") -> pd.DataFrame:
    """One row per run and step: the wanted weights, and the wanted estimator where a run has it.

    Args:
        table: Evaluation table.
        weights: "raw" or "ema".
        estimator: "exact" or "sampled"; a run without it is shown by its other estimator, at all steps.

    Returns:
        Runs in the table's order, each by step.

    Raises:
        ValueError: There are no rows, a run was not evaluated with these weights, or a run has two rows for a step.
    """
    _need(table, ["run", "step", "weights", "estimator"])
    if table.empty:
        raise ValueError("the evaluation table has no rows: evaluate a run first")
    order = _names(table)
    rows = table[table["weights"] == weights]
    if missing := [run for run in order if run not in set(rows["run"])]:
        raise ValueError(
            f"no rows with weights {weights!r} for run(s) {', '.join(missing)}; "
            f"the table has weights {', '.join(sorted(table['weights'].unique()))}"
        )
    has_wanted = (rows["estimator"] == estimator).groupby(rows["run"]).transform("any")
    rows = rows[(rows["estimator"] == estimator) | ~has_wanted]
    twice = rows[rows.duplicated(["run", "step"])]
    if len(twice):
        run, step = twice.iloc[0][["run", "step"]]
        raise ValueError(f"run {run!r} has several rows for step {step}: does the table mix studies?")
    rank = rows["run"].map({run: i for i, run in enumerate(order)})
    return rows.assign(_rank=rank).sort_values(["_rank", "step"]).drop(columns="_rank").reset_index(drop=True)


def replicates(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Rows of the baseline run and of the runs that differ from it by seed alone, baseline first, then by seed."""
    return varying(table, baseline, [])


def varying(
    table: pd.DataFrame, baseline: str, columns: Sequence[str], *, include_controls: bool = False
) -> pd.DataFrame:
    """Rows of the baseline run and of the runs that differ from it in nothing but some columns and the seed.

    Args:
        table: Evaluation table, whole or chosen from.
        baseline: Name of a run.
        columns: Some of `DESIGN`.
        include_controls: Whether to keep runs of exactly equivariant models, named "control…".

    Returns:
        The baseline first, the others by seed, then in the table's order.

    Raises:
        ValueError: No run has this name, a column is not one of the design, or rows of one run disagree about it.
    """
    if unknown := set(columns) - set(DESIGN):
        raise ValueError(f"{', '.join(sorted(unknown))}: not a column of the design, which are {', '.join(DESIGN)}")
    runs = settings(table)
    if baseline not in runs.index:
        raise ValueError(f"no run is named {baseline!r}; the table has {', '.join(runs.index) or 'no runs'}")
    reference = runs.loc[baseline]
    same = pd.Series(True, index=runs.index)
    for column in DESIGN:
        if column not in columns:
            value = reference[column]
            same &= runs[column].isna() if pd.isna(value) else runs[column] == value
    if not include_controls:
        same &= ~is_control(runs["model"]) | (runs["model"] == reference["model"])
    kept = runs[same].sort_values("seed", kind="stable").index
    order = {run: i for i, run in enumerate([baseline, *kept.drop(baseline)])}
    rows = table[table["run"].isin(list(order))]
    return rows.iloc[rows["run"].map(order).argsort(kind="stable")].reset_index(drop=True)


def settings(table: pd.DataFrame) -> pd.DataFrame:
    """The design and seed of each run, indexed by its name, in the table's order.

    Raises:
        ValueError: Rows of one run disagree.
    """
    columns = [*DESIGN, "seed"]
    _need(table, ["run", *columns])
    runs = table[["run", *columns]].drop_duplicates()
    twice = runs["run"][runs["run"].duplicated()]
    if len(twice):
        differing = [name for name in columns if runs.loc[runs["run"] == twice.iloc[0], name].nunique(dropna=False) > 1]
        raise ValueError(
            f"run {twice.iloc[0]!r} has several values of {', '.join(differing)}: does the table mix studies?"
        )
    return runs.set_index("run")


def is_control(model: pd.Series) -> pd.Series:
    """Whether models are exactly equivariant controls, by their names."""
    return model.str.startswith("control")


def _names(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["run"]))


def _need(table: pd.DataFrame, columns: list[str]) -> None:
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"the evaluation table lacks the column(s) {', '.join(missing)}")
