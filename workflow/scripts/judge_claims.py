"""Judge claims from the study's tables, and from what the authors have published."""

from pathlib import Path

from equidyn.core import process


def main(inputs, outputs, log, told):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.claims.definitions import judge
    from equidyn.study.choice import Choice
    from equidyn.study.tables import join, write_table

    claims = judge(
        pd.read_parquet(inputs.evaluation),
        {Path(file).stem: pd.read_parquet(file) for file in inputs.clusters},
        {(Path(file).parent.name, Path(file).stem): pd.read_parquet(file) for file in inputs.analyses},
        pd.read_parquet(inputs.costs),
        {task: Choice(**fields) for task, fields in told["choices"].items()},
        curves=join(inputs.curves),
        landscapes=pd.read_parquet(inputs.landscapes),
        **told["protocol"],
    )
    for path in outputs:
        write_table(claims, path)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0], snakemake.params.told)
