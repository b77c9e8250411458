"""Evaluate checkpoints of one run."""

from equidyn.core import process


def main(run, inputs, rows, examples, log, threads, batch_size, told, steps, state):
    process.start(log, threads)
    import torch

    from equidyn.core.files import discard_states, state_folder
    from equidyn.core.plugins import load
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.run.evaluation import evaluate_run
    from equidyn.run.protocol import EvaluationSettings
    from equidyn.study.tables import write_table

    torch.set_num_threads(threads)
    store = Store(inputs.store)
    validation = read_index(inputs.validation, len(store))
    findings = state_folder(state, f"{run}+evaluation", told, store.manifest["files"], validation)
    discard_states(state, f"{run}+evaluation", but=findings)
    discard_states(state, run)  # the workflow has its checkpoints
    tables = evaluate_run(
        load(told["task"]),
        store,
        validation,
        inputs.checkpoints,
        steps,
        EvaluationSettings(**told["protocol"], batch_size=batch_size),
        state=findings,
        labels=told["labels"] | {"train_examples": len(read_index(inputs.subset, len(store)))},
        control=told["control"],
        device=process.device(told["device"]),
    )
    for table, path in zip(tables, (rows, examples), strict=True):
        write_table(table, path)


if __name__ == "__main__":
    main(
        str(snakemake.wildcards.run),
        snakemake.input,
        *snakemake.output,
        snakemake.log[0],
        snakemake.threads,
        snakemake.resources.batch_size,
        *snakemake.params,
    )
