"""Training dynamics of learned 3D-rotational equivariance: from raw data to figures and a report."""

from snakemake.utils import min_version

min_version("9.23")


configfile: "config/config.yaml"


report: "workflow/report/study.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/analyse.smk"
include: "rules/figures.smk"


localrules:
    all,
    data,
    train,
    evaluate,
    analyse,
    figures,
    report,


rule all:
    default_target: True
    input:
        figure_files(),
        report_file(),


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
