# Figures, claims and report: tables in, pictures and verdicts out; neither torch nor checkpoints are needed here.


rule draw_figure:
    input:
        tables=tables_of,
    output:
        png=f"{STUDY}/figures/{{task}}/{{figure}}.png",
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
        code=lambda wildcards: figure_code(wildcards.figure),
    message:
        "Drawing {wildcards.figure} of {wildcards.task}"
    script:
        "../workflow/scripts/draw_figure.py"


rule judge_claims:
    input:
        evaluation=table("evaluation"),
        clusters=expand(f"{STUDY}/tables/clusters/{{run}}.parquet", run=RUNS),
        costs=table("costs"),
        analyses=analysis_tables(),
    output:
        claims=table("claims"),
        csv=f"{STUDY}/tables/claims.csv",
    log:
        f"{STUDY}/logs/judge_claims.log",
    benchmark:
        f"{STUDY}/benchmarks/judge_claims.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        figures=config["figures"],
        protocol={
            name: config["evaluation"][name]
            for name in ("confidence", "resamples", "seed")
        },
        code=code_digest("equidyn.analysis.claims"),
    message:
        "Judging the paper's claims"
    script:
        "../workflow/scripts/judge_claims.py"


rule write_report:
    input:
        figures=figure_files(["png", "txt"]),
        claims=rules.judge_claims.output.claims,
        costs=table("costs"),
        manifest=f"{STUDY}/manifest.json",
        config=f"{STUDY}/config.yaml",
        template=f"{PACKAGE_FOLDER}/report.html.j2",
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
        study=config["study"],
        figures=figures_drawn(),
        folder=f"{STUDY}/figures",
        code=code_digest("equidyn.report"),
    message:
        "Writing the report"
    script:
        "../workflow/scripts/write_report.py"
