# Download: files of the registry, one job each, and those entries of the Protein Data Bank that a study selects.
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


rule select_chains:
    input:
        receipts=lambda wildcards: receipts("flow_matching"),
    output:
        selection=f"{STUDY}/data/flow_matching/selection.tsv",
        counts=f"{STUDY}/data/flow_matching/selection.json",
    log:
        f"{STUDY}/logs/select_chains.log",
    benchmark:
        f"{STUDY}/benchmarks/select_chains.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        limits=lambda wildcards: selection_limits(config),
        code=code_digest("equidyn.data.pdb"),
    message:
        "Selecting protein chains from the index of the Protein Data Bank"
    script:
        "../workflow/scripts/select_chains.py"


rule download_entries:
    input:
        selection=rules.select_chains.output.selection,
    output:
        entries=f"{STUDY}/data/flow_matching/entries.tsv",
    log:
        f"{STUDY}/logs/download_entries.log",
    benchmark:
        f"{STUDY}/benchmarks/download_entries.tsv"
    retries: 3
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=2880,
        downloads=1,
    params:
        template=lambda wildcards: template("flow_matching").model_dump(mode="json"),
        folder=lambda wildcards: entries_folder("flow_matching"),
        mirror=config.get("downloads", {}).get("mirror"),
        connections=config.get("downloads", {}).get("connections", 4),
    message:
        "Downloading the selected entries of the Protein Data Bank"
    script:
        "../workflow/scripts/download_entries.py"
