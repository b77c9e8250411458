"""Draw all figures of a study, several at a time."""

from equidyn.core import process


def main(log, threads, figures):
    process.start(log, threads=1)
    from tqdm import tqdm

    from equidyn.figures.parts.making import make_figure

    with process.forked(threads) as pool:
        drawn = [pool.submit(make_figure, **figure) for figure in reversed(figures)]  # the costliest are last
        for figure in tqdm(drawn, desc="figures", mininterval=1):
            figure.result()


if __name__ == "__main__":
    main(snakemake.log[0], snakemake.threads, snakemake.params.figures)
