"""The last linear layer: how far its weights are from equivariance, and how much of the equivariance error that makes.

Figures of the analysis of kind "head", whose tables `equidyn.analysis.head.measure` fills: the weights w of the layer
are w∥ + w⊥, w∥ in the subspace of those with which the layer itself is equivariant, and at fixed features the
equivariance error is wᵀQw. The conventions of all figures are in `equidyn.figures.parts.drawing`. Where that subspace
is {0}, as in Proteína, nothing is drawn of w∥.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, paths, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import curve
from equidyn.figures.parts.times import TIME
from equidyn.figures.parts.variations import Looks, looks_of
from equidyn.study.labels import BASELINE

PARTS = {
    "from_deviation": ("w⊥ᵀQw⊥: deviation", style.PALETTE[0], "o"),
    "cross": ("2 w⊥ᵀQw∥: both", style.PALETTE[2], "^"),
    "from_symmetric": ("w∥ᵀQw∥: equivariant part", style.PALETTE[1], "s"),
}
"""Name, colour and marker of the parts of the predicted error."""

_LENGTHS = ("head_parameters", "deviation", "symmetric", "relative_deviation", "weight_variance")
_ERRORS = ("measured", "predicted", *PARTS, "largest", "mean")
_GREY = {"color": style.MUTED, "linewidth": style.THIN, "alpha": 0.7}


def head_deviation(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Squared deviation of the last layer from equivariance against step, and its share of the squared weights.

    Args:
        table: Of kind "head". Flow times do not matter to weights: steps are unskilled if they are so at all times.
        options: What is drawn.

    Returns:
        The figure, and the rows shown: one per run and step.
    """
    data = paths.of_runs(table, options, _LENGTHS)
    unskilled = data.groupby(["run", "step"])["unskilled"].transform("all")
    data = data.assign(unskilled=unskilled).drop_duplicates(["run", "step"]).reset_index(drop=True)
    data = data.drop(columns="skill" if "t" in data else []).drop(columns="t", errors="ignore")
    baseline = data[data["run"] == options.baseline]
    look = (style.PALETTE[0], "o")
    quantities = {"deviation": _deviation(data)}
    if _has_symmetric(data):
        quantities["relative_deviation"] = "|w⊥|² as a share\nof |w|² (%)"
        data = data.assign(relative_deviation=100 * data["relative_deviation"])
    figure, panels = layout.stacked(*([2.1, 1.25][: len(quantities)]))
    place = drawing.Steps(data["step"], log=True)
    for axes, (name, label) in zip(panels, quantities.items(), strict=True):
        axes.set_ylim(0, 1.08 * float(data[name].max()) or 1.0)
        for run, part in reversed(list(data.groupby("run", sort=False))):
            if run == options.baseline:
                curve(axes, part, name, place, *look, log_y=False)
            else:
                axes.plot(place(part["step"]), part[name], **_GREY)
        axes.set_ylabel(label)
    place.dress(panels[-1])
    shading = "skill" in data
    if shading:
        for axes in panels:
            drawing.shade(axes, baseline, place, options)
    panels[-1].set_xlabel(drawing.STEP)
    count = int(baseline["head_parameters"].iloc[0])
    right = panels[0].secondary_yaxis("right", functions=(lambda y: y / count, lambda y: y * count))
    right.set_ylabel("The same per weight")
    handles = [drawing.sample(*look, BASELINE)]
    if data["run"].nunique() > 1:
        handles.append(Line2D([], [], label="other runs", **_GREY))
    reading = drawing.guide(figure, options, band=False, threshold=False)
    layout.legends(figure, {"Run": handles, "How to read": reading})
    return figure, data


