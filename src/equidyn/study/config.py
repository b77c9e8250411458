"""Checks of a study's configuration and run table before any job starts, and what follows from both.

Imports nothing heavy: the workflow calls it each time it is parsed.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from equidyn.core.groups.card import group_card
from equidyn.core.settings import StudyError
from equidyn.core.tables import read_rows
from equidyn.models.card import Configuration
from equidyn.models.registry import configuration, configurations
from equidyn.run.protocol import CommonEvaluation
from equidyn.run.recipe import IDENTITY, Learned, Run, Schedule
from equidyn.study.choice import symmetries
from equidyn.study.near import near
from equidyn.study.sections import check_sections
from equidyn.study.sources import wanted_datasets
from equidyn.tasks.registry import task_card, task_name


def with_names(config: Mapping[str, Any], source: str = "config") -> dict[str, Any]:
    """The configuration with the names of tasks as keys, where it has the cards of tasks of other packages.

    Args:
        config: The merged configuration, unchecked.
        source: Name of the file or files, for messages.

    Raises:
        StudyError: A key of ``data`` names no card, or a task has two entries in a section.
    """
    data = config.get("data")
    cards = [key for key in data if ":" in str(key)] if isinstance(data, Mapping) else []
    try:
        return _renamed(config, {card: task_name(card) for card in cards}, "")
    except ValueError as error:
        raise StudyError(f"{source}: {error}") from None


def _renamed(section: Mapping[str, Any], names: Mapping[str, str], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        name = names.get(key, key)
        if name in found:
            raise ValueError(f"{where}{name}: given twice, by the task's name and by its card, or by two cards")
        found[name] = _renamed(value, names, f"{where}{name}.") if isinstance(value, Mapping) else value
    return found


def check_config(config: Mapping[str, Any], analyses: Mapping[str, Any], source: str = "config") -> None:
    """Check a study's configuration.

    Args:
        config: The merged configuration.
        analyses: Cards of all analyses of checkpoints by name.
        source: Name of the file or files, for messages.

    Raises:
        StudyError: Lists every unknown key, wrong type or value, with a suggestion where one is close.
    """
    check_sections(config, analyses, source)
    if empty := next(_empty(config), None):
        raise StudyError(f"{source}: {empty}: empty; give it a value, or leave the key out")
    if config.get("results") == "archive":
        raise StudyError(f"{source}: results: names a folder; to draw from tables that are there, set archive: true")
    if not config["data"]:
        raise StudyError(f"{source}: data: no task has data; add one")
    if "png" not in config["figures"]["formats"]:
        raise StudyError(f"{source}: figures.formats: the report shows PNG; add 'png'")
    steps = config["training"]["checkpoint_steps"]
    if isinstance(steps, list) and steps != sorted(set(steps)):
        raise StudyError(f"{source}: training.checkpoint_steps: steps must increase, found {steps}")
    for where, _ in wanted_datasets(config).values():
        if "downloads" not in config:
            raise StudyError(f"{source}: downloads: missing, although {where} is downloaded; give registry and folder")
    for task, data in config["data"].items():
        for section in ("training", "evaluation"):
            if task not in config[section]:
                raise StudyError(f"{source}: {section}.{task}: missing, although data.{task} is there")
        for name in ("train", "validation"):
            if name in data["subsets"]:
                raise StudyError(f"{source}: data.{task}.subsets.{name}: the split has this name; choose another")
        _check_symmetries(config, task, source)
        _check_weights(config, task, source)
    _check_floors(config, source)
    _check_devices(config, source)


def read_runs(path: str | Path, config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read a run table: tab-separated, one row per training run (see `equidyn.run.recipe.Run`).

    Args:
        path: The table.
        config: The study's configuration, in which tasks and subsets must exist.

    Returns:
        Rows by run name, cells typed.

    Raises:
        StudyError: Names the file, row and column.
    """
    runs: dict[str, dict[str, Any]] = {}
    try:
        rows = read_rows(path, Run, "run table")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such run table: check run_table in the configuration") from None
    for where, row in rows:
        if row.name in runs:
            raise StudyError(f"{where}: the name appears twice; run names must differ")
        try:
            runs[row.name] = row.model_dump() | {"task": task_name(row.task)}
        except ValueError as error:
            raise StudyError(f"{where}, task: {error}") from None
        _check_run(where, runs[row.name], config)
    return runs


