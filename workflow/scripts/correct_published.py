"""Redo the finite-sample corrections of the authors' tables, and say what they change."""

from pathlib import Path

from equidyn.core import process


def main(receipts, outputs, log):
    process.start(log, threads=1)
    from equidyn.analysis.authors import voxmol_corrections, voxmol_curves
    from equidyn.study.tables import write_table

    # A receipt, which is a rule's output, stands for the file beside it.
    files = {name.name: name for name in (Path(receipt.removesuffix(".json")) for receipt in receipts)}
    curves = voxmol_curves(files)
    for path in (outputs.curves, outputs.curves_csv):
        write_table(curves, path)
    write_table(voxmol_corrections(files), outputs.corrections)


if __name__ == "__main__":
    main(snakemake.input.receipts, snakemake.output, snakemake.log[0])
