"""The equivariance error's own structure: by the angle of a rotation, by degree, and in which layer it arises.

All figures show the baseline, a row of panels per flow time where there are several. The conventions of all figures
are in `equidyn.figures.parts.drawing`; colours run with the training step, or with the degree.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from equidyn.core.numbers import several, short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.captions import evidence, useful_note
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.times import at_times
from equidyn.figures.parts.variations import Looks, looks_of
from equidyn.study.selection import of_analysis

_STEPS = 6  # curves of a panel
_SMALL = 1e-7  # percent of the loss, below which no axis reaches
_ANGLES = (
    "angle", "variogram", "variogram_low", "variogram_high", "percent_angle", "percent_angle_low", "percent_angle_high",
    "haar", "haar_percent", "local", "degree",
)  # fmt: skip
_DEGREE = (
    "degree", "and_above", "error_share", "error_share_low", "error_share_high", "loss_share", "loss_share_low",
    "loss_share_high", "cosets",
)  # fmt: skip
_LAYERS = ("layer", "place", "kind_of_action", "relative_error", "energy", "floor")
_DEGREES = {1: ":", 2: (0, (5, 2))}  # line styles of closed forms
_HALF_TURN = 180
_ROUNDING = 1e-20  # relative errors that are none but for rounding of double precision
_AVERAGE = {"linestyle": "none", "marker": "_", "markersize": 7, "markeredgewidth": 1.3}
_KINDS = {
    "invariant": ("unchanged by rotations", style.PALETTE[5]),
    "grid": ("values on voxels", style.PALETTE[2]),
    "output": ("the prediction", style.PALETTE[7]),
}
_LONGEST = 18  # characters of a layer's name


def closed_form(angle: np.ndarray, degree: int) -> np.ndarray:
    """Variogram of an error of one angular degree l, relative to its average over all rotations.

    It is 1 - χ_l(ω) / (2l + 1), with χ_l(ω) = sin((2l + 1) ω/2) / sin(ω/2), the character of the rotation group.

    Args:
        angle: ω in degrees, above 0.
        degree: l.
    """
    half = np.radians(angle) / 2
    return 1 - np.sin((2 * degree + 1) * half) / np.sin(half) / (2 * degree + 1)


def error_by_angle(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Error between predictions a rotation apart against its angle: of the loss, and of the equivariance error.

    On the right the effective degree against step, of all steps; left out where predictions are not differentiable.

    Args:
        table: One row per step, condition and angle, of kind "angles".
        options: What is drawn.

    Returns:
        The figure, and the rows with ``relative``, the variogram divided by its average over all rotations, and
        ``curve``, whether the step is one of those drawn against the angle.
    """
    data = at_times(of_analysis(table, options, _ANGLES))
    data = data.sort_values([*_time(data), "step", "angle"], kind="stable").reset_index(drop=True)
    data["relative"] = data["variogram"] / data["haar"]
    data, looks = _by_step(data)
    rows = _by_time(data)
    columns = 2 + int(data["degree"].notna().any())
    curves = data[data["curve"]]
    figure, panels = layout.tiled(columns * len(rows), columns, 1.85)
    for row, (time, part) in enumerate(rows.items()):
        share, shape, *rest = panels[columns * row : columns * (row + 1)]
        bounds = curves[["percent_angle", "percent_angle_low", "percent_angle_high", "haar_percent"]]
        drawing.scale(share, bounds, log=True)
        drawing.scale(shape, curves[["relative"]], log=False, include=4 / 3)
        for axes, name in ((share, "percent_angle"), (shape, "relative")):
            _against_angle(axes, part, name, looks, average=axes is share)
            axes.set_xlabel("Angle of rotation (°)" if row == len(rows) - 1 else "")
        _closed_forms(shape)
        share.set_ylabel("Share of loss (%)")
        shape.set_ylabel("Error / average over\nall rotations")
        for axes in rest:
            _degrees(axes, part, data)
            axes.set_xlabel(drawing.STEP if row == len(rows) - 1 else "")
        share.set_title(time or "Error at an angle")
        if row == 0:
            shape.set_title("How it depends on the angle")
            for axes in rest:
                axes.set_title("Effective degree")
    handles = _step_handles(looks, data)
    reading = [
        *drawing.skills(options, drawing.no_skill(options)),
        drawing.interval(options),
    ]
    text = "right edge: average over all rotations, the equivariance error"
    reading.append(Line2D([], [], color=style.INK, label=text, **_AVERAGE))
    for degree, dashes in _DEGREES.items():
        text = f"an error of degree {degree} alone"
        reading.append(Line2D([], [], color=style.INK, linewidth=0.8, linestyle=dashes, label=text))
    layout.legends(figure, {drawing.STEP: handles, "How to read": reading})
    return figure, data