def check_figures(config: Mapping[str, Any], runs: Mapping[str, Any]) -> None:
    """Check the settings of figures against the runs.

    Raises:
        StudyError: The baseline is not a run, or its weights are not evaluated.
    """
    figures, evaluation = config["figures"], config["evaluation"]
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        names = [name for name, row in runs.items() if row["task"] == task]
        baseline = figures["baseline"].get(task)
        if baseline not in names:
            raise StudyError(
                f"config: figures.baseline.{task}: {baseline!r} is not a run of this task in "
                f"{config['run_table']}; its runs: {', '.join(names)}{near(baseline, names)}"
            )
    if figures["weights"] not in evaluation["weights"]:
        raise StudyError(
            f"config: figures.weights: {figures['weights']!r} is not evaluated; evaluation.weights has: "
            f"{', '.join(evaluation['weights'])}{near(figures['weights'], evaluation['weights'])}"
        )


def check_analyses(config: Mapping[str, Any], runs: Mapping[str, Any], analyses: Mapping[str, Any]) -> None:
    """Check the settings of analyses of checkpoints against runs, kept steps and evaluated conditions.

    Raises:
        StudyError: A run is not one of the task's, the baseline is missing, a step is not kept, or a condition is not
            evaluated.
    """
    for analysis, card in analyses.items():
        for task, settings in config["analysis"].get(analysis, {}).items():
            of_task = [name for name, row in runs.items() if row["task"] == task]
            if of_task:  # the run table may leave a task out
                where = f"config: analysis.{analysis}.{task}"
                _check_runs(where, config, task, settings, of_task)
                _check_steps(where, config, analysis, [runs[name] for name in settings["runs"]])
                _check_conditions(where, config, task, settings, card)


def _check_runs(
    where: str, config: Mapping[str, Any], task: str, settings: Mapping[str, Any], there: list[str]
) -> None:
    if unknown := [name for name in settings["runs"] if name not in there]:
        raise StudyError(
            f"{where}.runs: {unknown[0]!r} is not a run of this task; its runs: {', '.join(there)}"
            f"{near(unknown[0], there)}"
        )
    if (baseline := config["figures"]["baseline"][task]) not in settings["runs"]:
        raise StudyError(f"{where}.runs: figures show the baseline: add {baseline!r}")


def _check_steps(where: str, config: Mapping[str, Any], analysis: str, runs: list[Mapping[str, Any]]) -> None:
    for row in runs:
        kept = kept_steps(config, row)
        if missing := [step for step in analysis_steps(config, analysis, row) if step not in kept]:
            raise StudyError(f"{where}.steps: run {row['name']!r} keeps no step {missing[0]}; it keeps {kept}")


def _check_conditions(where: str, config: Mapping[str, Any], task: str, settings: Mapping[str, Any], card: Any) -> None:
    evaluated = config["evaluation"][task].get("conditions", {})
    for name, values in settings.get("conditions", {}).items():
        if missing := [value for value in values if value not in evaluated.get(name, [])]:
            raise StudyError(
                f"{where}.conditions.{name}: {missing[0]!r} is not evaluated: add it to "
                f"evaluation.{task}.conditions.{name}"
            )
    for pair in settings.get("symmetries", there := symmetries(config, task)):
        group, comparison = pair["group"], pair["comparison"]
        if pair not in there:
            raise StudyError(
                f"{where}.symmetries: {comparison!r} under {group!r} is not evaluated: add it to "
                f"evaluation.{task}.symmetries"
            )
        if reason := card.cannot.get(comparison) or card.cannot_under(group):
            raise StudyError(
                f"{where}.symmetries: this analysis cannot use {comparison!r} under {group!r}: {reason}; give others "
                "of those that are evaluated"
            )


