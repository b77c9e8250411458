"""Analyse checkpoints of one run."""

from equidyn.core import process


def main(analysis, run, inputs, output, log, threads, batch_size, told, state):
    process.start(log, threads)
    import torch

    from equidyn.analysis.checkpoints import analyse_run
    from equidyn.core.files import discard_states, state_folder
    from equidyn.core.plugins import load
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.run.protocol import EvaluationSettings
    from equidyn.study.tables import write_table

    torch.set_num_threads(threads)
    store = Store(inputs.store)
    validation = read_index(inputs.validation, len(store))
    findings = state_folder(state, f"{run}+{analysis}", told | {"steps": None}, store.manifest["files"], validation)
    discard_states(state, f"{run}+{analysis}", but=findings)
    discard_states(state, run)  # the workflow has its checkpoints
    table = analyse_run(
        load(told["measure"]),
        load(told["task"]),
        store,
        validation,
        inputs.checkpoints,
        told["steps"],
        EvaluationSettings(**told["protocol"], batch_size=batch_size),
        told["settings"],
        state=findings,
        labels=told["labels"] | {"train_examples": len(read_index(inputs.subset, len(store)))},
        anatomy=told["anatomy"],
        device=process.device(told["device"]),
    )
    write_table(table, output)


if __name__ == "__main__":
    main(
        str(snakemake.wildcards.analysis),
        str(snakemake.wildcards.run),
        snakemake.input,
        snakemake.output.table,
        snakemake.log[0],
        snakemake.threads,
        snakemake.resources.batch_size,
        snakemake.params.told,
        snakemake.params.state,
    )
