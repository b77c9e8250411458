"""What training buys: held-out loss against compute, beside exactly equivariant networks.

What is compared at equal cost is what the claims compare (`equidyn.claims.budgets`), of the same trainings.
The conventions of all figures are in `equidyn.figures.parts.drawing`. Step 0 has cost nothing and stands at the left
end.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from equidyn.claims.budgets import Contest, contests, trainings, unfit
from equidyn.claims.evidence import Curves, Training, Untestable
from equidyn.core.numbers import short
from equidyn.figures.parts import drawing, layout, style
from equidyn.figures.parts.captions import evidence
from equidyn.figures.parts.options import Options
from equidyn.figures.parts.panels import by_run, has_replicates
from equidyn.figures.parts.times import validation_loss
from equidyn.figures.parts.variations import MODEL_SIZE
from equidyn.study.choice import OPPONENT
from equidyn.study.costs import losses_by_compute
from equidyn.study.selection import chosen, is_control, need, settings, shown, varying

LOSS, RATIO = "loss", "ratio"
_LOSSES = ("total", "twirled", "null_loss")
_COSTS = ("step_flops", "prediction_flops")
_TIMED = "timed_seconds_per_step"  # of studies that time steps
_AXES = {"training_flops": ("compute", "FLOP"), "training_seconds": ("time", "s")}
"""Columns of what training has cost until a step, one of which a figure has: what they are called, and their unit."""
_LOOKS = {
    "subject": (style.PALETTE[0], "o"),
    "averaged": drawing.PARTS["twirled"][1:],
    "control": (style.PALETTE[2], "^"),
}
_OTHERS = [(style.PALETTE[i], marker) for i, marker in ((3, "D"), (5, "v"), (7, "P"), (1, "X"))]
_BEHIND = (style.WIDE, style.BIG)  # width and marker of a line that shows behind one that it nearly equals
_LINE, _THIN = (style.LINE, style.MARKER), (style.THIN, style.DOT)
_NULL = {"color": style.MUTED, "linewidth": 0.8, "linestyle": ":"}


def loss_against_compute(
    evaluation: pd.DataFrame, costs: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """Held-out loss against operations of training: of the baseline, other sizes and controls, and ratios to one.

    Args:
        evaluation: Evaluation table.
        costs: Of `equidyn.study.costs.with_measured`.
        options: What to draw.

    Returns:
        The figure, and what it shows: rows of the ``panel`` "loss", one per evaluation, and of "ratio", one for each
        seed of the baseline, control and cost at which a training of either counts, until the largest common budget,
        where a ``reason`` says why a control is not compared.

    Raises:
        ValueError: As `losses_by_compute` and `equidyn.study.selection.varying`; or columns are missing.
    """
    return _loss_against(evaluation, costs, options, "training_flops")


def loss_against_seconds(
    evaluation: pd.DataFrame, costs: pd.DataFrame, timings: pd.DataFrame, options: Options
) -> tuple[Figure, pd.DataFrame]:
    """The same, against seconds of steps timed in turns, `timings`, which costs have from `with_timings`."""
    need(timings, ["name"])
    return _loss_against(evaluation, costs, options, "training_seconds")


def _loss_against(
    evaluation: pd.DataFrame, costs: pd.DataFrame, options: Options, axis: str
) -> tuple[Figure, pd.DataFrame]:
    options = options.at_equal_cost
    table = chosen(losses_by_compute(evaluation, costs), options)
    sizes = varying(table, options.baseline, MODEL_SIZE.columns, all_lengths=True)
    alike = varying(table, options.baseline, OPPONENT, include_controls=True, all_lengths=True)
    rows = pd.concat([sizes, alike[is_control(alike) & ~alike["run"].isin(sizes["run"])]], ignore_index=True)
    by_time = "t" in rows and rows["t"].notna().all()
    known = [_TIMED] if _TIMED in rows else []
    columns = [*_LOSSES, axis, *_COSTS, *known, *(["t", "self_conditioning"] if by_time else [])]
    data = shown(rows, columns, options, MODEL_SIZE.names(rows, options)).drop(columns="floor_control")
    if by_time:
        data = _over_times(data)
    data = _judged(data.assign(panel=LOSS, role=_roles(data, options)), options)
    ratios = _ratios(data, options, axis)
    drawable = _strongest(ratios)
    what, unit = _AXES[axis]
    figure, panels = layout.stacked(*([2.6, 1.15] if len(drawable) else [2.9]))
    place = drawing.Steps(data[axis], log=True)
    handles = _draw_losses(panels[0], data, place, options)
    place.dress(panels[-1])
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda x, _: "0" if x < place.first / 2 else short(x)))
    panels[-1].set_xlabel(f"Training {what} ({unit})")
    reading = drawing.skills(options, drawing.no_skill(options))
    if has_replicates(data):
        said = "thin: further seeds, lengths or learning rates"
        reading.append(Line2D([], [], color=style.INK, linewidth=style.THIN, label=said))
    if options.anneals:
        text = "ring: a schedule ends, which alone is compared"
        reading.append(Line2D([], [], color=style.INK, label=text, **drawing.RING))
    reading += drawing.averages(data)
    if len(drawable):
        reading += _draw_ratios(panels[1], drawable, place)
        panels[1].set_ylabel(f"Loss / control's\nat equal {what}")
    layout.legends(figure, {"Network": handles, "How to read": reading})
    return figure, pd.concat([data, ratios], ignore_index=True) if len(ratios) else data


def notes(data: pd.DataFrame, options: Options) -> list[str]:
    """How losses were estimated, what averaging, training and the control cost, and what has no place, for captions."""
    rows, ratios = data[data["panel"] == LOSS], data[data["panel"] == RATIO]
    sentences = evidence(rows, options)
    if "times" in rows:
        sentences.append(
            f"Loss: the mean over {int(rows['times'].iloc[0])} flow times of the error divided by (1 − t)², its "
            "weight in training."
        )
    models = rows.drop_duplicates("series")
    said = ", ".join(f"{short(row.prediction_flops)} FLOP ({row.model})" for row in models.itertuples())
    closed = (rows.loc[rows["role"] == "subject", "estimator"] == "exact").all()
    sentences.append(
        f"One prediction takes {said}. Averaging over K rotations takes K times as many and leaves 1/K of the "
        "equivariance error; drawn is the limit of large K"
        + (", which this network has in closed form, in one pass." if closed else ".")
    )
    controls = rows[rows["role"] == "control"]
    strongest = _strongest(ratios)
    if controls.empty:
        sentences.append(
            "The study has no equivariant control trained on the same data in the same way, so that nothing is "
            f"compared at equal {_AXES[_axis(rows)][0]}."
        )
    if len(ratios):
        sentences += [f"{row.model} is not compared: {row.reason}." for row in ratios.itertuples() if row.reason]
    if len(strongest):
        sentences.append(_verdict(ratios, strongest, options))
    if len(controls) and not options.control_is_exact(controls):
        control = (strongest["control"] if len(strongest) else controls["run"]).iloc[0]
        last = controls[controls["run"] == control].iloc[-1]
        sentences.append(
            "The control is equivariant under the rotations of a cube alone: of its last loss here, "
            f"{short(100 * (1 - last['twirled'] / last['total']))} % is equivariance error."
        )
    sentences.append(
        f"Dashed lines with open markers: the skill (1 − loss / loss of {options.words.null}, {options.words.remark}) "
        f"of what is drawn, or of either loss in a ratio, is below {options.limit}: it predicts "
        "nothing useful yet."
    )
    if (rows[["total", "twirled"]] <= 0).any(axis=None):
        sentences.append("Estimates at or below zero cannot be drawn and are left out.")
    return sentences


def _over_times(data: pd.DataFrame) -> pd.DataFrame:
    """One row per run and step: losses as in validation, over all flow times."""
    means = {name: validation_loss(data, name) for name in drawing.with_averages(data, list(_LOSSES))}
    data = data.assign(**means, times=data["t"].nunique())
    return data.drop_duplicates(["run", "step"]).drop(columns="t").reset_index(drop=True)


def _roles(data: pd.DataFrame, options: Options) -> np.ndarray:
    """What each row is for: the subject, another size of it, or the control."""
    subject = data["model"] == data.loc[data["run"] == options.baseline, "model"].iloc[0]
    return np.select([subject, is_control(data)], ["subject", "control"], "other size")


def _judged(data: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Skill of the losses as drawn, and whether the network, or its average over rotations, is unskilled."""
    skill = 1 - data["total"] / data["null_loss"]
    averaged = 1 - data["twirled"] / data["null_loss"]
    useful = options.useful_skill
    return data.assign(skill=skill, unskilled=~(skill >= useful), unskilled_averaged=~(averaged >= useful))


