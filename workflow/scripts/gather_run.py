"""Join the evaluated parts of one run: its rows, and sums per example and per cluster."""

from equidyn.core import process


def main(run, inputs, outputs, log, state):
    process.start(log, threads=1)
    from equidyn.core.files import discard_states
    from equidyn.study.tables import cluster_sums, join, write_table

    rows, examples = join(inputs.rows), join(inputs.examples)
    write_table(rows, outputs.rows)
    write_table(examples, outputs.examples)
    write_table(cluster_sums(examples), outputs.clusters)
    discard_states(state, f"{run}+evaluation")


if __name__ == "__main__":
    main(str(snakemake.wildcards.run), snakemake.input, snakemake.output, snakemake.log[0], snakemake.params.state)
