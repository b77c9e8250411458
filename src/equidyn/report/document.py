"""Tables of a study's results for documents in Markdown."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from math import isnan
from pathlib import Path

import pandas as pd
import yaml

from equidyn.analysis.pilot import pilot_curves
from equidyn.claims.definitions import CLAIMS, judged_of_published
from equidyn.claims.evidence import Found
from equidyn.claims.published import Pilot
from equidyn.core.marked import table
from equidyn.core.numbers import short
from equidyn.report.curves import at_ends, matrix, usual_condition
from equidyn.report.rendering import SYMBOLS, expected, number
from equidyn.study.choice import NEARLY, choice_of
from equidyn.study.frames import read_frame
from equidyn.study.labels import BASELINE, label
from equidyn.tasks.registry import task_card


def part(name: str) -> str:
    """A table or a number of a study's results.

    Args:
        name: Folder of the results, what of them, and more, with spaces between:

            - ``claims``: a table of all verdicts;
            - ``statements``: a table of what each claim says, by which statistic, and in which range;
            - ``runs TASK``: a table of the baseline's seeds under each condition, and of all runs under the one that
              figures show;
            - ``pilot``: a table of what is found in the pilot run, and in the authors' curves;
            - ``claim NAME TASK WEIGHTS``: the value of a claim and its interval; ``value`` or ``published`` in place of
              ``claim``: the value alone, or that of the authors' curves;
            - ``pilot_value NAME WEIGHTS``: the value in the pilot run;
            - ``run NAME WEIGHTS COLUMN``: a number of `equidyn.study.tables.minima`, followed by those conditions that
              several curves of the run differ in, for instance ``results/cpu run chains raw final_percent t=0.6``.

    Raises:
        ValueError: There is no such part, or there are several.
    """
    folder, which, *how = name.split(" ")
    try:
        return _PARTS[which](Path(folder), *how)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{name}: no such part ({error!r}); kinds of parts are {', '.join(_PARTS)}") from error


def _only(rows: pd.DataFrame, **values: str) -> pd.Series:
    """The only row with these values, as text."""
    for key, value in values.items():
        rows = rows[rows[key].astype(str) == value]
    if len(rows) != 1:
        raise ValueError(f"{' '.join(values.values())}: {len(rows)} rows, where one was expected")
    return rows.iloc[0]


def _judged(folder: Path) -> pd.DataFrame:
    return read_frame(folder / "tables/claims.parquet")


def _judgement(folder: Path, value: str, claim: str, task: str, weights: str) -> pd.Series:
    row = _only(_judged(folder), claim=claim, task=task, weights=weights)
    if pd.isna(row[value]):
        reason = row[value.replace("value", "reason")]
        raise ValueError(f"{claim} of {task}, {weights}: there is no {value.replace('_', ' ')}, as {reason}")
    return row


def _claim(folder: Path, *which: str) -> str:
    return _found(_judgement(folder, "value", *which))


def _value(folder: Path, *which: str) -> str:
    return short(_judgement(folder, "value", *which)["value"])


def _published(folder: Path, *which: str) -> str:
    return short(_judgement(folder, "published_value", *which)["published_value"])


def _run(folder: Path, run: str, weights: str, column: str, *conditions: str) -> str:
    varied = dict(condition.split("=") for condition in conditions)
    return number(_only(pd.read_csv(folder / "tables/minima.csv"), run=run, weights=weights, **varied)[column])


_PILOT_TASK = "force_field"


@cache
def _of_pilot(weights: str) -> dict[str, Found]:
    judged = judged_of_published(Pilot(_PILOT_TASK, pilot_curves(), weights))
    return {claim: found for claim, (found, *_) in judged.items()}


def _pilot_value(_: Path, claim: str, weights: str) -> str:
    return short(_of_pilot(weights)[claim].value)


def _pilot(folder: Path) -> str:
    """One row for each claim of which something is found in the pilot run."""
    claims = _judged(folder)
    authors = claims[claims["task"] == _PILOT_TASK].drop_duplicates("claim").set_index("claim")
    rows = []
    for claim, raw in _of_pilot("raw").items():
        if not isnan(raw.value):
            cells = [_found(pd.Series(asdict(found))) for found in (raw, _of_pilot("ema")[claim])]
            known = authors["published_value"][claim]
            rows.append([CLAIMS[claim].label, *cells, "not known" if isnan(known) else short(known)])
    return table(["claim", "raw weights", "averaged (decay 0.999)", "published (averaged, three seeds)"], rows)


def _claims(folder: Path) -> str:
    """One row for each claim, one column for each task and kind of weights of which anything was found."""
    claims = _judged(folder)
    columns = [(task, weights) for task, kinds in matrix(claims, claims["task"].unique()).items() for weights in kinds]
    found = claims.set_index(["claim", "task", "weights"])
    rows = []
    for claim, of_claim in claims.groupby("claim", sort=False):
        cells = [_verdict(found.loc[(claim, *column)]) if (claim, *column) in found.index else "" for column in columns]
        rows.append([of_claim["label"].iloc[0], *cells])
    names = {"raw": "raw", "ema": "averaged"}
    return table(["claim", *(f"{task_card(task).words.title}, {names[kind]}" for task, kind in columns)], rows)


def _statements(_: Path) -> str:
    """One row for each claim."""
    rows = [
        [
            f"{claim.label} (`{name}`)",
            claim.by,
            claim.statement,
            claim.statistic,
            expected(claim.expected.left, claim.expected.right, claim.expected.closed),
        ]
        for name, claim in CLAIMS.items()
    ]
    return table(["claim", "whose", "it says", "statistic", "range"], rows)


def _verdict(row: pd.Series) -> str:
    """Symbol, value and interval."""
    return SYMBOLS[row["verdict"]] if pd.isna(row["value"]) else f"{SYMBOLS[row['verdict']]} {_found(row)}"


def _found(row: pd.Series) -> str:
    """Value and interval."""
    interval = "no interval" if pd.isna(row["low"]) else f"{short(row['low'])} to {short(row['high'])}"
    return f"{short(row['value'])} ({interval})"


def _runs(folder: Path, task: str) -> str:
    """The baseline under each condition, where there are several, and all designs under the one that is shown."""
    choice = choice_of(yaml.safe_load((folder / "config.yaml").read_text("utf-8")), task)
    rows = at_ends(read_frame(folder / "tables/evaluation.parquet"), choice)
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
        f"≤ {NEARLY:g} % first at step": lambda group: _range(group["threshold_step"]),
        "lowest share": lambda group: f"{_range(group['minimum_percent'], ' %')} at {_range(group['minimum_step'])}",
        "skill there": lambda group: _range(group["minimum_skill"]),
        "share at the end": _end,
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


_PARTS: dict[str, Callable[..., str]] = {
    "claims": _claims,
    "statements": _statements,
    "runs": _runs,
    "pilot": _pilot,
    "claim": _claim,
    "value": _value,
    "published": _published,
    "pilot_value": _pilot_value,
    "run": _run,
}
