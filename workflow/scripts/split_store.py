"""Split a store into training and validation examples."""

from equidyn.core import process


def main(store, train, validation, log, fraction, seed):
    process.start(log, threads=1)
    from equidyn.data.store import Store
    from equidyn.data.subsets import published_split, split_by_cluster, write_index

    store = Store(store)
    if fraction is None:
        sides = published_split(store)
    else:
        sides = split_by_cluster(store.scalar("cluster"), validation_fraction=fraction, seed=seed)
    for path, indices in zip((train, validation), sides, strict=True):
        write_index(path, indices)


if __name__ == "__main__":
    main(
        snakemake.input.store,
        *snakemake.output,
        snakemake.log[0],
        snakemake.params.told["fraction"],
        snakemake.params.told["seed"],
    )
