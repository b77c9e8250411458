"""Flow times: what is drawn of a run that was evaluated at several, and averages along its curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from equidyn.analysis.smoothing import variable_span_average

TIME = "Flow time t"


TIMES = (0.2, 0.6, 0.9)
"""Flow times to show in figures with a panel for each, or the nearest there are."""


def at_times(rows: pd.DataFrame, wanted: Sequence[float] = TIMES) -> pd.DataFrame:
    """Rows at the flow times nearest to some; all, with how many times there are, where they do not differ in time."""
    if "t" not in rows:
        return rows
    times = rows["t"].unique()
    nearest = [min(times, key=lambda time: abs(time - t)) for t in wanted]
    return rows[rows["t"].isin(nearest)].assign(flow_times=len(times)).reset_index(drop=True)


def validation_loss(data: pd.DataFrame, name: str = "total") -> pd.Series:
    """Mean over flow times of an error divided by (1 - t)², as in training but all times alike, by run and step."""
    weighted = data[name] / (1 - data["t"]) ** 2
    return weighted.groupby([data["run"], data["step"]]).transform("mean")


def by_curve(data: pd.DataFrame) -> pd.api.typing.DataFrameGroupBy:
    """Groups of the rows of each run and flow time."""
    return data.groupby(["run", "t"], sort=False)


def smoothed(data: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The data and the moving average of some columns, along each curve, and of what averaged weights have of them."""
    names = [*columns, *(f"{name}_ema" for name in columns if f"{name}_ema" in data)]
    averages = {f"{name}_smoothed": pd.Series(np.nan, index=data.index) for name in names}
    for index in by_curve(data).groups.values():
        for name in names:
            averages[f"{name}_smoothed"][index] = variable_span_average(data["step"][index], data[name][index])
    return data.assign(**averages)
