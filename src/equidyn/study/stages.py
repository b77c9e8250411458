"""The stages of a study: the places of their files, the parameters of their jobs, and what decides each result.

A job's arguments, the digest of its code and script, and the digest of what its inputs are made from (``origin``) are
in one dictionary, which the workflow passes as a parameter of the job's rule. It changes if, and only if, something
changes that can change the job's result, in this stage or an earlier one; modification times do not matter. So an
interrupted workflow resumes where it must, and copies of results are as good as the results.

Imports nothing heavy: the workflow makes one `Study` each time it is parsed.
"""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from equidyn.core.groups.card import group_card
from equidyn.core.settings import StudyError
from equidyn.data.card import SourceCard
from equidyn.data.download_registry import PublishedFile
from equidyn.study import config as settings
from equidyn.study.choice import choices_of
from equidyn.study.limits import retries
from equidyn.study.planning import data_needs, devices, evaluation_parts, limited, needs, resources, run_costs
from equidyn.study.provenance import ROOT, code_digest, digest, file_digest
from equidyn.study.reading import checked
from equidyn.study.sources import (
    PUBLISHED,
    entries_folder,
    selection_settings,
    source_of,
    store_recipe,
    wanted_files,
)
from equidyn.tasks.registry import task_card

STUDY_TABLES = ("evaluation", "costs", "timings", "claims", "published", "published_tables", "published_landscape")
"""Tables that a study has once, not for each task."""

PLACES = {
    "store": "data/{task}/store",
    "train": "data/{task}/index/train.npy",
    "validation": "data/{task}/index/validation.npy",
    "subset": "data/{task}/index/subsets/{subset}.npy",
    "checkpoints": "train/{run}",
    "rows": "evaluate/{run}/{part}.rows.parquet",
    "examples": "evaluate/{run}/{part}.examples.parquet",
    "analysed": "analyse/{analysis}/{run}.parquet",
}
"""What a run needs and makes on its way to its tables, by name, in the study's folder."""

Told = dict[str, Any]


