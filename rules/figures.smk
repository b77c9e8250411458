# Figures, claims and report: tables in, pictures and verdicts out; neither torch nor checkpoints are needed here.


# An archive draws all figures in one job: see archive.smk.
if not ARCHIVED:

    rule draw_figure:
        input:
            tables=tables_of,
        output:
            [f"{STUDY}/figures/{{task}}/{{figure}}.{format}" for format in FORMATS],
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
            drawing=lambda wildcards: drawing(
                config, RUNS, wildcards.task, wildcards.figure
            ),
            formats=FORMATS,
            code=lambda wildcards: figure_code(wildcards.figure),
        message:
            "Drawing {wildcards.figure} of {wildcards.task}"
        script:
            "../workflow/scripts/draw_figure.py"


rule judge_claims:
    input:
        evaluation=table("evaluation"),
        clusters=cluster_tables(),
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
        choices=choices_of(config, TASKS_RUN),
        protocol={
            name: config["evaluation"][name]
            for name in ("confidence", "resamples", "seed")
        },
        code=code_digest("equidyn.claims.definitions"),
    message:
        "Judging the paper's claims"
    script:
        "../workflow/scripts/judge_claims.py"


rule write_report:
    input:
        figures=figure_files(["png"]),
        captions=figure_files(["txt"]),
        claims=rules.judge_claims.output.claims,
        costs=table("costs"),
        config=record_files()[0],
        manifest=record_files()[1],
        template=f"{PACKAGE_FOLDER}/report/report.html.j2",
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
        figures=[
            (task, name, known_figures()[name].title, known_figures()[name].category)
            for task, name in DRAWN
        ],
        tasks=titles(TASKS_RUN),
        code=code_digest("equidyn.report.page"),
    message:
        "Writing the report"
    script:
        "../workflow/scripts/write_report.py"
