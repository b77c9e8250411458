"""The sections of a study's configuration: keys, types, defaults, units and sentences, each once.

The cards of tasks, sources of data and analyses add their own sections. The check of a configuration, its JSON schema
and the tables in ``config/README.md`` follow from the classes here.

Imports nothing heavy: the workflow checks the configuration each time it is parsed.
"""

import json
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model

from equidyn.core.settings import Distinct, Settings, StudyError, problems
from equidyn.data.registry import source_card, source_cards
from equidyn.run.protocol import CommonEvaluation, Examples, FittingBatch, Rotations, SymmetrySettings, Weights
from equidyn.run.recipe import Compile, Deterministic, Precision, Schedule
from equidyn.study.near import near
from equidyn.tasks.card import TaskCard
from equidyn.tasks.registry import outside_cards, task_cards

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Downloads(Settings):
    """Origin and place of published data sets; needed if a source, or `figures.published`, is downloaded."""

    registry: str = Field(description="Tab-separated table of the files, see below.")
    folder: str = Field(description="Folder in which downloads are kept, for all studies.")
    mirror: str = Field(
        "",
        description="Folder or URL that holds `<dataset>/<version>/<file>`, for entries of the Protein Data Bank "
        "`pdb/current/<id>.cif.gz`; with a folder, the network is not used. Empty for the URLs of the registry.",
    )
    connections: Count = Field(4, description="Number of files that are fetched at a time where there are many.")


class Throughput(Settings):
    """Peak throughput by precision, 10¹² operations per second."""

    fp64: Positive = Field(description="Peak in double precision, in which checkpoints are analysed.")
    fp32: Positive = Field(description="Peak in single precision, in which checkpoints are evaluated.")
    tf32: Positive = Field(description="Peak in single precision with products of TF32.")
    bf16: Positive = Field(description="Peak under autocast to bfloat16.")


class AcceleratorSettings(Settings):
    """The model of the cluster's GPUs."""

    name: str = Field(description="Name of the model.")
    memory_gb: Positive = Field(description="Its memory, 10⁹ bytes.")
    bandwidth: Positive = Field(description="Bandwidth of its memory, 10¹² bytes per second.")
    tflops: Throughput
    utilisation: float = Field(gt=0, le=1, description="Share of the peak that training reaches.")


class Cluster(Settings):
    """The hardware and limits of a cluster, by which resources are requested and plans made."""

    accelerator: AcceleratorSettings
    max_runtime: Count = Field(
        1440,
        description="Longest job that the cluster takes, minutes. Evaluations are cut to fit, trainings and analyses "
        "go on in further jobs.",
    )
    max_memory_mb: Count | None = Field(None, description="Most memory of a node that a job may ask for, MB.")
    max_cpus: Count | None = Field(None, description="Most CPUs that a job may ask for.")
    max_gpus: Count | None = Field(None, description="Most GPUs that a job may ask for, all on one node.")


class PerDecade(Settings):
    """Steps evenly spaced in their logarithm, with step 0."""

    per_decade: int = Field(ge=1, le=100, description="Steps kept per factor of ten.")


class TaskTraining(Schedule):
    """How the runs of one task are trained."""

    precision: Precision | None = Field(None, description="Precision of this task, in place of the common one.")
    microbatch: Count | None = Field(
        None,
        description="Most examples in memory at once on a device; gradients of such portions add up to the batch's. "
        "With it, results are the same on any number of devices but for rounding.",
    )


class CommonTraining(Settings):
    """Settings that all runs share, and one entry per task."""

    checkpoint_steps: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | PerDecade = Field(
        description="Steps at which weights are kept: a list, or `{per_decade: 6}` for 6 steps per factor of ten."
    )
    state_every: Count = Field(description="Steps between saves of the state from which an interrupted run resumes.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="Where to train and evaluate; `cuda`: every job asks for its GPUs; `auto`: a GPU if there is one, "
        "which jobs ask for only where `cluster` describes it.",
    )
    precision: Precision
    devices: Count | dict[str, Count] = Field(
        1,
        description="Devices that share each step of a run; a number, or one for each model that needs more than one.",
    )
    compile: Compile = "auto"
    deterministic: Deterministic = False


