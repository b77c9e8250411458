# Download: files of the registry, one job each, and the entries that a study selects from an index.
# Downloaded files are no declared outputs, but lie beside those, as Snakemake deletes outputs before each attempt.


rule download_file:
    output:
        receipt=f"{study.downloads}/{{dataset}}/{{version}}/{{file}}.json",
    log:
        f"{study.downloads}/logs/{{dataset}}/{{version}}/{{file}}.log",
    benchmark:
        f"{study.downloads}/benchmarks/{{dataset}}/{{version}}/{{file}}.tsv"
    retries: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 1440),
        downloads=1,
    params:
        told=lambda wildcards: study.download(*wildcards),
    message:
        "Downloading {wildcards.file} of {wildcards.dataset} {wildcards.version}"
    script:
        "../workflow/scripts/download_file.py"


rule select_entries:
    input:
        receipts=lambda wildcards: study.receipts(wildcards.task),
    output:
        selection=f"{STUDY}/data/{{task}}/selection.tsv",
        counts=f"{STUDY}/data/{{task}}/selection.json",
    log:
        f"{STUDY}/logs/select_entries/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/select_entries/{{task}}.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 4000),
        runtime=asks_for("runtime", 60),
    params:
        told=lambda wildcards: study.selection(wildcards.task),
    message:
        "Selecting entries for {wildcards.task} from their index"
    script:
        "../workflow/scripts/select_entries.py"


rule download_entries:
    input:
        selection=rules.select_entries.output.selection,
    output:
        entries=f"{STUDY}/data/{{task}}/entries.tsv",
    log:
        f"{STUDY}/logs/download_entries/{{task}}.log",
    benchmark:
        f"{STUDY}/benchmarks/download_entries/{{task}}.tsv"
    retries: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 2000),
        runtime=asks_for("runtime", 2880),
        downloads=1,
    params:
        folder=lambda wildcards: next(
            iter(study.store_folders(wildcards.task).values())
        ),
        told=lambda wildcards: study.entries(wildcards.task),
    message:
        "Downloading the entries selected for {wildcards.task}"
    script:
        "../workflow/scripts/download_entries.py"