def _against_angle(axes: Axes, data: pd.DataFrame, name: str, looks: Looks, *, average: bool) -> None:
    """A quantity of each step against the angle, with its interval if it has one, and its average at the right."""
    log = axes.get_yscale() == "log"
    for series, (colour, marker) in looks.items():
        part = data[data["series"] == series]
        x = part["angle"].to_numpy(dtype=float)
        if f"{name}_low" in part:
            low = part[f"{name}_low"].clip(lower=axes.get_ylim()[0])
            axes.fill_between(x, low, part[f"{name}_high"], color=colour, alpha=drawing.BAND, linewidth=0)
        drawing.line(axes, x, part[name], part["unskilled"], False, log, colour, marker, size=style.DOT)
        if average and len(part):
            axes.plot(1.05 * _HALF_TURN, part["haar_percent"].iloc[0], color=colour, **_AVERAGE)
    axes.set_xlim(0, (1.09 if average else 1.03) * _HALF_TURN)
    axes.xaxis.set_major_locator(FixedLocator(range(0, _HALF_TURN + 1, 45)))


def _closed_forms(axes: Axes) -> None:
    """Errors of a single degree, and their average."""
    angle = np.linspace(0.5, _HALF_TURN, 200)
    axes.axhline(1, color=style.MUTED, linewidth=0.6, zorder=1)
    for degree, dashes in _DEGREES.items():
        axes.plot(angle, closed_form(angle, degree), color=style.INK, linewidth=0.8, linestyle=dashes, zorder=4)


def _degrees(axes: Axes, part: pd.DataFrame, data: pd.DataFrame) -> None:
    """Effective degree of one flow time against step, on the scale of all."""
    part = part.drop_duplicates("step")
    place = drawing.Steps(data["step"], log=True)
    drawing.scale(axes, data[["degree"]], log=False, include=max(_DEGREES) + 0.5)
    place.dress(axes, narrow=True)
    if "degree_low" in part:
        axes.vlines(place(part["step"]), part["degree_low"], part["degree_high"], color=style.INK, linewidth=0.7)
    drawing.line(axes, place(part["step"]), part["degree"], part["unskilled"], True, False, style.INK, "o")
    for degree, dashes in _DEGREES.items():
        axes.axhline(degree, color=style.INK, linewidth=0.7, linestyle=dashes, zorder=1)
    axes.set_ylabel("Effective degree ℓ")


def angle_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How the error was estimated, and its effective degree at the last step, for captions."""
    sentences = [*evidence(data, options), *_shown(data), useful_note(options)]
    last = data[data["step"] == data["step"].max()].drop_duplicates(["step", *_time(data)])
    if data["degree"].isna().all():
        return [*sentences, "Predictions are not differentiable in the rotation here: there is no effective degree."]
    times = [f" (t = {short(t)})" for t in last["t"]] if "t" in last else [""]
    said = ", ".join(f"{short(degree)}{time}" for degree, time in zip(last["degree"], times, strict=True))
    return [
        *sentences,
        "Effective degree ℓ: ℓ(ℓ + 1) = 3 L² / equivariance error, L² being the mean square, per component and rad², "
        "of the turned back prediction's derivative in the rotation; ℓ = 2 means that L² is twice the equivariance "
        f"error. At the last step: {said}.",
    ]


def error_by_degree(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Energy of the twisted prediction by degree against step: of the loss, and of the equivariance error.

    There is a row of panels for each flow time, or for each way of comparing predictions in the table.

    Args:
        table: One row per step, condition and degree, of kind "spectrum".
        options: What is drawn.

    Returns:
        The figure, and the rows of all degrees but 0, the twirl's, with ``series``, the degree's name.
    """
    ways = dict.fromkeys(zip(table["group"], table["comparison"], strict=True)) if options.comparisons else {}
    every = [replace(options, group=group, comparison=comparison) for group, comparison in ways] or [options]
    parts = [at_times(of_analysis(table, each, _DEGREE)) for each in every]
    data = pd.concat(parts, ignore_index=True)
    data = data[data["degree"] > 0]
    data["series"] = data["degree"].astype(str) + np.where(data["and_above"], " and above", "")
    data = data.sort_values([*_time(data), "step", "degree"], kind="stable").reset_index(drop=True)
    if len(every) > 1:
        titles = [options.comparisons[each.comparison].name.capitalize() for each in every if each.comparison]
        rows = dict(zip(titles, [data[data["comparison"] == each.comparison] for each in every], strict=True))
    else:
        rows = _by_time(data)
    names = data.sort_values("degree").drop_duplicates("series")
    looks = looks_of(names.loc[~names["and_above"], "series"], style.graded)
    looks |= dict.fromkeys(names.loc[names["and_above"], "series"], (style.MUTED, "x"))
    figure, panels = layout.tiled(2 * len(rows), 2, 1.85)
    place = drawing.Steps(data["step"], log=True)
    for row, (title, part) in enumerate(rows.items()):
        of_loss, of_error = panels[2 * row : 2 * row + 2]
        drawing.scale(of_loss, data.loc[data["loss_share"] > _SMALL, ["loss_share"]], log=True)
        drawing.scale(of_error, data[["error_share"]].clip(-20, 120), log=False, include=100)
        for axes, name in ((of_loss, "loss_share"), (of_error, "error_share")):
            _against_step(axes, part, name, looks, place)
            axes.set_xlabel(drawing.STEP if row == len(rows) - 1 else "")
        of_loss.set_ylabel("Share of loss (%)")
        of_error.set_ylabel("Share of equivariance\nerror (%)")
        of_loss.set_title(title)
    handles = [drawing.sample(*look, series) for series, look in looks.items()]
    reading = [
        *drawing.skills(options, drawing.no_skill(options)),
        drawing.interval(options),
    ]
    layout.legends(figure, {"Degree ℓ": handles, "How to read": reading})
    return figure, data


