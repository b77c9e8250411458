# Shared by the files of this folder: the checked study, its paths, and the digests of the code behind each stage.
import re
import sys
from functools import cache
from pathlib import Path

import yaml

from equidyn.analysis import ANALYSES
from equidyn.figures.planned import (
    ALL_TASKS,
    STUDY_TABLES,
    drawing,
    figure_code,
    known_figures,
    figures_drawn,
    titles,
)
from equidyn.study.choice import choices_of
from equidyn.study.planning import devices, resources
from equidyn.study.provenance import ROOT as PACKAGE_FOLDER, code_digest
from equidyn.study.config import (
    StudyError,
    analysis_arguments,
    analysis_protocol,
    analysis_steps,
    check_analyses,
    check_config,
    check_figures,
    checkpoint_steps,
    control_model,
    labels,
    model_of,
    parts,
    protocol,
    read_runs,
    recipe,
    task_settings,
)
from equidyn.study.sources import (
    PUBLISHED,
    entries_folder,
    selection_settings,
    source_of,
    store_recipe,
    wanted_files,
)
from equidyn.tasks.registry import task_card


def read_schema(name):
    return yaml.safe_load(
        (Path(workflow.basedir) / "workflow/schemas" / name).read_text()
    )


check_config(
    config,
    read_schema("config.schema.yaml"),
    " + ".join(map(str, workflow.configfiles)),
)
RUNS = read_runs(config["run_table"], read_schema("runs.schema.yaml"), config)
check_figures(config, RUNS)
check_analyses(config, RUNS)
# In place of a folder: redraw what was published, with nothing made before it.
ARCHIVED = config["results"] == "archive"
STUDY = f"{'results' if ARCHIVED else config['results']}/{config['study']}"
FORMATS = config["figures"]["formats"]
DOWNLOADS = config.get("downloads", {}).get("folder", "downloads")
ENTRIES = wanted_files(config)
FILES = {
    (entry.dataset, entry.version, entry.file): entry
    for entries in ENTRIES.values()
    for entry in entries
    if not entry.is_template
}
TASKS_RUN = list(dict.fromkeys(row["task"] for row in RUNS.values()))
DRAWN = figures_drawn(config, RUNS, ANALYSES)


def one_of(names):
    """Pattern that matches exactly these names; nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    task=one_of([*config["data"], ALL_TASKS]),
    subset=one_of(
        {name for data in config["data"].values() for name in data["subsets"]}
    ),
    run=one_of(RUNS),
    part=r"\d+",
    analysis=one_of(ANALYSES),
    figure=one_of(known_figures()),
    dataset=one_of({dataset for dataset, version, file in FILES}),
    version=one_of({version for dataset, version, file in FILES}),
    file=one_of({file for dataset, version, file in FILES}),


def module_of(path):
    """Module of an object named as module:name."""
    return path.partition(":")[0]


def training_code(run):
    """Digest of the code that decides what a run learns."""
    row = RUNS[run]
    return code_digest(
        "equidyn.run.training",
        task_card(row["task"]).module,
        model_of(config, row).module,
    )


def evaluation_code(run):
    """Digest of the code that decides what is measured of a run; the network's belongs to the training."""
    control = control_model(config, RUNS[run]["task"])
    return code_digest(
        "equidyn.run.evaluation",
        task_card(RUNS[run]["task"]).module,
        *([control.module] if control else []),
    )


def control_of(run):
    """What the exactly equivariant network of the run's task is built from."""
    control = control_model(config, RUNS[run]["task"])
    return control.built_from if control else None


def kept_steps(run):
    """Steps whose weights a run keeps."""
    return checkpoint_steps(config["training"]["checkpoint_steps"], RUNS[run]["steps"])


def evaluation_parts(run):
    """Those steps, in portions of one evaluation job each."""
    return parts(kept_steps(run), config["evaluation"]["checkpoints_per_job"])


def analysis_code(analysis, run):
    """Digest of the code that decides what an analysis finds; the network's belongs to the training."""
    anatomy = model_of(config, RUNS[run]).anatomy
    return code_digest(
        "equidyn.analysis.checkpoints",
        module_of(ANALYSES[analysis]),
        task_card(RUNS[run]["task"]).module,
        *filter(None, [module_of(anatomy)]),
    )


def analysed(wildcards):
    """Tables of the runs that an analysis of a task looks at."""
    return expand(
        f"{STUDY}/analyse/{wildcards.analysis}/{{run}}.parquet",
        run=config["analysis"][wildcards.analysis][wildcards.task]["runs"],
    )


