"""Download one file of the registry; it lies beside its receipt."""

from equidyn.core import process


def main(receipt, log, place, downloads):
    process.start(log, threads=1)
    from equidyn.data.download import download_file
    from equidyn.data.download_registry import registered

    file = registered(downloads["registry"], *place)
    download_file(file, receipt.removesuffix(".json"), mirror=downloads.get("mirror"))


if __name__ == "__main__":
    main(snakemake.output.receipt, snakemake.log[0], snakemake.wildcards, snakemake.config["downloads"])