def _required(section: type[Settings]) -> Any:
    """A section without defaults, as a study states in full how it is evaluated."""
    fields: Any = {
        name: (Annotated[field.annotation, *field.metadata, Field(description=field.description)], ...)
        for name, field in section.model_fields.items()
    }
    return create_model(f"Full{section.__name__}", __base__=Settings, **fields)


class TaskEvaluation(Settings):
    """How the runs of one task are evaluated."""

    examples: Examples
    batch_size: FittingBatch = None
    rotations: Rotations | None = Field(None, description="Number for this task, in place of the common one.")
    symmetries: Distinct[SymmetrySettings] | None = Field(
        None, description="Groups, each with a comparison of predictions; what is usual for the task if not given."
    )


class CommonEvaluationSection(_required(CommonEvaluation)):  # type: ignore[misc]
    """Settings that the evaluations of all runs share, and one entry per task."""

    checkpoints_per_job: Literal["all", "auto"] | Count = Field(
        description="Number of checkpoints that one job evaluates: `all`, which suits one machine; `auto`, which suits "
        "a cluster, as many as take an hour by plan; or a number. Never more than a job of the cluster has time for."
    )


class FloorSettings(Settings):
    """Errors that rotating grids introduces by itself, measured on clean grids."""

    box: Positive = Field(description="Edge of the grid, Å.")
    spacings: Distinct[Positive] = Field(description="Å between voxels.")
    comparisons: Distinct[str] = Field(description="How predictions are compared.")
    molecules: Count = Field(description="How many molecules are looked at.")
    rotations: Rotations
    seed: int = Field(ge=0, description="Seed of the rotations.")


class Figures(Settings):
    """Settings of the figures."""

    baseline: dict[str, str] = Field(description="Per task, the run that others are compared with in the figures.")
    weights: Weights
    estimator: Literal["exact", "sampled"] = Field(description="Which estimator is drawn where a run has both.")
    formats: Distinct[Literal["png", "pdf", "svg"]] = Field(
        description="Formats of the figures: `png`, which the report shows, and optionally `pdf` and `svg`."
    )
    published: str | None = Field(
        None,
        description="Data set of the registry with the authors' tables, which are downloaded and drawn beside ours.",
    )


class Timing(Settings):
    """How training steps are timed, of every network in turns; not at all if this is left out."""

    rounds: Count = Field(description="Turns of each network.")
    steps: Count = Field(description="Steps of each turn that are counted.")


class CommonStudy(Settings):
    """Configuration of a study."""

    study: str = Field(
        pattern="^[a-z][a-z0-9_-]*$", description="Name of the study; its files lie in a folder of that name."
    )
    run_table: str = Field(description="Tab-separated table, one training run per row, see below.")
    results: str = Field("results", description="Folder for everything the study makes, in `<results>/<study>/`.")
    archive: bool = Field(
        False,
        description="Redraw what the results hold from its tables (`--config archive=True`), without any rule that "
        "makes data or trains.",
    )
    models: str | None = Field(
        None, description="File of networks and sizes of your own, relative to the project's folder."
    )
    downloads: Downloads | None = None
    cluster: Cluster | None = None
    timing: Timing | None = None
    figures: Figures