def checkpoint_steps(plan: list[int] | Mapping[str, int], last: int) -> list[int]:
    """The steps at which a run keeps its weights, known before it starts.

    Args:
        plan: Either the steps themselves (those beyond `last` are left out), or ``{"per_decade": n}`` for step 0 and n
            steps per factor of ten, evenly spaced in log.
        last: The run's number of steps, always kept.

    Returns:
        Ascending steps.
    """
    if isinstance(plan, list):
        steps = {step for step in plan if step <= last}
    else:
        per_decade = plan["per_decade"]
        steps, power = {0}, 0
        while (step := round(10 ** (power / per_decade))) <= last:
            steps.add(step)
            power += 1
    return sorted(steps | {last})


def recipe(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `equidyn.run.recipe.Recipe`: the run's row, its network, and the settings of its task."""
    training = config["training"]
    common = {name: training[name] for name in ("precision", "compile", "deterministic") if name in training}
    shared = {name: value for name, value in training[row["task"]].items() if name not in ("task", "microbatch")}
    group = {"group": augmenting_group(config, row["task"])}
    return (
        common | shared | group | {name: row[name] for name in Learned.model_fields} | model_of(config, row).built_from
    )


def augmenting_group(config: Mapping[str, Any], task: str) -> str:
    """The group whose elements augmentation applies to examples of a task, the task's usual one if none is named."""
    return config["training"][task].get("group", task_card(task).group)


def model_of(config: Mapping[str, Any], row: Mapping[str, Any]) -> Configuration:
    """The model of a run, of this package or of the study's own file of sizes."""
    return configuration(row["model"], config.get("models"))


def control_model(config: Mapping[str, Any], task: str) -> Configuration | None:
    """The exactly equivariant model of a task, whose error is the numeric floor; None if its card names none."""
    name = task_card(task).control
    return configuration(name, config.get("models")) if name else None


def task_settings(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the run's task itself."""
    return config["training"][row["task"]].get("task", {})


def labels(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that identify a run in tables."""
    identity = {"study": config["study"], "run": row["name"]} | {name: row[name] for name in IDENTITY}
    return identity | {"variant": model_of(config, row).variant}


def protocol(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `equidyn.run.protocol.EvaluationSettings`, those of the study and of the run's task.

    The batch size is not among them, as no result depends on it: see `equidyn.study.planning.batch_size`.
    """
    evaluation = config["evaluation"]
    shared = {name: value for name, value in evaluation.items() if name in CommonEvaluation.model_fields}
    own = {name: value for name, value in evaluation[row["task"]].items() if name not in ("symmetries", "batch_size")}
    combined = conditions(symmetries(config, row["task"]), own.get("conditions", {}))
    return shared | own | {"conditions": combined}


def groups(settings: Mapping[str, Any]) -> list[str]:
    """Modules of the groups that an evaluation or analysis with these settings draws elements from."""
    return sorted({group_card(condition["group"]).module for condition in settings["conditions"]})


def _check_symmetries(config: Mapping[str, Any], task: str, source: str) -> None:
    """Check the groups that augment a task's training and that it is evaluated under."""
    card = task_card(task)
    where = f"training.{task}.group"
    try:
        card.check_group(augmenting_group(config, task))
        for place, pair in enumerate(symmetries(config, task)):
            where = f"evaluation.{task}.symmetries[{place}]"
            group_card(pair["group"])
            card.check_symmetry(**pair)
    except ValueError as error:
        raise StudyError(f"{source}: {where}: {error}") from None


def _check_weights(config: Mapping[str, Any], task: str, source: str) -> None:
    """Check that averages of a task's weights that are evaluated are kept."""
    asked = {"evaluation": config["evaluation"]}
    asked |= {
        f"analysis.{name}.{task}": by_task[task] for name, by_task in config["analysis"].items() if task in by_task
    }
    kept = kept_weights(config, task)
    for where, settings in asked.items():
        names = settings.get("weights", ())
        if unknown := [name for name in names if name not in kept and names != "all"]:
            raise StudyError(
                f"{source}: {where}.weights: runs of {task} keep no {unknown[0]!r} but {', '.join(kept)}; add its "
                f"decay to training.{task}.averages"
            )


def _check_floors(config: Mapping[str, Any], source: str) -> None:
    """Check that errors of interpolation are asked for where, and in ways in which, something is interpolated."""
    for task, floors in config["analysis"].get("interpolation_floors", {}).items():
        known = task_card(task).comparisons
        where = f"{source}: analysis.interpolation_floors.{task}"
        if all(comparison.exact for comparison in known.values()):
            raise StudyError(f"{where}: nothing is interpolated in this task; leave it out")
        if unknown := [name for name in floors["comparisons"] if name not in known]:
            raise StudyError(
                f"{where}.comparisons: unknown comparison {unknown[0]!r}; {task} has {', '.join(known)}"
                f"{near(unknown[0], known)}"
            )


def _check_devices(config: Mapping[str, Any], source: str) -> None:
    """Check that devices are given to models that there are."""
    devices = config["training"].get("devices", 1)
    try:
        for model in devices if isinstance(devices, Mapping) else ():
            configuration(model, config.get("models"))
    except ValueError as error:
        raise StudyError(f"{source}: training.devices: {error}") from None


def _empty(section: Mapping[str, Any], *place: str) -> Iterator[str]:
    """Keys without a value, which only recipes of data understand."""
    for key, value in section.items():
        if value is None and not (len(place) == 2 and place[0] == "data"):
            yield ".".join((*place, str(key)))
        elif isinstance(value, Mapping):
            yield from _empty(value, *place, str(key))


_AS_EVALUATED = ("examples", "rotations")


def analysis_protocol(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation's protocol with the analysis's own settings in place.

    Weights are those that figures show, unless the analysis names others.
    """
    settings = config["analysis"][analysis][row["task"]]
    own = {name: settings[name] for name in _AS_EVALUATED}
    pairs = settings.get("symmetries", symmetries(config, row["task"]))
    grid = config["evaluation"][row["task"]].get("conditions", {}) | settings.get("conditions", {})
    weights = settings.get("weights", [config["figures"]["weights"]])
    weights = kept_weights(config, row["task"]) if weights == "all" else weights
    return protocol(config, row) | own | {"conditions": conditions(pairs, grid), "weights": weights}


def analysis_arguments(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an analysis besides the protocol."""
    shared = ("runs", "steps", "symmetries", "conditions", "batch_size", "weights", *_AS_EVALUATED)
    return {name: v for name, v in config["analysis"][analysis][row["task"]].items() if name not in shared}


def analysis_steps(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> list[int]:
    """The steps of a run that an analysis looks at: some, or all that the run keeps."""
    steps = config["analysis"][analysis][row["task"]]["steps"]
    return kept_steps(config, row) if steps == "all" else sorted(steps)


def kept_weights(config: Mapping[str, Any], task: str) -> list[str]:
    """Names of the weights that runs of a task keep: the raw ones, and averages."""
    own = config["training"][task]
    return ["raw", *Schedule(**{name: own[name] for name in ("ema", "averages") if name in own}).decays]


def kept_steps(config: Mapping[str, Any], row: Mapping[str, Any]) -> list[int]:
    """The steps at which a run keeps its weights."""
    return checkpoint_steps(config["training"]["checkpoint_steps"], row["steps"])


def conditions(pairs: Iterable[Mapping[str, str]], grid: Mapping[str, list]) -> list[dict[str, Any]]:
    """Every combination of groups and comparisons with the values of a grid, as columns."""
    return [
        {**pair, **dict(zip(grid, values, strict=True))} for pair, *values in itertools.product(pairs, *grid.values())
    ]


def _check_run(where: str, row: dict[str, Any], config: Mapping[str, Any]) -> None:
    if row["task"] not in config["data"]:
        raise StudyError(
            f"{where}, task: no data for {row['task']!r}; tasks with data: {', '.join(config['data'])}"
            f"{near(row['task'], config['data'])}"
        )
    subsets = config["data"][row["task"]]["subsets"]
    if row["train_subset"] not in subsets:
        raise StudyError(
            f"{where}, train_subset: {row['train_subset']!r} is not a subset; "
            f"data.{row['task']}.subsets has: {', '.join(subsets)}{near(row['train_subset'], subsets)}"
        )
    try:
        task = task_name(model_of(config, row).task)
    except ValueError as error:
        raise StudyError(f"{where}, model: {error}{near(row['model'], configurations(config.get('models')))}") from None
    if task != row["task"]:
        raise StudyError(f"{where}, model: {row['model']!r} is for the task {task!r}, not {row['task']!r}")