def _against_step(axes: Axes, data: pd.DataFrame, name: str, looks: Looks, place: drawing.Steps) -> None:
    """A share of each degree against step, with its interval."""
    place.dress(axes)
    log = axes.get_yscale() == "log"
    least = axes.get_ylim()[0] if log else -np.inf
    for series, (colour, marker) in looks.items():
        part = data[data["series"] == series]
        x = place(part["step"])
        low, high = part[f"{name}_low"].clip(lower=least), part[f"{name}_high"].clip(lower=least)
        axes.fill_between(x, low, high, color=colour, alpha=drawing.BAND, linewidth=0)
        drawing.line(axes, x, part[name], part["unskilled"], True, log, colour, marker, size=style.DOT)


def degree_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How the error was estimated, and its degrees at the last step, for captions."""
    sentences = [*evidence(data.assign(percent_low=data["loss_share_low"]), options), useful_note(options)]
    if "t" in data and data["t"].nunique() < (count := int(data["flow_times"].iloc[0])):
        sentences.append(f"Shown are {data['t'].nunique()} of {count} flow times.")
    cosets = several(data["cosets"])
    sentences.append(
        f"Rotations form {cosets} independent cosets for each of the {options.words.examples}, so that the share of no "
        "degree is biased by others; it can be negative by sampling, and is then left out on logarithmic axes."
    )
    last = data[data["step"] == data["step"].max()]
    keys = [name for name in ("comparison", "t") if name in last and last[name].nunique() > 1]
    for where, part in last.groupby(keys, sort=False) if keys else [((), last)]:
        said = ", ".join(
            f"ℓ = {series} {short(round(share, 1) + 0.0)} %"  # no negative zeros
            for series, share in zip(part["series"], part["error_share"], strict=True)
        )
        place = "".join(f", {'t = ' + short(v) if k == 't' else v}" for k, v in zip(keys, where, strict=True))
        sentences.append(f"Shares of the equivariance error at the last step{place}: {said}.")
    return sentences


def error_by_layer(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error of the features of every layer relative to their mean square, a colour per step.

    Args:
        table: One row per step, condition and layer, of kind "layers".
        options: What is drawn.

    Returns:
        The figure, and the rows of the steps drawn by place, with ``zero``, whether features do not change at all.
    """
    data = at_times(of_analysis(table, options, _LAYERS))
    data, looks = _by_step(data)
    data = data[data["curve"]].sort_values([*_time(data), "step", "place"], kind="stable").reset_index(drop=True)
    data["zero"] = data["relative_error"] < _ROUNDING
    rows = _by_time(data)
    layers = data.drop_duplicates("layer").sort_values("place")
    positions = {layer: i for i, layer in enumerate(layers["layer"])}
    positive = data.loc[~data["zero"], ["relative_error"]]
    floors = data.loc[data["floor"] > _ROUNDING, "floor"]
    heights = [2.0] * (len(rows) - 1) + [2.6]
    figure, panels = layout.stacked(*heights, width=layout.TWO)
    for axes, (time, part) in zip(panels, rows.items(), strict=True):
        reach = drawing.in_reach(floors, positive) if len(positive) else None
        drawing.scale(axes, positive, log=True, include=reach)
        _kinds(axes, layers["kind_of_action"])
        for i, (series, look) in enumerate(looks.items()):
            shift = 0.5 * ((i + 0.5) / len(looks) - 0.5)  # zeros of several steps lie side by side
            _layers(axes, part[part["series"] == series], positions, *look, shift)
        worst = part.groupby("layer", sort=False)["floor"].max()
        if reach:
            axes.plot([positions[layer] for layer in worst.index], worst.where(worst > _ROUNDING), **drawing.FLOOR)
        axes.tick_params(axis="x", length=0)
        axes.set(title=time, ylabel="Error / mean square\nof features")
    panels[-1].set_xlim(-0.5, len(layers) - 0.5)
    names = [drawing.shortened(_spoken(layer), _LONGEST) for layer in layers["layer"]]
    panels[-1].set_xticks(range(len(layers)), names, rotation=45, ha="right", fontsize=style.NOTES)
    panels[-1].xaxis.set_minor_locator(NullLocator())
    panels[-1].set_xlabel("Layer, from input to output")
    handles = _step_handles(looks, data)
    reading = [
        Patch(facecolor=_KINDS[kind][1], alpha=0.16, label=f"{kind}: {_KINDS[kind][0]}")
        for kind in dict.fromkeys(layers["kind_of_action"])
    ]
    reading += drawing.skills(options, drawing.no_skill(options))
    if len(positive) and reach is not None:  # else the caption tells it
        reading.append(Line2D([], [], label="numeric floor: one rotation, repeated", **drawing.FLOOR))
    if data["zero"].any():
        text = "lower edge: none, or rounding alone"
        reading.append(Line2D([], [], color=style.INK, marker="v", linestyle="none", label=text))
    layout.legends(figure, {drawing.STEP: handles, "How to read": reading})
    return figure, data


