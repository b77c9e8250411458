"""Download the selected entries of the Protein Data Bank."""

import csv
from pathlib import Path

from equidyn.core import process


def main(selection, output, log, params):
    process.start(log, threads=1)
    from equidyn.data.download import download_entries, write_entries
    from equidyn.data.pdb import check_entry
    from equidyn.data.registry import PublishedFile

    with Path(selection).open(encoding="utf-8", newline="") as stream:
        ids = {row["entry"] for row in csv.DictReader(stream, delimiter="\t")}
    rows = download_entries(
        PublishedFile(**params.template),
        ids,
        params.folder,
        mirror=params.mirror,
        connections=params.connections,
        check=check_entry,
    )
    write_entries(rows, output)


if __name__ == "__main__":
    main(snakemake.input.selection, snakemake.output.entries, snakemake.log[0], snakemake.params)
