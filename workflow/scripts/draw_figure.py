"""Draw one figure, with its data and caption."""

from pathlib import Path

from equidyn.core import process


def main(tables, output, log, told):
    process.start(log, threads=1)
    from equidyn.figures.parts.making import make_figure

    make_figure(**told["drawing"], tables=tables, stem=Path(output).with_suffix(""))


if __name__ == "__main__":
    main(snakemake.input.tables, snakemake.output.caption, snakemake.log[0], snakemake.params.told)