def _spoken(layer: str) -> str:
    """A layer's name with spaces between the modules that it lies in."""
    return layer.replace(".", " ").replace("_", " ")


def _layers(axes: Axes, data: pd.DataFrame, positions: dict[str, int], colour: str, marker: str, shift: float) -> None:
    """One step; zeros as triangles at the lower edge."""
    x = data["layer"].map(positions).to_numpy(dtype=float)
    seen = data["relative_error"].where(~data["zero"])
    drawing.line(axes, x, seen, data["unskilled"], False, True, colour, marker)
    if (zero := data["zero"].to_numpy()).any():
        axes.plot(
            x[zero] + shift, np.full(zero.sum(), axes.get_ylim()[0]), linestyle="none", marker="v", color=colour,
            markerfacecolor="white" if data["unskilled"].any() else colour, clip_on=False, zorder=4,
        )  # fmt: skip


def _kinds(axes: Axes, kinds: pd.Series) -> None:
    """Tints behind layers that turn in the same way."""
    for first, last, kind in drawing.stretches(kinds):
        axes.axvspan(first - 0.5, last + 0.5, color=_KINDS[kind][1], alpha=0.16, linewidth=0, zorder=0)
    axes.grid(visible=False, axis="x")


def layer_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How the error was estimated, which layers have none, and the numeric floor, for captions."""
    how = evidence(data.drop(columns="percent_low", errors="ignore"), options)
    sentences = [*how, *_shown(data), useful_note(options)]
    if data["zero"].any():
        always = data.groupby("layer", sort=False)["zero"].mean()
        said = [f"{layer}{'' if share == 1 else ' (at some steps)'}" for layer, share in always[always > 0].items()]
        sentences.append(f"None but for rounding, at the lower edge: {', '.join(said)}.")
    return [*sentences, f"Numeric floor, of one rotation repeated: at most {short(data['floor'].max())}."]


def _by_step(data: pd.DataFrame) -> tuple[pd.DataFrame, Looks]:
    """Rows named by step and whether the step has a curve, and the looks of those that have."""
    steps = sorted(data["step"].unique())
    drawn = drawing.spread(steps, _STEPS)
    data = data.assign(series=[f"{step:,}" for step in data["step"]], curve=data["step"].isin(drawn), steps=len(steps))
    return data, looks_of((f"{step:,}" for step in drawn), style.graded)


def _step_handles(looks: Looks, data: pd.DataFrame) -> list[Line2D]:
    """Legend entries of steps."""
    unskilled = data.groupby("series")["unskilled"].all()
    return [
        drawing.sample(colour, marker, series, unskilled=bool(unskilled[series]))
        for series, (colour, marker) in looks.items()
    ]


def _time(data: pd.DataFrame) -> list[str]:
    """The column of flow times, if there is one."""
    return ["t"] if "t" in data else []


def _by_time(data: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each flow time by its name; all, without a name, where there are none."""
    if "t" not in data:
        return {"": data}
    return {f"t = {short(time)}": part for time, part in data.groupby("t")}


def _shown(data: pd.DataFrame) -> list[str]:
    """How many flow times and steps are shown, where there are more."""
    sentences = []
    if "t" in data and data["t"].nunique() < (count := int(data["flow_times"].iloc[0])):
        sentences.append(f"Shown are {data['t'].nunique()} of {count} flow times.")
    if (count := int(data["steps"].iloc[0])) > _STEPS:
        sentences.append(f"Curves are of {_STEPS} of {count} steps.")
    return sentences
