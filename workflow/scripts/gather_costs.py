"""Gather what each training cost: counted operations and measured times."""

import json
from pathlib import Path

from equidyn.core import process


def main(checkpoints, outputs, log, config, runs):
    process.start(log, threads=1)
    from equidyn.study.costs import run_costs, with_measured
    from equidyn.study.tables import write_table

    measured = {Path(folder).name: json.loads(Path(folder, "throughput.json").read_text()) for folder in checkpoints}
    costs = with_measured(run_costs(config, runs), measured)
    for path in outputs:
        write_table(costs, path)


if __name__ == "__main__":
    main(
        snakemake.input.checkpoints,
        snakemake.output,
        snakemake.log[0],
        snakemake.params.config,
        snakemake.params.runs,
    )
