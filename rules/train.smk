# Training: one job per run. The state that an interrupted job resumes from is no output, as Snakemake deletes outputs.


rule train_network:
    input:
        store=store_of,
        subset=subset_of,
    output:
        checkpoints=directory(study.place("checkpoints")),
    log:
        f"{STUDY}/logs/train_network/{{run}}.log",
    benchmark:
        f"{STUDY}/benchmarks/train_network/{{run}}.tsv"
    priority: 2  # what takes longest, and what most waits for, begins first
    retries: retries("training")
    conda:
        "../envs/train.yaml"
    threads: asks_for_run("cpus_per_task", "training")
    resources:
        gpu=asks_for_run("gpu", "training"),
        gpu_share=asks_for_run("gpu_share", "training"),
        # No parameters: a run that gets more devices, or saves its state more often, need not train again.
        devices=lambda wildcards: study.devices(wildcards.run),
        state_every=config["training"]["state_every"],
        mem_mb=asks_for_run("mem_mb", "training"),
        runtime=asks_for_run("runtime", "training"),
    params:
        told=lambda wildcards: study.training(wildcards.run),
        state=f"{STUDY}/state",
    message:
        "Training {wildcards.run}"
    script:
        "../workflow/scripts/train_network.py"


# A job of its own that has the machine for itself: trainings run beside others.
rule time_steps:
    input:
        stores=[
            study.place("store", task=study.runs[run]["task"]) for run in study.timed()
        ],
        subsets=map(study.subset_file, study.timed()),
        trained=expand(study.place("checkpoints"), run=study.runs),
    output:
        timings=study.table("timings"),
        csv=f"{STUDY}/tables/timings.csv",
    log:
        f"{STUDY}/logs/time_steps.log",
    benchmark:
        f"{STUDY}/benchmarks/time_steps.tsv"
    conda:
        "../envs/train.yaml"
    threads: workflow.resource_settings.cores or asks_for_timing("cpus_per_task")
    resources:
        gpu=asks_for_timing("gpu"),
        gpu_share=asks_for_timing("gpu_share"),
        mem_mb=asks_for_timing("mem_mb"),
        runtime=asks_for_timing("runtime"),
    params:
        told=lambda wildcards: study.told("timings"),
    message:
        "Timing training steps"
    script:
        "../workflow/scripts/time_steps.py"
