"""Train one network of the study, on one or several devices."""

from functools import partial

from equidyn.core import process


def main(run, inputs, output, log, threads, devices, params):
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
    recipe = Recipe(**params.recipe)
    training = partial(
        train,
        load(params.task).fit(store, indices, **params.settings),
        indices,
        recipe,
        params.steps,
        output=output,
        state=state_folder(
            params.state, run, recipe, params.settings, params.steps, store.manifest["files"], indices, params.code
        ),
        state_every=params.state_every,
        microbatch=params.microbatch,
        title=run,
    )
    launch(training, devices, process.device(params.device), log=log, threads=threads)


if __name__ == "__main__":
    main(
        str(snakemake.wildcards.run),
        snakemake.input,
        str(snakemake.output.checkpoints),
        snakemake.log[0],
        snakemake.threads,
        snakemake.resources.devices,
        snakemake.params,
    )
