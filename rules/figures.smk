# Figures and report: tables in, pictures out; neither torch nor checkpoints are needed here.


rule draw_figure:
    input:
        table=table_of,
    output:
        png=report(
            f"{STUDY}/figures/{{task}}/{{figure}}.png",
            caption="../workflow/report/figure.rst",
            category="{task}",
            subcategory=lambda wildcards: FIGURES[wildcards.figure].category,
            labels=lambda wildcards: {"figure": FIGURES[wildcards.figure].title}
            | FIGURES[wildcards.figure].labels,
        ),
        pdf=f"{STUDY}/figures/{{task}}/{{figure}}.pdf",
        svg=f"{STUDY}/figures/{{task}}/{{figure}}.svg",
        csv=f"{STUDY}/figures/{{task}}/{{figure}}.csv",
        caption=f"{STUDY}/figures/{{task}}/{{figure}}.txt",
    log:
        f"{STUDY}/logs/draw_figure/{{task}}/{{figure}}.log",
    benchmark:
        f"{STUDY}/benchmarks/draw_figure/{{task}}/{{figure}}.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        options=lambda wildcards: figure_options(wildcards.task),
        title=lambda wildcards: FIGURES[wildcards.figure].title,
        description=lambda wildcards: FIGURES[wildcards.figure].description,
        code=lambda wildcards: code_digest(
            module_of(FIGURES[wildcards.figure].draw), "equidyn.figures.captions"
        ),
    message:
        "Drawing {wildcards.figure} of {wildcards.task}"
    script:
        "../workflow/scripts/draw_figure.py"


rule write_config:
    output:
        config=f"{STUDY}/config.yaml",
    log:
        f"{STUDY}/logs/write_config.log",
    benchmark:
        f"{STUDY}/benchmarks/write_config.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        config=config,
    message:
        "Keeping the merged configuration with the results"
    script:
        "../workflow/scripts/write_config.py"


rule write_report:
    input:
        figures=figure_files(),
        config=rules.write_config.output.config,
    output:
        report_file(),
    log:
        f"{STUDY}/logs/write_report.log",
    benchmark:
        f"{STUDY}/benchmarks/write_report.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        python=sys.executable,
    message:
        "Writing the report"
    shell:
        "{params.python} -m snakemake --nolock --cores 1 --configfile {input.config} --report {output} figures > {log} 2>&1"
