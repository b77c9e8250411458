"""Published training curves beside ours: left as published, right from the tables of a study.

Each function takes the evaluation table, the table of published curves (`equidyn.analysis.authors`) and `Options`,
and returns a figure with the rows of both that it shows; it raises a ValueError if there is no baseline, if the study
varies nothing that the figure compares, or if published curves are missing. The conventions of all figures are in
`equidyn.figures.parts.drawing`, with one exception: skill of the published networks is not known, so that their curves
are solid throughout. Each side has a step axis of its own, and shares of the loss one axis in each row. Losses have
units of their own on either side: there only the length of a decade is common, so that slopes can be compared, and
heights not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from equidyn.analysis.authors import LOG_ROW, OPTIMISER_STEP
from equidyn.analysis.overfitting import overfitted
from equidyn.analysis.pilot import PILOT
from equidyn.core.numbers import count, short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import PERCENT, by_run, curve, has_replicates, overfitted_band, series_handles
from equidyn.figures.parts.times import TIME, smoothed, validation_loss
from equidyn.figures.parts.variations import (
    MODEL_SIZE,
    OPTIMISER,
    TRAIN_SIZE,
    Looks,
    Variation,
    labels,
    looks_of,
)
from equidyn.study.selection import chosen, need, of_baseline, replicates, shown, varying

ORIGINS = {"published": "Published", "here": "Here"}
"""Values of the column ``origin``, and what they are called."""

_PARTS = {"equivariance": "Equivariance error", "twirled": "Twirled loss", "total": "Total loss"}
_FLOW_FIGURES = {"equivariance": "equiv-error", "twirled": "mean-pred-error", "total": "total-mse"}
_OVERFITTED = ("prot_60M_0.001", 50_000)  # published figures with a band, and the row of the log where it begins
_ROW, _KEYS = 1.8, 1.6  # inch, height of a row and width of the legends beside it
_BY = {TRAIN_SIZE.title: "data", MODEL_SIZE.title: "size", OPTIMISER.title: "optimiser"}
_TRIANGLES = "triangle updates"  # variant of models
_RANGE: dict[str, Any] = {"linewidth": 0.45, "alpha": 0.7}
_MARKERS = 10  # on a published curve
_WIDE = (style.WIDE, style.BIG)  # width of a line and size of its markers


@dataclass(frozen=True)
class _Row:
    """A panel of published curves and one of ours.

    Attributes:
        data: Of both, in the columns that `_theirs` and `_ours` make.
        looks: Of the series of each origin.
        titles: Of each origin's panel.
        legend: What series are; empty if they are the same in all rows.
    """

    data: pd.DataFrame
    looks: dict[str, Looks]
    titles: tuple[str, str]
    legend: str = ""

    @property
    def is_share(self) -> bool:
        """Whether values are percent, not losses."""
        return self.data["quantity"].iloc[0] == "percent"


def published_force_field(
    table: pd.DataFrame, published: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by replicate, model size, training set size and optimiser, as far as a study varies them."""
    seeds = replicates(chosen(table, options), options.baseline)
    rows = []
    if seeds["seed"].nunique() > 1:
        theirs = _theirs(published, "escaip-loglog-equivariance_error_training", "percent")
        ours = _ours(seeds, options, "percent", labels(seeds, options))
        looks = {"published": looks_of(theirs["series"]), "here": looks_of(ours["series"])}
        rows.append(_Row(_both(theirs, ours), looks, _titles(*["by seed"] * 2), "Run (seed)"))
    for variation, figure, pair in (
        (MODEL_SIZE, "escaip-vary-model-size", _by_rank),
        (TRAIN_SIZE, "escaip-vary-train-size", _by_rank),
        (OPTIMISER, "escaip-vary-lropt", _by_rate),
    ):
        rows += _compared(table, options, variation, _theirs(published, figure, "percent"), pair)
    return _sheet(rows, options)


