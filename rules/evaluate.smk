# Evaluation: checkpoints in, tables out. How many checkpoints one job takes is evaluation.checkpoints_per_job.


rule evaluate_checkpoints:
    input:
        checkpoints=rules.train_network.output.checkpoints,
        store=store_of,
        subset=subset_of,
        validation=validation_of,
    output:
        rows=f"{STUDY}/evaluate/{{run}}/{{part}}.rows.parquet",
        examples=f"{STUDY}/evaluate/{{run}}/{{part}}.examples.parquet",
    log:
        f"{STUDY}/logs/evaluate_checkpoints/{{run}}/{{part}}.log",
    benchmark:
        f"{STUDY}/benchmarks/evaluate_checkpoints/{{run}}/{{part}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: needs("cpus_per_task", "evaluation")
    resources:
        gpu=needs("gpu", "evaluation"),
        mem_mb=needs("mem_mb", "evaluation"),
        runtime=needs("runtime", "evaluation"),
        # Where several are grouped into one job of a cluster, one at a time: see profiles/slurm.
        in_turn=1,
    params:
        task=lambda wildcards: task_card(RUNS[wildcards.run]["task"]).task,
        steps=lambda wildcards: evaluation_parts(wildcards.run)[int(wildcards.part)],
        protocol=lambda wildcards: protocol(config, RUNS[wildcards.run]),
        labels=lambda wildcards: labels(config, RUNS[wildcards.run]),
        control=lambda wildcards: control_of(wildcards.run),
        device=config["training"]["device"],
        code=lambda wildcards: evaluation_code(wildcards.run),
    message:
        "Evaluating {wildcards.run}, part {wildcards.part}"
    script:
        "../workflow/scripts/evaluate_checkpoints.py"


rule gather_run:
    input:
        rows=lambda wildcards: evaluated_parts(wildcards.run, "rows.parquet"),
        examples=lambda wildcards: evaluated_parts(wildcards.run, "examples.parquet"),
    output:
        rows=f"{STUDY}/tables/runs/{{run}}.parquet",
        examples=f"{STUDY}/tables/examples/{{run}}.parquet",
        clusters=f"{STUDY}/tables/clusters/{{run}}.parquet",
    log:
        f"{STUDY}/logs/gather_run/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_run/{{run}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("equidyn.study.tables"),
    message:
        "Gathering the tables of {wildcards.run}"
    script:
        "../workflow/scripts/gather_run.py"


rule gather_tables:
    input:
        runs=expand(rules.gather_run.output.rows, run=RUNS),
    output:
        evaluation=table("evaluation"),
        csv=f"{STUDY}/tables/evaluation.csv",
        minima=f"{STUDY}/tables/minima.csv",
    log:
        f"{STUDY}/logs/gather_tables.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_tables.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("equidyn.study.tables"),
    message:
        "Gathering the study's table"
    script:
        "../workflow/scripts/gather_tables.py"


rule gather_costs:
    input:
        checkpoints=checkpoint_folders(),
    output:
        costs=table("costs"),
        csv=f"{STUDY}/tables/costs.csv",
    log:
        f"{STUDY}/logs/gather_costs.log",
    benchmark:
        f"{STUDY}/benchmarks/gather_costs.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        config=config,
        runs=RUNS,
        code=code_digest("equidyn.study.costs"),
    message:
        "Gathering what the trainings cost"
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
        mem_mb=500,
        runtime=5,
    params:
        config=config,
    message:
        "Keeping the merged configuration with the results"
    script:
        "../workflow/scripts/write_config.py"


rule write_manifest:
    input:
        costs=rules.gather_costs.output.costs,
        evaluation=rules.gather_tables.output.evaluation,
    output:
        manifest=f"{STUDY}/manifest.json",
    log:
        f"{STUDY}/logs/write_manifest.log",
    benchmark:
        f"{STUDY}/benchmarks/write_manifest.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        config=config,
        runs=RUNS,
        benchmarks=f"{STUDY}/benchmarks/evaluate_checkpoints",
        stages={
            "training": {run: training_code(run) for run in RUNS},
            "evaluation": {run: evaluation_code(run) for run in RUNS},
        },
        code=code_digest("equidyn.study.manifest"),
    message:
        "Keeping machine, versions and seeds with the results"
    script:
        "../workflow/scripts/write_manifest.py"
