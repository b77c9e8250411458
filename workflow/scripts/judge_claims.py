"""Judge the paper's claims from the study's tables."""

from pathlib import Path

from equidyn.core import process


def main(inputs, outputs, log, told):
    process.start(log, threads=1)
    import pandas as pd

    from equidyn.claims.definitions import judge
    from equidyn.study.choice import Choice
    from equidyn.study.costs import losses_by_compute
    from equidyn.study.tables import write_table

    evaluation = pd.read_parquet(inputs.evaluation)
    claims = judge(
        evaluation,
        {Path(file).stem: pd.read_parquet(file) for file in inputs.clusters},
        {(Path(file).parent.name, Path(file).stem): pd.read_parquet(file) for file in inputs.analyses},
        losses_by_compute(evaluation, pd.read_parquet(inputs.costs)),
        {task: Choice(**fields) for task, fields in told["choices"].items()},
        **told["protocol"],
    )
    for path in outputs:
        write_table(claims, path)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0], snakemake.params.told)
