"""Make the store of a task from one of its sources."""

from equidyn import process


def main(store, log, threads, task, source, settings):
    process.start(log, threads=1)
    from equidyn.data import SOURCES
    from equidyn.plugins import load

    load(SOURCES[task][source])(store, processes=threads, **settings)


if __name__ == "__main__":
    main(
        snakemake.output.store,
        snakemake.log[0],
        snakemake.threads,
        snakemake.wildcards.task,
        snakemake.params.source,
        snakemake.params.settings,
    )
