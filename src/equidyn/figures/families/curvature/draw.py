"""Hessians of the two parts of the loss: whether equivariance is the better conditioned thing to learn.

Both figures show the baseline, at one flow time where there are several, per block of parameters. The conventions of
all figures are in `equidyn.figures.parts.drawing`; a loss has the colour and marker it has in the figure of losses.
Losses are means per component, so eigenvalues and traces have the loss's unit, per square of a weight, which has none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy import special

from equidyn.core.numbers import several, short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.captions import evidence, useful_note
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.times import at_times
from equidyn.study.selection import of_analysis

WHOLE = "all"
"""Name of the block of all parameters."""


_TIME = 0.6  # the one to show, or the nearest
_STEPS = 3  # columns of spectra
_LONGEST = 24  # characters of a block's name
_ROUNDING = 1e-12  # of the largest eigenvalue in a row of panels, below which dense ones are left out
_BLOCK = ("loss", "block", "block_parameters")
_SPECTRUM = (*_BLOCK, "method", "eigenvalue", "weight", "probe")
_SUMMARY = (
    *_BLOCK, "dense", "largest", "condition", "zeros", "negative", "trace", "trace_error", "probes",
    "effective_rank", "residual_largest", "residual_smallest", "products", "loss_value",
)  # fmt: skip
_QUANTITIES = {
    "largest": "Largest eigenvalue\n({unit})",
    "largest_relative": "Largest eigenvalue\n/ loss",
    "trace": "Trace\n({unit})",
    "effective_rank": "Effective rank\n(trace² / trace of H²)",
    "mean_condition": "Condition\n(largest / mean |λ|)",
}
_SERIES = {"largest": "series_largest", "mean_condition": "series_mean_condition"}
"""Quantities of which tables may have values from fewer rotations too, as lists by ``series_rotations``."""


def hessian_spectra(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Magnitude of eigenvalues of both losses against rank, a row of panels per block and a column per step.

    Positive and negative eigenvalues are ranked apart. The rank is the number of eigenvalues of the sign and at least
    the magnitude, so that spectra by stochastic Lanczos, nodes with weights, have the axes of those known in full.
    Left out are eigenvalues that are zero to rounding, and nodes too close to zero to tell eigenvalues apart: near the
    end of a spectrum, m steps of Lanczos resolve about 1 / m² of the largest.

    Args:
        table: One row per step, loss and block, of kind "hessian", with lists of eigenvalues.
        options: What is drawn.

    Returns:
        The figure, and the rows with ``positive``, ``magnitude``, ``rank`` and ``left_out``.
    """
    method = np.where(table["dense"], "dense", "lanczos")
    table = table[[name for name in table if not name.startswith("series_")]]
    nodes = table.assign(method=method).explode(["eigenvalue", "weight", "probe"], ignore_index=True)
    nodes = nodes.astype({"eigenvalue": float, "weight": float, "probe": int})
    rows = at_times(of_analysis(nodes, options, _SPECTRUM), (_TIME,))
    steps = drawing.spread(sorted(rows["step"].unique()), _STEPS)
    data = _ranked(rows[rows["step"].isin(steps)])
    blocks = _blocks(data)
    figure, panels = layout.tiled(len(blocks) * len(steps), len(steps), 1.9)
    for i, axes in enumerate(panels):
        row, place = divmod(i, len(steps))
        of_block = data[data["block"] == blocks[row]]
        part = of_block[of_block["step"] == steps[place]]
        _spectrum_axes(axes, of_block)
        for loss in drawing.PARTS:
            _spectrum(axes, part[part["loss"] == loss], loss)
        if len(part) and part["unskilled"].iloc[0]:
            axes.set_facecolor(drawing.shade_of(part["skill"].iloc[0], options))
        if row == 0:
            axes.set_title(_step_title(part, steps[place]))
        if place == 0:
            axes.set_ylabel(f"{_described(of_block)}\n|eigenvalue| ({drawing.unit(data)})")
        axes.tick_params(labelleft=place == 0)
        axes.set_xlabel("Rank of the eigenvalue" if row == len(blocks) - 1 else "")
    ink = {"color": style.INK, "marker": "o", "markersize": style.MARKER}
    reading = [
        Line2D([], [], label="positive eigenvalues", **ink),
        Line2D([], [], label="negative eigenvalues", markerfacecolor="white", linestyle=drawing.DASHES, **ink),
        layout.remark("flatter: better conditioned"),
    ]
    if (data["method"] == "lanczos").any():
        text = "in steps: estimated by Lanczos"
        reading.append(Line2D([], [], color=style.INK, drawstyle="steps", label=text))
    if data["unskilled"].any():
        reading.append(Patch(facecolor=style.SILENT, label=drawing.no_skill(options)))
    layout.legends(figure, {"Hessian of the": _loss_handles(), "How to read": reading})
    return figure, data


