"""Find how the examples of a store are oriented, and test whether they lie in all directions."""

from equidyn.core import process


def main(store, train, outputs, log):
    process.start(log, threads=1)
    from equidyn.analysis.orientation import audit, examine
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.study.tables import write_table

    store = Store(store)
    table = audit(store, read_index(train, len(store)))
    for rows, path in zip((table, *examine(table)), (outputs.table, outputs.tests, outputs.angles), strict=True):
        write_table(rows, path)


if __name__ == "__main__":
    main(snakemake.input.store, snakemake.input.train, snakemake.output, snakemake.log[0])
