"""Write the report: one HTML file with every figure, claim, run and setting."""

import json
from pathlib import Path

from equidyn.core import process


def main(inputs, output, log, params):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.report.page import Picture, write_report

    pictures = []
    for (task, name, title, category), png, text in zip(params.figures, inputs.figures, inputs.captions, strict=True):
        caption = Path(text).read_text(encoding="utf-8").removeprefix(f"{title}. ")
        pictures.append(Picture(task, name, title, category, Path(png), caption))
    write_report(
        output,
        study=params.study,
        tasks=params.tasks,
        pictures=pictures,
        claims=pd.read_parquet(inputs.claims),
        runs=pd.read_parquet(inputs.costs),
        manifest=json.loads(Path(inputs.manifest).read_text(encoding="utf-8")),
        config=Path(inputs.config).read_text(encoding="utf-8"),
    )


if __name__ == "__main__":
    main(snakemake.input, str(snakemake.output), snakemake.log[0], snakemake.params)