def receipts(task):
    """Receipts of the downloaded files that a task's examples are made from."""
    return [
        f"{DOWNLOADS}/{entry.path}.json"
        for entry in ENTRIES[task]
        if not entry.is_template
    ]


def template(task):
    """The line of the registry that stands for many files; None if there is none."""
    return next((entry for entry in ENTRIES[task] if entry.is_template), None)


def store_files(wildcards):
    """What a store is made from: receipts of downloaded files, and what was selected from them."""
    selects = source_of(config, wildcards.task).selection
    tables = ["selection", "entries"] if selects else []
    return [
        *receipts(wildcards.task),
        *(f"{STUDY}/data/{wildcards.task}/{name}.tsv" for name in tables),
    ]


def store_folders(task):
    """Folders of the files of which a task's store is made, by the name of their template."""
    entry = template(task)
    return {entry.file: entries_folder(DOWNLOADS, entry)} if entry else {}


def store_resources(of_made, of_downloaded):
    """A resource of making a store: more for downloaded data, and more with each attempt."""

    def amount(wildcards, attempt):
        downloaded = source_of(config, wildcards.task).dataset
        return attempt * of_downloaded if downloaded else of_made

    return amount


@cache
def needed(run, kind, attempt):
    """All resources of a job."""
    return resources(config, RUNS[run], kind, attempt)


def needs(resource, kind=None):
    """A resource of the jobs of runs: of one kind, or of the analysis in the wildcards."""

    def amount(wildcards, attempt):
        return needed(wildcards.run, kind or wildcards.analysis, attempt)[resource]

    return amount


def store_of(wildcards):
    """Store of the run's task."""
    return f"{STUDY}/data/{RUNS[wildcards.run]['task']}/store"


def subset_of(wildcards):
    """Training examples of the run."""
    row = RUNS[wildcards.run]
    return f"{STUDY}/data/{row['task']}/index/subsets/{row['train_subset']}.npy"


def validation_of(wildcards):
    """Held-out examples of the run's task."""
    return f"{STUDY}/data/{RUNS[wildcards.run]['task']}/index/validation.npy"


def data_files():
    """Every index file of the study."""
    return [
        f"{STUDY}/data/{task}/index/{name}.npy"
        for task, data in config["data"].items()
        for name in ("validation", *(f"subsets/{subset}" for subset in data["subsets"]))
    ]


def checkpoint_folders():
    """Every run's checkpoints."""
    return expand(f"{STUDY}/train/{{run}}", run=RUNS)


def evaluated_parts(run, suffix):
    """A run's evaluated portions, of one kind of table."""
    return [
        f"{STUDY}/evaluate/{run}/{n}.{suffix}"
        for n in range(len(evaluation_parts(run)))
    ]


def analysed_tasks(analysis):
    """Tasks with a table of an analysis of checkpoints."""
    return [task for task in config["analysis"].get(analysis, {}) if task in TASKS_RUN]


def analysis_tables():
    """Every analysis of checkpoints."""
    return [
        table(analysis, task)
        for analysis in ANALYSES
        for task in analysed_tasks(analysis)
    ]


def table(kind, task=None):
    """A table of the study, or one of a task."""
    name = kind if kind in STUDY_TABLES else f"{kind}/{task}"
    return f"{STUDY}/tables/{name}.parquet"


def cluster_tables():
    """Sums over clusters, of every run."""
    return expand(f"{STUDY}/tables/clusters/{{run}}.parquet", run=RUNS)


def record_files():
    """What is kept of how the tables were made."""
    return [f"{STUDY}/config.yaml", f"{STUDY}/manifest.json"]


def check_archive(files):
    """End early if something is missing that an archive must hold: Snakemake takes its figures to be up to date."""
    if missing := [file for file in files if not Path(file).exists()]:
        raise StudyError(
            f"results: archive: {missing[0]} is missing ({len(missing)} of {len(files)} files are): get it back with "
            "git or equidyn unpack, or leave results=archive out to make it"
        )


def tables_of(wildcards):
    """The tables a figure is drawn from."""
    return [
        table(kind, wildcards.task) for kind in known_figures()[wildcards.figure].tables
    ]


def tables():
    """The study's tables of its evaluation."""
    return [table("evaluation"), f"{STUDY}/tables/minima.csv"]


def figure_files(kinds=(*FORMATS, "csv", "txt")):
    """Every figure, in every format, with its data and caption."""
    return [
        f"{STUDY}/figures/{task}/{figure}.{kind}"
        for task, figure in DRAWN
        for kind in kinds
    ]


def report_file():
    """The report."""
    return f"{STUDY}/report.html"
