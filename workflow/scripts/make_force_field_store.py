"""Make the offline force-field data set."""

from equidyn import process


def main(store, log, threads, settings):
    process.start(log, threads=1)
    from equidyn.data.offline import build_force_field_store

    molecules = settings.pop("molecules")
    build_force_field_store(store, molecules=None if molecules == "all" else molecules, processes=threads, **settings)


if __name__ == "__main__":
    main(snakemake.output.store, snakemake.log[0], snakemake.threads, dict(snakemake.params.settings))
