"""Draw one figure, with its data and caption."""

from pathlib import Path

from equidyn import process


def main(tables, output, log, task, figure, options):
    process.start(log, threads=1)
    from equidyn.figures.making import make_figure

    make_figure(figure, task, tables, options, Path(output).with_suffix(""))


if __name__ == "__main__":
    main(
        snakemake.input.tables,
        snakemake.output.png,
        snakemake.log[0],
        snakemake.wildcards.task,
        snakemake.wildcards.figure,
        snakemake.params.options,
    )
