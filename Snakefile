"""Training dynamics of learned 3D-rotational equivariance: from raw data to figures and a report."""

from snakemake.utils import min_version

min_version("9.23")


# A study that is given on the command line stands alone. Archived is the one at the size of a CPU.
STUDY_FILE = f"config/{'cpu' if config.get('results') == 'archive' else 'config'}.yaml"
if not workflow.overwrite_configfiles:

    configfile: STUDY_FILE


include: "rules/common.smk"


if not ARCHIVED:

    include: "rules/download.smk"
    include: "rules/data.smk"
    include: "rules/train.smk"
    include: "rules/evaluate.smk"
    include: "rules/analyse.smk"


include: "rules/figures.smk"


if ARCHIVED:

    include: "rules/archive.smk"


# Targets, what is instant, and what needs the network, which compute nodes often lack.
localrules:
    all,
    figures,
    report,


if not ARCHIVED:

    localrules:
        download_file,
        select_entries,
        download_entries,
        split_store,
        draw_subset,
        write_config,
        data,
        train,
        evaluate,
        analyse,


rule all:
    default_target: True
    input:
        figure_files(),
        report_file(),


if not ARCHIVED:

    rule data:
        input:
            data_files(),

    rule train:
        input:
            checkpoint_folders(),

    rule evaluate:
        input:
            tables(),

    rule analyse:
        input:
            analysis_tables(),


rule figures:
    input:
        figure_files(),


rule report:
    input:
        report_file(),
