"""Make the store of a task from one of its sources."""

import shutil
from pathlib import Path

from equidyn.core import process


def main(files, store, log, threads, task, told, folders, scratch):
    process.start(log, threads=1)
    from equidyn.core.files import state_folder
    from equidyn.core.plugins import load
    from equidyn.data.registry import source_card

    source, given = source_card(task, told["source"]), {}
    if files:
        contents = [Path(file).read_bytes() for file in files]
        # A receipt, which is a rule's output, stands for the file beside it.
        given["files"] = {path.name: path for path in (Path(file.removesuffix(".json")) for file in files)}
        given["files"] |= {name: Path(folder) for name, folder in folders.items()}
        given["scratch"] = state_folder(scratch, task, told["source"], told["recipe"], contents, told["code"])
    shutil.rmtree(store, ignore_errors=True)  # that of a job which outlived its workflow
    load(source.build)(store, source.recipe(**told["recipe"]), processes=threads, **given)


if __name__ == "__main__":
    main(
        snakemake.input,
        snakemake.output.store,
        snakemake.log[0],
        snakemake.threads,
        snakemake.wildcards.task,
        *snakemake.params,
    )
