"""Join the evaluated parts of one run: its rows, and sums per example and per cluster."""

from equidyn.core import process


def main(inputs, outputs, log):
    process.start(log, threads=1)
    from equidyn.study.tables import cluster_sums, join, write_table

    rows, examples = join(inputs.rows), join(inputs.examples)
    write_table(rows, outputs.rows)
    write_table(examples, outputs.examples)
    write_table(cluster_sums(examples), outputs.clusters)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0])
