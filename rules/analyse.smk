# Analysis: of checkpoints beyond their evaluation, and of data and grids without any network.


rule analyse_checkpoints:
    input:
        checkpoints=rules.train_network.output.checkpoints,
        store=store_of,
        subset=subset_of,
        validation=validation_of,
    output:
        table=study.place("analysed"),
    log:
        f"{STUDY}/logs/analyse_checkpoints/{{analysis}}/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/analyse_checkpoints/{{analysis}}/{{run}}.tsv"
    priority: 1
    retries: retries("analysis")
    conda:
        "../envs/train.yaml"
    threads: asks_for_run("cpus_per_task")
    resources:
        gpu=asks_for_run("gpu"),
        gpu_share=asks_for_run("gpu_share"),
        # No parameter: results do not depend on it.
        batch_size=asks_for_run("batch_size"),
        mem_mb=asks_for_run("mem_mb"),
        runtime=asks_for_run("runtime"),
    params:
        told=lambda wildcards: study.analysis(wildcards.analysis, wildcards.run),
        state=f"{STUDY}/state",
    message:
        "Analysing {wildcards.analysis} of {wildcards.run}"
    script:
        "../workflow/scripts/analyse_checkpoints.py"


rule gather_analysis:
    input:
        tables=lambda wildcards: [
            study.place("analysed", analysis=wildcards.analysis, run=run)
            for run in study.analysed_runs(wildcards.analysis, wildcards.task)
        ],
        evaluation=study.table("evaluation"),
    output:
        table=f"{STUDY}/tables/{{analysis}}/{{task}}.parquet",
        csv=f"{STUDY}/tables/{{analysis}}/{{task}}.csv",
    log:
        f"{STUDY}/logs/gather_analysis/{{analysis}}/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_analysis/{{analysis}}/{{task}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.told(wildcards.analysis, wildcards.task),
    message:
        "Gathering {wildcards.analysis} of {wildcards.task}"
    script:
        "../workflow/scripts/gather_analysis.py"


rule audit_orientation:
    input:
        store=rules.make_store.output.store,
        train=rules.split_store.output.train,
    output:
        table=f"{STUDY}/tables/orientation/{{task}}.parquet",
        tests=f"{STUDY}/tables/orientation_tests/{{task}}.parquet",
        angles=f"{STUDY}/tables/orientation_angles/{{task}}.parquet",
    log:
        f"{STUDY}/logs/audit_orientation/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/audit_orientation/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for_data("mem_mb", "description"),
        runtime=asks_for_data("runtime", "description"),
    params:
        told=lambda wildcards: study.told("orientation", wildcards.task),
    message:
        "Auditing how the examples of {wildcards.task} are oriented"
    script:
        "../workflow/scripts/audit_orientation.py"


rule read_published:
    output:
        curves=study.table("published"),
        landscape=study.table("published_landscape"),
        landscape_csv=f"{STUDY}/tables/published_landscape.csv",
    log:
        f"{STUDY}/logs/read_published.log",
    benchmark:
        f"{STUDY}/benchmarks/read_published.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=study.told("published"),
    message:
        "Reading the authors' curves and loss landscapes"
    script:
        "../workflow/scripts/read_published.py"


rule correct_published:
    input:
        receipts=study.receipts(PUBLISHED),
    output:
        curves=study.table("published_tables"),
        curves_csv=f"{STUDY}/tables/published_tables.csv",
        corrections=f"{STUDY}/tables/published_corrections.csv",
    log:
        f"{STUDY}/logs/correct_published.log",
    benchmark:
        f"{STUDY}/benchmarks/correct_published.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=study.told("published_tables"),
    message:
        "Correcting the authors' tables for their number of rotations"
    script:
        "../workflow/scripts/correct_published.py"


rule measure_floors:
    input:
        store=study.place("store"),
        validation=study.place("validation"),
    output:
        table=f"{STUDY}/tables/floors/{{task}}.parquet",
        csv=f"{STUDY}/tables/floors/{{task}}.csv",
    log:
        f"{STUDY}/logs/measure_floors/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/measure_floors/{{task}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=asks_for("mem_mb", 2000),
        runtime=asks_for("runtime", 60),
    params:
        told=lambda wildcards: study.told("floors", wildcards.task),
    message:
        "Measuring the errors that rotating grids of {wildcards.task} introduces by itself"
    script:
        "../workflow/scripts/measure_floors.py"
