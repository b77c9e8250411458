"""What averaging the weights alone does to the fall of the share: curves by decay, and the step of the fall by memory.

Functions take the table of the analysis "averages", a table of published curves (`equidyn.analysis.authors`) and
`Options`, and return a figure with the rows that it shows, also those of the published falls. The conventions of all
figures are in `equidyn.figures.parts.drawing`. The authors' curves are of averages with a decay of `DECAY`; where their
steps count the rows of a log, they have no place here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from equidyn.analysis.authors import OPTIMISER_STEP
from equidyn.analysis.pilot import PILOT, SERIES
from equidyn.claims.published import Pilot, Published
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT
from equidyn.figures.parts.times import at_times
from equidyn.figures.parts.variations import Looks
from equidyn.study.selection import DECAY, KEYS, need, of_analysis
from equidyn.study.tables import CONDITIONS

RAW = "raw weights"
"""Name of the series of the network itself."""

_LOSSES = ("percent", "percent_low", "percent_high", "relative_equivariance", "total", "twirled")
_BLACK = style.PALETTE[6]
_STAR = {"marker": "*", "markersize": 7, "markeredgewidth": 0.7}
_THEIRS = {"published": _STAR | {"color": style.PALETTE[1]}, "pilot": _STAR | {"color": style.PALETTE[3]}}
_FALL = ("fall_after", "fall_by", "fall_unskilled")
_GUIDE = {"color": style.MUTED, "linewidth": 2.6, "alpha": 0.35}
_ARROW = {"arrowstyle": "->", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
_BESIDE = 1.8  # factor by which published falls are shifted to the right


def averaging(table: pd.DataFrame, published: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Share against step by decay, and the step at which it has fallen against memory; a row for each flow time."""
    ours, theirs = _ours(table, options), _theirs(published, options)
    looks = _looks(ours)
    times = list(ours["t"].unique()) if "t" in ours else [None]
    figure, panels = layout.tiled(2 * len(times), 2, 2.2)
    place = drawing.Steps(ours["step"], log=True)
    for row, t in enumerate(times):
        part = ours if t is None else ours[ours["t"] == t]
        left, right = panels[2 * row : 2 * row + 2]
        drawing.scale(left, ours[["percent"]], log=True, include=options.threshold)
        for series, look in reversed(looks.items()):  # raw weights on top
            curve = part[part["series"] == series]
            width = 1.6 if series == RAW else 0.9
            drawing.line(
                left, place(curve["step"]), curve["percent"], curve["unskilled"], True, True, *look, width=width
            )
        left.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
        left.set_ylabel(PERCENT)
        place.dress(left)
        right.set(yscale="log", ylim=_limits(_both(ours, theirs)))
        _falls(right, _both(part, theirs), looks)
        right.set_ylabel(f"First step with ≤ {options.threshold:g} %")
        if t is not None:
            left.set_title(f"t = {short(t)}")
    left.set_xlabel(drawing.STEP)
    right.set_xlabel("Steps that an average remembers, 1 / (1 − decay)")
    layout.legends(figure, _reading(figure, looks, ours, theirs, options))
    return figure, _both(ours, theirs)


