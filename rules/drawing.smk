# Drawing: one job per figure, from its tables. An archive draws all figures in one job instead.


rule draw_figure:
    input:
        tables=lambda wildcards: tables_of(wildcards.figure, wildcards.task),
    output:
        [
            f"{STUDY}/figures/{{task}}/{{figure}}.{format}"
            for format in FORMATS
            if format != "png"
        ],
        png=in_report(f"{STUDY}/figures/{{task}}/{{figure}}.png", "picture"),
        csv=f"{STUDY}/figures/{{task}}/{{figure}}.csv",
        caption=in_report(f"{STUDY}/figures/{{task}}/{{figure}}.txt", "caption"),
    log:
        f"{STUDY}/logs/draw_figure/{{task}}/{{figure}}.log",
    benchmark:
        f"{STUDY}/benchmarks/draw_figure/{{task}}/{{figure}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: told_figure(wildcards.figure, wildcards.task),
    message:
        "Drawing {wildcards.figure} of {wildcards.task}"
    script:
        "../workflow/scripts/draw_figure.py"
