"""A measurement in files: all numbers, a table, or a page."""

import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from equidyn import __version__
from equidyn.core.files import replacing
from equidyn.figures.parts import drawing, style
from equidyn.measuring.measurement import Measurement, Property
from equidyn.report.rendering import render

PANEL = (4.2, 2.9)
"""Width and height of a panel, inch."""

SIZES = 4
"""Most classes of structures by size."""


def write(path: str | Path, measurement: Measurement, title: str) -> None:
    """Write a measurement, in full or not at all, in the format that the file's name ends in, one of `WRITERS`."""
    text = WRITERS[Path(path).suffix.lower()](measurement, title)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def page(measurement: Measurement, title: str) -> str:
    """The measurement as one HTML page, which needs nothing else: the verdict first, then where the error lies."""
    shown = [one for name, one in measurement.properties.items() if not name.endswith(" per atom")]
    per_atom = [one for name, one in measurement.properties.items() if name.endswith(" per atom")]
    return render(
        "measurement.html.j2",
        title=title,
        version=__version__,
        measurement=measurement,
        properties=shown,
        table=_table([*shown, *per_atom]),
        pictures={one.name: _picture(one) for one in shown},
        worst={one.name: _worst(one) for one in shown},
    )


def _table(properties: list[Property]) -> pd.DataFrame:
    """A row for each property, as the page shows it; columns that are empty throughout are left out."""
    rows = []
    for one in properties:
        low, high = one.interval
        rows.append({
            "property": one.name,
            "verdict": one.verdict,
            "% of the loss": one.percent,
            "from": low,
            "to": high,
            "Skill": one.numbers["skill"],
            "RMSE": one.rmse["oriented"] if not np.isnan(one.percent) else np.nan,
            "RMSE of the average": one.rmse["averaged"] if not np.isnan(one.percent) else np.nan,
            "equivariance error (RMS)": one.rmse["equivariance"],
            "floor": one.floor,
            "error / prediction": one.relative_error,
            "rotations that suffice": one.sufficient,
        })  # fmt: skip
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _worst(one: Property) -> pd.DataFrame:
    """The examples with the largest error per component."""
    rows = one.by_example.loc[list(one.worst)]
    error = np.sqrt(np.maximum(rows["equivariance"], 0) / rows["weight"])
    found = pd.DataFrame({"example": rows.index, "atoms": rows["atoms"], "equivariance error (RMS)": error})
    if "total" in rows:
        found["RMSE"] = np.sqrt(rows["total"] / rows["weight"])
    return found


def _picture(one: Property) -> str:
    """What the error depends on, as SVG; empty if nothing is known."""
    panels = list(_panels(one))
    if not panels or one.verdict == "round-off":
        return ""
    rows = -(-len(panels) // 2)
    with style.applied():
        figure = style.new_figure(2 * PANEL[0], rows * PANEL[1])
        for axes, draw in zip(figure.subplots(rows, 2, squeeze=False).flat, panels, strict=False):
            draw(axes)
        for axes in figure.axes[len(panels) :]:
            axes.set_axis_off()
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _panels(one: Property) -> Iterator[Callable[[Axes], None]]:
    """What is known, as functions that draw it."""
    if one.by_degree:
        yield lambda axes: _degrees(axes, one.by_degree)
    if len(one.by_angle):
        yield lambda axes: _angles(axes, one.by_angle, one.floor)
    column = "total" if "total" in one.by_example else None
    if len(one.by_element):
        yield lambda axes: _bars(axes, one.by_element, one.by_element["element"].astype(str), "By element", column)
    if one.by_example["atoms"].nunique() > 1:
        classes = _by_size(one.by_example)
        yield lambda axes: _bars(axes, classes, classes["size"], "By number of atoms", column)
    if len(one.averaging):
        yield lambda axes: _averaging(axes, one)


def _degrees(axes: Axes, percents: tuple[float, ...]) -> None:
    names = [*map(str, range(1, len(percents))), f"≥ {len(percents)}"]
    axes.bar(names, percents, color=style.PALETTE[0])
    axes.set(title="By degree", xlabel="degree l", ylabel="% of the equivariance error")


def _angles(axes: Axes, by_angle: np.ndarray, floor: float) -> None:
    angles, changes = by_angle.T
    axes.loglog(angles, np.maximum(changes, 1e-300), marker="o", color=style.PALETTE[0], label="measured")
    reference = changes[-2] if changes[-2] > 0 else changes[-1]
    axes.loglog(angles, reference * angles / angles[-2], color=style.MUTED, linestyle=":", label="smooth: ∝ angle")
    if floor > 0:
        axes.axhline(floor, color=style.PALETTE[1], linestyle="--", label="floor")
        axes.set_ylim(bottom=floor / 10)
    axes.set(title="By angle of a further turn", xlabel="angle (degree)", ylabel="change (RMS)")
    axes.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    drawing.log_labels(axes.yaxis)
    axes.minorticks_off()
    axes.legend()


def _bars(axes: Axes, sums: pd.DataFrame, names: pd.Series, title: str, total: str | None) -> None:
    error = sums["equivariance"].clip(lower=0)
    if total is None:
        heights, label = np.sqrt(error / sums["weight"]), "equivariance error (RMS)"
    else:
        heights, label = 100 * error / sums[total], "% of the loss"
    axes.bar(names, heights, color=style.PALETTE[2])
    axes.set(title=title, ylabel=label)


def _by_size(by_example: pd.DataFrame) -> pd.DataFrame:
    """Sums over classes of examples with about as many atoms."""
    atoms = by_example["atoms"]
    classes = pd.qcut(atoms, min(SIZES, atoms.nunique()), duplicates="drop")
    found = by_example.groupby(classes, observed=True)
    ends = found["atoms"].agg(["min", "max"])
    names = [str(low) if low == high else f"{low}–{high}" for low, high in ends.itertuples(index=False)]
    return found.sum().reset_index(drop=True).assign(size=names)


def _averaging(axes: Axes, one: Property) -> None:
    rotations, loss = one.averaging.T
    shown = rotations <= 24
    axes.plot(rotations[shown], np.sqrt(np.maximum(loss[shown], 0)), marker="s", color=style.PALETTE[4])
    axes.axhline(one.rmse["averaged"], color=style.MUTED, linestyle=":", label="average over all")
    axes.set_xscale("log")
    axes.set_xticks(rotations[shown], [f"{count:.0f}" for count in rotations[shown]])
    axes.minorticks_off()
    axes.set(title="Averaged over rotations", xlabel="rotations, and times the cost", ylabel="RMSE")
    axes.legend()


def _json(measurement: Measurement, title: str) -> str:
    return json.dumps({"title": title, **_plain(measurement.to_dict())}, indent=1, ensure_ascii=False) + "\n"


def _csv(measurement: Measurement, title: str) -> str:
    return measurement.table().to_csv(index=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: null where a number is missing or not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


WRITERS: dict[str, Callable[[Measurement, str], str]] = {".html": page, ".json": _json, ".csv": _csv}
"""By the end of a file's name, what makes its text of a measurement and a title."""