def _axis(data: pd.DataFrame) -> str:
    """The column of costs that a figure's rows have."""
    return next(name for name in _AXES if name in data)


def _ratios(data: pd.DataFrame, options: Options, axis: str) -> pd.DataFrame:
    """Losses of each seed of the baseline, and of its average, over those of each control, as claims compare them."""
    unit = _AXES[axis][1]

    def train(run: str) -> Training:
        rows = data[data["run"] == run]
        if rows[axis].isna().any():
            raise Untestable(f"what a step of run {run!r} costs in {unit} is not known")
        losses = {name: rows[name].to_numpy(dtype=float)[None, None] for name in ("total", "twirled", "null_loss")}
        spread = losses["total"] - losses["twirled"]
        curves = Curves(
            rows["step"].to_numpy(), np.zeros(1), 100 * spread / losses["total"], losses["total"], spread,
            losses["null_loss"],
        )  # fmt: skip
        return Training(run, rows["model"].iloc[0], rows["seed"].iloc[0], rows[axis].to_numpy(dtype=float), curves)

    try:
        compared = trainings(settings(data).to_dict("index"), options.baseline, options.anneals, train)
    except Untestable as lack:
        return pd.DataFrame([{"panel": RATIO, "model": "the baseline", "reason": str(lack)}])
    every, budget, lacks = contests(compared)
    lacks |= {each.model: told for each in every if (told := unfit(each, budget, options.useful_skill, unit))}
    fit = [each for each in every if each.model not in lacks]
    parts = [pd.DataFrame([{"panel": RATIO, "model": model, "reason": lack}]) for model, lack in lacks.items()]
    parts += [_course(each, seed, budget, options, axis) for each in fit for seed in range(len(each.pairs))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _course(contest: Contest, seed: int, budget: float, options: Options, axis: str) -> pd.DataFrame:
    """Ratios of one seed at all costs until the largest common budget."""
    ours, theirs = contest.pairs[seed]
    rows = []
    for cost in dict.fromkeys([*contest.common(seed, budget), budget]):
        row: dict[str, object] = {"panel": RATIO, "role": "subject", "model": contest.model, "reason": ""}
        row |= {"run": ours.best(budget), "control": theirs.best(budget), axis: cost, "budget": budget}
        for averaged, suffix in ((False, ""), (True, "_averaged")):
            found = contest.ratio(seed, cost, averaged)
            row |= {f"ratio{suffix}": found.value[0], f"ratio{suffix}_low": found.lower[0]}
            row[f"ratio{suffix}_high"] = found.upper[0]
            skill = min(ours.skill(cost, averaged), theirs.skill(cost))
            row[f"unskilled{suffix}"] = not skill >= options.useful_skill
        rows.append(row)
    return pd.DataFrame(rows)


def _strongest(ratios: pd.DataFrame) -> pd.DataFrame:
    """Ratios to the control that the baseline does worst against at the largest common budget, if there is one."""
    if "ratio" not in ratios:
        return ratios[:0]
    ends = ratios[ratios[_axis(ratios)] == ratios["budget"]]
    return ratios[ratios["model"] == ends.groupby("model")["ratio"].median().idxmax()]


def _draw_losses(axes: Axes, data: pd.DataFrame, place: drawing.Steps, options: Options) -> list[Line2D]:
    """Losses of all runs, and the null loss; entries of the legend."""
    drawing.scale(axes, drawing.with_averages(data, list(_LOSSES)), log=True)
    axes.set_ylabel(f"Held-out {_kind(data)}loss ({drawing.unit(data)})")
    axes.axhline(data["null_loss"].iloc[0], zorder=1, **_NULL)
    looks = _looks(data)
    for series, (colour, marker) in reversed(looks.items()):
        for part, main in reversed(by_run(data[data["series"] == series])):
            role = part["role"].iloc[0]
            thin = not main or role == "other size"
            sizes = _THIN if thin else _BEHIND if role == "subject" else _LINE
            _line(axes, part, "total", place, colour, marker, *sizes)
            if options.anneals and role != "other size":
                axes.plot(place(part[_axis(part)])[-1], part["total"].iloc[-1], color=colour, **drawing.RING)
            if main:
                drawing.average(axes, place(part[_axis(part)]), part, "total", colour, log_y=True)
    averaged = data[data["run"] == options.baseline]
    _line(axes, averaged, "twirled", place, *_LOOKS["averaged"], suffix="_averaged")
    handles = [
        drawing.sample(colour, marker, _described(data[data["series"] == series]))
        for series, (colour, marker) in looks.items()
    ]
    handles.insert(1, drawing.sample(*_LOOKS["averaged"], "baseline, averaged over rotations at test time"))
    return [*handles, Line2D([], [], label=f"loss of {options.words.null}", **_NULL)]


def _kind(data: pd.DataFrame) -> str:
    """What distinguishes the loss from the mean squared error."""
    return "weighted " if "times" in data else ""


def _draw_ratios(axes: Axes, ratios: pd.DataFrame, place: drawing.Steps) -> list[Line2D]:
    """Ratios to a control at equal cost, with ends where a loss is not known; entries of the legend."""
    names = [f"ratio{suffix}{end}" for suffix in ("", "_averaged") for end in ("", "_low", "_high")]
    drawing.scale(axes, ratios[names], log=True, include=1.0)
    for part, main in reversed(by_run(ratios)):
        _ratio(axes, part, "", place, *_LOOKS["subject"], *(_BEHIND if main else _THIN))
        if main:
            _ratio(axes, part, "_averaged", place, *_LOOKS["averaged"], *_LINE)
    axes.axhline(1, zorder=1, **drawing.THRESHOLD)
    reading = [Line2D([], [], label="as good as the control", **drawing.THRESHOLD)]
    if (ratios["ratio_low"] < ratios["ratio_high"]).any():
        reading.append(Line2D([], [], label="range: between losses at costs far apart", **drawing.BAR))
    return reading


def _ratio(
    axes: Axes, part: pd.DataFrame, suffix: str, place: drawing.Steps, colour: str, marker: str, width: float,
    size: float,
) -> None:  # fmt: skip
    _line(axes, part, f"ratio{suffix}", place, colour, marker, width, size, suffix=suffix)
    open_ended = part[part[f"ratio{suffix}_low"] < part[f"ratio{suffix}_high"]]
    x, ends = place(open_ended[_axis(part)]), open_ended[[f"ratio{suffix}_low", f"ratio{suffix}_high"]]
    axes.vlines(x, *ends.to_numpy().T, color=colour, linewidth=0.9, alpha=0.6)


def _line(
    axes: Axes,
    part: pd.DataFrame,
    name: str,
    place: drawing.Steps,
    colour: str,
    marker: str,
    width: float = style.LINE,
    size: float = style.MARKER,
    *,
    suffix: str = "",
) -> None:
    x = place(part[_axis(part)])
    drawing.line(axes, x, part[name], part[f"unskilled{suffix}"], True, True, colour, marker, width, size)


def _looks(data: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Colour and marker of each model: the subject, the control, then other sizes in their order."""
    rank = {"subject": 0, "control": 1, "other size": 2}
    models = data.drop_duplicates("series")
    models = models.assign(rank=models["role"].map(rank)).sort_values(["rank", "parameters"], kind="stable")
    own, others = dict(_LOOKS), cycle(_OTHERS)
    return {row.series: own.pop(row.role) if row.role in own else next(others) for row in models.itertuples()}


def _described(curves: pd.DataFrame) -> str:
    """What the legend says of a model: its role, and what a step costs."""
    first, runs = curves.iloc[0], curves["run"].nunique()
    said = ["equivariant"] * (first["role"] == "control") + [f"{runs} runs"] * (runs > 1)
    name = ", ".join([first["series"], *said])
    costs = [f"{short(first['step_flops'])} FLOP a step"]
    if _TIMED in curves and not pd.isna(first[_TIMED]):
        costs.append(f"{short(1e3 * first[_TIMED])} ms a step")
    return "\n ".join([name, *costs])


def _verdict(ratios: pd.DataFrame, strongest: pd.DataFrame, options: Options) -> str:
    """What is found at the largest common budget, of the baseline's first seed."""
    unit = _AXES[_axis(ratios)][1]
    counted = "trainings, each by a whole schedule," if options.anneals else "trainings so far"
    last = strongest[strongest["run"] == strongest["run"].iloc[0]].iloc[-1]
    said = {
        suffix: f"{last[f'ratio{suffix}']:.3g}"
        + (
            f" ({last[f'ratio{suffix}_low']:.3g} to {last[f'ratio{suffix}_high']:.3g}, as none ends there)"
            if last[f"ratio{suffix}_low"] < last[f"ratio{suffix}_high"]
            else ""
        )
        for suffix in ("", "_averaged")
    }
    others = ratios[(ratios[_axis(ratios)] == ratios["budget"]) & (ratios["model"] != last["model"])]
    weaker = ", ".join(f"{row.ratio:.3g} ({row.model})" for row in others.drop_duplicates("model").itertuples())
    return (
        f"Ratios are of the lowest losses of {counted} on these same held-out data. At {short(last['budget'])} {unit}, "
        f"the largest common budget, the baseline has {said['']} times the loss of {last['control']}, and averaged "
        f"over rotations {said['_averaged']} times" + (f"; of weaker controls: {weaker}." if weaker else ".")
    )
