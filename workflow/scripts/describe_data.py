"""Describe every example of a store, and which side of the split it is on."""

from equidyn.core import process


def main(store, train, table, log, quantities):
    process.start(log, threads=1)
    from equidyn.core.plugins import load
    from equidyn.data.describe import describe
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.study.tables import write_table

    store = Store(store)
    write_table(describe(store, read_index(train, len(store)), load(quantities)), table)


if __name__ == "__main__":
    main(
        snakemake.input.store,
        snakemake.input.train,
        snakemake.output.table,
        snakemake.log[0],
        snakemake.params.told["quantities"],
    )
