"""The limits of a cluster: what fits into its jobs in parts, and which studies cannot.

Trainings, evaluations and analyses resume where an earlier job of theirs ended, so that only what a single job must
finish has to fit: some training steps until the state is saved, one kind of weights of one checkpoint, a step of an
analysis.

Imports nothing heavy: the workflow checks the study each time it is parsed.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from equidyn.core.settings import StudyError
from equidyn.study.config import protocol
from equidyn.study.planning import (
    LIMITS,
    SAFETY,
    analyses_of,
    analysis_hours,
    compiling_hours,
    data_needs,
    evaluation_hours,
    evaluation_parts,
    limit,
    needs,
    step_hours,
    training_hours,
)

STARTING = 0.5 / 60
"""Hours until a job has started Python, imported PyTorch and opened its data."""


RETRIES = 5
"""Retries of a job that comes no further, as in the profile for SLURM; jobs that must go on in others have more."""


def check_limits(
    config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], analyses: Mapping[str, Any], source: str
) -> None:
    """Check that every job of a study that networks run in fits into the limits of its cluster, by plan.

    Raises:
        StudyError: Lists each job that does not, with what to change.
    """
    if "cluster" in config and not config.get("archive"):
        found = [problem for row in runs.values() for problem in _problems(config, row, analyses)]
        if found:
            raise StudyError("\n".join(f"{source}: {problem}" for problem in found))


def cuts(config: Mapping[str, Any]) -> list[str]:
    """Where jobs that read all data of a task get less than they are thought to need: that they may fail, and why."""
    return [
        f"data.{task}: the job for its {kind} may need {needed:,} {unit}, and gets {limit(config, resource):,}, "
        f"cluster.{LIMITS[resource]}: should it fail, raise that, or make the data elsewhere"
        for task in config["data"]
        # A store is made in as many jobs as it takes.
        for kind, resource, unit in (
            ("store", "mem_mb", "MB"),
            ("description", "mem_mb", "MB"),
            ("description", "runtime", "minutes"),
        )
        if (needed := data_needs(config, task, kind)[resource]) > limit(config, resource)
    ]


def retries(
    config: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], analyses: Mapping[str, Any], stage: str
) -> int | None:
    """Retries of jobs of a stage, of which some must go on in further jobs.

    Args:
        config: The study's configuration, checked.
        runs: Rows of the run table by name.
        analyses: Cards of all analyses of checkpoints by name.
        stage: "data", "training", "evaluation" or "analysis".

    Returns:
        As many as the longest work takes jobs after the first, and `RETRIES`; None if one job is enough for all, so
        that the profile decides.
    """
    if stage == "data":
        minutes = max(data_needs(config, task, "store")["runtime"] for task in config["data"])
        further = [math.ceil(minutes / limit(config, "runtime")) - 1]
    else:
        kinds = [(row, analyses_of(config, row, analyses) if stage == "analysis" else [stage]) for row in runs.values()]
        further = [further_jobs(config, row, kind) for row, found in kinds for kind in found]
    return number + RETRIES if (number := max(further, default=0)) else None


def further_jobs(config: Mapping[str, Any], row: Mapping[str, Any], kind: Any) -> int:
    """Jobs after the first that work takes on a cluster: "training", "evaluation" or the card of an analysis of a run.

    It may take longer than planned, by as much as jobs ask for more time.
    """
    (hours, alone), longest = _hours(config, row, kind), limit(config, "runtime") / 60
    if "cluster" not in config or SAFETY * hours <= longest:
        return 0
    # What starts more slowly than that is refused. Trainings save their state when their time is up.
    lost = _starting(config, row, kind) + (0 if kind == "training" else alone)
    useful = max(longest - lost, longest / 10)
    return math.ceil(SAFETY * hours / useful) - 1


def _hours(config: Mapping[str, Any], row: Mapping[str, Any], kind: Any) -> tuple[float, float]:
    """Hours of work that goes on in further jobs where one has no time for it, and of what a single job must finish."""
    if kind == "training":
        saving = training_hours(config, row, config["training"]["state_every"]) - compiling_hours(config, row)
        return training_hours(config, row), saving
    if kind == "evaluation":
        alone = evaluation_hours(config, row, 1) / len(protocol(config, row)["weights"])
        return evaluation_hours(config, row, len(evaluation_parts(config, row)[0])), alone
    return analysis_hours(config, row, kind), step_hours(config, row, kind)


def _starting(config: Mapping[str, Any], row: Mapping[str, Any], kind: Any) -> float:
    """Hours until a job begins to do what it is for."""
    return STARTING + (compiling_hours(config, row) if kind == "training" else 0.0)


def _problems(config: Mapping[str, Any], row: Mapping[str, Any], analyses: Mapping[str, Any]) -> Iterator[str]:
    """What of a run does not fit."""
    for kind in ("training", "evaluation", *analyses_of(config, row, analyses)):
        place = f"{kind if isinstance(kind, str) else f'analysis.{kind.name}'}.{row['task']}"
        asked, said = needs(config, row, kind), f"run {row['name']!r}, {place}"
        if asked["gpu"] > (most := limit(config, "gpu")):
            yield f"{said}: {asked['gpu']} GPUs, but cluster.max_gpus is {most}; lower training.devices"
        if asked["mem_mb"] > (most := limit(config, "mem_mb")):
            remedy = f"training.devices or {place}.microbatch" if kind == "training" else f"{place}.batch_size or folds"
            yield f"{said}: {asked['mem_mb']:,} MB, but cluster.max_memory_mb is {most:,}; lower {remedy}"
        minutes = 60 * (_hours(config, row, kind)[1] + _starting(config, row, kind))
        if minutes > (most := limit(config, "runtime")):
            if kind == "training":
                what, remedy = f"{config['training']['state_every']:,} steps", "training.state_every"
            else:
                step = not isinstance(kind, str) and kind.step
                what, remedy = f"a {'step' if step else 'checkpoint'}", f"{place}.examples or rotations"
            yield (
                f"{said}: {what} must fit into a job: {math.ceil(minutes):,} minutes by plan, but "
                f"cluster.max_runtime is {most:,}; lower {remedy}"
            )