averaging_of_voxels = averaging


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How the curves were estimated, when they fall, and what is published beside them, for captions."""
    is_ours = data["origin"] == "here"
    ours, theirs = data[is_ours].dropna(axis="columns", how="all"), data[~is_ours]
    of_averages = replace(options, weights="raw weights and exponential averages of them")
    told = [
        *evidence(ours.drop(columns=["percent_low", "percent_high"]), of_averages),
        f"Where the skill (1 − loss / loss of {options.words.null}) is below {options.limit}, lines are dashed and "
        "markers open: there a small share says nothing.",
    ]
    if "flow_times" in ours and ours["t"].nunique() < ours["flow_times"].iloc[0]:
        told.append(f"Shown are {ours['t'].nunique()} of {int(ours['flow_times'].iloc[0])} flow times.")
    for t, part in [(None, ours)] if "t" not in ours else ours.groupby("t", sort=False):
        said = ", ".join(f"{_step(fall)} ({fall.series})" for fall in part.drop_duplicates("series").itertuples())
        at = "" if t is None else f"At t = {short(t)} the"
        told.append(f"{at or 'The'} share is first at most {options.threshold:g} % at step {said}.")
    texts = {
        "published": f"Stars, to the right of their place: as published, with a decay of {DECAY:g}, grey inside where "
        "the skill is not known",
        "pilot": f"the authors' network and recipe, trained once by this package, raw and with a decay of {DECAY:g}",
    }
    stars = [
        f"{texts[origin]}: between steps "
        + ", ".join(f"{fall.fall_after:,.0f} and {fall.fall_by:,.0f} ({fall.series})" for fall in part.itertuples())
        for origin, part in theirs.groupby("origin", sort=False)
    ]
    if stars:
        told.append(f"{'; '.join(stars)}.")
    return told


def _ours(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Rows of the baseline: raw weights, then averages by rising decay, with the fall of each curve."""
    need(table, ["weights", "decay", *_LOSSES])
    if table.empty:
        raise ValueError("the table of averages has no rows: analyse a run first")
    kinds = table.sort_values("decay", na_position="first", kind="stable").drop_duplicates("decay")["weights"]
    parts = [(table[table["weights"] == kind], replace(options, weights=kind)) for kind in kinds]
    rows = pd.concat([of_analysis(*part, _LOSSES) for part in parts], ignore_index=True)
    known = list(dict.fromkeys(name for name in (*KEYS, *CONDITIONS) if name in rows))
    rows = at_times(rows[[*known, "decay", *_LOSSES, "skill", "unskilled"]])
    rows = rows.assign(
        origin="here",
        series=rows["decay"].map("{:g}".format).where(rows["decay"].notna(), RAW),
        memory=_memory(rows["decay"]),
    )
    parts = [part.assign(**_fall(part, options)) for _, part in rows.groupby(_curve(rows), sort=False)]
    return pd.concat(parts, ignore_index=True)