class Study:
    """A checked study, as the rules use it.

    Args:
        config: The merged configuration.
        analyses: Cards of all analyses of checkpoints by name.
        scripts: Folder of the scripts of the workflow.
        source: Name of the configuration's file or files, for messages.

    Attributes:
        config: The configuration, in which tasks of other packages go by their names.
        runs: Rows of the run table by name.
        tasks: Tasks that runs learn.
        folder: Folder of everything that the study makes.
        is_archived: Whether figures are redrawn from existing tables, and nothing before them is made.
        files: Rows of the registry of downloads that each task's source needs, and the authors' results.
        published_files: Rows of the registry that are not templates, by data set, version and name.
        downloads: Folder of what is downloaded.

    Raises:
        StudyError: The study cannot be used.
    """

    def __init__(
        self, config: Mapping[str, Any], analyses: Mapping[str, Any], scripts: str | Path, source: str = "config"
    ):
        self.config, self.runs = checked(config, analyses, source)
        self.analyses, self.scripts, config = analyses, Path(scripts), self.config
        self.tasks = list(dict.fromkeys(row["task"] for row in self.runs.values()))
        self.folder = f"{config.get('results', 'results')}/{config['study']}"
        self.is_archived: bool = config.get("archive", False)
        self.files = wanted_files(config)
        self.published_files = {
            (file.dataset, file.version, file.file): file
            for files in self.files.values()
            for file in files
            if not file.is_template
        }
        self.downloads: str = config.get("downloads", {}).get("folder", "downloads")
        kept = ("store", "split", "subset", "training", "parts", "evaluation", "analysis", "told", "resources", "code")
        for name in kept:
            setattr(self, name, cache(getattr(self, name)))

    # --- where files are --------------------------------------------------------------------------------------------

    def place(self, name: str, **wildcards: object) -> str:
        """A file or folder of `PLACES`; as a pattern if no wildcards are given."""
        place = f"{self.folder}/{PLACES[name]}"
        return place.format(**wildcards) if wildcards else place

    def table(self, kind: str, task: str = "") -> str:
        """A table of the study, or one of a task."""
        return f"{self.folder}/tables/{kind if kind in STUDY_TABLES else f'{kind}/{task}'}.parquet"

    def table_of_run(self, kind: str, run: str) -> str:
        """A table of a kind of which each run has one: "runs", "examples" or "clusters"."""
        return f"{self.folder}/tables/{kind}/{run}.parquet"

    def tables_of_runs(self, kind: str) -> list[str]:
        """The tables of such a kind of all runs."""
        return [self.table_of_run(kind, run) for run in self.runs]

    def record_files(self) -> list[str]:
        """The files that record how the tables were made."""
        return [f"{self.folder}/config.yaml", f"{self.folder}/manifest.json"]

    def evaluated_parts(self, run: str, kind: str) -> list[str]:
        """Files of the parts in which a run is evaluated, of one kind: "rows" or "examples"."""
        return [self.place(kind, run=run, part=part) for part in range(len(self.parts(run)))]

    def analysed(self) -> list[tuple[str, str]]:
        """The configured analyses of checkpoints, each with its task."""
        asked = self.config["analysis"]
        return [(name, task) for name in self.analyses for task in asked.get(name, {}) if task in self.tasks]

    def analysed_runs(self, analysis: str, task: str) -> list[str]:
        """Names of the runs that an analysis of a task looks at."""
        return self.config["analysis"][analysis][task]["runs"]

    def subset_file(self, run: str) -> str:
        """Training examples of a run."""
        row = self.runs[run]
        return self.place("subset", task=row["task"], subset=row["train_subset"])

    def timed(self) -> list[str]:
        """One run for each network and size of batch, whose steps are timed."""
        if "timing" not in self.config:
            return []
        first = {(row["task"], row["model"], row["batch_size"]): run for run, row in reversed(self.runs.items())}
        return list(reversed(first.values()))

    def index_files(self) -> list[str]:
        """Every index file of the study."""
        return [
            file
            for task, data in self.config["data"].items()
            for file in (
                self.place("validation", task=task),
                *(self.place("subset", task=task, subset=subset) for subset in data["subsets"]),
            )
        ]

    def receipts(self, user: str) -> list[str]:
        """Receipts of the downloaded files that a task's examples, or the authors' results, are made from."""
        return [f"{self.downloads}/{file.path}.json" for file in self.files[user] if not file.is_template]

    def template(self, task: str) -> PublishedFile | None:
        """The line of the registry that stands for many files; None if there is none."""
        return next((file for file in self.files[task] if file.is_template), None)

    def store_files(self, task: str) -> list[str]:
        """The files that a store is made from: receipts of downloaded files, and the selection from them."""
        selected = ["selection", "entries"] if self.source(task).selection else []
        return [*self.receipts(task), *(f"{self.folder}/data/{task}/{name}.tsv" for name in selected)]

    def store_folders(self, task: str) -> dict[str, str]:
        """Folders of the files of which a task's store is made, by the name of their template."""
        file = self.template(task)
        return {file.file: entries_folder(self.downloads, file)} if file else {}

    def makes(self, kind: str, task: str) -> bool:
        """Whether the study makes a kind of table, of a task if each task has one."""
        return is_made(self.config, self.analyses, kind, task)

    def require(self, files: Iterable[str]) -> None:
        """End early if something is missing or cut short that an archive must hold.

        Raises:
            StudyError: A file is missing, or is no whole table.
        """
        files = list(dict.fromkeys(files))
        if missing := [file for file in files if not Path(file).exists()]:
            raise StudyError(
                f"archive: {missing[0]} is missing ({len(missing)} of {len(files)} files are): get it back with git or "
                "equidyn unpack, or leave archive=True out to make it"
            )
        if damaged := [file for file in files if file.endswith(".parquet") and not is_whole(file)]:
            raise StudyError(
                f"archive: {damaged[0]} is damaged ({len(damaged)} of {len(files)} files are): get it back with git or "
                "equidyn unpack"
            )

    # --- what jobs are told -----------------------------------------------------------------------------------------

    def code(self, script: str, *modules: str) -> str:
        """Digest of a script and of modules, with all that they import from this package."""
        return code_digest(*filter(None, modules), script=self.scripts / f"{script}.py")

    def source(self, task: str) -> SourceCard:
        """Card of the source of a task's examples."""
        return source_of(self.config, task)

    def download(self, dataset: str, version: str, file: str) -> Told:
        """The parameters of a downloaded file: its required content; its origin does not matter."""
        return {"content": self._content(self.published_files[dataset, version, file])}

    def entries(self, task: str) -> Told:
        """The parameters of the entries that are downloaded because they were selected."""
        template, selection = self.template(task), self.source(task).selection
        assert template is not None
        assert selection is not None
        return {
            "template": [template.dataset, template.version, template.file],
            "check": selection.check,
            "origin": digest(self.selection(task)),
        }

    def selection(self, task: str) -> Told:
        """The parameters that select the entries that a store is made from."""
        selection = self.source(task).selection
        assert selection is not None
        return {
            "source": self.config["data"][task]["source"],
            "settings": selection_settings(self.config, task),
            "code": self.code("select_entries", _module(selection.select)),
            "origin": digest(self._contents(task)),
        }

    def store(self, task: str) -> Told:
        """The parameters that make a task's store."""
        card = self.source(task)
        return {
            "source": self.config["data"][task]["source"],
            "recipe": store_recipe(self.config, task),
            "code": self.code("make_store", card.module),
            "origin": digest(self._contents(task), self.selection(task) if card.selection else None),
        }

    def split(self, task: str) -> Told:
        """The parameters that split a task's store; without a fraction the source's own split counts."""
        data = self.config["data"][task]
        return {
            "fraction": data.get("validation_fraction"),
            "seed": data["seed"],
            "code": self.code("split_store"),
            "origin": digest(self.store(task)),
        }

    def subset(self, task: str, name: str) -> Told:
        """The parameters that draw a training subset."""
        data = self.config["data"][task]
        return {
            "size": data["subsets"][name],
            "seed": data["seed"],
            "code": self.code("draw_subset"),
            "origin": digest(self.split(task)),
        }

    def training(self, run: str) -> Told:
        """The parameters that train a run."""
        row = self.runs[run]
        card, model = task_card(row["task"]), settings.model_of(self.config, row)
        group = group_card(settings.augmenting_group(self.config, row["task"]))
        return {
            "task": card.task,
            "recipe": settings.recipe(self.config, row),
            "settings": settings.task_settings(self.config, row),
            "steps": settings.kept_steps(self.config, row),
            "device": self.config["training"]["device"],
            "microbatch": self.config["training"][row["task"]].get("microbatch"),
            "code": self.code("train_network", card.module, model.module, group.module),
            "origin": digest(self.subset(row["task"], row["train_subset"])),
        }

    def parts(self, run: str) -> list[list[int]]:
        """Kept steps of a run, in parts of one evaluation job each."""
        return evaluation_parts(self.config, self.runs[run])

    def evaluation(self, run: str) -> Told:
        """The parameters that evaluate a run, except the steps of each part; the network's code belongs to training."""
        row = self.runs[run]
        card, control = task_card(row["task"]), settings.control_model(self.config, row["task"])
        protocol = settings.protocol(self.config, row)
        modules = (card.module, control.module if control else "", *settings.groups(protocol))
        return {
            "task": card.task,
            "protocol": protocol,
            "labels": settings.labels(self.config, row),
            "device": self.config["training"]["device"],
            "control": control.built_from if control else None,
            "code": self.code("evaluate_checkpoints", *modules),
            "origin": digest(self.training(run), self.split(row["task"])),
        }

    def analysis(self, analysis: str, run: str) -> Told:
        """The parameters that analyse a run; the network's code belongs to training, that of its anatomy does not."""
        row, card = self.runs[run], self.analyses[analysis]
        task, model = task_card(row["task"]), settings.model_of(self.config, row)
        protocol = settings.analysis_protocol(self.config, analysis, row)
        modules = (card.module, task.module, _module(model.anatomy), *settings.groups(protocol))
        return {
            "task": task.task,
            "measure": card.measure,
            "steps": settings.analysis_steps(self.config, analysis, row),
            "protocol": protocol,
            "settings": settings.analysis_arguments(self.config, analysis, row),
            "labels": settings.labels(self.config, row),
            "device": self.config["training"]["device"],
            "anatomy": model.anatomy,
            "code": self.code("analyse_checkpoints", *modules),
            "origin": digest(self.training(run), self.split(row["task"])),
        }

    def told(self, kind: str, name: str = "") -> Told:
        """The parameters that make a table: one of `STUDY_TABLES`, or a kind of which each task or run has one."""
        if kind in self.analyses:
            made = [self.analysis(kind, run) for run in self.analysed_runs(kind, name)]
            parts = {"estimator": self.config["figures"]["estimator"]}
            return parts | self._made("gather_analysis", made, self.told("evaluation"))
        if kind == "runs":
            return self._made("gather_run", self.evaluation(name), self.parts(name))
        if kind == "evaluation":
            return self._made("gather_tables", [self.told("runs", run) for run in self.runs])
        if kind == "costs":
            costs, timings = run_costs(self.config, self.runs), [self.told("timings")] if self.timed() else []
            return {"costs": costs} | self._made("gather_costs", [self.training(run) for run in self.runs], *timings)
        if kind == "timings":
            trainings = [self.training(run) for run in self.timed()]
            return {
                "settings": self.config["timing"],
                "runs": dict(zip(self.timed(), trainings, strict=True)),
                "threads": [self.resources(run, "training")["cpus_per_task"] for run in self.timed()],
                "device": self.config["training"]["device"],
                "code": self.code("time_steps", "equidyn.run.timing"),
                "origin": digest(trainings),
            }
        if kind == "claims":
            analyses = [self.told(analysis, task) for analysis, task in self.analysed()]
            return self._claims(*map(self.told, self.judged), analyses)
        if kind in ("published", "published_landscape"):
            contents = sorted((str(p.relative_to(ROOT)), file_digest(p)) for p in ROOT.glob("data/published/*/*"))
            return self._made("read_published", contents)
        if kind == "published_tables":
            return self._made("correct_published", self._contents(PUBLISHED))
        if kind == "floors":
            floors = self.config["analysis"]["interpolation_floors"][name]
            return {"settings": floors} | self._made("measure_floors", self.split(name))
        if kind == "data":
            quantities = task_card(name).quantities
            code = self.code("describe_data", _module(quantities))
            return {"quantities": quantities, "code": code, "origin": digest(self.split(name))}
        return self._made("audit_orientation", self.split(name))

    def origin(self, tables: Iterable[tuple[str, str]]) -> str:
        """Digest of what tables are made from, given by kind and task; in an archive, of what they hold."""
        if self.is_archived:
            made = [(kind, task) for kind, task in tables if kind == "claims"]
            held = [file_digest(self.table(kind, task)) for kind, task in tables if kind != "claims"]
            return digest(held, *(self._archived_claims() for _ in made))
        return digest(*(self.told(kind, "" if kind in STUDY_TABLES else task) for kind, task in tables))

    @property
    def authors_curves(self) -> list[str]:
        """Kinds of the tables of the authors' curves that the study makes."""
        return [kind for kind in ("published", "published_tables") if self.makes(kind, "")]

    @property
    def judged(self) -> list[str]:
        """Kinds of the tables of the whole study that claims are judged from."""
        return ["evaluation", "costs", "published_landscape", *self.authors_curves]

    def judging(self) -> Told:
        """The parameters that judge the claims; in an archive, the content of the tables decides, not their origin."""
        return self._archived_claims() if self.is_archived else self.told("claims")

    def reported(self) -> list[Any]:
        """The parameters of the report besides figures: claims, costs, configuration and manifest."""
        if self.is_archived:
            files = [self.table("costs"), *self.record_files()]
            return [self.judging(), *(file_digest(file) for file in files)]
        return [self.judging(), self.told("costs"), self.config, self.manifest()]

    def _archived_claims(self) -> Told:
        analyses = [self.table(*place) for place in self.analysed()]
        files = [*map(self.table, self.judged), *self.tables_of_runs("clusters"), *analyses]
        return self._claims([file_digest(file) for file in files])

    def _claims(self, *origin: Any) -> Told:
        evaluation = self.config["evaluation"]
        protocol = {name: evaluation[name] for name in ("confidence", "resamples", "seed")}
        choices = choices_of(self.config, self.tasks)
        return {"choices": choices, "protocol": protocol} | self._made("judge_claims", *origin)

    def _made(self, script: str, *origin: Any) -> Told:
        return {"code": self.code(script), "origin": digest(*origin)}

    def _contents(self, user: str) -> list[list[Any]]:
        """The content of the downloaded files that something is made from, as the registry states it."""
        return [self._content(file) for file in self.files.get(user, [])]

    def _content(self, file: PublishedFile) -> list[Any]:
        return [file.dataset, file.version, file.file, file.bytes, file.checksum]

    def manifest(self) -> Told:
        """The parameters of the manifest, which records how the tables were made."""
        stages = {"training": self.training, "evaluation": self.evaluation}
        codes = {stage: {run: told(run)["code"] for run in self.runs} for stage, told in stages.items()}
        return {"runs": self.runs, "stages": codes} | self._made("write_manifest", self.told("evaluation"))

    # --- what jobs ask for ------------------------------------------------------------------------------------------

    def resources(self, run: str, kind: str, timed_out: int = 0, out_of_memory: int = 0) -> dict[str, int]:
        """The resources that a job of a run requests: for its "training", its "evaluation", or an analysis."""
        return resources(self.config, self.runs[run], self.analyses.get(kind, kind), timed_out, out_of_memory)

    def data_resources(self, task: str, kind: str, timed_out: int = 0, out_of_memory: int = 0) -> dict[str, int]:
        """The resources that a job requests which reads all data of a task; see `equidyn.study.planning.DATA_JOBS`."""
        return self.limited(data_needs(self.config, task, kind), timed_out, out_of_memory)

    def timing_resources(self, timed_out: int = 0, out_of_memory: int = 0) -> dict[str, int]:
        """The resources that the job requests which times training steps: as much as the largest training, alone."""
        trainings = [needs(self.config, self.runs[run], "training") for run in self.timed()]
        most = {name: max(each[name] for each in trainings) for name in ("gpu", "cpus_per_task", "mem_mb")}
        return self.limited(most | {"gpu_share": 100 * most["gpu"], "runtime": 30}, timed_out, out_of_memory)

    def limited(self, needed: Mapping[str, int], timed_out: int = 0, out_of_memory: int = 0) -> dict[str, int]:
        """The resources that any other job requests, which needs so much."""
        return limited(self.config, needed, timed_out, out_of_memory)

    def retries(self, stage: str) -> int | None:
        """Retries of the jobs of a stage where one job is not enough; see `equidyn.study.limits.retries`."""
        return retries(self.config, self.runs, self.analyses, stage)

    def devices(self, run: str) -> int:
        """Number of devices that a run trains on."""
        return devices(self.config, self.runs[run])


def is_made(config: Mapping[str, Any], analyses: Iterable[str], kind: str, task: str) -> bool:
    """Whether a study makes a kind of table, of a task if each task has one.

    Args:
        config: The study's configuration.
        analyses: Names of all analyses of checkpoints.
        kind: Kind of table, see `Study.table`.
        task: A task, or anything else for a table of which a study has one.
    """
    if kind == "published_tables":
        return "published" in config["figures"]
    if kind == "timings":
        return "timing" in config
    if kind == "data":
        return bool(task_card(task).quantities)
    if kind.startswith("orientation"):
        return task_card(task).has_positions
    asked = config["analysis"].get("interpolation_floors" if kind == "floors" else kind, {})
    return task in asked if kind == "floors" or kind in analyses else True


def is_whole(table: str | Path) -> bool:
    """Whether a parquet file has a beginning and an end, which one that was cut short or overwritten lacks."""
    with Path(table).open("rb") as stream:
        first = stream.read(4)
        stream.seek(0, os.SEEK_END)
        if stream.tell() < 8:
            return False
        stream.seek(-4, os.SEEK_END)
        return first == stream.read(4) == b"PAR1"


def _module(path: str) -> str:
    """Module of an object named as ``"module:name"``."""
    return path.partition(":")[0]
