"""Read the authors' curves and loss landscapes and the curves of the pilot run, which come with the package."""

from equidyn.core import process


def main(outputs, log):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.analysis.authors import published_curves, published_landscapes
    from equidyn.analysis.pilot import pilot_curves
    from equidyn.study.tables import write_table

    write_table(pd.concat([published_curves(), pilot_curves()], ignore_index=True), outputs.curves)
    landscapes = published_landscapes()
    for path in (outputs.landscape, outputs.landscape_csv):
        write_table(landscapes, path)


if __name__ == "__main__":
    main(snakemake.output, snakemake.log[0])
