"""Write the manifest: how, where and from which seeds the study's tables were made, and in what time."""

import json
from pathlib import Path

from equidyn.core import process


def main(costs, stores, output, log, params):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.core.files import replacing
    from equidyn.data.store import MANIFEST
    from equidyn.study.manifest import manifest

    measured = pd.read_parquet(costs).set_index("run").to_dict("index")
    parts = {run: sorted(Path(params.benchmarks, run).glob("*.tsv")) for run in params.told["runs"]}
    evaluated = {  # in this folder, or unknown
        run: sum(pd.read_csv(file, sep="\t")["s"].sum() for file in files) if files else None
        for run, files in parts.items()
    }
    described = {
        task: json.loads(Path(store, MANIFEST).read_text(encoding="utf-8"))
        for task, store in zip(params.tasks, stores, strict=True)
    }
    with replacing(output) as temporary:
        written = manifest(params.config, params.told["runs"], measured, evaluated, described, params.told["stages"])
        temporary.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(snakemake.input.costs, snakemake.input.stores, snakemake.output.manifest, snakemake.log[0], snakemake.params)
