"""Download one file of the registry; it lies beside its receipt."""

from equidyn.core import process


def main(receipt, log, entry, mirror):
    process.start(log, threads=1)
    from equidyn.data.download import download_file
    from equidyn.data.download_registry import PublishedFile

    download_file(PublishedFile(**entry), receipt.removesuffix(".json"), mirror=mirror)


if __name__ == "__main__":
    main(snakemake.output.receipt, snakemake.log[0], snakemake.params.entry, snakemake.params.mirror)
