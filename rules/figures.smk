# Claims and report: tables in, verdicts and a page out; neither torch nor checkpoints are needed here.
REPORT_TEMPLATES = [
    Path(PACKAGE_FOLDER, "report/study.html.j2"),
    Path(PACKAGE_FOLDER, "report/explorer.js"),
    *sorted(Path(PACKAGE_FOLDER, "report/parts").iterdir()),
]


rule judge_claims:
    input:
        evaluation=study.table("evaluation"),
        clusters=study.tables_of_runs("clusters"),
        costs=study.table("costs"),
        analyses=analysis_tables(),
        landscapes=study.table("published_landscape"),
        curves=[study.table(kind) for kind in study.authors_curves],
    output:
        claims=kept(study.table("claims")),
        csv=report(
            kept(f"{STUDY}/tables/claims.csv"),
            caption="../workflow/report/claims.rst",
            category="Claims",
            labels={"figure": "Verdicts on claims", "part": "table"},
        ),
    log:
        f"{STUDY}/logs/judge_claims.log",
    benchmark:
        f"{STUDY}/benchmarks/judge_claims.tsv"
    conda:
        "../envs/figures.yaml"
    threads: asks_for("cpus_per_task", 4)
    resources:
        mem_mb=asks_for("mem_mb", 3000),
        runtime=asks_for("runtime", 10),
    params:
        told=lambda wildcards: study.judging(),
    message:
        "Judging the paper's claims"
    script:
        "../workflow/scripts/judge_claims.py"


rule write_report:
    input:
        figures=figure_files(["png"]),
        captions=figure_files(["txt"]),
        claims=rules.judge_claims.output.claims,
        evaluation=study.table("evaluation"),
        clusters=study.tables_of_runs("clusters"),
        costs=study.table("costs"),
        config=study.record_files()[0],
        manifest=study.record_files()[1],
    output:
        kept(f"{STUDY}/report.html"),
    log:
        f"{STUDY}/logs/write_report.log",
    benchmark:
        f"{STUDY}/benchmarks/write_report.tsv"
    conda:
        "../envs/figures.yaml"
    resources:
        mem_mb=asks_for("mem_mb", 1500),
        runtime=asks_for("runtime", 10),
    params:
        study=config["study"],
        figures=[
            (task, name, known_figures()[name].title, category(name, task))
            for task, name in DRAWN
        ],
        tasks=titles(study.tasks),
        formats=[*FORMATS, "csv"],
        analyses=sorted({analysis for analysis, task in study.analysed()}),
        downloads=sorted({dataset for dataset, version, file in study.published_files}),
        choices=lambda wildcards: study.judging()["choices"],
        code=study.code("write_report"),
        origin=lambda wildcards: digest(
            [told_figure(figure, task) for task, figure in DRAWN],
            study.reported(),
            *map(file_digest, REPORT_TEMPLATES),
        ),
    message:
        "Writing the report"
    script:
        "../workflow/scripts/write_report.py"
