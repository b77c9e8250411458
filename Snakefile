"""Training dynamics of learned 3D-rotational equivariance: from raw data to figures and a report."""

from snakemake.utils import min_version

min_version("9.27")


# A study that is given on the command line stands alone.
STUDY_FILE = (
    "results/cpu/config.yaml" if config.get("archive") else "config/config.yaml"
)
if not workflow.overwrite_configfiles:

    configfile: STUDY_FILE


report: "workflow/report/study.rst"


include: "rules/engine.smk"
include: "rules/common.smk"
include: "rules/figures.smk"
include: f"rules/{'archive' if study.is_archived else 'making'}.smk"


localrules:
    all,
    figures,
    report,


onsuccess:
    print(f"Figures: {STUDY}/figures/   Report: {STUDY}/report.html")


onerror:
    logger.error(
        "Stopped. What was finished is kept, and trainings go on where they last saved their state. "
        f"Mend what is named above (logs: {STUDY}/logs), then give the same command again."
    )


rule all:
    default_target: True
    input:
        figure_files(),
        f"{STUDY}/report.html",


rule figures:
    input:
        figure_files(),


rule report:
    input:
        f"{STUDY}/report.html",