def head_error(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error against deviation, against what the quadratic form predicts, and what the form is made of.

    Args:
        table: Of kind "head". With flow times, each has a colour; without, colour is the step.
        options: What is drawn.

    Returns:
        The figure, and the rows shown, with ``error_per_deviation``, the correlation of the logarithms of deviation and
        measured error along each curve, ``difference``, that of predicted and measured error relative to the latter,
        and percentages of the predicted error.
    """
    data = paths.of_runs(table, options, [*_LENGTHS, *_ERRORS])
    data = paths.correlated(data, "deviation", "measured", options)
    if "t" in data:  # where colours are flow times, other runs would be too many lines
        data = data[data["run"] == options.baseline].reset_index(drop=True)
    positive = {name: data[name].where(data[name] > 0) for name in ("deviation", "measured", "predicted")}
    data["error_per_deviation"] = positive["measured"] / positive["deviation"]
    data["difference"] = data["predicted"] / positive["measured"] - 1
    for name in PARTS:
        data[f"percent_{name}"] = 100 * data[name] / positive["predicted"]
    baseline = data[data["run"] == options.baseline]
    looks = _time_looks(baseline)
    parts = _has_symmetric(data)
    figure, panels = layout.tiled(2 + parts, 2 + parts, 2.3)
    colours = paths.StepColours(baseline["step"])
    place = colours.place
    scatter, ratio = panels[:2]
    paths.log_axis(scatter, "x", data["deviation"])
    paths.log_axis(scatter, "y", data["measured"], 0.0 if looks else 0.18)
    if looks:
        for series, (colour, marker) in looks.items():
            part = baseline[baseline["t"].map(short) == series]
            x = part["deviation"].to_numpy()
            drawing.line(scatter, x, part["measured"], part["unskilled"], True, True, colour, marker)
            curve(ratio, part, "error_per_deviation", place, colour, marker)
        drawing.scale(ratio, baseline[["error_per_deviation"]], log=True)
    else:
        paths.draw(scatter, data, "deviation", "measured", options, colours)
        paths.box(scatter, paths.correlation_text(next(baseline.itertuples()), "\n"))
        _features(ratio, baseline, place)
    if parts:
        _shares(panels[2], baseline, place)
    for axes in panels[1:]:
        place.dress(axes, narrow=True)
        if not looks:
            drawing.shade(axes, baseline, place, options)
        axes.set_xlabel(drawing.STEP)
    unit = drawing.unit(data)
    scatter.set(xlabel=_deviation(data), ylabel=f"Equivariance error ({unit})", title="Error against deviation")
    ratio.set(ylabel=f"Error / |w⊥|² ({unit})", title="Error per deviation")
    if not looks:
        colours.bar(figure, panels)
    layout.legends(figure, _error_legends(figure, data, looks, options))
    return figure, data


def _features(axes: Axes, baseline: pd.DataFrame, place: drawing.Steps) -> None:
    """Error per squared deviation, between the mean and the largest that the form allows for w⊥ of any direction."""
    drawing.scale(axes, baseline[["error_per_deviation", "largest", "mean"]], log=True)
    for name, dashes in _EIGENVALUES.items():
        axes.plot(place(baseline["step"]), baseline[name], linestyle=dashes, **_FORM)
    curve(axes, baseline, "error_per_deviation", place, style.PALETTE[0], "o")


_FORM = {"color": style.INK, "linewidth": 0.8}
_EIGENVALUES: dict[str, Any] = {"largest": (0, (1, 1.2)), "mean": (0, (6, 1.5, 1, 1.5))}


def _shares(axes: Axes, baseline: pd.DataFrame, place: drawing.Steps) -> None:
    """Which part of the predicted error comes from where, percent."""
    names = [f"percent_{name}" for name in PARTS]
    drawing.scale(axes, baseline[names], log=False, include=100.0)
    for name, (_, colour, marker) in reversed(PARTS.items()):
        curve(axes, baseline, f"percent_{name}", place, colour, marker, log_y=False)
    axes.axhline(0, color=style.INK, linewidth=0.6, zorder=1)
    axes.set(ylabel="Share of wᵀQw (%)", title="Where it comes from")


def _error_legends(figure: Figure, data: pd.DataFrame, looks: Looks, options: Options) -> dict[str, list[Any]]:
    """What the paths, and lines of the last panel, are."""
    if looks:
        baseline = data[data["run"] == options.baseline].drop_duplicates("t").set_index("t")
        texts = {short(t): paths.correlation_text(row, ", ", intervals=False) for t, row in baseline.iterrows()}
        handles = [drawing.sample(*look, f"{series}: {texts[series]}") for series, look in looks.items()]
        return {TIME: handles, "How to read": drawing.guide(figure, options, band=False, threshold=False)}
    lines = [drawing.sample(style.PALETTE[0], "o", "error / |w⊥|²")]
    lines += [
        Line2D([], [], linestyle=dashes, label=f"{name} eigenvalue of Q", **_FORM)
        for name, dashes in _EIGENVALUES.items()
    ]
    shares = (
        [drawing.sample(colour, marker, label) for label, colour, marker in PARTS.values()]
        if _has_symmetric(data)
        else []
    )
    reading = [*paths.path_guide(options, intervals=False), *drawing.shades(figure, options)]
    blocks = {"Run": paths.run_handles(data, options), "Error per deviation": lines}
    return blocks | {"Where it comes from": shares, "How to read": reading}


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How far the layer came, how well the form holds and what it is made of, for captions."""
    limit = options.limit
    baseline = data[data["run"] == options.baseline]
    first, last = (baseline[baseline["step"] == step] for step in (baseline["step"].min(), baseline["step"].max()))
    sentences = evidence(data, options)
    sentences.append(
        f"The layer has {int(baseline['head_parameters'].iloc[0]):,} weights. |w⊥|² is "
        f"{short(first['deviation'].iloc[0])} at step {int(first['step'].iloc[0]):,} and "
        f"{short(last['deviation'].iloc[0])} at step {int(last['step'].iloc[0]):,}."
    )
    if not _has_symmetric(data):
        sentences.append(
            "No weights but zero make this layer equivariant by itself, as its features are not known to turn in any "
            "way: w⊥ is the whole of w, and |w⊥|² says how large the weights are, not how far from equivariance."
        )
    if "measured" not in data:
        return [*sentences, f"Open markers: skill below {limit}" + ("." if "skill" in data else " at all flow times.")]
    sentences += paths.correlation_notes(data, options, "deviation", "measured")
    sentences += _fall(first, last)
    difference = baseline["difference"].abs().max()
    sentences.append(
        f"Q is from held-out data; predicted and measured error differ by at most {short(100 * difference)} %."
        if pd.notna(difference)
        else "No measured error is positive."
    )
    known = baseline.dropna(subset=[f"percent_{name}" for name in PARTS])
    if _has_symmetric(data) and len(known):
        said = [f"{label} {_range(known[f'percent_{name}'])} %" for name, (label, _, _) in PARTS.items()]
        sentences.append(f"Shares of the predicted error over the steps: {'; '.join(said)}.")
    sentences.append(f"Open markers: skill below {limit}.")
    if gone := int((~(data["measured"] > 0)).sum()):
        sentences.append(f"{gone} of {len(data)} measured errors are not positive and cannot be drawn.")
    return sentences


def _fall(first: pd.DataFrame, last: pd.DataFrame) -> list[str]:
    """How much of the change of the error is that of the deviation."""
    start, end = (rows.reset_index(drop=True) for rows in (first, last))
    changes = {name: end[name] / start[name] for name in ("deviation", "measured", "error_per_deviation")}
    if changes["error_per_deviation"].isna().all():
        return []
    deviation, error, features = (_range(change) for change in changes.values())
    times = ", by flow time," if "t" in first else ""
    return [
        f"At the last step |w⊥|² is {deviation} times what it was at the first, and the error per |w⊥|² "
        f"{features} times; together they make the error{times} {error} times what it was."
    ]


def _range(values: pd.Series) -> str:
    """A number, or the least and the largest of several."""
    low, high = (short(value).replace("-", "−", 1 if value < 0 else 0) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _deviation(data: pd.DataFrame) -> str:
    """What an axis of squared deviations shows."""
    is_whole = not _has_symmetric(data)
    return "Squared length of the\nweights, |w|²" if is_whole else "Squared deviation from\nequivariance, |w⊥|²"


def _has_symmetric(data: pd.DataFrame) -> bool:
    """Whether the layer can be equivariant at all."""
    return bool((data["symmetric"] > 0).any())


def _time_looks(data: pd.DataFrame) -> Looks:
    """Looks of flow times, none where there are none."""
    return looks_of(map(short, sorted(data["t"].unique())), style.timed) if "t" in data else {}
