# Data: make or prepare a task's examples, split them by cluster, draw nested training subsets.


rule make_store:
    input:
        files=lambda wildcards: study.store_files(wildcards.task),
    output:
        store=directory(study.place("store")),
    log:
        f"{STUDY}/logs/make_store/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/make_store/{{task}}.tsv"
    priority: 3
    retries: retries("data")
    conda:
        "../envs/data.yaml"
    threads: asks_for_data("cpus_per_task", "store")
    resources:
        mem_mb=asks_for_data("mem_mb", "store"),
        runtime=asks_for_data("runtime", "store"),
    params:
        told=lambda wildcards: study.store(wildcards.task),
        folders=lambda wildcards: study.store_folders(wildcards.task),
        scratch=f"{STUDY}/state",
    message:
        "Making the examples of {wildcards.task}"
    script:
        "../workflow/scripts/make_store.py"


rule split_store:
    input:
        store=study.place("store"),
    output:
        train=study.place("train"),
        validation=study.place("validation"),
    log:
        f"{STUDY}/logs/split_store/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/split_store/{{task}}.tsv"
    priority: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.split(wildcards.task),
    message:
        "Splitting {wildcards.task} into training and validation"
    script:
        "../workflow/scripts/split_store.py"


rule draw_subset:
    input:
        train=rules.split_store.output.train,
    output:
        subset=study.place("subset"),
    log:
        f"{STUDY}/logs/draw_subset/{{task}}/{{subset}}.log",
    benchmark:
        f"{STUDY}/benchmarks/draw_subset/{{task}}/{{subset}}.tsv"
    priority: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.subset(wildcards.task, wildcards.subset),
    message:
        "Drawing the training subset {wildcards.subset} of {wildcards.task}"
    script:
        "../workflow/scripts/draw_subset.py"


rule describe_data:
    input:
        store=rules.make_store.output.store,
        train=rules.split_store.output.train,
    output:
        table=f"{STUDY}/tables/data/{{task}}.parquet",
    log:
        f"{STUDY}/logs/describe_data/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/describe_data/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for_data("mem_mb", "description"),
        runtime=asks_for_data("runtime", "description"),
    params:
        told=lambda wildcards: study.told("data", wildcards.task),
    message:
        "Describing the examples of {wildcards.task}"
    script:
        "../workflow/scripts/describe_data.py"
