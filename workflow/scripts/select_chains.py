"""Choose chains of the Protein Data Bank by its index files."""

from pathlib import Path

from equidyn.core import process


def main(receipts, selection, log, limits):
    process.start(log, threads=1)
    from equidyn.data.pdb import write_selection

    # A receipt, which is a rule's output, stands for the file beside it.
    files = {path.name: path for path in (Path(receipt).with_suffix("") for receipt in receipts)}
    write_selection(selection, files, **limits)


if __name__ == "__main__":
    main(snakemake.input.receipts, snakemake.output.selection, snakemake.log[0], snakemake.params.limits)
