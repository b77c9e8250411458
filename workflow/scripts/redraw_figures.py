"""Draw all figures of a study, several at a time."""

import gc

from equidyn.core import process


def main(log, threads, figures):
    process.start(log, threads=1)
    from tqdm import tqdm

    from equidyn.figures.parts.making import make_figure

    # A figure is a hundred thousand objects in cycles, among which nothing is to be found before it is written.
    gc.freeze()
    gc.disable()
    with process.forked(threads) as pool:
        drawn = [pool.submit(draw, make_figure, figure) for figure in reversed(figures)]  # the costliest are last
        for figure in tqdm(drawn, desc="figures", mininterval=1):
            figure.result()


def draw(make_figure, figure):
    make_figure(**figure)
    gc.collect()


if __name__ == "__main__":
    main(snakemake.log[0], snakemake.threads, snakemake.params.figures)
