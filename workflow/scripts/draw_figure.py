"""Draw one figure, with its data and caption."""

from pathlib import Path

from equidyn import process


def main(table, output, log, task, figure, options):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.figures import style
    from equidyn.figures.captions import caption
    from equidyn.figures.catalogue import ALL_TASKS, FIGURES
    from equidyn.figures.options import Options
    from equidyn.plugins import load

    entry = FIGURES[figure]
    if task == ALL_TASKS:
        options = {name: Options(task=name, **own) for name, own in options.items()}
    else:
        options = Options(task=task, **options)
    with style.applied():
        drawn, data = load(entry.draw)(pd.read_parquet(table), options)
        style.save(drawn, data, Path(output.png).with_suffix(""))
    Path(output.caption).write_text(f"{entry.title}. {caption(entry, data, options)}\n", encoding="utf-8")


if __name__ == "__main__":
    main(
        snakemake.input.table,
        snakemake.output,
        snakemake.log[0],
        snakemake.wildcards.task,
        snakemake.wildcards.figure,
        snakemake.params.options,
    )
