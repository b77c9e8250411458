"""Make the store of a task from one of its sources."""

from pathlib import Path

from equidyn.core import process


def main(files, store, log, threads, task, params):
    process.start(log, threads=1)
    from equidyn.core.files import state_folder
    from equidyn.core.plugins import load
    from equidyn.data import SOURCES

    settings = dict(params.settings)
    if files:
        contents = [Path(file).read_bytes() for file in files]
        # A receipt, which is a rule's output, stands for the file beside it.
        settings["files"] = {name.name: name for name in (Path(file.removesuffix(".json")) for file in files)}
        settings["scratch"] = state_folder(params.scratch, task, params.source, params.settings, contents, params.code)
    load(SOURCES[task][params.source].builder)(store, processes=threads, **settings)


if __name__ == "__main__":
    main(
        snakemake.input,
        snakemake.output.store,
        snakemake.log[0],
        snakemake.threads,
        snakemake.wildcards.task,
        snakemake.params,
    )
