"""Join the tables of an analysis, with what the evaluation found of the same checkpoints."""

from equidyn.core import process


def main(inputs, outputs, log, estimator):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.study.tables import join, with_evaluation, without_lists, write_table

    table = join(inputs.tables)
    if "skill" not in table:  # else the analysis is an evaluation itself
        table = with_evaluation(table, pd.read_parquet(inputs.evaluation), estimator)
    write_table(table, outputs.table)
    write_table(without_lists(table), outputs.csv)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0], snakemake.params.told["estimator"])
