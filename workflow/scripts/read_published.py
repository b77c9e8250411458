"""Read the authors' loss landscapes, which come with the package."""

from equidyn import process


def main(outputs, log):
    process.start(log, threads=1)
    from equidyn.analysis.published import published_landscapes
    from equidyn.tables import write_table

    for path in outputs:
        write_table(published_landscapes(), path)


if __name__ == "__main__":
    main(snakemake.output, snakemake.log[0])
