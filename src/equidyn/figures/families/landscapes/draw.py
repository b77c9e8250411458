"""Loss landscapes: the loss around a checkpoint in a plane of weights, ours and the authors'.

A grid is the values of one loss, twirled or equivariance error, under one protocol: with the same rotations at all its
points, or with rotations drawn anew at each, as the authors' grids look. Roughness is what the best quadratic leaves,
relative to how far that rises; see `equidyn.analysis.roughness`. Functions that draw take the landscape table of a task
and `Options`, and return a figure with the points or grids that it shows; they raise a ValueError if there is nothing
to draw, or if a grid has several values for a point.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator
from scipy.special import betaincc

from equidyn.analysis.roughness import fit_quadratic, neighbour_ratio, noise_roughness
from equidyn.core.numbers import several, short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.options import Options
from equidyn.study.selection import need

LOSSES = {part: name for part, (name, _, _) in drawing.PARTS.items()}
PROTOCOLS = {"common": "same rotations at all points", "fresh": "new rotations at each point"}
DIRECTIONS = {
    "equivariance": "Hessian of the equivariance error",
    "twirled": "Hessian of the twirled loss",
    "random": "Random directions",
    "published": "Published",
}
"""Names of directions by those in tables; a figure of one plane shows the first that the table has."""

_GRID = ("run", "block", "directions", "protocol", "loss")
_POINT = ("i", "j", "x", "y", "value")
_MEASURED = ("roughness", "fit_residual", "fit_range", "fit_r2")
_CONVERGENCE = ("roughness_change", "converged")  # of tables that have them
_OURS = ("task", "step", "weights", "estimator", "rotations", "examples", "clusters", "unit", "block_parameters")
_KEYS = (
    "study", "task", "model", "step", "weights", "group", "comparison", "t", "self_conditioning", "estimator",
    "rotations", "examples", "clusters", "unit", "percent", "skill", "block_parameters", "scale", "eigenvalue_x",
    "eigenvalue_y",
)  # fmt: skip
_UNRELATED, _SMOOTH = 0.8, 0.5  # ratios of neighbours
_PANEL = (layout.TWO / 2, 2.75)  # inch, of a surface
_REMARK = 0.36  # inch, of lines below surfaces
_FLAT = 1e-4  # of the curvature along y
_ONE_SCALE = "Heights have one scale for each loss"
_VIEW = {"elev": 30, "azim": 22}


def landscape_surfaces(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Surfaces of both losses, with the same rotations at all points above, and with new ones at each below.

    A loss has one scale in both rows; the other loss, which may rise far less, has its own.
    """
    data = _plane(table, options)
    limits = _spans(data)
    panels = [
        _Panel(place, rows, limits[rows["loss"].iloc[0]], *_titles(rows)) for place, rows in _by_protocol_and_loss(data)
    ]
    figure = _surfaces(panels, _axis_names(data), f"{_where(data)} {_ONE_SCALE}.", data["unit"].iloc[0])
    return figure, data


