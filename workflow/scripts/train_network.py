"""Train one network of the study, on one or several devices."""

from functools import partial

from equidyn.core import process


def main(run, inputs, output, log, threads, resources, told, state):
    process.start(log, threads)

    from equidyn.core.files import state_folder
    from equidyn.core.plugins import load
    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.run.distributed import launch
    from equidyn.run.recipe import Recipe
    from equidyn.run.training import train

    store = Store(inputs.store)
    indices = read_index(inputs.subset, len(store))
    recipe = Recipe(**told["recipe"])
    training = partial(
        train,
        load(told["task"]).fit(store, indices, **told["settings"]),
        indices,
        recipe,
        told["steps"],
        output=output,
        state=state_folder(
            state, run, recipe, told["settings"], told["steps"], store.manifest["files"], indices, told["code"]
        ),
        state_every=resources.state_every,
        microbatch=told["microbatch"],
        title=run,
    )
    launch(training, resources.devices, process.device(told["device"]), log=log, threads=threads)


if __name__ == "__main__":
    main(
        str(snakemake.wildcards.run),
        snakemake.input,
        str(snakemake.output.checkpoints),
        snakemake.log[0],
        snakemake.threads,
        snakemake.resources,
        snakemake.params.told,
        snakemake.params.state,
    )
