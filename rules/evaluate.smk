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
        task=lambda wildcards: RUNS[wildcards.run]["task"],
        steps=lambda wildcards: evaluation_parts(wildcards.run)[int(wildcards.part)],
        protocol=lambda wildcards: protocol(config, RUNS[wildcards.run]),
        labels=lambda wildcards: labels(config, RUNS[wildcards.run]),
        device=config["training"]["device"],
        code=lambda wildcards: evaluation_code(wildcards.run),
    message:
        "Evaluating {wildcards.run}, part {wildcards.part}"
    script:
        "../workflow/scripts/evaluate_checkpoints.py"


rule gather_tables:
    input:
        rows=evaluated_parts("rows.parquet"),
        examples=evaluated_parts("examples.parquet"),
    output:
        runs=expand(f"{STUDY}/tables/runs/{{run}}.parquet", run=RUNS),
        examples=expand(f"{STUDY}/tables/examples/{{run}}.parquet", run=RUNS),
        study=f"{STUDY}/tables/evaluation.parquet",
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
        code=code_digest("equidyn.tables"),
    message:
        "Gathering one table per run and one of the study"
    script:
        "../workflow/scripts/gather_tables.py"