def landscape_contours(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """The grids of `landscape_surfaces` as heat maps, each on its own scale, with contours of the best quadratic."""
    data = _plane(table, options)
    x_name, y_name = _axis_names(data)
    figure, grid = layout.sheet(layout.TWO, [2.75, 2.75], 2)
    for place, rows in _by_protocol_and_loss(data):
        axes = figure.add_subplot(grid[place])
        _heat(axes, rows)
        title, subtitle = _titles(rows)
        axes.set_title(title, pad=13)
        axes.annotate(
            subtitle, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=style.LEAST_TYPE
        ).set_in_layout(False)  # longer than the panel is wide
        axes.set(xlabel=x_name, ylabel=y_name)
    below = f"{_where(data)} Lines: best quadratic. Cross: the checkpoint. Each panel has its own colours."
    figure.supxlabel(_wrapped(below), x=0.01, ha="left", fontsize=style.NOTES, color=style.MUTED)
    return figure, data


def landscape_roughness(table: pd.DataFrame, published: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Roughness of all grids around the checkpoint, and of the authors' grids.

    Rows are grids as `per_grid` makes them, with ``fresh_over_common``: how many times rougher a grid with new
    rotations is than the same with the same rotations.
    """
    data = pd.concat([per_grid(_latest(table, options)), per_grid(published)], ignore_index=True)
    theirs = data["directions"] == "published"
    names = data["directions"].map(DIRECTIONS)
    data.insert(0, "series", names.where(~theirs, names + ", " + data["model"].astype(str)))
    common = data[data["protocol"] == "common"].set_index(["series", "loss"])["roughness"].to_dict()
    base = pd.Series([common.get(key, np.nan) for key in zip(data["series"], data["loss"], strict=True)])
    data["fresh_over_common"] = (data["roughness"] / base).where(data["protocol"] == "fresh")
    series = list(dict.fromkeys(data["series"]))
    figure, (axes,) = layout.stacked(0.6 + 0.5 * len(series), width=layout.TWO)
    values = data[["roughness", "noise_low", "noise_high"]].to_numpy(dtype=float).ravel()
    axes.set_xscale("log")
    axes.set_xlim(*drawing.log_limits(pd.Series(values[np.isfinite(values) & (values > 0)])))
    places = {}
    for number, name in enumerate(series):
        top = 3.2 * number
        axes.annotate(
            name, (0, top), (4, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="center",
            fontweight="bold", fontsize=style.LABELS,
        )  # fmt: skip
        for line, (loss, text) in enumerate(LOSSES.items(), start=1):
            rows = data[(data["series"] == name) & (data["loss"] == loss)]
            if len(rows):
                places[top + line] = text
                _dots(axes, rows, top + line)
    axes.set_ylim(3.2 * len(series) - 0.6, -0.6)
    axes.yaxis.set_major_locator(FixedLocator(list(places)))
    axes.set_yticklabels(places.values())
    axes.tick_params(axis="y", length=0)
    drawing.log_labels(axes.xaxis)
    axes.set_xlabel("Roughness: r.m.s. residual of the best quadratic / its range")
    axes.annotate(
        "new /\nsame", (1, 1), (4, 2), xycoords="axes fraction", textcoords="offset points", fontsize=style.NOTES
    )
    kinds = dict.fromkeys(zip(data["protocol"], theirs, strict=True))
    handles = [_dot(*kind, PROTOCOLS[kind[0]] + ", published" * kind[1]) for kind in kinds]
    noise = Patch(facecolor=style.GREY, label="noise alone: 95 % of grids of the same size")
    layout.legends(figure, {"Grids": handles, "How to read": [noise]})
    return figure, data


def landscape_published(table: pd.DataFrame, options: Mapping[str, Options]) -> tuple[Figure, pd.DataFrame]:
    """Surfaces of the authors' grids, drawn as ours are.

    Args:
        table: What `equidyn.analysis.authors.published_landscapes` returns.
        options: Not used, but for captions.

    Returns:
        The figure, and the points it shows.

    Raises:
        ValueError: There is nothing to draw.
    """
    need(table, (*_GRID, *_POINT, *_MEASURED, "model", "step", "rotations"))
    if table.empty:
        raise ValueError("the table of published landscapes has no rows")
    data = table.reset_index(drop=True)
    panels = []
    for row, (model, own) in enumerate(data.groupby("model", sort=False)):
        limits = _spans(own)
        for column, (loss, name) in enumerate(LOSSES.items()):
            rows = own[own["loss"] == loss]
            if len(rows):
                panels.append(_Panel((row, column), rows, limits[loss], f"{model}: {name.lower()}", _numbers(rows)))
    figure = _surfaces(panels, _axis_names(data), f"{_where(data)} {_ONE_SCALE} of a network.", None)
    return figure, data


def per_grid(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per grid.

    Args:
        rows: Points of grids; a grid has one for each of its rows i and columns j.

    Returns:
        What is the same for all points of a grid; ``rows`` and ``columns``; ``low`` and ``high``, of its values;
        ``curvature_x`` and ``curvature_y``, of the best quadratic; ``neighbour_ratio`` of what that leaves;
        ``noise_low`` and ``noise_high``, the roughness of noise alone; and ``noise_p``, the probability that noise
        alone has at least the grid's R².
    """
    constant = list(dict.fromkeys(name for name in (*_GRID, *_KEYS, *_MEASURED, *_CONVERGENCE) if name in rows))
    found = []
    for _, part in rows.groupby(list(_GRID), sort=False):
        x, y, values = _matrix(part)
        fit = fit_quadratic(x, y, values)
        low, high = noise_roughness(*values.shape)
        shape = {"rows": len(y), "columns": len(x), "low": values.min(), "high": values.max()}
        curvatures = {"curvature_x": fit.curvature_x, "curvature_y": fit.curvature_y}
        noise = {
            "neighbour_ratio": neighbour_ratio(values - fit.at(x, y)),
            "noise_low": low,
            "noise_high": high,
            "noise_p": float(betaincc(2.5, (values.size - 6) / 2, np.clip(part["fit_r2"].iloc[0], 0, 1))),
        }
        found.append({**part.iloc[0][constant].to_dict(), **shape, **curvatures, **noise})
    return pd.DataFrame(found)


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """What the grids of a plane are, how rough they are, and what remains without sampling noise, for captions."""
    grids = per_grid(data)
    common, fresh = (grids[grids["protocol"] == protocol].set_index("loss") for protocol in PROTOCOLS)
    sentences = [*_checkpoint(data, options), _moved(data), _rotations(data)]
    for loss, name in LOSSES.items():
        there = [(how, own.loc[loss]) for how, own in (("the same", common), ("new", fresh)) if loss in own.index]
        said = ", ".join(f"roughness {_roughness(grid)} with {how} rotations" for how, grid in there)
        if len(there) == 2:
            said += f": {_round(there[1][1]['roughness'] / there[0][1]['roughness'])} times as rough"
        if there:
            sentences.append(f"{name}: {said}.")
    return [*sentences, *_noise(grids, "With new rotations"), *_scatter(data, common), *_curvatures(common)]


def roughness_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """Where the grids were measured, how much rougher new rotations make them, and which may be nothing but noise."""
    theirs = data["directions"] == "published"
    ours = data[~theirs]
    sentences = [*_checkpoint(ours, options), _rotations(ours)]
    for loss, rows in ours.dropna(subset="fresh_over_common").groupby("loss", sort=False):
        ratios = rows["fresh_over_common"]
        said = dict.fromkeys(_round(ratio) for ratio in (ratios.min(), ratios.max()))
        sentences.append(f"{LOSSES[loss]}: with new rotations {' to '.join(said)} times as rough as with the same.")
    if "converged" in ours:
        sentences.append(_convergence(ours[ours["protocol"] == "common"]))
    for whose, some in (("our", ours), ("the authors'", data[theirs])):
        for protocol, rows in some.groupby("protocol", sort=False):
            rough = (rows["roughness"] >= rows["noise_low"]).sum()
            sentences.append(
                f"Of {whose} {len(rows)} grids with {PROTOCOLS[protocol]}, {rough or 'none'} "
                f"{'is' if rough < 2 else 'are'} as rough as noise alone."
            )
    return sentences


def _convergence(grids: pd.DataFrame) -> str:
    """How far the roughness of grids with the same rotations still moves with their number."""
    said = [
        f"{DIRECTIONS[grid.directions].lower()}, {LOSSES[grid.loss].lower()} {short(100 * grid.roughness_change)} %"
        for grid in grids.dropna(subset="roughness_change").itertuples()
    ]
    return (
        f"Change of the roughness with the same rotations by the last increase of their number: {'; '.join(said)}; "
        f"{grids['converged'].sum()} of {len(grids)} have converged to 10 %."
    )


def published_notes(data: pd.DataFrame, options: Mapping[str, Options]) -> list[str]:
    """How rough the authors' grids are, and how much of that is sampling noise, for captions."""
    grids = per_grid(data)
    sentences = [
        f"Networks at step {several(data['step'])}, {several(data['rotations'])} rotations; values as published, "
        "without the factor for finitely many rotations."
    ]
    for model, own in grids.groupby("model", sort=False):
        said = [
            f"{LOSSES[loss].lower()}, roughness {_roughness(grid)}, residual {short(grid['fit_residual'])} about a "
            f"quadratic that rises {short(grid['fit_range'])}"
            for loss, grid in own.set_index("loss").iterrows()
        ]
        sentences.append(f"{model}: {'; '.join(said)}.")
    sentences += _noise(grids, "In these grids")
    for loss, own in grids[grids["fit_r2"] > 0.5].groupby("loss", sort=False):
        ratios = [f"{_round(abs(grid.curvature_y / grid.curvature_x))} ({grid.model})" for grid in own.itertuples()]
        sentences.append(
            f"The {LOSSES[loss].lower()} depends on y more than on x: its curvature there is {' and '.join(ratios)} "
            "times that along x."
        )
    return sentences


class _Panel(NamedTuple):
    """A surface: its row and column, points, limits of heights, and titles."""

    place: tuple[int, int]
    rows: pd.DataFrame
    limits: tuple[float, float]
    title: str
    subtitle: str


def _latest(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Points of the baseline's latest step, one per grid, i and j.

    Where the analysis was made under several conditions, those of the options are taken, the middle flow time and the
    first block; where it was not made under that of the options, the first that it was made under.
    """
    need(table, (*_GRID, *_POINT, *_MEASURED, *_OURS))
    rows = table[table["task"] == options.task]
    if rows.empty:
        there = ", ".join(sorted(table["task"].unique())) or "no rows"
        raise ValueError(f"no rows of task {options.task!r} to draw; the landscape table has {there}")
    own = rows[rows["run"] == options.baseline]
    if own.empty:
        there = ", ".join(dict.fromkeys(rows["run"]))
        raise ValueError(f"no run is named {options.baseline!r}; the landscape table has {there}")
    rows = own[own["step"] == own["step"].max()]
    wanted = {"weights": options.weights, **options.conditions}
    if "t" in rows and rows["t"].notna().any():
        times = np.sort(rows["t"].dropna().unique())
        wanted["t"] = times[len(times) // 2]
    wanted["block"] = rows["block"].iloc[0]
    for name, value in wanted.items():
        if name in rows and len(there := rows[name].dropna().unique()):
            rows = rows[rows[name].isna() | (rows[name] == (value if value in there else there[0]))]
    has = (rows["estimator"] == options.estimator).groupby([rows[name] for name in _GRID]).transform("any")
    rows = rows[(rows["estimator"] == options.estimator) | ~has]
    if rows.duplicated([*_GRID, "i", "j"]).any():
        raise ValueError("a landscape has several values for one point: does the table mix studies?")
    ranks = {"directions": DIRECTIONS, "protocol": PROTOCOLS, "loss": LOSSES}
    for name, known in ranks.items():
        if unknown := sorted(set(rows[name]) - set(known)):
            raise ValueError(f"unknown {name} {', '.join(unknown)}: figures know {', '.join(known)}")
    rows = rows.sort_values(
        [*ranks, "i", "j"],
        key=lambda column: column.map(list(ranks[column.name]).index) if column.name in ranks else column,
        kind="stable",
    )
    kept = [name for name in dict.fromkeys((*_GRID, *_KEYS, *_POINT, *_MEASURED, *_CONVERGENCE)) if name in rows]
    return rows[kept].reset_index(drop=True)


def _plane(table: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Points of `_latest` in one plane, that of the first directions of `DIRECTIONS` that the table has."""
    rows = _latest(table, options)
    return rows[rows["directions"] == rows["directions"].iloc[0]].reset_index(drop=True)


def _by_protocol_and_loss(data: pd.DataFrame) -> Iterator[tuple[tuple[int, int], pd.DataFrame]]:
    """Row, column and points of the grids of a plane: protocols below each other, losses side by side."""
    for row, protocol in enumerate(PROTOCOLS):
        for column, loss in enumerate(LOSSES):
            rows = data[(data["protocol"] == protocol) & (data["loss"] == loss)]
            if len(rows):
                yield (row, column), rows


def _matrix(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) x, (m,) y and (m, n) values of a grid."""
    values = rows.pivot(index="i", columns="j", values="value")
    if values.isna().any(axis=None) or not np.isfinite(values.to_numpy()).all():
        raise ValueError("a landscape lacks finite values at some of its points")
    x, y = (rows.drop_duplicates(index).set_index(index)[name] for index, name in (("j", "x"), ("i", "y")))
    return x[values.columns].to_numpy(), y[values.index].to_numpy(), values.to_numpy()


def _spans(data: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Limits of each loss, around all its values."""
    ends = data.groupby("loss")["value"].agg(["min", "max"])
    margin = 0.02 * (ends["max"] - ends["min"]).where(ends["max"] > ends["min"], 1e-12)
    return {loss: (ends["min"][loss] - margin[loss], ends["max"][loss] + margin[loss]) for loss in ends.index}


def _titles(rows: pd.DataFrame) -> tuple[str, str]:
    first = rows.iloc[0]
    return LOSSES[first["loss"]], f"{PROTOCOLS[first['protocol']]}: {_numbers(rows)}"


def _numbers(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"roughness {_defined(first['roughness'])}, R² {first['fit_r2']:.3f}"


def _axis_names(data: pd.DataFrame) -> tuple[str, str]:
    return ("u", "v") if data["directions"].iloc[0] == "random" else ("smallest λ > 0", "largest λ")


def _where(data: pd.DataFrame) -> str:
    """What the axes are, below a figure."""
    first = data.iloc[0]
    if first["directions"] == "published":
        return "Axes: change of the weights in the authors' units, along eigenvectors of a Hessian (eigenvalues λ)."
    plane = "along two random directions u and v"
    if first["directions"] != "random":
        plane = f"along eigenvectors of the {DIRECTIONS[first['directions']]} (eigenvalues λ)"
    return f"Axes: change of {first['block']}, as a fraction of the norm of its weights, {plane}."


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 145)


def _surfaces(panels: Sequence[_Panel], names: tuple[str, str], below: str, unit: str | None) -> Figure:
    """Surfaces in two columns, with lines of text below."""
    wide, high = _PANEL
    count = 1 + max(panel.place[0] for panel in panels)
    figure = layout.free(layout.TWO, high * count + _REMARK)
    for (row, column), rows, limits, title, subtitle in panels:
        left, top = wide * column, high * row
        axes = layout.at(figure, left + 0.1, top + 0.28, wide - 0.3, high - 0.34, projection="3d")
        x, y, values = _matrix(rows)
        axes.plot_surface(
            *np.meshgrid(x, y), values, rstride=1, cstride=1, cmap="viridis", vmin=limits[0], vmax=limits[1],
            edgecolor=style.INK, linewidth=0.2, shade=False,
        )  # fmt: skip
        axes.view_init(**_VIEW)
        axes.set_box_aspect((1, 1, 0.75), zoom=0.95)
        ticks, labels, unit_of = _ticks(limits, unit)
        axes.set(zlim=limits, xlabel=names[0], ylabel=names[1], zlabel=f"loss{unit_of}")
        axes.set_zticks(ticks, labels)
        for axis, ends in ((axes.xaxis, x), (axes.yaxis, y)):
            most = _round_down(np.abs(ends).max())
            axis.set_ticks([-most, 0, most], [f"−{short(most)}", "0", short(most)])
        for axis, pad in ((axes.xaxis, -6), (axes.yaxis, -6), (axes.zaxis, -2)):
            axis.set_pane_color("#F7F7F7")
            axis.labelpad = pad
        axes.tick_params(labelsize=style.NOTES, pad=-3)
        axes.tick_params(axis="z", pad=0)
        height = figure.get_figheight()
        for line, (text, look) in enumerate(((title, _TITLE), (subtitle, _SUBTITLE))):
            place = ((left + 0.06) / layout.TWO, 1 - (layout.HEAD + top + 0.08 + 0.15 * line) / height)
            figure.text(*place, text, va="center", **look)
    figure.text(0.008, 0.05 / height, _wrapped(below), fontsize=style.NOTES, color=style.MUTED, va="bottom")
    return figure


_TITLE: dict[str, Any] = {"fontsize": style.TITLES, "fontweight": "bold"}
_SUBTITLE: dict[str, Any] = {"fontsize": style.NOTES}


def _heat(axes: Axes, rows: pd.DataFrame) -> None:
    """Values as colours, contours of the best quadratic as white lines, a cross at the checkpoint."""
    x, y, values = _matrix(rows)
    image = axes.pcolormesh(x, y, values, cmap="viridis", shading="nearest", rasterized=True)
    ticks, labels, unit_of = _ticks((float(values.min()), float(values.max())), rows["unit"].iloc[0])
    bar = axes.figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_ticks(ticks, labels=labels, fontsize=style.NOTES)
    bar.set_label(f"loss{unit_of}", fontsize=style.LABELS)
    fine = [np.linspace(each.min(), each.max(), 200) for each in (x, y)]
    surface = fit_quadratic(x, y, values).at(*fine)
    if np.ptp(surface) > 0:
        lines = axes.contour(*fine, surface, levels=6, colors="white", linewidths=0.8)
        lines.set(path_effects=[withStroke(linewidth=1.6, foreground=style.INK)])
    axes.plot(0, 0, marker="+", markersize=7, markeredgewidth=2.6, color="black")
    axes.plot(0, 0, marker="+", markersize=6, markeredgewidth=1.2, color="white")
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, symmetric=True))


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _round_down(value: float) -> float:
    """The greatest of 1, 2 and 5 times a power of ten that a value reaches."""
    power = 10.0 ** np.floor(np.log10(value))
    return power * max(factor for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _ticks(limits: tuple[float, float], unit: str | None) -> tuple[np.ndarray, list[str], str]:
    """Ticks of losses between limits, their labels, and the unit of these, with a power of ten if they are small."""
    low, high = limits
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    decimals = int(np.ceil(-np.log10(ticks[1] - ticks[0]) - 1e-9))
    power = 3 * (decimals // 3) if decimals > 3 else 0
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    labels = [f"{tick * 10.0**power:.{max(0, decimals - power)}f}".replace("-", "−") for tick in ticks]
    parts = [f"10⁻{str(power).translate(_RAISED)}"] * bool(power) + ([unit] if unit else [])
    return ticks, labels, f", {' '.join(parts)}" if parts else ""


def _dots(axes: Axes, rows: pd.DataFrame, place: float) -> None:
    """Roughness of a loss by protocol in one line, over that of noise alone, and how many times one is the other."""
    low, high = rows[["noise_low", "noise_high"]].iloc[0]
    axes.barh(place, high - low, 0.7, low, color=style.GREY, linewidth=0, zorder=1)
    values = rows.set_index("protocol")["roughness"]
    axes.plot(values, [place] * len(values), color=style.MUTED, linewidth=0.7, zorder=2)
    for protocol, value in values.items():
        dot = _dot(protocol, rows["directions"].iloc[0] == "published")
        dot.set_data([value], [place])
        dot.set_transform(axes.transData)
        axes.add_line(dot)
    over = rows["fresh_over_common"].dropna()
    if len(over):
        axes.annotate(
            f"× {_defined(over.iloc[0])}", (1, place), (4, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", va="center", fontsize=style.NOTES,
        )  # fmt: skip


def _dot(protocol: str, published: bool, label: str = "") -> Line2D:
    """A marker: filled for the same rotations, open for new ones, of another shape and colour if published."""
    colour, marker = (style.PALETTE[1], "s") if published else (style.PALETTE[0], "o")
    face = "white" if protocol == "fresh" else colour
    look = {"markersize": 5, "markeredgewidth": 1.1, "markerfacecolor": face, "linestyle": "none", "zorder": 3}
    return Line2D([], [], color=colour, marker=marker, label=label, **look)


def _checkpoint(data: pd.DataFrame, options: Options) -> list[str]:
    """Which network, and from how much data."""
    first = data.iloc[0]
    weights = {"ema": "moving average of the weights", "raw": "raw weights"}.get(first["weights"], first["weights"])
    about = [weights]
    if pd.notna(first.get("t", np.nan)):
        about.append(f"t = {short(first['t'])}")
    if pd.notna(first.get("percent", np.nan)):
        about.append(f"equivariance error {short(first['percent'])} % of its loss")
    if pd.notna(first.get("skill", np.nan)):
        about.append(f"skill {short(first['skill'])}")
    sentences = [
        f"Run {first['run']} at step {first['step']:,} ({', '.join(about)}), {several(data['examples'])} "
        f"{options.words.examples} of {several(data['clusters'])} {options.words.clusters}."
    ]
    if "comparison" in data and (comparison := options.compared_by(data.head(1))):
        sentences.append(f"Rotations: {comparison.text}.")
    return sentences


def _moved(data: pd.DataFrame) -> str:
    """Which weights are moved, and along what."""
    first = data.iloc[0]
    block = f"{first['block']} ({first['block_parameters']:,.0f} weights)"
    if first["directions"] == "random":
        return f"Moved: {block}, along two random directions, filter-normalised."
    values = [
        short(first[name]) if pd.notna(first.get(name, np.nan)) else "?" for name in ("eigenvalue_x", "eigenvalue_y")
    ]
    return (
        f"Moved: {block}, along eigenvectors of the {DIRECTIONS[first['directions']]}, x of its smallest positive "
        f"eigenvalue ({values[0]}), y of its largest ({values[1]})."
    )


def _rotations(data: pd.DataFrame) -> str:
    """How many there are where they are the same, and where they are new."""
    said = []
    for protocol, rows in data.groupby("protocol", sort=False):
        exact = (rows["estimator"] == "exact").all()
        many = "exact average over all" if exact else several(rows["rotations"])
        said.append(f"{PROTOCOLS[protocol]}, {many}")
    return f"Rotations per example: {'; '.join(said)}."


def _roughness(grid: pd.Series) -> str:
    return f"{_defined(grid['roughness'])} (R² {_defined(grid['fit_r2'])})"


def _round(ratio: float) -> str:
    return _defined(float(f"{ratio:.2g}"))


def _defined(value: float) -> str:
    """A number, or that a grid has none, as constant grids have no roughness."""
    return short(value) if np.isfinite(value) else "undefined"


def _noise(grids: pd.DataFrame, where: str) -> list[str]:
    """Which grids scatter about their quadratic as noise does, and whether there is anything beneath."""
    sentences = []
    noisy = grids[(grids["protocol"] == "fresh") & (grids["neighbour_ratio"] > _UNRELATED)]
    if len(noisy):
        ratios = [f"{ratio:.2f}" for ratio in (noisy["neighbour_ratio"].min(), noisy["neighbour_ratio"].max())]
        held = (grids["protocol"] == "common").any()
        sentences.append(
            f"{where} what the quadratic leaves of {_losses(noisy)} is unrelated between neighbours (ratio "
            f"{' to '.join(dict.fromkeys(ratios))}, 1 for noise): what looks rough is sampling noise"
            + ("." if held else ", or finer than the grid.")
        )
    for loss, rows in noisy[noisy["fit_r2"] < 0.1].groupby("loss", sort=False):
        chance = [100 * 5 / (grid.rows * grid.columns - 1) for grid in rows.itertuples()]
        said = [
            f"{_round(100 * grid.fit_r2)} % of its variance (p = {float(f'{grid.noise_p:.1g}'):g})"
            for grid in rows.itertuples()
        ]
        sentences.append(
            f"{where} the {LOSSES[loss].lower()} is hardly more than noise: the quadratic explains "
            f"{' and '.join(said)}; of noise alone it explains {_round(max(chance))} % in the mean."
        )
    smooth = grids[(grids["protocol"] == "common") & (grids["neighbour_ratio"] < _SMOOTH)]
    if len(smooth):
        sentences.append(
            f"With the same rotations it varies smoothly for {_losses(smooth)} (ratio at most "
            f"{short(float(smooth['neighbour_ratio'].max()))}): shape that is not quadratic, no roughness."
        )
    return sentences


def _losses(grids: pd.DataFrame) -> str:
    return " and ".join(name.lower() for loss, name in LOSSES.items() if loss in set(grids["loss"]))


def _scatter(data: pd.DataFrame, common: pd.DataFrame) -> list[str]:
    """How far new rotations move a point's loss, and how much the loss itself varies over the grid."""
    said = []
    for loss in common.index:
        rows = data[data["loss"] == loss]
        wide = rows.pivot(index=["i", "j"], columns="protocol", values="value")
        varies = common.loc[loss, "high"] - common.loc[loss, "low"]
        said.append(f"the {LOSSES[loss].lower()} varies by {short(varies)}")
        if "fresh" in wide:
            said[-1] += f", and new rotations scatter it by {short((wide['fresh'] - wide['common']).std())}"
    return [f"Over the grid with the same rotations {'; '.join(said)} (standard deviation)."] if said else []


def _curvatures(common: pd.DataFrame) -> list[str]:
    """Second derivatives along the axes without sampling noise."""
    said = [
        f"{LOSSES[loss].lower()} {short(grid['curvature_y'])} and {short(grid['curvature_x'])}"
        for loss, grid in common.iterrows()
    ]
    if not said:
        return []
    sentence = f"Curvature of the best quadratic along y and x with the same rotations: {'; '.join(said)}"
    along = common["curvature_y"]
    if len(along) == 2 and (along > 0).all():
        ratio = along["equivariance"] / along["twirled"]
        sentence += f", so along y that of the equivariance error is {_round(ratio)} times that of the twirled loss"
    if (common["curvature_x"].abs() < _FLAT * common["curvature_y"].abs()).all():
        sentence += "; along x, whose eigenvalue is zero for all that matters, neither changes"
    return [f"{sentence}."]
