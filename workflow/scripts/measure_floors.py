"""Measure the errors that rotating grids introduces by itself."""

from equidyn.core import process


def main(inputs, outputs, log, threads, settings):
    process.start(log, threads)
    import torch

    from equidyn.analysis.interpolation import interpolation_floors
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.study.tables import write_table

    torch.set_num_threads(threads)
    store = Store(inputs.store)
    floors = interpolation_floors(store, read_index(inputs.validation, len(store)), **settings)
    write_table(floors, outputs.table)
    write_table(floors, outputs.csv)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0], snakemake.threads, snakemake.params.told["settings"])
