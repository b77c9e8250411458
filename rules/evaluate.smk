# Evaluation: checkpoints in, tables out. One job takes as many checkpoints as evaluation.checkpoints_per_job says.


rule evaluate_checkpoints:
    input:
        checkpoints=rules.train_network.output.checkpoints,
        store=store_of,
        subset=subset_of,
        validation=validation_of,
    output:
        rows=study.place("rows"),
        examples=study.place("examples"),
    log:
        f"{STUDY}/logs/evaluate_checkpoints/{{run}}/{{part}}.log",
    benchmark:
        f"{STUDY}/benchmarks/evaluate_checkpoints/{{run}}/{{part}}.tsv"
    priority: 1
    retries: retries("evaluation")
    conda:
        "../envs/train.yaml"
    threads: asks_for_run("cpus_per_task", "evaluation")
    resources:
        gpu=asks_for_run("gpu", "evaluation"),
        gpu_share=asks_for_run("gpu_share", "evaluation"),
        # No parameter: results do not depend on it.
        batch_size=asks_for_run("batch_size", "evaluation"),
        mem_mb=asks_for_run("mem_mb", "evaluation"),
        runtime=asks_for_run("runtime", "evaluation"),
    params:
        told=lambda wildcards: study.evaluation(wildcards.run),
        steps=lambda wildcards: study.parts(wildcards.run)[int(wildcards.part)],
        state=f"{STUDY}/state",
    message:
        "Evaluating {wildcards.run}, part {wildcards.part}"
    script:
        "../workflow/scripts/evaluate_checkpoints.py"


rule gather_run:
    input:
        rows=lambda wildcards: study.evaluated_parts(wildcards.run, "rows"),
        examples=lambda wildcards: study.evaluated_parts(wildcards.run, "examples"),
    output:
        rows=study.table_of_run("runs", "{run}"),
        examples=study.table_of_run("examples", "{run}"),
        clusters=study.table_of_run("clusters", "{run}"),
    log:
        f"{STUDY}/logs/gather_run/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_run/{{run}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.told("runs", wildcards.run),
    message:
        "Gathering the tables of {wildcards.run}"
    script:
        "../workflow/scripts/gather_run.py"


rule gather_tables:
    input:
        runs=study.tables_of_runs("runs"),
    output:
        evaluation=study.table("evaluation"),
        csv=f"{STUDY}/tables/evaluation.csv",
        minima=f"{STUDY}/tables/minima.csv",
    log:
        f"{STUDY}/logs/gather_tables.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_tables.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.told("evaluation"),
    message:
        "Gathering the study's table"
    script:
        "../workflow/scripts/gather_tables.py"


rule gather_costs:
    input:
        checkpoints=expand(study.place("checkpoints"), run=study.runs),
        timings=[study.table("timings")] if study.timed() else [],
    output:
        costs=study.table("costs"),
        csv=f"{STUDY}/tables/costs.csv",
    log:
        f"{STUDY}/logs/gather_costs.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_costs.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 500),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.told("costs"),
    message:
        "Gathering the costs of training"
    script:
        "../workflow/scripts/gather_costs.py"


rule write_config:
    output:
        config=f"{STUDY}/config.yaml",
    log:
        f"{STUDY}/logs/write_config.log",
    benchmark:
        f"{STUDY}/benchmarks/write_config.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 500),
        runtime=asks_for("runtime", 5),
    params:
        config=config,
        code=study.code("write_config"),
    message:
        "Keeping the merged configuration with the results"
    script:
        "../workflow/scripts/write_config.py"


rule write_manifest:
    input:
        costs=rules.gather_costs.output.costs,
        evaluation=rules.gather_tables.output.evaluation,
        stores=expand(study.place("store"), task=study.tasks),
    output:
        manifest=f"{STUDY}/manifest.json",
    log:
        f"{STUDY}/logs/write_manifest.log",
    benchmark:
        f"{STUDY}/benchmarks/write_manifest.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 500),
        runtime=asks_for("runtime", 5),
    params:
        config=study.config,
        tasks=study.tasks,
        told=lambda wildcards: study.manifest(),
        benchmarks=f"{STUDY}/benchmarks/evaluate_checkpoints",
    message:
        "Keeping machine, versions and seeds with the results"
    script:
        "../workflow/scripts/write_manifest.py"
