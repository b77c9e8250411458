"""Join the tables of all runs into the study's."""

from equidyn.core import process


def main(inputs, outputs, log):
    process.start(log, threads=1)
    from equidyn.study.tables import join, minima, write_table

    evaluation = join(inputs.runs)
    write_table(evaluation, outputs.evaluation)
    write_table(evaluation, outputs.csv)
    write_table(minima(evaluation), outputs.minima)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0])
