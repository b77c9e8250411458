"""Time training steps of the study's networks in turns."""

from equidyn.core import process


def main(stores, subsets, outputs, log, told):
    process.start(log, max(told["threads"]))

    from equidyn.core.plugins import load
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.run.recipe import Recipe
    from equidyn.run.timing import Timed, time_steps
    from equidyn.study.tables import write_table

    networks = {}
    for (run, training), *given in zip(told["runs"].items(), stores, subsets, told["threads"], strict=True):
        path, subset, threads = given
        store = Store(path)
        indices = read_index(subset, len(store))
        task = load(training["task"]).fit(store, indices, **training["settings"])
        networks[run] = Timed(task, indices, Recipe(**training["recipe"]), training["microbatch"], threads)
    table = time_steps(networks, **told["settings"], device=process.device(told["device"]))
    for path in outputs:
        write_table(table, path)


if __name__ == "__main__":
    main(
        snakemake.input.stores,
        snakemake.input.subsets,
        snakemake.output,
        snakemake.log[0],
        snakemake.params.told,
    )