def _both(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([ours, theirs], ignore_index=True) if len(theirs) else ours


def _curve(rows: pd.DataFrame) -> list[str]:
    return [name for name in ("series", "t") if name in rows]


def _memory(decay: pd.Series) -> pd.Series:
    """Steps that an average remembers; one of raw weights, which are an average with decay 0."""
    return 1 / (1 - decay.fillna(0))


def _fall(part: pd.DataFrame, options: Options) -> dict[str, float | bool | None]:
    """Steps after and by which a curve has first fallen to the threshold, the latter infinite if it never has.

    And whether it has little skill there, None if nobody knows.
    """
    below, steps = (part["percent"] <= options.threshold).to_numpy(), part["step"].to_numpy(dtype=float)
    first = int(below.argmax()) if below.any() else len(steps)
    by, skilless = (steps[first], part["unskilled"].iloc[first]) if below.any() else (np.inf, True)
    known = None if skilless is None else bool(skilless)
    return {"fall_after": steps[first - 1] if first else 0.0, "fall_by": by, "fall_unskilled": known}


def _theirs(published: pd.DataFrame, options: Options) -> pd.DataFrame:
    """The fall of each published replicate and of the pilot run, a row each; none where steps are not known."""
    need(published, ["task", "step_unit", "figure"])
    known = published[(published["task"] == options.task) & (published["step_unit"] == OPTIMISER_STEP)]
    authors = Published(options.task, known, pd.DataFrame())
    runs = [("published", name, DECAY, authors.curves(name)) for name in (authors.replicates if len(known) else ())]
    if (known["figure"] == PILOT).any():
        decays = {"raw": np.nan, "ema": DECAY}
        pilots = {weights: Pilot(options.task, known, weights).curves(PILOT) for weights in decays}
        runs += [("pilot", SERIES[weights], decay, pilots[weights]) for weights, decay in decays.items()]
    rows = []
    for origin, series, decay, curves in runs:
        known = curves.total is not None and curves.null is not None
        unskilled = [bool(skill < options.useful_skill) for skill in curves.skill[0, 0]] if known else None
        path = pd.DataFrame({"step": curves.steps, "percent": curves.percent[0, 0]}).assign(unskilled=unskilled)
        rows.append({"origin": origin, "series": series, "decay": decay, "unskilled": False, **_fall(path, options)})
    theirs = pd.DataFrame(rows, columns=["origin", "series", "decay", "unskilled", *_FALL])
    return theirs.assign(memory=_memory(theirs["decay"].astype(float)))


def _looks(data: pd.DataFrame) -> Looks:
    """Black for raw weights, ordered colours for averages."""
    series = list(dict.fromkeys(data["series"]))
    averages = [name for name in series if name != RAW]
    colours = {RAW: _BLACK} | dict(zip(averages, style.graded(len(averages)), strict=True))
    return {name: (colours[name], marker) for name, marker in zip(series, style.MARKERS, strict=False)}


def _limits(data: pd.DataFrame) -> tuple[float, float]:
    """Where an axis of falls begins, which has no place for step 0, and ends."""
    ends = data[["fall_after", "fall_by"]].to_numpy()
    known = ends[(ends > 0) & np.isfinite(ends)]
    return (float(known.min()) / 2.5, 2.5 * float(known.max())) if len(known) else (0.5, 2.0)


def _falls(axes: Axes, data: pd.DataFrame, looks: Looks) -> None:
    """When each curve has fallen, against memory; bars since step 0 begin at the lower edge."""
    axes.set(xscale="log", xlim=(0.6, 1.8 * data["memory"].max()))
    bottom, top = axes.get_ylim()
    axes.plot([bottom, top], [bottom, top], zorder=1, scalex=False, **_GUIDE)
    for fall in data.drop_duplicates(["origin", "series"]).itertuples():
        ours = fall.origin == "here"
        x, low = fall.memory * (1 if ours else _BESIDE), max(fall.fall_after, bottom)
        look = {"color": looks[fall.series][0], "marker": looks[fall.series][1]} if ours else _THEIRS[fall.origin]
        if np.isfinite(fall.fall_by):
            high = max(fall.fall_by, bottom)
            axes.plot([x, x], [low, high], color=look["color"], linewidth=1.2)
            known = not pd.isna(fall.fall_unskilled)
            filled = ("white" if fall.fall_unskilled else look["color"]) if known else style.MUTED
            axes.plot(x, high, **look | {"markerfacecolor": filled})
        else:
            axes.annotate("", (x, top), (x, low), arrowprops=_ARROW | {"color": look["color"]})
    for axis in (axes.xaxis, axes.yaxis):
        drawing.log_labels(axis)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "raw" if np.isclose(value, 1) else f"{value:,.0f}"))


def _step(fall: Any) -> str:
    """The step of a fall, in words."""
    return f"{fall.fall_by:,.0f}" if np.isfinite(fall.fall_by) else f"later than {fall.fall_after:,.0f}"


def _reading(
    figure: Figure, looks: Looks, ours: pd.DataFrame, theirs: pd.DataFrame, options: Options
) -> dict[str, list[Line2D]]:
    """Legends below the panels, by title."""
    falls = [
        Line2D([], [], label="since the evaluation before", **drawing.BAR),
        Line2D([], [], label="step = steps remembered", **_GUIDE),
    ]
    if np.isinf(ours["fall_by"]).any():
        label = "arrow: the training ends first"
        falls.append(Line2D([], [], color=style.INK, marker="^", markersize=3.4, linestyle="none", label=label))
    for origin, look in _THEIRS.items():
        if count := int((theirs["origin"] == origin).sum()):
            text = (
                f"published, {count} run{'s' if count > 1 else ''}"
                if origin == "published"
                else "authors' recipe, our run"
            )
            falls.append(Line2D([], [], label=text, linestyle="none", **look))
    if theirs["fall_unskilled"].isna().any():
        unknown = _STAR | {"color": style.PALETTE[1], "markerfacecolor": style.MUTED}
        falls.append(Line2D([], [], label="grey inside: of unknown skill", linestyle="none", **unknown))
    return {
        "Decay of the average": [drawing.sample(*look, series) for series, look in looks.items()],
        "How to read": drawing.guide(figure, options, band=False),
        "On the right": falls,
    }
