# Data: make or prepare a task's examples, split them by cluster, draw nested training subsets.


rule make_store:
    input:
        files=store_files,
    output:
        store=directory(f"{STUDY}/data/{{task}}/store"),
    log:
        f"{STUDY}/logs/make_store/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/make_store/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 8
    resources:
        mem_mb=store_resources(2000, 16000),
        runtime=store_resources(60, 1440),
    params:
        source=lambda wildcards: config["data"][wildcards.task]["source"],
        recipe=lambda wildcards: store_recipe(config, wildcards.task),
        folders=lambda wildcards: store_folders(wildcards.task),
        scratch=f"{STUDY}/state",
        code=lambda wildcards: code_digest(source_of(config, wildcards.task).module),
    message:
        "Making the examples of {wildcards.task}"
    script:
        "../workflow/scripts/make_store.py"


rule split_store:
    input:
        store=f"{STUDY}/data/{{task}}/store",
    output:
        train=f"{STUDY}/data/{{task}}/index/train.npy",
        validation=f"{STUDY}/data/{{task}}/index/validation.npy",
    log:
        f"{STUDY}/logs/split_store/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/split_store/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # Without it the source's own split counts.
        fraction=lambda wildcards: config["data"][wildcards.task].get(
            "validation_fraction"
        ),
        seed=lambda wildcards: config["data"][wildcards.task]["seed"],
        code=code_digest("equidyn.data.subsets"),
    message:
        "Splitting {wildcards.task} into training and validation"
    script:
        "../workflow/scripts/split_store.py"


rule draw_subset:
    input:
        train=rules.split_store.output.train,
    output:
        subset=f"{STUDY}/data/{{task}}/index/subsets/{{subset}}.npy",
    log:
        f"{STUDY}/logs/draw_subset/{{task}}/{{subset}}.log",
    benchmark:
        f"{STUDY}/benchmarks/draw_subset/{{task}}/{{subset}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        size=lambda wildcards: config["data"][wildcards.task]["subsets"][
            wildcards.subset
        ],
        seed=lambda wildcards: config["data"][wildcards.task]["seed"],
        code=code_digest("equidyn.data.subsets"),
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
        mem_mb=store_resources(2000, 16000),
        runtime=store_resources(30, 240),
    params:
        quantities=lambda wildcards: task_card(wildcards.task).quantities,
        code=lambda wildcards: code_digest(
            "equidyn.data.describe", module_of(task_card(wildcards.task).quantities)
        ),
    message:
        "Describing the examples of {wildcards.task}"
    script:
        "../workflow/scripts/describe_data.py"