def _ranked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of each spectrum by sign and falling magnitude, with ranks."""
    data = rows.assign(positive=rows["eigenvalue"] > 0, magnitude=rows["eigenvalue"].abs())
    order = {block: i for i, block in enumerate(_blocks(data))}
    data["_block"] = data["block"].map(order)
    curve = ["_block", "step", "loss", "positive"]
    data = data.sort_values([*curve, "magnitude"], ascending=[True, True, False, False, False], kind="stable")
    data["rank"] = data.groupby(curve)["weight"].cumsum()
    nodes = data.groupby(["_block", "step", "loss", "probe"])["weight"].transform("size")
    resolved = data.groupby(curve[:3])["magnitude"].transform("max") / nodes**2
    rounding = _ROUNDING * data.groupby("_block")["magnitude"].transform("max")
    quadrature = (data["method"] == "lanczos") & (data["probe"] >= 0)  # else eigenvalues, known by themselves
    data["left_out"] = data["magnitude"] < resolved.where(quadrature, rounding)
    return data.drop(columns="_block").reset_index(drop=True)


def _spectrum_axes(axes: Axes, data: pd.DataFrame) -> None:
    """Logarithmic axes for all panels of a block; ranks below one, as weights of nodes give, are drawn at one."""
    drawn = data[~data["left_out"]]
    drawing.scale(axes, drawn[["magnitude"]], log=True)
    axes.set_xscale("log")
    axes.set_xlim(0.75, 1.35 * max(float(drawn["rank"].max()), 2.0))
    drawing.log_labels(axes.xaxis)


def _spectrum(axes: Axes, data: pd.DataFrame, loss: str) -> None:
    """Both signs of one loss; a node of Lanczos is a level, which all eigenvalues it stands for have on the axis."""
    _, colour, marker = drawing.PARTS[loss]
    for positive, part in data[~data["left_out"]].groupby("positive"):
        x, y = part["rank"].clip(lower=1), part["magnitude"]
        dense = (part["method"] == "dense").all()
        axes.plot(
            x, y, color=colour, linewidth=0.9, linestyle="-" if positive else drawing.DASHES,
            drawstyle="default" if dense else "steps-pre", zorder=2.5,
        )  # fmt: skip
        marked = drawing.some(len(part))
        axes.plot(
            x.iloc[marked], y.iloc[marked], color=colour, linestyle="none", marker=marker, markersize=style.DOT,
            markerfacecolor=colour if positive else "white", markeredgewidth=0.6, zorder=3,
        )  # fmt: skip


def spectra_notes(data: pd.DataFrame, options: Options) -> list[str]:
    """From how much spectra were computed and what is not drawn, for captions."""
    sentences = [*evidence(data.drop(columns="percent_low", errors="ignore"), options), *_time_note(data)]
    lanczos = data[data["method"] == "lanczos"]
    if len(lanczos):
        quadrature = lanczos[lanczos["probe"] >= 0]
        nodes = quadrature.groupby([*_BLOCK, "step", "probe"]).size()
        known = lanczos[lanczos["probe"] < 0].groupby([*_BLOCK, "step"]).size()
        blocks = ", ".join(dict.fromkeys(lanczos["block"]))
        sentences.append(
            f"Spectrum of {blocks}: "
            + (f"the {several(known)} outermost eigenvalues, and for the rest " if len(known) else "")
            + f"stochastic Lanczos, {quadrature['probe'].nunique()} random probes with {several(nodes)} nodes each, "
            "whose weights, and so ranks, are random; ranks below one are drawn at one. "
            "Nodes smaller than the largest over the square of their number are left "
            "out, as Lanczos does not tell eigenvalues there apart: at the last step "
            f"{_said(_share(lanczos, 'left_out'))}."
        )
    dense = data[data["method"] == "dense"]
    if dense["left_out"].any():
        sentences.append(
            f"Left out as zero to rounding, below {_ROUNDING:g} of the block's largest, are at the last step "
            f"{_said(_share(dense, 'left_out'))}."
        )
    if len(dense):
        dense = dense.assign(negative=~dense["positive"] & ~dense["left_out"])
        sentences.append(f"Negative at the last step: {_said(_share(dense, 'negative'))}.")
    return sentences


def _share(data: pd.DataFrame, flag: str) -> pd.Series:
    """Share of the eigenvalues that have a flag at the last step, by block and loss."""
    last = data[data["step"] == data["step"].max()]
    return (last["weight"] * last[flag] / last["block_parameters"]).groupby([last["block"], last["loss"]]).sum()


def _said(shares: pd.Series) -> str:
    """Shares in words."""
    said = [f"{100 * share:.3g} % ({block}, {loss})" for (block, loss), share in shares.items() if share]
    return ", ".join(said) or "none"


def hessian_summary(table: pd.DataFrame, options: Options) -> tuple[Figure, pd.DataFrame]:
    """Largest eigenvalue, also relative to the loss, trace, effective rank and condition numbers against step.

    Where tables have them, faint dots show the same from fewer rotations, larger the more there were.

    Args:
        table: One row per step, loss and block, of kind "hessian".
        options: What is drawn.

    Returns:
        The figure, a column of panels per block, and the rows with ``largest_relative``, the largest eigenvalue divided
        by the value of its loss, and the ends of the trace's interval.
    """
    data = at_times(of_analysis(table, options, _SUMMARY), (_TIME,))
    data["largest_relative"] = data["largest"] / data["loss_value"]
    half = data["trace_error"] * special.stdtrit((data["probes"] - 1).clip(lower=1), (1 + options.confidence) / 2)
    data["trace_low"], data["trace_high"] = data["trace"] - half, data["trace"] + half
    quantities = {name: text for name, text in _QUANTITIES.items() if name in data}
    blocks = _blocks(data)
    figure, grid = layout.sheet(layout.TWO, [1.35] * len(quantities), len(blocks))
    place = drawing.Steps(data["step"], log=True)
    for row, (name, label) in enumerate(quantities.items()):
        for column, block in enumerate(blocks):
            part = data[data["block"] == block]
            axes = figure.add_subplot(grid[row, column])
            place.dress(axes)
            _against_step(axes, part, name, place)
            last = row == len(quantities) - 1
            axes.tick_params(labelbottom=last)
            axes.set_xlabel(drawing.STEP if last else "")
            axes.set_title(_described(part).replace("\n", ", ") if row == 0 else "")
            axes.set_ylabel(label.format(unit=drawing.unit(data)) if column == 0 else "")
    reading = drawing.skills(options, drawing.no_skill(options))
    if not data["unskilled"].any():
        del reading[1]
    if data["trace_error"].any():
        text = f"{options.level} interval (trace)"
        reading.append(Line2D([], [], color=style.INK, linewidth=0.7, marker="|", label=text))
    if len(fewer := _fewer_rotations(data)):
        text = f"faint: from {several(fewer)} rotations"
        reading.append(Line2D([], [], color=style.MUTED, linestyle="none", marker=".", markersize=3, label=text))
    layout.legends(figure, {"Hessian of the": _loss_handles(), "How to read": reading})
    return figure, data


def _fewer_rotations(data: pd.DataFrame) -> pd.Series:
    """Numbers of rotations of the estimates from fewer than all."""
    if "series_rotations" not in data:
        return pd.Series(dtype=float)
    return data["series_rotations"].map(lambda series: series[:-1]).explode().dropna().astype(int)


def _against_step(axes: Axes, data: pd.DataFrame, name: str, place: drawing.Steps) -> None:
    """One quantity of both losses, and its interval if it has one."""
    series = data[_SERIES[name]].map(np.asarray) if _SERIES.get(name) in data else pd.Series(dtype=object)
    drawing.scale(axes, pd.DataFrame({name: np.r_[data[name], *series]}), log=True)
    for below, (loss, (_, colour, marker)) in zip((True, False), drawing.PARTS.items(), strict=True):
        part = data[data["loss"] == loss].sort_values("step")
        if part.empty:
            continue
        x = place(part["step"])
        if f"{name}_low" in part:
            half = (part[f"{name}_high"] - part[name]).where(part[name] > 0)
            axes.errorbar(x, part[name], half, linestyle="none", color=colour, linewidth=0.7, capsize=1.5)
        for place_of, values in zip(x, series.reindex(part.index), strict=True) if len(series) else ():
            sizes = 1.2 * np.arange(1, len(values)) ** 1.5
            axes.scatter([place_of] * len(sizes), values[:-1], sizes, color=colour, alpha=0.5, linewidths=0, zorder=2)
        look = {"width": style.WIDE, "size": style.BIG} if below else {}  # so that both are seen where they agree
        drawing.line(axes, x, part[name], part["unskilled"], place.log, True, colour, marker, **look)


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """From how much Hessians were computed, how far they converged, and numbers at the last step, for captions."""
    sentences = [*evidence(data.drop(columns="percent_low", errors="ignore"), options), *_time_note(data)]
    sentences.append(useful_note(options))
    if (data["estimator"] == "sampled").any():
        sentences.append(
            "With sampled rotations extreme eigenvalues are too far out, and those of the twirled loss can be "
            "negative, by sampling alone."
        )
        if "converged" in data:
            sentences.append(_convergence(data))
    for dense, rows in data.groupby("dense"):
        blocks = ", ".join(dict.fromkeys(rows["block"]))
        residuals = [f"{short(rows[f'residual_{end}'].max())} ({end})" for end in ("largest", "smallest")]
        how = "full spectrum" if dense else "extreme eigenvalues by Lanczos, trace and effective rank by random probes"
        sentences.append(
            f"Hessian of {blocks}: {how}; residuals of the extreme eigenvalues, |Hv − λv| relative to the largest |λ|, "
            f"at most {' and '.join(residuals)}, by {several(rows['products'])} Hessian-vector products."
        )
    last = data[data["step"] == data["step"].max()]
    for block, rows in last[last["dense"]].groupby("block", sort=False):
        said = [
            f"{drawing.PARTS[row.loss][0].lower()} {row.negative:,.0f} and {row.zeros:,.0f}"
            + (f", condition number (largest / smallest) {short(row.condition)}" if row.condition > 0 else "")
            for row in rows.itertuples()
        ]
        sentences.append(
            f"Of {rows['block_parameters'].iloc[0]:,} eigenvalues of {block}, negative and zero to rounding at the "
            f"last step: {'; '.join(said)}."
        )
        largest = rows["largest"].to_numpy()
        if len(largest) == 2 and np.isclose(largest[0], largest[1], rtol=1e-6):
            sentences.append(
                f"In {block} both losses have the same eigenvalues apart from zero, by the form of the network, so "
                "that neither can be better conditioned than the other."
            )
    if unseen := [name for name in ("largest", "trace") if (data[name] <= 0).any()]:
        sentences.append(f"Values of the {' and the '.join(unseen)} at or below zero cannot be drawn and are left out.")
    return sentences


def _convergence(data: pd.DataFrame) -> str:
    """How far extreme eigenvalues still move with the number of rotations."""
    known = data.dropna(subset="largest_change")
    if known.empty:
        return "There are no estimates from fewer rotations to compare with."
    few, many = known["series_rotations"].iloc[0][[-2, -1]].astype(int)
    said = [
        f"{drawing.PARTS[loss][0].lower()} by up to {short(round(100 * rows['largest_change'].max(), 1))} %, "
        f"{rows['converged'].sum()} of {len(rows)} spectra converged"
        for loss, rows in known.groupby("loss", sort=False)
    ]
    return (
        f"From {few} to {many} rotations the largest eigenvalue changes: {'; '.join(said)}, as neither it nor its "
        "ratio to the mean magnitude changes by more than 10 %."
    )


def _loss_handles() -> list[Line2D]:
    """Legend entries of the losses."""
    return [drawing.sample(colour, marker, label) for label, colour, marker in drawing.PARTS.values()]


def _time_note(data: pd.DataFrame) -> list[str]:
    """Which flow time is shown."""
    if "t" not in data:
        return []
    others = int(data["flow_times"].iloc[0]) - 1
    return [f"Flow time: t = {short(data['t'].iloc[0])}" + (f", of {others + 1} in the table." if others else ".")]


def _blocks(data: pd.DataFrame) -> list[str]:
    """Names of blocks, that of all parameters last."""
    return sorted(dict.fromkeys(data["block"]), key=lambda block: block == WHOLE)


def _described(data: pd.DataFrame) -> str:
    """A block's name and size, on two lines."""
    name, size = data[["block", "block_parameters"]].iloc[0]
    return f"{'All' if name == WHOLE else drawing.shortened(name, _LONGEST)}\n{size:,} parameters"


def _step_title(data: pd.DataFrame, step: int) -> str:
    """A step and how skilled the network is there."""
    skill = f", skill {data['skill'].iloc[0]:.2f}" if len(data) else ""
    return f"Step {step:,}{skill}".replace("-", "−")
