"""How often intervals of the percent hold the truth, simulated from the losses of a study.

    python benchmarks/coverage.py [--study results/cpu] [--samples 400] [--runs default chains grids] [--clusters 240]

The population of a run, step and condition are the sums of its held-out clusters in `tables/clusters`. Half as many
clusters, as many, twice and thrice as many, or as many as asked for, are drawn from them with replacement, and the
interval of the library is compared with the population's percent. Printed are coverage at nominal 95 %, at each flow
time if there are several, how often the truth lies above and below, and the lowest coverage of any step and condition.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from equidyn.core.decomposition import interval
from equidyn.study.tables import prefer_estimator

ROOT = Path(__file__).parents[1]
FACTORS = (0.5, 1, 2, 3)
STEPS = 6  # of each run, evenly spaced among the evaluated ones


def populations(table):
    """By flow time, sums of equivariance error and loss of each cluster, for some steps and every condition."""
    rows = prefer_estimator(table, "exact")
    steps = np.unique(rows["step"])
    some = steps[np.linspace(0, len(steps) - 1, STEPS).round().astype(int)]
    rows = rows[rows["step"].isin(some)].assign(t=rows.get("t", np.nan))
    conditions = [name for name in ("self_conditioning", "group", "comparison", "weights") if name in rows]
    found = {}
    for (t, *_), group in rows.groupby(["t", "step", *conditions], dropna=False):
        sums = group[["equivariance", "total"]].to_numpy(float)
        if sums[:, 0].sum() > 0:
            found.setdefault("" if np.isnan(t) else f"{t:g}", []).append(sums)
    return found


def coverage(sums, count, samples, rng):
    """Shares of samples of `count` clusters whose interval holds, lies below and lies above the truth."""
    truth = np.divide(*sums.sum(0))
    ends = []
    for number in range(samples):
        drawn = sums[rng.integers(0, len(sums), count)]
        ends.append(interval(*drawn.T, np.arange(count), resamples=400, seed=number))
    low, high = np.array(ends).T
    return np.mean([(low <= truth) & (truth <= high), high < truth, truth < low], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, default=ROOT / "results/cpu", help="folder of a study with tables")
    parser.add_argument("--samples", type=int, default=400, help="samples of each population")
    parser.add_argument("--runs", nargs="+", default=["default", "chains", "grids"])
    parser.add_argument("--clusters", type=int, help="how many to draw, in place of multiples of those there are")
    options = parser.parse_args()
    print("| run | t | clusters | coverage | truth above | truth below | lowest |\n|---|---|---|---|---|---|---|")
    for run in options.runs:
        for t, found in populations(pd.read_parquet(options.study / f"tables/clusters/{run}.parquet")).items():
            factors = [round(factor * len(found[0])) for factor in FACTORS]
            for count in [options.clusters] if options.clusters else factors:
                rng = np.random.default_rng(0)
                shares = np.array([coverage(sums, count, options.samples, rng) for sums in found])
                cells = (*shares.mean(0), shares[:, 0].min())
                print(f"| {run} | {t} | {count} | {' | '.join(f'{cell:.3f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    main()
