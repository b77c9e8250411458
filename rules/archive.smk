# Archive: all figures of a study at once from its published tables, instead of one job for each; or those alone that
# are asked for by their files, where nothing else is.
import sys

ASKED = [
    (task, figure)
    for task, figure in DRAWN
    if any(file.startswith(f"{STUDY}/figures/{task}/{figure}.") for file in sys.argv)
]
REDRAWN = DRAWN if {"all", "figures", "report"} & {*sys.argv} else ASKED or DRAWN


ARCHIVED_TABLES = sorted(
    {
        file
        for task, figure in DRAWN
        for file in tables_of(figure, task)
        if file != study.table("claims")
    }
)
study.require(
    [
        *ARCHIVED_TABLES,
        *map(study.table, study.judged),
        *study.tables_of_runs("clusters"),
        *analysis_tables(),
        *study.record_files(),
    ]
)


rule redraw_figures:
    input:
        sorted({file for task, figure in REDRAWN for file in tables_of(figure, task)}),
    output:
        [
            kept(f"{STUDY}/figures/{task}/{figure}.{kind}")
            for task, figure in REDRAWN
            for kind in (*FORMATS, "csv")
            if kind != "png"
        ],
        [
            in_report(
                f"{STUDY}/figures/{task}/{figure}.{kind}",
                part,
                lambda wildcards, place=(task, figure): place,
            )
            for task, figure in REDRAWN
            for kind, part in {"png": "picture", "txt": "caption"}.items()
        ],
    log:
        f"{STUDY}/logs/redraw_figures.log",
    conda:
        "../envs/figures.yaml"
    threads: 64
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        figures=lambda wildcards: [
            told_figure(figure, task)["drawing"]
            | {
                "tables": tables_of(figure, task),
                "stem": f"{STUDY}/figures/{task}/{figure}",
            }
            for task, figure in REDRAWN
        ],
        code=study.code("redraw_figures"),
        origin=lambda wildcards: digest(
            [told_figure(figure, task) for task, figure in REDRAWN]
        ),
    message:
        "Drawing all figures" if REDRAWN is DRAWN else "Drawing figures"
    script:
        "../workflow/scripts/redraw_figures.py"
