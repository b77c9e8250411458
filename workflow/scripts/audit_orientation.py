"""Find how the examples of a store are oriented."""

from equidyn import process


def main(store, train, table, log):
    process.start(log, threads=1)
    from equidyn.analysis.orientation import audit
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.tables import write_table

    store = Store(store)
    write_table(audit(store, read_index(train, len(store))), table)


if __name__ == "__main__":
    main(snakemake.input.store, snakemake.input.train, snakemake.output.table, snakemake.log[0])