def published_losses(table: pd.DataFrame, published: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error, twirled and total loss of EScAIP against step, by training set size from the largest down."""
    figures = {
        "950k": "escaip-default-losscurves",
        **{size: f"escaip-losscurves-{size}" for size in ("50k", "5k", "500")},
    }
    colours = {name: look for name, (_, *look) in drawing.PARTS.items()} | {"total": drawing.TOTAL}
    looks: dict[str, Any] = {name: tuple(colours[quantity]) for quantity, name in _PARTS.items()}
    runs = _by_train_size(table, options)[::-1]
    rows = []
    for (size, figure), own in zip(figures.items(), runs, strict=False):
        parts = [
            part.assign(series=name)
            for quantity, name in _PARTS.items()
            for part in (_theirs(published, figure, quantity), _ours(own, options, quantity, own["run"]))
        ]
        titles = f"{size} examples", f"{int(own['train_examples'].iloc[0]):,} examples"
        rows.append(_Row(_both(*parts), dict.fromkeys(ORIGINS, looks), _titles(*titles)))
    return _sheet(rows, options, "Loss")


def published_pilot(published: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent of the authors' three seeds of EScAIP and of the pilot run against step, and the latter's skill."""
    theirs = _theirs(published, "escaip-loglog-equivariance_error_training", "percent")
    skill = _theirs(published, PILOT, "skill").set_index(["series", "step"])["value"].rename("skill")
    pilot = _theirs(published, PILOT, "percent").join(skill, on=["series", "step"])
    pilot = pilot.assign(origin="here", unskilled=~(pilot["skill"] >= options.useful_skill))
    figure, (above, below) = layout.stacked(2.3, 0.95)
    data = _both(theirs, pilot)
    place = drawing.Steps(data["step"], log=True)
    drawing.scale(above, data[["value", "value_low", "value_high"]], log=True, include=options.threshold)
    below.set_ylim(-0.2, 1.0)
    for _, part in theirs.groupby("series"):
        _dense(above, part, place, style.MUTED, "", 0.8, 0)
    handles = []
    for (series, part), colour, marker in zip(
        pilot.groupby("series", sort=False), style.PALETTE, style.MARKERS, strict=False
    ):
        curve(above, part, "value", place, colour, marker)
        x = place(part["step"])
        drawing.line(below, x, part["skill"], part["unskilled"], True, False, colour, marker, size=style.DOT)
        label = f"this package, {series}"
        if len(first := part[part["value"] <= options.threshold].head(1)):
            step, skill = first.iloc[0][["step", "skill"]]
            reached = f"≤ {options.threshold:g} % at step {step:,.0f},\n skill {skill:.2f}"
            label += f"\n {reached.replace('-', '−')}"
        handles.append(drawing.sample(colour, marker, label))
    firsts = theirs[theirs["value"] <= options.threshold].groupby("series")["step"].min()
    text = f"published, averaged weights, three seeds\n ≤ {options.threshold:g} % from step"
    text += f" {firsts.min():,.0f} to {firsts.max():,.0f}"
    handles.append(Line2D([], [], color=style.MUTED, label=text))
    place.dress(below)
    above.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    above.set_ylabel(PERCENT)
    below.set_xlabel(drawing.STEP)
    drawing.skill_axis(below, options)
    layout.legends(figure, {"EScAIP 6M": handles, "How to read": drawing.guide(figure, options, band=True)})
    return figure, data


def pilot_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How either side was measured, for captions."""
    return [
        "Here: exact average over all rotations, in closed form; bands are 95 % intervals by bootstrap over 51 "
        "held-out molecules. The average of the weights has the authors' decay, 0.999, and remembers some 1,000 steps: "
        "it falls that much later than the network itself. Where skill (1 − loss / loss of "
        f"{options.words.null}) is below {options.limit}, lines are dashed with open markers: there a "
        "small share says nothing.",
        f"Published: {int(data['rotations'].max())} rotations, averaged weights; points are read from the vector paths "
        "of the figures, and hair lines are the extremes in bins of steps. Their skill is not known.",
        "One seed decides no claim.",
    ]


def published_flow_matching(
    table: pd.DataFrame, published: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Percent against step by flow time: all data, a tenth, a hundredth, and a network with triangle updates.

    Published are 60M parameters with all data, 1 % and 0.1 %, and the 400M that have triangle updates. A run of ours
    stands for a tenth or a hundredth if its share of the baseline's examples is nearest to it and within a factor of
    √10.
    """
    made = [
        _of_times(published, figure, own, options, "percent", _flow_titles(title, own, options))
        for figure, (title, own) in _flow_pairs(table, options).items()
    ]
    return _sheet(_alike(made), options, TIME)


def published_flow_losses(
    table: pd.DataFrame, published: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Equivariance error, twirled and total loss against step by flow time, of 60M parameters and of the baseline."""
    baseline = of_baseline(chosen(table, options), options)
    rows = [
        _of_times(published, f"prot_60M-{name}", baseline, options, quantity, _same_titles(quantity))
        for quantity, name in _FLOW_FIGURES.items()
    ]
    return _sheet(_alike(rows), options, TIME)


def published_flow_losses_varied(
    table: pd.DataFrame, published: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Losses against step by flow time, of a network with triangle updates and with little data.

    Of the first, equivariance and twirled loss; of the second, the total, and from where it is overfitted. Runs of
    ours are those of `published_flow_matching`; rows without one are left out.
    """
    pairs = _flow_pairs(table, options)
    rows = []
    for figure, quantity in (("prot_400M", "equivariance"), ("prot_400M", "twirled"), ("prot_60M_0.001", "total")):
        if figure in pairs:
            title, own = pairs[figure]
            titles = _flow_titles(title, own, options, f"{_PARTS[quantity].lower()},\n")
            name = f"{figure}-{_FLOW_FIGURES[quantity]}"
            rows.append(_of_times(published, name, own, options, quantity, titles))
    if not rows:
        raise ValueError(
            f"no run differs from the baseline {options.baseline!r} in triangle updates, or has about a hundredth of "
            "its training examples: name a study with such a run"
        )
    return _sheet(_alike(rows), options, TIME)


def published_voxels(table: pd.DataFrame, published: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Percent of VoxMol against step by data and by model size, as far as a study varies them."""
    return _sheet(_voxel_rows(table, published, options, "percent", "percent"), options)


def published_voxels_losses(
    table: pd.DataFrame, published: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Equivariance and twirled loss of VoxMol, both unbiased, against step by data and by model size."""
    rows = [
        *_voxel_rows(table, published, options, "equivariance", "equivariance"),
        *_voxel_rows(table, published, options, "twirled", "twirled_unbiased"),
    ]
    return _sheet(rows, options)


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How the curves of either side were estimated, and in what they differ, for captions.

    Args:
        data: Rows that a function here returned.
        options: Those it was drawn with.
    """
    theirs, ours = (data[data["origin"] == origin].dropna(axis="columns", how="all") for origin in ORIGINS)
    limit = options.limit
    sentences = [
        "Here:",
        *evidence(ours.rename(columns={"value_low": "percent_low"}), options),
        f"Where skill (1 − loss / loss of {options.words.null}) is below {limit}, lines are dashed with open markers: "
        "there a small share says nothing. Published curves are solid throughout, as their skill is not known.",
        f"Published: {int(theirs['rotations'].iloc[0])} rotations.",
    ]
    if (theirs["source"] == "digitised").any():
        sentences.append(
            "Points are read from the vector paths of the figures: medians in bins of steps, 40 per factor of ten; "
            "hair lines are a bin's extremes, no intervals."
        )
    if (theirs["step_unit"] == LOG_ROW).any():
        sentences.append(
            "Published steps count the rows of a log; the optimiser steps are not published, so positions along the "
            "step axis cannot be compared. Curves of both sides are smoothed along training, ours with what was "
            "measured behind them."
        )
    if "overfitted" in data:
        sentences.append(_about_overfitting(ours))
    if (data["quantity"] != "percent").any():
        sentences.append(_about_losses(theirs))
    if set(data["row"]) & {MODEL_SIZE.title, TRAIN_SIZE.title}:
        sentences.append("Equal colours of sizes mean equal rank, counted from the largest, not equal size.")
    if OPTIMISER.title in set(data["row"]):
        sentences.append("Equal colours of optimisers mean equal learning rates, or SGD.")
    return sentences + _about_voxmol(theirs)


def _about_losses(theirs: pd.DataFrame) -> str:
    """How far losses of either side can be compared."""
    said = (
        "Losses have units of their own on either side: a factor of ten is equally long in both columns, but heights "
        "cannot be compared."
    )
    if "twirled" in set(theirs["quantity"]):
        said += (
            " The published twirled loss is that of the mean over the rotations, and so too large by a tenth of the "
            "equivariance error; ours is unbiased."
        )
    return said


def _about_overfitting(ours: pd.DataFrame) -> str:
    """Where the grey bands begin."""
    runs = ours[ours["overfitted"].eq(True)]  # missing where a row has no band
    here = f"step {int(runs['step'].min()):,}" if len(runs) else "which does not happen"
    return (
        f"Grey: overfitted; as the authors mark it, from row {_OVERFITTED[1]:,} of the log, and here from where the "
        "validation loss, the mean over t of the total loss divided by (1 − t)², stays more than 5 % above its lowest "
        f"value ({here})."
    )


def _about_voxmol(theirs: pd.DataFrame) -> list[str]:
    """How four rotations are corrected for, and what that changes in the losses that are shown."""
    if (theirs["source"] == "digitised").any():
        return []
    said = [
        "The published tables hold the spread around the mean of 4 predictions, and the error of that mean. The "
        "authors multiply the spread by 4/3, which makes equivariance error and share unbiased."
    ]
    losses = theirs[theirs["quantity"].isin(["equivariance", "twirled_unbiased"])]
    if len(losses):
        losses = losses.drop_duplicates(["quantity", "step", "value"])  # one run is both 100 % and 111M
        wide = losses.pivot(index=["series", "step"], columns="quantity", values="value")
        excess = 100 * wide["equivariance"] / theirs["rotations"].iloc[0] / wide["twirled_unbiased"]
        ends = [
            f"{short(excess[series].iloc[0])} and {short(excess[series].iloc[-1])} % ({series})"
            for series in _series(losses)
        ]
        said.append(
            "They plot the error of the mean as it is; here a quarter of the equivariance error is taken off it. The "
            f"plotted one is too high by, at the first and at the last evaluation, {', '.join(ends)}."
        )
    twice = theirs[theirs["value_low"] < theirs["value_high"]]
    if len(twice):
        said.append(
            f"The curve of 1 % is the mean of two runs up to step {int(twice['step'].max()):,}, its hair "
            "lines their two values."
        )
    return said


def _titles(published: str, here: str) -> tuple[str, str]:
    """Titles of the two panels of a row."""
    return f"{ORIGINS['published']}: {published}", f"{ORIGINS['here']}: {here}"


def _same_titles(quantity: str) -> tuple[str, str]:
    """Titles of a row whose panels differ in nothing but the origin."""
    return _titles(*[_PARTS.get(quantity, "equivariance share").lower()] * 2)


def _flow_titles(title: str, own: pd.DataFrame, options: Options, before: str = "") -> tuple[str, str]:
    """Titles of a row of `_flow_pairs`, each behind some words."""
    first = own.iloc[0]
    ours = f"{count(first['parameters'])}, {int(first['train_examples']):,} {options.words.examples}"
    if first["variant"] == _TRIANGLES:
        ours += ", triangles"
    return _titles(before + title, before + ours)


def _theirs(published: pd.DataFrame, figure: str, quantity: str) -> pd.DataFrame:
    """Published curves of one quantity in a figure."""
    need(published, ["figure", "series", "quantity", "step", "value", "low", "high"])
    rows = published[(published["figure"] == figure) & (published["quantity"] == quantity)]
    if rows.empty:
        download = ": download the data set voxmol_curves first" if figure.startswith("voxmol") else ""
        raise ValueError(f"the table of published curves lacks {quantity} of {figure}{download}")
    rows = rows.rename(columns={"low": "value_low", "high": "value_high"})
    return rows.assign(origin="published", run=rows["series"], unskilled=False)


def _ours(rows: pd.DataFrame, options: Options, quantity: str, series: Sequence[str]) -> pd.DataFrame:
    """Rows of the evaluation table in the form of the published ones, with the average of curves by flow time."""
    kept = [f"{quantity}{suffix}" for suffix in ("", "_low", "_high") if f"{quantity}{suffix}" in rows]
    flow = [name for name in ("t", "self_conditioning") if name in rows and rows[name].notna().all()]
    data = shown(rows, [*kept, *flow], options, series).assign(smoothed="t" in flow)
    if "t" in flow:
        data = smoothed(data, [quantity])
    named = {name: name.replace(quantity, "value", 1) for name in data if name.startswith(quantity)}
    return data.rename(columns=named).assign(
        origin="here", quantity=quantity, step_unit=OPTIMISER_STEP, source="evaluation table"
    )


def _both(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([part.dropna(axis="columns", how="all") for part in parts], ignore_index=True)


def _series(data: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(data["series"]))


def _compared(
    table: pd.DataFrame,
    options: Options,
    variation: Variation,
    theirs: pd.DataFrame,
    pair: Callable[[list[str], list[str]], dict[str, Looks]],
    quantity: str = "percent",
) -> list[_Row]:
    """The row of a variation, if the study has more than one setting of it."""
    rows = variation.rows(table, options)
    ours = _ours(rows, options, quantity, variation.names(rows, options))
    if len(rows.drop_duplicates(list(variation.columns))) < 2:
        return []
    # Published curves come from small to large, as ours do.
    looks = pair(_series(theirs), list(variation.looks(ours)))
    said = "" if quantity == "percent" else f"{_PARTS[quantity].lower()}, "
    titles = _titles(*[f"{said}by {_BY[variation.title]}"] * 2)
    return [_Row(_both(theirs, ours), looks, titles, variation.title)]


def _by_rank(theirs: list[str], ours: list[str]) -> dict[str, Looks]:
    """Looks of sizes from small to large: equal ones for equal rank, counted from the largest."""
    most = max(len(theirs), len(ours))
    ranks = list(looks_of(map(str, range(most)), style.graded).values())
    return {
        origin: dict(zip(series, ranks[most - len(series) :], strict=True))
        for origin, series in zip(ORIGINS, (theirs, ours), strict=True)
    }


def _by_rate(theirs: list[str], ours: list[str]) -> dict[str, Looks]:
    """Looks of optimisers: equal ones for equal learning rates, and for SGD."""

    def key(name: str) -> str:
        return "SGD" if "SGD" in name else name.rstrip(")").split()[-1]

    rates = sorted({*map(key, theirs), *map(key, ours)} - {"SGD"}, key=float, reverse=True)
    looks = looks_of(["SGD", *rates])
    return {
        origin: {name: looks[key(name)] for name in sorted(series, key=lambda name: [*rates, "SGD"].index(key(name)))}
        for origin, series in zip(ORIGINS, (theirs, ours), strict=True)
    }


def _by_train_size(table: pd.DataFrame, options: Options) -> list[pd.DataFrame]:
    """Rows of one run for each training set, from small to large: the baseline for its own."""
    rows = TRAIN_SIZE.rows(table, options).sort_values(list(TRAIN_SIZE.order), kind="stable")
    sizes = rows.groupby(list(TRAIN_SIZE.columns), sort=False)
    return [part[part["run"] == part["run"].iloc[0]] for _, part in sizes]


def _flow_pairs(table: pd.DataFrame, options: Options) -> dict[str, tuple[str, pd.DataFrame]]:
    """Published title, and rows of one run of ours, by published figure, where there is such a run."""
    rows = chosen(table, options)
    baseline = of_baseline(rows, options)
    sizes = varying(rows, options.baseline, ["train_subset"])
    models = varying(rows, options.baseline, ["model"])
    pairs = {
        "prot_60M": ("60M, all data", baseline),
        "prot_60M_0.01": ("60M, 1 % of the data", _of_fraction(sizes, baseline, 0.1)),
        "prot_60M_0.001": ("60M, 0.1 % of the data", _of_fraction(sizes, baseline, 0.01)),
        "prot_400M": ("400M, all data", models[models["variant"] == _TRIANGLES]),
    }
    return {
        figure: (title, own[own["run"] == own["run"].iloc[0]]) for figure, (title, own) in pairs.items() if len(own)
    }


def _of_fraction(rows: pd.DataFrame, baseline: pd.DataFrame, fraction: float) -> pd.DataFrame:
    """Rows of the run whose share of the baseline's training examples is nearest, if near enough; else none."""
    apart = np.log10(rows["train_examples"] / baseline["train_examples"].iloc[0] / fraction).abs()
    return rows[(apart == apart.min()) & (apart < 0.5)]


def _voxel_rows(
    table: pd.DataFrame, published: pd.DataFrame, options: Options, quantity: str, theirs: str
) -> list[_Row]:
    """Rows of a quantity, which theirs calls so, by data and by model size."""
    data, models = _voxel_sizes(published, theirs), _theirs(published, "voxmol-vary-model", theirs)
    return [
        *_compared(table, options, TRAIN_SIZE, data, _by_rank, quantity),
        *_compared(table, options, MODEL_SIZE, models, _by_rank, quantity),
    ]


def _voxel_sizes(published: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Curves of VoxMol by data size; the largest network, trained on all data, stands for all."""
    parts = _theirs(published, "voxmol-vary-data", quantity)
    parts = parts[parts["series"] == parts["train_subset"]]  # neither of the two runs with 1 % alone
    full = _theirs(published, "voxmol-vary-model", quantity)
    return pd.concat([parts, full[full["series"] == "111M"].assign(series="100 %", run="100 %")])


def _of_times(
    published: pd.DataFrame, figure: str, own: pd.DataFrame, options: Options, quantity: str, titles: tuple[str, str]
) -> _Row:
    """A row of curves by flow time, with the flag ``overfitted`` where the published figure marks that."""
    need(own, ["t"])
    theirs = _theirs(published, figure, quantity)
    names = theirs["t"].map(short)
    ours = _ours(own, options, quantity, own["t"].map(short))
    few, row = _OVERFITTED
    if figure.startswith(few):
        theirs = theirs.assign(overfitted=theirs["step"] >= row)
        losses = smoothed(own.assign(loss=validation_loss(own)), ["loss"]).groupby("t")["loss_smoothed"]
        ours = ours.assign(overfitted=losses.transform(overfitted).to_numpy(dtype=bool))
    return _Row(_both(theirs.assign(series=names, run=names), ours), {}, titles)


def _alike(rows: list[_Row]) -> list[_Row]:
    """Rows in which equal colours are equal flow times."""
    times = sorted(set().union(*(row.data["t"] for row in rows)))
    looks = looks_of(map(short, times), style.timed)
    return [replace(row, looks=dict.fromkeys(ORIGINS, looks)) for row in rows]


def _sheet(rows: list[_Row], options: Options, common: str = "") -> tuple[Figure, pd.DataFrame]:
    """Draw rows of panels, and name them in their data.

    Args:
        rows: From top to bottom.
        options: What is drawn.
        common: Title of the legend, if it is the same for all rows.
    """
    if not rows:
        raise ValueError(
            f"no run differs from the baseline {options.baseline!r} in what published figures compare: name a study "
            "with other seeds, sizes or optimisers"
        )
    data = pd.concat(
        [row.data.assign(row=row.legend or row.titles[0].replace("\n", " ")) for row in rows], ignore_index=True
    )
    front = ["origin", "row", "figure", "series", "run", "quantity", "step", "step_unit", "value"]
    data = data[[*front, *data.columns.difference(front, sort=False)]]
    places = {origin: drawing.Steps(data.loc[data["origin"] == origin, "step"], log=True) for origin in ORIGINS}
    ratios = [1.0, 1.0] if common else [(layout.TWO - _KEYS) / 2] * 2 + [_KEYS]
    figure, grid = layout.sheet(layout.TWO, [_ROW] * len(rows), len(ratios), width_ratios=ratios)
    for i, row in enumerate(rows):
        pair = [figure.add_subplot(grid[i, j]) for j in range(2)]
        _limits(pair, row, data, options)
        for axes, origin, title in zip(pair, ORIGINS, row.titles, strict=True):
            part = row.data[row.data["origin"] == origin]
            _panel(axes, part, row.looks[origin], places[origin], options)
            axes.tick_params(labelbottom=row is rows[-1])
            axes.set_title(title)
            if row is rows[-1]:
                axes.set_xlabel(_step_label(part))
        _label(pair, row, options)
        if row.legend:
            keys = {
                name: series_handles(row.data[row.data["origin"] == origin], row.looks[origin])
                for origin, name in ORIGINS.items()
            }
            layout.beside(figure, grid[i, 2], keys, _KEYS)
    layout.legends(figure, _reading(figure, rows, data, options, common))
    return figure, data


def _panel(axes: Axes, data: pd.DataFrame, looks: Looks, place: drawing.Steps, options: Options) -> None:
    """Curves of one origin, and what helps to read them."""
    for series, look in reversed(looks.items()):
        for part, main in reversed(by_run(data[data["series"] == series])):
            part = part.dropna(axis="columns", how="all")
            wide = series == _PARTS["total"]  # shows behind the part it equals
            if data["origin"].iloc[0] == "published":
                _dense(axes, part, place, *look, *(_WIDE if wide else (1.0, style.MARKER)))
            elif wide:
                drawing.line(
                    axes, place(part["step"]), part["value"], part["unskilled"], place.log, True, *look, *_WIDE
                )
                drawing.average(axes, place(part["step"]), part, "value", look[0], log_y=True)
            else:
                curve(axes, part, "value", place, *look, main=main)
    place.dress(axes, narrow=True)
    if data["quantity"].iloc[0] == "percent":
        axes.axhline(options.threshold, zorder=1, **drawing.THRESHOLD)
    if "overfitted" in data:
        overfitted_band(axes, data.drop_duplicates("step").sort_values("step"), place, color=style.GREY)
    own = data[data["run"] == options.baseline]
    if len(own) and "t" not in data.dropna(axis="columns", how="all"):
        drawing.shade(axes, own.drop_duplicates("step"), place, options)


def _dense(
    axes: Axes, part: pd.DataFrame, place: drawing.Steps, colour: str, marker: str, width: float, size: float
) -> None:
    """A curve of many points that may be noisy: markers at even distances along the step axis, not along the curve."""
    x = place(part["step"])
    marked = np.searchsorted(x, np.geomspace(x[0], x[-1] * (1 - 1e-9), _MARKERS))
    for end in ("value_low", "value_high"):  # a range, no interval
        axes.plot(x, part[end], color=colour, **_RANGE)
    axes.plot(
        x, part["value"], color=colour, linewidth=width, marker=marker, markersize=size, markevery=np.unique(marked),
        zorder=2.5,
    )  # fmt: skip


def _limits(pair: list[Axes], row: _Row, data: pd.DataFrame, options: Options) -> None:
    """Vertical scales: shares have one in a row; losses one on each side, with decades of one length."""
    values = ["value", "value_low", "value_high"]
    if row.is_share:
        for axes in pair:
            drawing.scale(axes, drawing.with_averages(row.data, values), log=True, include=options.threshold)
        return
    losses = data[data["quantity"] != "percent"]
    drawn = (drawing.with_averages(losses[losses["origin"] == origin], ["value"]).stack() for origin in ORIGINS)
    limits = [drawing.log_limits(part[part > 0]) for part in drawn]
    span = max(high / low for low, high in limits)
    for axes, (low, high) in zip(pair, limits, strict=True):
        more = np.sqrt(span * low / high)
        axes.set_yscale("log")
        axes.set_ylim(low / more, high * more)
        drawing.log_labels(axes.yaxis)


def _label(pair: list[Axes], row: _Row, options: Options) -> None:
    """Vertical axes: one label where the scale is shared, each its own where it is not."""
    left, right = pair
    if row.is_share:
        left.set_ylabel(PERCENT)
        right.tick_params(labelleft=False)
        return
    ours = row.data[row.data["origin"] == "here"]
    left.set_ylabel("Loss (units not stated)")
    right.set_ylabel(textwrap.fill(f"{options.words.error} ({drawing.unit(ours)})", 26))


def _step_label(data: pd.DataFrame) -> str:
    return "Row of the log (not optimiser steps)" if data["step_unit"].iloc[0] == LOG_ROW else drawing.STEP


def _reading(figure: Figure, rows: list[_Row], data: pd.DataFrame, options: Options, common: str) -> dict[str, list]:
    """Legends below the panels, by title."""
    shares = any(row.is_share for row in rows)
    seeds = any(has_replicates(row.data[row.data["origin"] == "here"]) for row in rows)
    band = "least and largest of points in a bin"
    if data["figure"].str.startswith("voxmol").any():
        band = "two runs, of which the line is the mean"
    theirs = [
        Line2D([], [], color=style.INK, label="solid throughout: skill is not known"),
        Line2D([], [], color=style.INK, label=f"hair lines: {band}", **_RANGE),
    ]
    if shares:
        theirs.append(Line2D([], [], label=f"{options.threshold:g} % of the loss (both sides)", **drawing.THRESHOLD))
    if "overfitted" in data:
        theirs.append(Patch(facecolor=style.GREY, label="overfitted (both sides)"))
    here = drawing.guide(figure, options, band=shares, threshold=False, seeds=seeds)
    here += drawing.averages(data)
    if options.comparison:
        here.append(layout.remark(f"rotations: {options.comparisons[options.comparison].name}"))
    legends = {"How to read published": theirs, "How to read ours": here}
    if not common:
        return legends
    return {common: [drawing.sample(*look, series) for series, look in rows[0].looks["here"].items()]} | legends
