# Archive: all figures of a study at once from its published tables, in place of one job for each.


ARCHIVED_TABLES = sorted(
    {
        table(kind, task)
        for task, figure in DRAWN
        for kind in known_figures()[figure].tables
        if kind != "claims"
    }
)
check_archive(
    [*ARCHIVED_TABLES, *cluster_tables(), *analysis_tables(), *record_files()]
)


rule redraw_figures:
    input:
        tables=ARCHIVED_TABLES,
        claims=rules.judge_claims.output.claims,
    output:
        figure_files(),
    log:
        f"{STUDY}/logs/redraw_figures.log",
    conda:
        "../envs/figures.yaml"
    threads: 64
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        figures=[
            drawing(config, RUNS, task, figure)
            | {
                "tables": [
                    table(kind, task) for kind in known_figures()[figure].tables
                ],
                "stem": f"{STUDY}/figures/{task}/{figure}",
                "formats": FORMATS,
            }
            for task, figure in DRAWN
        ],
        code=[figure_code(figure) for task, figure in DRAWN],
    message:
        "Drawing all figures"
    script:
        "../workflow/scripts/redraw_figures.py"
