# Shared by the files of this folder: the checked study, and functions that look things up in it by wildcards.
import re
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from equidyn.core.rooms import cards
from equidyn.core.settings import StudyError
from equidyn.figures.planned import (
    ALL_TASKS,
    category,
    drawing,
    known_figures,
    figures_drawn,
    titles,
)
from equidyn.study import provenance
from equidyn.study.attempts import lacked
from equidyn.study.limits import check_limits, cuts
from equidyn.study.provenance import ROOT as PACKAGE_FOLDER, digest, file_digest
from equidyn.study.reading import read_yaml
from equidyn.study.sources import PUBLISHED
from equidyn.study.stages import Study
from equidyn.study.targets import check_targets

SOURCE = " + ".join(map(str, workflow.configfiles))
if workflow.is_main_process and workflow.modifier.is_main_snakefile():
    for path in workflow.configfiles:
        read_yaml(path)  # Snakemake lets the second of two equal keys win

provenance.KEPT = Path(".snakemake/equidyn-code")
try:
    study = Study(
        config,
        cards("equidyn.analysis"),
        PROJECT / "workflow/scripts",
        SOURCE,
    )
    STUDY = study.folder
    FORMATS = config["figures"]["formats"]
    DRAWN = figures_drawn(study.config, study.runs, study.makes)
    if workflow.is_main_process:  # jobs' own processes need not know
        if workflow.modifier.is_main_snakefile():  # others draw figures of their own
            check_targets(sys.argv[1:], STUDY, DRAWN)
        check_limits(study.config, study.runs, study.analyses, SOURCE)
        for line in cuts(study.config):
            logger.warning(line)
except (
    StudyError
) as error:  # the user's to repair: without the lines of code it came through
    raise WorkflowError(str(error)) from None


def one_of(names):
    """A pattern that matches exactly these names; nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    task=one_of([*study.config["data"], ALL_TASKS]),
    subset=one_of(
        {name for data in study.config["data"].values() for name in data["subsets"]}
    ),
    run=one_of(study.runs),
    part=r"\d+",
    analysis=one_of(study.analyses),
    figure=one_of(known_figures()),
    dataset=one_of({dataset for dataset, version, file in study.published_files}),
    version=one_of({version for dataset, version, file in study.published_files}),
    file=one_of({file for dataset, version, file in study.published_files}),


def kept(file):
    """A file that an archive has already, and that stays until a job puts another in its place, also if it is stopped."""
    return update(file) if study.is_archived else file


def asks_for_run(resource, kind=None):
    """A resource of jobs of runs: of one kind of job, or of the analysis in the wildcards."""

    def amount(wildcards, attempt, rulename):
        lack = lacked(rulename, wildcards, attempt)
        return study.resources(wildcards.run, kind or wildcards.analysis, *lack)[
            resource
        ]

    return amount


def asks_for_data(resource, kind):
    """A resource of jobs that read all data of the task in the wildcards."""

    def amount(wildcards, attempt, rulename):
        lack = lacked(rulename, wildcards, attempt)
        return study.data_resources(wildcards.task, kind, *lack)[resource]

    return amount


def asks_for_timing(resource):
    """A resource of the job that times training steps."""

    def amount(wildcards, attempt, rulename):
        return study.timing_resources(*lacked(rulename, wildcards, attempt))[resource]

    return amount


def asks_for(resource, needed):
    """A resource of other jobs, which need about the same in all studies."""

    def amount(wildcards, attempt, rulename):
        lack = lacked(rulename, wildcards, attempt)
        return study.limited({resource: needed}, *lack)[resource]

    return amount


def retries(stage):
    """Retries of jobs that go on where others ended, in the process that submits them: jobs' own processes try once."""
    return study.retries(stage) if workflow.is_main_process else None


def task_of(wildcards):
    """Task of the run."""
    return study.runs[wildcards.run]["task"]


def store_of(wildcards):
    """Store of the run's task."""
    return study.place("store", task=task_of(wildcards))


def subset_of(wildcards):
    """Training examples of the run."""
    return study.subset_file(wildcards.run)


def validation_of(wildcards):
    """Held-out examples of the run's task."""
    return study.place("validation", task=task_of(wildcards))


def analysis_tables():
    """Every analysis of checkpoints."""
    return [study.table(analysis, task) for analysis, task in study.analysed()]


def tables_of(figure, task):
    """The tables that a figure is drawn from."""
    return [study.table(kind, task) for kind in known_figures()[figure].tables]


@cache
def told_figure(figure, task):
    """The parameters that draw a figure."""
    made = [(kind, task) for kind in known_figures()[figure].tables]
    shown = drawing(study.config, study.runs, task, figure)
    return {
        "drawing": shown | {"formats": FORMATS},
        "code": study.code("draw_figure", known_figures()[figure].module),
        "origin": study.origin(made),
    }


def figure_files(kinds=(*FORMATS, "csv", "txt")):
    """Every figure, in every format, with its data and caption."""
    return [
        f"{STUDY}/figures/{task}/{figure}.{kind}"
        for task, figure in DRAWN
        for kind in kinds
    ]


def in_report(file, part, place=lambda wildcards: (wildcards.task, wildcards.figure)):
    """A file of a figure, which Snakemake's report shows under its task; the place says of which task and figure."""
    return report(
        kept(file),
        caption="../workflow/report/figure.rst",
        category=lambda wildcards: titles(study.tasks)[place(wildcards)[0]],
        subcategory=lambda wildcards: category(*reversed(place(wildcards))),
        labels=lambda wildcards: {
            "figure": known_figures()[place(wildcards)[1]].title,
            "part": part,
        },
    )
