"""Write the report: one HTML file with every figure, claim, run and setting."""

import json
from pathlib import Path

from equidyn.core import process


def main(inputs, output, log, params):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.report.study import Picture, write_report
    from equidyn.study.choice import Choice
    from equidyn.study.selection import worst_examples

    pictures = []
    for (task, name, title, category), png, text in zip(params.figures, inputs.figures, inputs.captions, strict=True):
        caption = Path(text).read_text(encoding="utf-8").removeprefix(f"{title}. ")
        pictures.append(Picture(task, name, title, category, Path(png), caption))
    worst = worst_examples(
        pd.read_parquet(inputs.evaluation),
        {Path(file).stem: pd.read_parquet(file) for file in inputs.clusters},
        [Choice(**fields) for fields in params.choices.values()],
    )
    write_report(
        output,
        study=params.study,
        tasks=params.tasks,
        pictures=pictures,
        claims=pd.read_parquet(inputs.claims),
        worst=worst,
        runs=pd.read_parquet(inputs.costs),
        manifest=json.loads(Path(inputs.manifest).read_text(encoding="utf-8")),
        config=Path(inputs.config).read_text(encoding="utf-8"),
    )


if __name__ == "__main__":
    main(snakemake.input, str(snakemake.output), snakemake.log[0], snakemake.params)
