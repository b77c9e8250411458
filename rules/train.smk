# Training: one job per run. What an interrupted job resumes from lies outside its outputs, which Snakemake deletes.


rule train_network:
    input:
        store=store_of,
        subset=subset_of,
    output:
        checkpoints=directory(f"{STUDY}/train/{{run}}"),
    log:
        f"{STUDY}/logs/train_network/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/train_network/{{run}}.tsv"
    conda:
        "../envs/train.yaml"
    threads: needs("cpus_per_task", "training")
    resources:
        gpu=needs("gpu", "training"),
        # No parameter: who gets more devices need not train again.
        devices=lambda wildcards: devices(config, RUNS[wildcards.run]),
        mem_mb=needs("mem_mb", "training"),
        runtime=needs("runtime", "training"),
    params:
        task=lambda wildcards: task_card(RUNS[wildcards.run]["task"]).task,
        recipe=lambda wildcards: recipe(config, RUNS[wildcards.run]),
        settings=lambda wildcards: task_settings(config, RUNS[wildcards.run]),
        steps=lambda wildcards: kept_steps(wildcards.run),
        state=f"{STUDY}/state",
        state_every=config["training"]["state_every"],
        device=config["training"]["device"],
        microbatch=lambda wildcards: config["training"][
            RUNS[wildcards.run]["task"]
        ].get("microbatch"),
        code=lambda wildcards: training_code(wildcards.run),
    message:
        "Training {wildcards.run}"
    script:
        "../workflow/scripts/train_network.py"
