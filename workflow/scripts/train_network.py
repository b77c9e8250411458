"""Train one network of the study."""

from equidyn import process


def main(run, inputs, output, log, threads, params):
    process.start(log, threads)
    import torch

    from equidyn.data.store import Store
    from equidyn.data.subsets import read_index
    from equidyn.plugins import load
    from equidyn.tasks import TASKS
    from equidyn.training import Recipe, state_folder, train

    torch.set_num_threads(threads)
    store = Store(inputs.store)
    indices = read_index(inputs.subset, len(store))
    recipe = Recipe(**params.recipe)
    train(
        load(TASKS[params.task]).fit(store, indices, **params.settings),
        indices,
        recipe,
        params.steps,
        output=output,
        state=state_folder(params.state, run, recipe, params.settings, params.steps, store, indices, params.code),
        state_every=params.state_every,
        device=process.device(params.device),
        title=run,
    )


if __name__ == "__main__":
    main(
        snakemake.wildcards.run,
        snakemake.input,
        snakemake.output.checkpoints,
        snakemake.log[0],
        snakemake.threads,
        snakemake.params,
    )
