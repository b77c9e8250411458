"""Runs of a study without Snakemake: the scripts of the workflow in their order, with its files and its numbers.

For machines that have no Snakemake, and for slices of a study that fit a short slot there. What is finished is kept,
what was interrupted goes on, and Snakemake takes the results for its own. Several processes may run parts of one study:
each job is done by one of them, which the others wait for.
"""

import json
import math
import multiprocessing
import resource
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from equidyn.core import locks, process
from equidyn.core.files import replacing
from equidyn.core.settings import StudyError
from equidyn.study.planning import analysis_hours
from equidyn.study.stages import Study

UNFINISHED = "unfinished"
"""What is recorded of a job before it ends."""

GRACE = 60
"""Seconds that a job has to save its state when the time is up."""


MOST_WEIGHTS = 55_000_000
"""Most bytes of the weights of a run that are taken along for analyses."""


class JobError(Exception):
    """Jobs failed; the message names their logs."""


class OutOfTimeError(Exception):
    """Something is left to do, and the time that was given is over."""


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
        spare: Those of the outputs that may stay where they were made, as nothing else is made from them.
    """

    script: str
    name: str
    told: Any
    outputs: Sequence[str]
    arguments: Sequence[Any]
    log_place: int
    is_given: bool = False
    spare: Sequence[str] = ()

    @property
    def text(self) -> str:
        """What it is told, as it is recorded."""
        return json.dumps(self.told, sort_keys=True)

    @property
    def lasting(self) -> list[str]:
        """The outputs that are there if it is done."""
        return [output for output in self.outputs if output not in self.spare]

    def record(self, study: Study) -> Path:
        """The file that says what its outputs were made from."""
        return Path(study.folder, "state", "told", self.script, f"{self.name}.json")

    def benchmark(self, study: Study) -> Path:
        """Where it is noted what it took, as Snakemake does."""
        return Path(study.folder, "benchmarks", self.script, f"{self.name}.tsv")

    def is_done(self, study: Study) -> bool:
        """Whether its outputs are there, and made from what it is told now."""
        record = self.record(study)
        recorded = record.read_text(encoding="utf-8") if record.exists() else self.is_given and self.text
        return all(map(_exists, self.lasting)) and recorded == self.text


@dataclass(frozen=True)
class Work:
    """Jobs that belong together.

    Attributes:
        beginning: Jobs in order, which are needed until all ends are there.
        ends: Jobs in order, each list towards an end of its own, its last job.
    """

    beginning: list[Job]
    ends: list[list[Job]]

    @property
    def jobs(self) -> list[Job]:
        """All of them, in order."""
        return [*self.beginning, *(job for jobs in self.ends for job in jobs)]

    def left(self, study: Study) -> list[Job]:
        """Jobs to look at, in order; none if all ends are there."""
        ends = [job for jobs in self.ends if not jobs[-1].is_done(study) for job in jobs]
        return ends and [*self.beginning, *ends]


def run(
    study: Study, names: Sequence[str] = (), *, minutes: float = math.inf, say: Callable[[str], None] = print
) -> None:
    """Train, evaluate and analyse some runs, from their data to their tables, one job after another.

    A run whose tables are there is finished and needs neither data nor weights. One that fails costs itself only.

    Args:
        study: The study.
        names: Names of the runs; if none are given, all in the order of the run table, and then the timing of steps.
        minutes: When to stop. A training then saves its state, and other jobs keep what they have found, for next time.
        say: What tells of the jobs.

    Raises:
        StudyError: A run is unknown, the data of one would have to be downloaded, or nothing says what an output
            that is there was made from.
        JobError: Jobs failed; what does not need them is finished.
        OutOfTimeError: Something is left to do.
    """
    deadline, failed = time.monotonic() + 60 * minutes, []
    for name, work in _works(study, names).items():
        left = work.left(study)
        if not left:
            say(f"{name}: is finished")
        try:
            for job in left:
                _do(study, job, say, deadline)
        except JobError as error:
            failed.append(str(error))
            say(f"error: {error}")
    if failed:
        raise JobError("\n".join(failed))


def make_data(study: Study, names: Sequence[str] = (), say: Callable[[str], None] = print) -> list[Path]:
    """Make the examples of some runs, or of all, which `run` then finds there, on another machine too.

    Returns:
        The folders to take there.
    """
    for job in {job.record(study): job for run in _known(study, names) for job in _data(study, run)}.values():
        _do(study, job, say)
    return [Path(study.folder, "data"), Path(study.folder, "state", "told")]


def collect(study: Study, archive: str | Path) -> list[str]:
    """Write an archive of what is finished: tables of runs, and what else the study's tables are made from.

    Unpacked in another copy of the project, it is finished there too. Weights, and the numbers of each example, stay.
    Where only analyses of a run are left, the weights that these need go along, if they are at most `MOST_WEIGHTS`.

    Returns:
        What is in it, by title, with the names of analyses that are left.
    """
    files, names = [], []
    for name, work in _works(study, ()).items():
        left = [jobs[-1] for jobs in work.ends if not jobs[-1].is_done(study)]
        weights = _weights(work, left)
        is_worth_it = all(job.script == "analyse_checkpoints" for job in left) and all(map(Path.is_file, weights))
        if is_worth_it and sum(file.stat().st_size for file in weights) <= MOST_WEIGHTS:
            files += [*_collected(study, work), *weights]
            lacking = ", ".join(job.name.partition("/")[0] for job in left)
            names.append(f"{name}, but for {lacking}" if left else name)
    with replacing(archive) as temporary, tarfile.open(temporary, "w:gz") as tar:
        for file in dict.fromkeys(files):
            tar.add(file, recursive=False)
    return names


def _weights(work: Work, left: Sequence[Job]) -> list[Path]:
    """Files of the weights that analyses need, of a run."""
    needed = [
        Path(work.beginning[-1].outputs[0], kind, f"{step:08d}.safetensors")
        for job in left
        if job.script == "analyse_checkpoints"
        for kind in job.told["protocol"]["weights"]
        for step in job.told["steps"]
    ]
    return list(dict.fromkeys(needed))


def _collected(study: Study, work: Work) -> Iterator[Path]:
    """The files of work that are worth taking along, but for weights."""
    ends = [jobs[-1] for jobs in work.ends]
    for job in (job for job in work.jobs if job.script not in _OF_DATA and job.is_done(study)):
        made = map(Path, job.lasting if job in ends or job.script == "train_network" else [])
        inside = [file for output in made for file in (output, *output.rglob("*"))]
        for file in (job.record(study), job.benchmark(study), *inside):
            if file.is_file() and file.suffix != ".safetensors":
                yield file


def _works(study: Study, names: Sequence[str]) -> dict[str, Work]:
    """What there is to do for some runs, or for the whole study, by title."""
    works = {f"run {name}": work_of(study, name) for name in _known(study, names)}
    if not names and study.timed():
        data = {job.record(study): job for name in study.timed() for job in _data(study, name)}
        works["timing"] = Work([*data.values()], [[_timing(study)]])
    return works


def _known(study: Study, names: Sequence[str]) -> Sequence[str]:
    """The runs of these names, or all."""
    if unknown := [name for name in names if name not in study.runs]:
        raise StudyError(f"{study.config['run_table']}: no run {unknown[0]!r}; its runs: {', '.join(study.runs)}")
    return names or list(study.runs)


def _do(study: Study, job: Job, say: Callable[[str], None], deadline: float = math.inf) -> None:
    """Do a job, unless it has been done with the same parameters."""
    record = job.record(study)
    record.parent.mkdir(parents=True, exist_ok=True)
    with locks.one_at_a_time(record.with_suffix(".lock")):
        _do_alone(study, job, say, deadline)


def _do_alone(study: Study, job: Job, say: Callable[[str], None], deadline: float) -> None:
    """Do a job, as `_do`; no other process may be at it."""
    record = job.record(study)
    there = [output for output in job.outputs if _exists(output)]
    if there and not record.exists() and not job.is_given:
        raise StudyError(
            f"{there[0]}: is there, but not what it was made from ({record} is missing), which Snakemake knows of "
            f"what it made: go on with Snakemake, or remove {' and '.join(there)} to have this made here"
        )
    if job.is_done(study):
        say(f"{job.script} {job.name}: is there")
        return
    if time.monotonic() > deadline:
        raise OutOfTimeError(f"before {job.script} {job.name}")
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
    worker = multiprocessing.get_context("spawn").Process(
        target=_call, args=(study.scripts / f"{job.script}.py", arguments, job.benchmark(study))
    )
    worker.start()
    worker.join(None if deadline == math.inf else max(0.0, deadline - time.monotonic()))
    if worker.is_alive():
        worker.terminate()
        worker.join(GRACE)
        worker.kill()
        worker.join()
        raise OutOfTimeError(f"in {job.script} {job.name}")
    if worker.exitcode:
        raise JobError(f"{job.script} {job.name} ended with exit code {worker.exitcode}: {log} says why")
    _write(record, job.text)


def _exists(path: str) -> bool:
    return Path(path).exists()


def _write(record: Path, told: str) -> None:
    with replacing(record) as temporary:
        temporary.write_text(told, encoding="utf-8")


def _call(script: Path, arguments: Sequence[Any], benchmark: Path) -> None:
    """Call the ``main`` of a script, in a process that ends with its parent, and note its seconds and MiB."""
    process.end_with_parent()
    began = time.monotonic()
    spec = spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(*arguments)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with replacing(benchmark) as temporary:
        temporary.write_text(f"s\tmax_rss\n{time.monotonic() - began:.4f}\t{memory:.2f}\n", encoding="utf-8")


_OF_DATA = ("make_store", "split_store", "draw_subset")


def _data(study: Study, run: str) -> list[Job]:
    """The jobs that make the examples of a run, in order."""
    task, subset = study.runs[run]["task"], study.runs[run]["train_subset"]
    place, state = study.place, f"{study.folder}/state"
    store, train, validation = (place(name, task=task) for name in ("store", "train", "validation"))
    is_given = bool(study.store_files(task))
    if is_given and not _exists(store):
        raise StudyError(f"data.{task}: {store} is made from downloads: make it with Snakemake, and bring it here")
    made, split, drawn = study.store(task), study.split(task), study.subset(task, subset)
    cores, chosen = multiprocessing.cpu_count(), study.subset_file(run)
    splitting = [store, train, validation, split["fraction"], split["seed"]]
    drawing = [train, chosen, subset, drawn["size"], drawn["seed"]]
    return [
        Job("make_store", task, made, [store], [[], store, cores, task, made, {}, state], 2, is_given),
        Job("split_store", task, split, [train, validation], splitting, 3),
        Job("draw_subset", f"{task}/{subset}", drawn, [chosen], drawing, 2),
    ]


def work_of(study: Study, run: str) -> Work:
    """The jobs of a run: its data and training, and towards the tables of its evaluation and of each analysis of it."""
    task, state = study.runs[run]["task"], f"{study.folder}/state"
    checkpoints = study.place("checkpoints", run=run)
    inputs = SimpleNamespace(
        store=study.place("store", task=task),
        subset=study.subset_file(run),
        validation=study.place("validation", task=task),
        checkpoints=checkpoints,
    )
    told, threads = study.training(run), study.resources(run, "training")["cpus_per_task"]
    given = SimpleNamespace(devices=study.devices(run), state_every=study.config["training"]["state_every"])
    training = Job(
        "train_network", run, told, [checkpoints], [run, inputs, checkpoints, threads, given, told, state], 3
    )
    analyses = [
        name for name, task_of in study.analysed() if task_of == task and run in study.analysed_runs(name, task)
    ]
    # What takes long comes last, so that a short slot leaves few analyses undone.
    analyses.sort(key=lambda name: analysis_hours(study.config, study.runs[run], study.analyses[name]))
    return Work(
        [*_data(study, run), training],
        [_evaluation(study, run, inputs), *([_analysis(study, name, run, inputs)] for name in analyses)],
    )


def _evaluation(study: Study, run: str, inputs: SimpleNamespace) -> list[Job]:
    """The jobs that evaluate a run, in order."""
    told, needed, state = study.evaluation(run), study.resources(run, "evaluation"), f"{study.folder}/state"
    jobs = []
    for part, steps in enumerate(study.parts(run)):
        outputs = [study.place(kind, run=run, part=part) for kind in ("rows", "examples")]
        arguments = [run, inputs, *outputs, needed["cpus_per_task"], needed["batch_size"], told, steps, state]
        jobs.append(Job("evaluate_checkpoints", f"{run}/{part}", [told, steps], outputs, arguments, 4))
    parted = SimpleNamespace(**{kind: study.evaluated_parts(run, kind) for kind in ("rows", "examples")})
    kinds = {"rows": "runs", "examples": "examples", "clusters": "clusters"}
    tables = {name: study.table_of_run(kind, run) for name, kind in kinds.items()}
    arguments = [parted, SimpleNamespace(**tables)]
    spare = [tables["examples"]]
    return [*jobs, Job("gather_run", run, study.told("runs", run), [*tables.values()], arguments, 2, spare=spare)]


def _analysis(study: Study, analysis: str, run: str, inputs: SimpleNamespace) -> Job:
    told, needed = study.analysis(analysis, run), study.resources(run, analysis)
    output = study.place("analysed", analysis=analysis, run=run)
    arguments = [analysis, run, inputs, output, needed["cpus_per_task"], needed["batch_size"], told]
    return Job("analyse_checkpoints", f"{analysis}/{run}", told, [output], [*arguments, f"{study.folder}/state"], 4)


def _timing(study: Study) -> Job:
    told, runs = study.told("timings"), study.timed()
    stores = [study.place("store", task=study.runs[run]["task"]) for run in runs]
    outputs = [study.table("timings"), f"{study.folder}/tables/timings.csv"]
    return Job("time_steps", "all", told, outputs, [stores, [*map(study.subset_file, runs)], outputs, told], 3)
