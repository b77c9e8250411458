# Figures and report: tables in, pictures out; neither torch nor checkpoints are needed here.


rule draw_figure:
    input:
        table=rules.gather_tables.output.study,
    output:
        png=report(
            f"{STUDY}/figures/{{figure}}.png",
            caption="../workflow/report/figure.rst",
            category=lambda wildcards: FIGURES[wildcards.figure]["category"],
        ),
        others=multiext(f"{STUDY}/figures/{{figure}}", ".pdf", ".svg", ".csv"),
    log:
        f"{STUDY}/logs/draw_figure/{{figure}}.log",
    benchmark:
        f"{STUDY}/benchmarks/draw_figure/{{figure}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        entry=lambda wildcards: FIGURES[wildcards.figure],
        settings=config["figures"],
        code=code_digest("equidyn.figures.dynamics"),
    message:
        "Drawing {wildcards.figure}"
    script:
        "../workflow/scripts/draw_figure.py"
