"""Runs of a study without Snakemake: the scripts of the workflow in their order, with its files and its numbers.

For machines that have no Snakemake, and for slices of a study that fit a short slot there. What is finished is kept,
what was interrupted goes on, and Snakemake takes the results for its own. Several processes may run parts of one study:
each job is done by one of them, which the others wait for.
"""

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from equidyn.core import locks, process
from equidyn.core.files import replacing
from equidyn.core.settings import StudyError
from equidyn.study.stages import Study

UNFINISHED = "unfinished"
"""What is recorded of a job before it ends."""


class JobError(Exception):
    """A job failed; the message names its log."""


@dataclass(frozen=True)
class Job:
    """A job of the workflow.

    Attributes:
        script: Name of its script.
        name: What tells it from others of the script, a task or run for instance.
        told: What decides its result.
        outputs: The files or folders that it makes.
        arguments: Arguments of the script's ``main`` but for the log.
        log_place: Position of the log among them.
        is_given: Whether outputs that nothing is recorded of were brought here on purpose, as they cannot be made here.
    """

    script: str
    name: str
    told: Any
    outputs: Sequence[str]
    arguments: Sequence[Any]
    log_place: int
    is_given: bool = False


def run(study: Study, names: Sequence[str], say: Callable[[str], None] = print) -> None:
    """Train and evaluate some runs, from their data to their tables, one job after another.

    Args:
        study: The study.
        names: Names of the runs.
        say: What tells of the jobs.

    Raises:
        StudyError: A run is unknown, the data of one would have to be downloaded, or nothing says what an output
            that is there was made from.
        JobError: A job failed; those before it are finished.
    """
    if unknown := [name for name in names if name not in study.runs]:
        raise StudyError(f"{study.config['run_table']}: no run {unknown[0]!r}; its runs: {', '.join(study.runs)}")
    for name in names:
        for job in _jobs(study, name):
            _do(study, job, say)


def _do(study: Study, job: Job, say: Callable[[str], None]) -> None:
    """Do a job, unless it has been done with the same parameters."""
    record = Path(study.folder, "state", "told", job.script, f"{job.name}.json")
    record.parent.mkdir(parents=True, exist_ok=True)
    with locks.one_at_a_time(record.with_suffix(".lock")):
        _do_alone(study, job, record, say)


def _do_alone(study: Study, job: Job, record: Path, say: Callable[[str], None]) -> None:
    """Do a job, as `_do`; no other process may be at it."""
    told = json.dumps(job.told, sort_keys=True)
    there = [output for output in job.outputs if Path(output).exists()]
    if there and not record.exists() and not job.is_given:
        raise StudyError(
            f"{there[0]}: is there, but not what it was made from ({record} is missing), which Snakemake knows of "
            f"what it made: go on with Snakemake, or remove {' and '.join(there)} to have this made here"
        )
    recorded = record.read_text(encoding="utf-8") if record.exists() else told
    if len(there) == len(job.outputs) and recorded == told:
        say(f"{job.script} {job.name}: is there")
        return
    say(f"{job.script} {job.name}")
    # As Snakemake does, outputs go first: of a job that is killed, none of another configuration may be taken for its.
    _write(record, UNFINISHED)
    for old in map(Path, job.outputs):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    log = Path(study.folder, "logs", job.script, f"{job.name}.log")
    arguments = [*job.arguments[: job.log_place], str(log), *job.arguments[job.log_place :]]
    for output in job.outputs:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    script = study.scripts / f"{job.script}.py"
    worker = multiprocessing.get_context("spawn").Process(target=_call, args=(script, arguments))
    worker.start()
    worker.join()
    if worker.exitcode:
        raise JobError(f"{job.script} {job.name} ended with exit code {worker.exitcode}: {log} says why")
    _write(record, told)


def _write(record: Path, told: str) -> None:
    with replacing(record) as temporary:
        temporary.write_text(told, encoding="utf-8")


def _call(script: Path, arguments: Sequence[Any]) -> None:
    """Call the ``main`` of a script, in a process that ends with its parent."""
    process.end_with_parent()
    spec = spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*arguments)


def _jobs(study: Study, run: str) -> Iterator[Job]:
    """The jobs of a run, in order."""
    row = study.runs[run]
    task, subset = row["task"], row["train_subset"]
    place, state = study.place, f"{study.folder}/state"
    store, train, validation = (place(name, task=task) for name in ("store", "train", "validation"))
    chosen, checkpoints = study.subset_file(run), place("checkpoints", run=run)

    is_given = bool(study.store_files(task))
    if is_given and not Path(store).exists():
        raise StudyError(f"data.{task}: {store} is made from downloads: make it with Snakemake, and bring it here")
    told = study.store(task)
    cores = multiprocessing.cpu_count()
    yield Job("make_store", task, told, [store], [[], store, cores, task, told, {}, state], 2, is_given)

    told = study.split(task)
    yield Job(
        "split_store", task, told, [train, validation], [store, train, validation, told["fraction"], told["seed"]], 3
    )

    told = study.subset(task, subset)
    yield Job("draw_subset", f"{task}/{subset}", told, [chosen], [train, chosen, subset, told["size"], told["seed"]], 2)

    told, inputs = study.training(run), SimpleNamespace(store=store, subset=chosen)
    threads = study.resources(run, "training")["cpus_per_task"]
    given = SimpleNamespace(devices=study.devices(run), state_every=study.config["training"]["state_every"])
    yield Job("train_network", run, told, [checkpoints], [run, inputs, checkpoints, threads, given, told, state], 3)

    told, inputs = (
        study.evaluation(run),
        SimpleNamespace(**vars(inputs), validation=validation, checkpoints=checkpoints),
    )
    needed, parts = study.resources(run, "evaluation"), study.parts(run)
    for part, steps in enumerate(parts):
        outputs = [place(kind, run=run, part=part) for kind in ("rows", "examples")]
        arguments = [run, inputs, *outputs, needed["cpus_per_task"], needed["batch_size"], told, steps, state]
        yield Job("evaluate_checkpoints", f"{run}/{part}", [told, steps], outputs, arguments, 4)

    parted = SimpleNamespace(**{kind: study.evaluated_parts(run, kind) for kind in ("rows", "examples")})
    kinds = {"rows": "runs", "examples": "examples", "clusters": "clusters"}
    tables = {name: study.table_of_run(kind, run) for name, kind in kinds.items()}
    yield Job("gather_run", run, study.told("runs", run), [*tables.values()], [parted, SimpleNamespace(**tables)], 2)
