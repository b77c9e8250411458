# Everything that is made before figures, from raw data to tables; an archive has none of it.


include: "download.smk"
include: "data.smk"
include: "train.smk"
include: "evaluate.smk"
include: "analyse.smk"
include: "drawing.smk"


# Targets, what is instant, and what needs the network, which compute nodes often lack.
localrules:
    download_file,
    select_entries,
    download_entries,
    split_store,
    draw_subset,
    write_config,
    data,
    train,
    evaluate,
    analyse,


rule data:
    input:
        study.index_files(),


rule train:
    input:
        rules.gather_costs.input.checkpoints,


rule evaluate:
    input:
        rules.gather_tables.output,


rule analyse:
    input:
        analysis_tables(),
