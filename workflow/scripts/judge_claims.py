"""Judge claims from the study's tables, and from what the authors have published."""

from pathlib import Path

from equidyn.core import process


def main(inputs, outputs, log, threads, told):
    process.start(log, threads=1)
    from equidyn.claims.definitions import judge
    from equidyn.study.choice import Choice
    from equidyn.study.frames import read_frame
    from equidyn.study.tables import join, write_table

    with process.forked(threads) as pool:
        claims = judge(
            read_frame(inputs.evaluation),
            {Path(file).stem: read_frame(file) for file in inputs.clusters},
            {(Path(file).parent.name, Path(file).stem): read_frame(file) for file in inputs.analyses},
            read_frame(inputs.costs),
            {task: Choice(**fields) for task, fields in told["choices"].items()},
            curves=join(inputs.curves),
            landscapes=read_frame(inputs.landscapes),
            each=pool.map,
            **told["protocol"],
        )
    for path in outputs:
        write_table(claims, path)


if __name__ == "__main__":
    main(snakemake.input, snakemake.output, snakemake.log[0], snakemake.threads, snakemake.params.told)
