# Analysis: what is measured of checkpoints beyond their evaluation, and of data and grids without any network.


rule analyse_checkpoints:
    input:
        checkpoints=rules.train_network.output.checkpoints,
        store=store_of,
        subset=subset_of,
        validation=validation_of,
    output:
        table=f"{STUDY}/analyse/{{analysis}}/{{run}}.parquet",
    log:
        f"{STUDY}/logs/analyse_checkpoints/{{analysis}}/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/analyse_checkpoints/{{analysis}}/{{run}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: needs("cpus_per_task")
    resources:
        gpu=needs("gpu"),
        mem_mb=needs("mem_mb"),
        runtime=needs("runtime"),
    params:
        task=lambda wildcards: task_card(RUNS[wildcards.run]["task"]).task,
        steps=lambda wildcards: analysis_steps(
            config, wildcards.analysis, RUNS[wildcards.run]
        ),
        protocol=lambda wildcards: analysis_protocol(
            config, wildcards.analysis, RUNS[wildcards.run]
        ),
        settings=lambda wildcards: analysis_arguments(
            config, wildcards.analysis, RUNS[wildcards.run]
        ),
        labels=lambda wildcards: labels(config, RUNS[wildcards.run]),
        anatomy=lambda wildcards: model_of(config, RUNS[wildcards.run]).anatomy,
        device=config["training"]["device"],
        code=lambda wildcards: analysis_code(wildcards.analysis, wildcards.run),
    message:
        "Analysing {wildcards.analysis} of {wildcards.run}"
    script:
        "../workflow/scripts/analyse_checkpoints.py"


rule gather_analysis:
    input:
        tables=analysed,
        evaluation=table("evaluation"),
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
        mem_mb=1000,
        runtime=10,
    params:
        estimator=config["figures"]["estimator"],
        code=code_digest("equidyn.study.tables"),
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
        mem_mb=store_resources(2000, 16000),
        runtime=store_resources(30, 240),
    params:
        code=code_digest("equidyn.analysis.orientation"),
    message:
        "Auditing how the examples of {wildcards.task} are oriented"
    script:
        "../workflow/scripts/audit_orientation.py"


rule read_published:
    output:
        curves=table("published"),
        landscape=table("published_landscape"),
        landscape_csv=f"{STUDY}/tables/published_landscape.csv",
    log:
        f"{STUDY}/logs/read_published.log",
    benchmark:
        f"{STUDY}/benchmarks/read_published.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("equidyn.analysis.authors"),
    message:
        "Reading the authors' curves and loss landscapes"
    script:
        "../workflow/scripts/read_published.py"


rule correct_published:
    input:
        receipts=receipts(PUBLISHED),
    output:
        curves=table("published_tables"),
        curves_csv=f"{STUDY}/tables/published_tables.csv",
        corrections=f"{STUDY}/tables/published_corrections.csv",
    log:
        f"{STUDY}/logs/correct_published.log",
    benchmark:
        f"{STUDY}/benchmarks/correct_published.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("equidyn.analysis.authors"),
    message:
        "Correcting the authors' tables for their number of rotations"
    script:
        "../workflow/scripts/correct_published.py"


rule measure_floors:
    input:
        store=f"{STUDY}/data/voxel_denoising/store",
        validation=f"{STUDY}/data/voxel_denoising/index/validation.npy",
    output:
        table=f"{STUDY}/tables/floors/voxel_denoising.parquet",
        csv=f"{STUDY}/tables/floors/voxel_denoising.csv",
    log:
        f"{STUDY}/logs/measure_floors.log",
    benchmark:
        f"{STUDY}/benchmarks/measure_floors.tsv"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=config["analysis"]["interpolation_floors"],
        code=code_digest("equidyn.analysis.interpolation"),
    message:
        "Measuring what rotating grids costs by itself"
    script:
        "../workflow/scripts/measure_floors.py"
