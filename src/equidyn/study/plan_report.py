"""The plan of a study as text."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from equidyn.study.limits import cuts
from equidyn.study.planning import (
    BF16_KEPT,
    SAFETY,
    SLACK,
    Plan,
    accelerator,
    analyses_of,
    analysis_gb,
    batch_size,
    evaluation_gb,
    fitting,
    held_out,
    limit,
    plan,
    sizes,
)


def report(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], analyses: Mapping[str, Any]) -> str:
    """The plan of a study as text: a table per task, totals, warnings, and what was assumed."""
    plans = {name: plan(config, row, analyses) for name, row in runs.items()}
    machine = accelerator(config)
    lines = [f"Study {config['study']} on {machine.name}; batch: portions x examples / devices", ""]
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        lines += [task, *_table({name: plans[name] for name, row in runs.items() if row["task"] == task}, runs), ""]
    lines += [*_totals(plans.values()), ""]
    warnings = [line for name, row in runs.items() for line in _warnings(config, row, plans[name], analyses)]
    if warnings := warnings + cuts(config):
        lines += [*(textwrap.fill(f"! {line}", _WIDTH, subsequent_indent="  ") for line in warnings), ""]
    return "\n".join([*lines, "Assumptions", *(f"  {line}" for line in _assumptions(config, runs))])


_COLUMNS = {
    "run": "l", "model": "l", "subset": "l", "batch": "l", "parameters": "r", "steps": "r", "kept": "r", "GB": "r",
    "wall h": "r", "device h": "r", "eval h": "r",
}  # fmt: skip
"""Columns of the tables, each aligned left or right."""

_WIDTH = 120


def _table(plans: Mapping[str, Plan], runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [tuple(_COLUMNS), *(_cells(runs[name], one) for name, one in plans.items()), _sums(plans.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], _WIDTH - 2 * len(widths) - sum(widths[1:]))
    signs = [{"l": "<", "r": ">"}[side] for side in _COLUMNS.values()]
    line = "  " + "  ".join(f"{{:{sign}{width}.{width}}}" for sign, width in zip(signs, widths, strict=True))
    return [line.format(_shortened(row[0], widths[0]), *row[1:]).rstrip() for row in rows]


def _cells(row: Mapping[str, Any], plan: Plan) -> Sequence[str]:
    cut = f"{plan.portions} x {plan.portion} / {plan.devices}"
    fits = " " if plan.portion <= plan.fitting else "!"
    numbers = f"{plan.parameters:,}", f"{row['steps']:,}", f"{plan.checkpoints:,}", f"{plan.memory_gb:.1f}{fits}"
    hours = map(_hours, (plan.hours, plan.device_hours, plan.evaluation_hours))
    return row["name"], row["model"], row["train_subset"], cut, *numbers, *hours


def _sums(plans: Iterable[Plan]) -> Sequence[str]:
    plans = list(plans)
    kept = f"{sum(plan.checkpoints for plan in plans):,}"
    hours = (_hours(sum(getattr(plan, name) for plan in plans)) for name in ("device_hours", "evaluation_hours"))
    return "in all", *[""] * 5, kept, "", "", *hours


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.3f}"


def _totals(plans: Iterable[Plan]) -> list[str]:
    plans = list(plans)

    def total(name: str) -> float:
        return sum(getattr(plan, name) for plan in plans)

    return [
        f"{len(plans)} runs, {total('checkpoints'):,} checkpoints of {total('checkpoint_gb'):,.0f} GB in all; hours on "
        "all devices together",
        f"  training    {_hours(total('device_hours')):>10}   {total('operations'):.2e} operations",
        f"  evaluation  {_hours(total('evaluation_hours')):>10}   {total('evaluation_operations'):.2e} operations",
        f"  analyses    {_hours(total('analysis_hours')):>10}",
    ]


def _warnings(
    config: Mapping[str, Any], row: Mapping[str, Any], plan: Plan, analyses: Mapping[str, Any]
) -> Iterator[str]:
    """Warnings of what will fail."""
    machine, task = accelerator(config), row["task"]
    if plan.portion > plan.fitting:
        yield (
            f"{row['name']}: training with {plan.portion} at once needs {plan.memory_gb:.0f} of {machine.memory_gb:g} "
            f"GB; {plan.fitting} would fit: lower training.{task}.microbatch"
        )
    if plan.evaluation_gb > machine.memory_gb:
        count = batch_size(config, row)
        fits = fitting(machine.memory_gb, count, lambda size: evaluation_gb(config, row, size))
        yield (
            f"{row['name']}: evaluation with {count} at once needs {plan.evaluation_gb:.0f} of "
            f"{machine.memory_gb:g} GB; {fits} would fit: lower evaluation.{task}.batch_size"
        )
    for card in analyses_of(config, row, analyses):
        needed = analysis_gb(config, row, card, batch_size(config, row, card))
        where = f"analysis.{card.name}.{task}"
        if needed > machine.memory_gb:
            yield f"{row['name']}: {where} needs {needed:.0f} of {machine.memory_gb:g} GB: use fewer examples at once"


def _assumptions(config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    machine = accelerator(config)
    memory = f"{machine.memory_gb:g} GB" if math.isfinite(machine.memory_gb) else "memory of the host"
    peaks = ", ".join(f"{name} {getattr(machine, name):g}" for name in ("fp64", "fp32", "tf32", "bf16"))
    traffic = f" at {machine.bandwidth:g} · 10¹² bytes/s" if math.isfinite(machine.bandwidth) else ""
    yield f"{machine.name}: {memory}{traffic}; peaks of {peaks} · 10¹² operations/s, {machine.utilisation:.0%} reached;"
    yield f"  at least {1e6 * machine.launch:g} µs for each piece of a network; exchange between devices is not counted"
    yield "memory: weights, gradients, averages and moments; activations kept for the backward pass,"
    yield f"  x {SLACK:g} for temporary ones, x {BF16_KEPT:g} under autocast; {machine.reserve_gb:g} GB for libraries"
    longest = limit(config, "runtime")
    yield f"jobs: the requested time is {SAFETY:g} x the estimate and at most {longest:,} minutes; then others go on"
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        about = sizes(config, task, 1).text
        source = f"{task}, source {config['data'][task]['source']}"
        yield f"{source}: {about}; about {held_out(config, task):,} examples held out"
