"""Download the entries that were selected from an index."""

import csv
from pathlib import Path

from equidyn.core import process


def main(selection, output, log, folder, told, downloads):
    process.start(log, threads=1)
    from equidyn.core.plugins import load
    from equidyn.data.download import download_entries, write_entries
    from equidyn.data.download_registry import registered

    with Path(selection).open(encoding="utf-8", newline="") as stream:
        ids = {row["entry"] for row in csv.DictReader(stream, delimiter="\t")}
    rows = download_entries(
        registered(downloads["registry"], *told["template"]),
        ids,
        folder,
        mirror=downloads.get("mirror"),
        connections=downloads.get("connections", 4),
        check=load(told["check"]),
    )
    write_entries(rows, output)


if __name__ == "__main__":
    main(
        snakemake.input.selection,
        snakemake.output.entries,
        snakemake.log[0],
        *snakemake.params,
        snakemake.config["downloads"],
    )