def study_class(analyses: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> type[CommonStudy]:
    """The class of a study's configuration, with what the cards of tasks, sources and analyses say.

    Args:
        analyses: Cards of all analyses of checkpoints by name.
        config: The configuration to check, whose tasks and sources may be of other packages; without it, the class
            knows all tasks and sources of this package.

    Raises:
        StudyError: The configuration names a source that does not exist.
    """
    chosen = config.get("data") if config else None
    chosen = chosen if isinstance(chosen, Mapping) else {}
    tasks = task_cards() | {name: card for name, card in outside_cards().items() if name in chosen}
    return _section(
        CommonStudy,
        "Study",
        data=(_data(tasks, chosen), ...),
        training=(_training(tasks), ...),
        evaluation=(_evaluation(tasks), ...),
        analysis=(_analysis(tasks, analyses), ...),
    )


def check_sections(config: Mapping[str, Any], analyses: Mapping[str, Any], source: str) -> None:
    """Check keys, types and values of a configuration.

    Raises:
        StudyError: Lists every unknown key, wrong type or value, with a suggestion where one is close.
    """
    text = json.dumps(config, default=str)
    try:
        model = study_class(analyses, config)
        model.model_validate_json(text, strict=True)
    except StudyError as error:
        raise StudyError(f"{source}: {error}") from None
    except ValidationError as error:
        found = problems(error, model, json.loads(text))
        raise StudyError("\n".join(f"{source}: {problem}" for problem in found)) from None


def _section(base: type[Settings], name: str, text: str = "", **fields: tuple[Any, Any]) -> Any:
    """A section with further keys; a key that is not an identifier is known by its alias."""
    named = {
        key if key.isidentifier() else f"key_{number}": (
            kind,
            Field(default, alias=None if key.isidentifier() else key),
        )
        for number, (key, (kind, default)) in enumerate(fields.items())
    }
    return create_model(name, __base__=base, __doc__=text or base.__doc__, **named)  # type: ignore[call-overload]


def _by_task(base: type[Settings], name: str, kinds: Mapping[str, Any], text: str = "") -> Any:
    return _section(base, name, text, **{task: (kind | None, None) for task, kind in kinds.items()})


def _data(tasks: Iterable[str], chosen: Mapping[str, Any]) -> Any:
    kinds = {}
    for task in tasks:
        section = chosen.get(task)
        name = section.get("source") if isinstance(section, Mapping) else None
        try:
            cards = [source_card(task, name)] if isinstance(name, str) else source_cards(task).values()
        except StudyError as error:
            raise StudyError(f"{error}{near(name, source_cards(task))}") from None
        sections = [
            create_model(
                card.settings.__name__,
                __base__=card.settings,
                source=(Literal[name or card.source], Field(description=card.text)),  # type: ignore[arg-type]
            )
            for card in cards
        ]
        if sections:
            kinds[task] = reduce(or_, sections)
    text = (
        "Where the examples of each task come from, one entry per task. A task of another package has its card, "
        "`mypackage.module:CARD`, in place of a name, here and wherever else a task is named."
    )
    return _by_task(Settings, "Data", kinds, text)


def _training(tasks: Mapping[str, TaskCard]) -> Any:
    return _by_task(CommonTraining, "Training", {name: _task_training(card) for name, card in tasks.items()})


def _task_training(card: TaskCard) -> Any:
    if card.settings is None:
        return TaskTraining
    required = any(field.is_required() for field in card.settings.model_fields.values())
    kind = card.settings if required else card.settings | None
    return _section(TaskTraining, f"{card.settings.__name__}Training", task=(kind, ... if required else None))


def _evaluation(tasks: Mapping[str, TaskCard]) -> Any:
    kinds = {
        name: _section(TaskEvaluation, f"{card.conditions.__module__}Evaluation", conditions=(card.conditions, ...))
        if card.conditions
        else TaskEvaluation
        for name, card in tasks.items()
    }
    return _by_task(CommonEvaluationSection, "Evaluation", kinds)


def _analysis(tasks: Iterable[str], analyses: Mapping[str, Any]) -> Any:
    kinds = {name: card.settings for name, card in analyses.items()} | {"interpolation_floors": FloorSettings}
    by_task = {
        name: _by_task(Settings, f"{kind.__name__}ByTask", dict.fromkeys(tasks, kind), kind.__doc__)
        for name, kind in kinds.items()
    }
    text = "Analyses of some checkpoints beyond their evaluation, and of grids; each may be left out."
    return _by_task(Settings, "Analysis", by_task, text)
