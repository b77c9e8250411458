"""Write the merged configuration of the study."""

from pathlib import Path

from equidyn.core import process


def main(output, log, config):
    process.start(log, threads=1)
    import yaml

    Path(output).write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


if __name__ == "__main__":
    main(snakemake.output.config, snakemake.log[0], snakemake.params.config)
