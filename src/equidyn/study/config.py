"""Studies: configuration and run tables, read and checked before any job starts.

Imports nothing heavy: the workflow calls it each time it is parsed.
"""

import csv
import difflib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from equidyn.analysis import ANALYSES, GRID_ACTIONS
from equidyn.core.settings import StudyError
from equidyn.models.card import Configuration
from equidyn.models.registry import configuration
from equidyn.study.sources import wanted_datasets
from equidyn.tasks.registry import task_card, task_cards


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any], source: str = "config") -> None:
    """Check a study's configuration.

    Args:
        config: The merged configuration.
        schema: JSON schema of it.
        source: Name of the file or files, for messages.

    Raises:
        StudyError: Lists every unknown key, wrong type or value, with a suggestion where one is close.
    """
    _raise_all(source, _violations(config, schema))
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


def read_runs(path: str | Path, schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read a run table: tab-separated, one row per training run.

    Args:
        path: The table.
        schema: JSON schema of one row; its property types decide how cells are read.
        config: The study's configuration, in which tasks and subsets must exist.

    Returns:
        Rows by run name, cells typed.

    Raises:
        StudyError: Names the file, row and column.
    """
    runs: dict[str, dict[str, Any]] = {}
    try:
        rows = read_rows(path, schema, "run table")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such run table: check run_table in the configuration") from None
    for where, row in rows:
        if row["name"] in runs:
            raise StudyError(f"{where}: the name appears twice; run names must differ")
        _check_run(where, row, config)
        runs[row["name"]] = row
    return runs


def read_rows(path: str | Path, schema: Mapping[str, Any], what: str) -> list[tuple[str, dict[str, Any]]]:
    """Read a tab-separated table with a header; empty lines and those that begin with # are left out.

    Args:
        path: The table.
        schema: JSON schema of one row; its property types decide how cells are read: an empty cell is null where the
            type allows it, else an empty text. The first property is what messages call a row by.
        what: What the table is, for messages.

    Returns:
        Of each row where it stands, for messages, and its typed cells.

    Raises:
        StudyError: Names the file, row and column.
        FileNotFoundError: There is no such file.
    """
    with Path(path).open(encoding="utf-8", newline="") as stream:
        lines = [line for line in stream if line.strip() and not line.startswith("#")]
    cells_of_rows = list(csv.DictReader(lines, delimiter="\t"))
    if not cells_of_rows:
        raise StudyError(f"{path}: the {what} has no rows")
    properties = schema["properties"]
    title = next(iter(properties))
    rows = []
    for number, cells in enumerate(cells_of_rows, start=1):
        where = f"{path}, row {number} ({cells.get(title) or 'unnamed'})"
        if None in cells or None in cells.values():
            raise StudyError(f"{where}: found another number of cells than the header has; separate them by tabs")
        row = {column: _typed(cell, properties.get(column, {})) for column, cell in cells.items()}
        _raise_all(where, _violations(row, schema))
        rows.append((where, row))
    return rows


def check_figures(config: Mapping[str, Any], runs: Mapping[str, Any]) -> None:
    """Check what the figures ask for against the runs.

    Raises:
        StudyError: The baseline is no run, or its weights are not evaluated.
    """
    figures, evaluation = config["figures"], config["evaluation"]
    for task in dict.fromkeys(row["task"] for row in runs.values()):
        names = [name for name, row in runs.items() if row["task"] == task]
        baseline = figures["baseline"].get(task)
        if baseline not in names:
            raise StudyError(
                f"config: figures.baseline.{task}: {baseline!r} is not a run of this task in "
                f"{config['run_table']}; its runs: {', '.join(names)}"
            )
    if figures["weights"] not in evaluation["weights"]:
        raise StudyError(
            f"config: figures.weights: {figures['weights']!r} is not evaluated; evaluation.weights has: "
            f"{', '.join(evaluation['weights'])}"
        )


def check_analyses(config: Mapping[str, Any], runs: Mapping[str, Any]) -> None:
    """Check what the analyses of checkpoints ask for against runs, kept steps and evaluated conditions.

    Raises:
        StudyError: A run is none of the task's, the baseline is missing, a step is not kept, or a condition is not
            evaluated.
    """
    for analysis in ANALYSES:
        for task, settings in config["analysis"].get(analysis, {}).items():
            where = f"config: analysis.{analysis}.{task}"
            of_task = [name for name, row in runs.items() if row["task"] == task]
            if not of_task:
                continue  # the run table may leave a task out
            if unknown := [name for name in settings["runs"] if name not in of_task]:
                raise StudyError(f"{where}.runs: {unknown[0]!r} is no run of this task; its runs: {', '.join(of_task)}")
            if (baseline := config["figures"]["baseline"][task]) not in settings["runs"]:
                raise StudyError(f"{where}.runs: figures show the baseline: add {baseline!r}")
            for name in settings["runs"]:
                kept = checkpoint_steps(config["training"]["checkpoint_steps"], runs[name]["steps"])
                if missing := [step for step in analysis_steps(config, analysis, runs[name]) if step not in kept]:
                    raise StudyError(f"{where}.steps: run {name!r} keeps no step {missing[0]}; it keeps {kept}")
            evaluated = config["evaluation"][task].get("conditions", {})
            for name, values in settings.get("conditions", {}).items():
                if missing := [value for value in values if value not in evaluated.get(name, [])]:
                    raise StudyError(
                        f"{where}.conditions.{name}: {missing[0]!r} is not evaluated: add it to "
                        f"evaluation.{task}.conditions.{name}"
                    )
            actions = (evaluated | settings.get("conditions", {})).get("action", [])
            if unable := [action for action in actions if action not in GRID_ACTIONS[analysis]]:
                raise StudyError(
                    f"{where}.conditions.action: this analysis cannot use {unable[0]!r}, only "
                    f"{', '.join(GRID_ACTIONS[analysis])}"
                )


def checkpoint_steps(plan: list[int] | Mapping[str, int], last: int) -> list[int]:
    """Steps whose weights a run keeps: known before it starts.

    Args:
        plan: Either the steps themselves (those beyond `last` are left out), or ``{"per_decade": n}`` for n steps per
            factor of ten, evenly spaced in log, with step 0.
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
    own = ("model", "steps", "batch_size", "optimiser", "lr", "augmentation", "seed")
    common = {"precision": training["precision"], "compile": training.get("compile", False)}
    shared = {name: value for name, value in training[row["task"]].items() if name not in ("task", "microbatch")}
    return common | shared | {name: row[name] for name in own} | model_of(config, row).built_from


def model_of(config: Mapping[str, Any], row: Mapping[str, Any]) -> Configuration:
    """The model of a run, of this package or of the study's own file of sizes."""
    return configuration(row["model"], config.get("models"))


def control_model(config: Mapping[str, Any], task: str) -> Configuration | None:
    """The exactly equivariant model of a task, whose error is the numeric floor; None if its card names none."""
    name = task_card(task).control
    return configuration(name, config.get("models")) if name else None


def task_settings(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the run's task itself."""
    return config["training"][row["task"]].get("task", {})


def labels(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that identify a run in tables."""
    columns = ("task", "train_subset", "batch_size", "optimiser", "lr", "augmentation", "seed")
    return {"study": config["study"], "run": row["name"]} | {name: row[name] for name in columns}


def protocol(config: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `equidyn.run.evaluation.EvaluationSettings`: the study's and those of the run's task."""
    evaluation = config["evaluation"]
    shared = {name: value for name, value in evaluation.items() if name not in ("checkpoints_per_job", *task_cards())}
    own = dict(evaluation[row["task"]])
    return shared | own | {"conditions": conditions(own.get("conditions", {}))}


_AS_EVALUATED = ("examples", "batch_size", "rotations")


def analysis_protocol(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation's protocol, but for what the analysis says itself, and of the weights that figures show."""
    settings = config["analysis"][analysis][row["task"]]
    own = {name: settings[name] for name in _AS_EVALUATED}
    grid = config["evaluation"][row["task"]].get("conditions", {}) | settings.get("conditions", {})
    return protocol(config, row) | own | {"conditions": conditions(grid), "weights": [config["figures"]["weights"]]}


def analysis_arguments(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the analysis is told beside the protocol."""
    shared = ("runs", "steps", "conditions", *_AS_EVALUATED)
    return {name: v for name, v in config["analysis"][analysis][row["task"]].items() if name not in shared}


def analysis_steps(config: Mapping[str, Any], analysis: str, row: Mapping[str, Any]) -> list[int]:
    """Steps of a run that an analysis asks for: some, or all that the run keeps."""
    steps = config["analysis"][analysis][row["task"]]["steps"]
    return checkpoint_steps(config["training"]["checkpoint_steps"], row["steps"]) if steps == "all" else sorted(steps)


def conditions(grid: Mapping[str, list]) -> list[dict[str, Any]]:
    """Every combination of the values of a grid, as columns; one without columns for an empty grid."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def parts(steps: list[int], per_job: int | str) -> list[list[int]]:
    """Checkpoint steps in portions for one evaluation job each; ``"all"`` puts them into one."""
    size = len(steps) if per_job == "all" else per_job
    return [steps[start : start + size] for start in range(0, len(steps), size)]


def _check_run(where: str, row: dict[str, Any], config: Mapping[str, Any]) -> None:
    if row["task"] not in config["data"]:
        raise StudyError(f"{where}, task: no data for {row['task']!r}; tasks with data: {', '.join(config['data'])}")
    subsets = config["data"][row["task"]]["subsets"]
    if row["train_subset"] not in subsets:
        raise StudyError(
            f"{where}, train_subset: {row['train_subset']!r} is not a subset; "
            f"data.{row['task']}.subsets has: {', '.join(subsets)}"
        )
    try:
        task = model_of(config, row).task
    except ValueError as error:
        raise StudyError(f"{where}, model: {error}") from None
    if task != row["task"]:
        raise StudyError(f"{where}, model: {row['model']!r} is for the task {task!r}, not {row['task']!r}")
    if row["task"] not in task_cards():
        raise StudyError(f"{where}, task: unknown task {row['task']!r}; known tasks: {', '.join(task_cards())}")


def _typed(cell: str, schema: Mapping[str, Any]) -> Any:
    """A cell as the type its column declares, or as it is where it cannot be read so."""
    declared = schema.get("type", "string")
    types = [declared] if isinstance(declared, str) else declared
    if not cell and "null" in types:
        return None
    for type_name, convert in (("integer", int), ("number", float)):
        if type_name in types:
            try:
                return convert(cell)
            except ValueError:
                return cell
    return cell


def _violations(instance: Any, schema: Mapping[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(instance), key=lambda error: list(map(str, error.absolute_path)))
    return [message for error in errors for message in _describe(error)]


def _describe(error: jsonschema.ValidationError) -> Iterable[str]:
    where = ".".join(map(str, error.absolute_path))
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        for key in sorted(set(error.instance) - set(known)):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            yield f"{_join(where, key)}: unknown key; {hint}"
    elif error.validator == "required":
        for key in sorted(set(error.validator_value) - set(error.instance)):
            yield f"{_join(where, key)}: missing"
    elif error.validator == "type":
        yield f"{where}: found {error.instance!r}, expected type {error.validator_value}"
    elif error.validator == "not":
        yield f"{where}: found {error.instance!r}, which does not go with the settings beside it; remove the key"
    else:
        yield f"{where}: {error.message}"


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _raise_all(source: str, violations: list[str]) -> None:
    if violations:
        raise StudyError("\n".join(f"{source}: {violation}" for violation in violations))
