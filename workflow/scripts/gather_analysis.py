"""Join the tables of an analysis, with what the evaluation found of the same checkpoints."""

from equidyn.core import process


def main(analysis, inputs, outputs, log, estimator, runs, state):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.core.files import discard_states
    from equidyn.study.tables import join, with_evaluation, without_lists, write_table

    table = with_evaluation(join(inputs.tables), pd.read_parquet(inputs.evaluation), estimator)
    write_table(table, outputs.table)
    write_table(without_lists(table), outputs.csv)
    for run in runs:
        discard_states(state, f"{run}+{analysis}")


if __name__ == "__main__":
    main(
        str(snakemake.wildcards.analysis),
        snakemake.input,
        snakemake.output,
        snakemake.log[0],
        snakemake.params.told["estimator"],
        snakemake.params.runs,
        snakemake.params.state,
    )
