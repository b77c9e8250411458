"""Gather what each training cost: counted operations and measured times."""

import json
from pathlib import Path

from equidyn.core import process


def main(checkpoints, timings, outputs, log, costs):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.study.costs import with_measured, with_timings
    from equidyn.study.tables import write_table

    measured = {
        Path(folder).name: json.loads(Path(folder, "throughput.json").read_text(encoding="utf-8"))
        for folder in checkpoints
    }
    table = with_measured(pd.DataFrame(costs), measured)
    for file in timings:
        table = with_timings(table, pd.read_parquet(file))
    for path in outputs:
        write_table(table, path)


if __name__ == "__main__":
    main(
        snakemake.input.checkpoints,
        snakemake.input.timings,
        snakemake.output,
        snakemake.log[0],
        snakemake.params.told["costs"],
    )
