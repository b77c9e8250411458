"""Join the evaluated parts: one table per run, one of the study."""

from equidyn import process


def main(inputs, outputs, log):
    process.start(log, threads=1)
    from equidyn.tables import gather, minima, write_table

    table = gather(inputs.rows, outputs.runs)
    gather(inputs.examples, outputs.examples)
    write_table(table, outputs.study)
    write_table(table, outputs.csv)
    write_table(minima(table), outputs.minima)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0])
