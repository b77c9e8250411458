# Download: files of the registry, one job each, and the entries that a study selects from an index.
# What is downloaded lies undeclared beside what declares it, as Snakemake deletes outputs before each try.


rule download_file:
    output:
        receipt=f"{DOWNLOADS}/{{dataset}}/{{version}}/{{file}}.json",
    log:
        f"{DOWNLOADS}/logs/{{dataset}}/{{version}}/{{file}}.log",
    benchmark:
        f"{DOWNLOADS}/benchmarks/{{dataset}}/{{version}}/{{file}}.tsv"
    retries: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=1440,
        downloads=1,
    params:
        entry=lambda wildcards: FILES[tuple(wildcards)].model_dump(mode="json"),
        mirror=config.get("downloads", {}).get("mirror"),
    message:
        "Downloading {wildcards.file} of {wildcards.dataset} {wildcards.version}"
    script:
        "../workflow/scripts/download_file.py"


rule select_entries:
    input:
        receipts=lambda wildcards: receipts(wildcards.task),
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
        mem_mb=4000,
        runtime=60,
    params:
        source=lambda wildcards: config["data"][wildcards.task]["source"],
        settings=lambda wildcards: selection_settings(config, wildcards.task),
        code=lambda wildcards: code_digest(
            module_of(source_of(config, wildcards.task).selection.select)
        ),
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
        mem_mb=2000,
        runtime=2880,
        downloads=1,
    params:
        check=lambda wildcards: source_of(config, wildcards.task).selection.check,
        template=lambda wildcards: template(wildcards.task).model_dump(mode="json"),
        folder=lambda wildcards: entries_folder(DOWNLOADS, template(wildcards.task)),
        mirror=config.get("downloads", {}).get("mirror"),
        connections=config.get("downloads", {}).get("connections", 4),
    message:
        "Downloading the entries selected for {wildcards.task}"
    script:
        "../workflow/scripts/download_entries.py"
