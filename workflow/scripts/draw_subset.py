"""Draw one nested training subset."""

from equidyn.core import process


def main(train, subset, log, name, size, seed):
    process.start(log, threads=1)
    from equidyn.data.subsets import nested_subsets, read_index, write_index

    write_index(subset, nested_subsets(read_index(train), {name: size}, seed=seed)[name])


if __name__ == "__main__":
    main(
        snakemake.input.train,
        snakemake.output.subset,
        snakemake.log[0],
        snakemake.wildcards.subset,
        snakemake.params.told["size"],
        snakemake.params.told["seed"],
    )
