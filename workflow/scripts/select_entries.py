"""Select entries of a source by its index files."""

from pathlib import Path

from equidyn.core import process


def main(receipts, selection, log, task, told):
    process.start(log, threads=1)
    from equidyn.core.plugins import load
    from equidyn.data.registry import source_card

    # A receipt, which is a rule's output, stands for the file beside it.
    files = {path.name: path for path in (Path(receipt.removesuffix(".json")) for receipt in receipts)}
    card = source_card(task, told["source"]).selection
    load(card.select)(selection, card.settings(**told["settings"]), files=files)


if __name__ == "__main__":
    main(
        snakemake.input.receipts,
        snakemake.output.selection,
        snakemake.log[0],
        snakemake.wildcards.task,
        snakemake.params.told,
    )
