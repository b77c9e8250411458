"""How often each claim is found reproduced where it is true, and where it is not, at the size of a study.

    python benchmarks/power.py [--study results/cpu] [--samples 40] [--seeds 3] [--clusters 80] [--only CLAIM ...]

Clusters are drawn with replacement from the held-out clusters of a flow-matching run, with their real sums, which are
scaled at each step so that the population has planted curves: of a claim that holds as it does in the authors' data,
and of one that does not hold. Seeds differ in the step of the fall by a factor of e^0.4, in the equivariance error by
e^0.3 and in the twirled loss by e^0.03 (standard deviations, about those of the force field's seeds). Analyses are
numbers of each seed: correlations along 24 checkpoints with a trend and autoregressive noise, ratios of Hessians that
differ by e^0.3. Of other sizes and optimisers there is one seed each, as in `config/cpu.yaml`. Training ends at step
10,000, or at 100,000 where the claim is about trainings as long as those of `config/paper.yaml`. Verdicts are those
under the usual settings.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from equidyn.claims.definitions import CLAIMS
from equidyn.claims.evidence import INTERVAL, Untestable
from equidyn.claims.tables import TaskTables
from equidyn.claims.verdicts import NOT_REPRODUCED, NOT_TESTABLE, REPRODUCED, verdict
from equidyn.study.choice import Choice

ROOT = Path(__file__).parents[1]
LONG = np.unique(np.concatenate([[0, 1, 3], 10 ** (np.arange(6, 31) / 6)]).round())
STEPS = LONG[LONG <= 10_000]
TASK = "flow_matching"
TRUE = {"start": 20, "fall": 1900, "bump": 0.3, "energy": 0.5, "control": 1 / 0.9, "steps": STEPS, "others": {}}
"""As published: the first share (%), the step of the fall, the highest share after it; an energy of half of the null
loss, and a loss 10 % lower than the control's."""
LASTING = {"start": 60, "fall": 1e30}  # half of the loss, when half is learned
PLANTED: dict[str, tuple[dict, dict]] = {
    "falls_below_2_percent": ({}, {"fall": 60_000}),
    "falls_with_skill": ({}, {"energy": 2e-4}),
    "falls_to_stay": ({}, {"fall": 60_000}),
    "robust_to_model_size": ({}, {"others": {"fall": 60_000}}),
    "robust_to_data_size": ({}, {"others": {"fall": 60_000}}),
    "robust_to_optimiser": ({}, {"others": {"fall": 60_000}}),
    "robust_with_skill": ({}, {"others": {"energy": 2e-4}}),
    "learned_faster": ({}, LASTING),
    "penalty_small_throughout": ({"bump": 7}, {"bump": 40}),
    "late_return": ({"bump": 9, "steps": LONG}, {"steps": LONG}),
    "ends_above_2_percent_late": ({"bump": 9, "steps": LONG}, {"bump": 1, "steps": LONG}),
    "wins_per_flop": ({}, {"control": 0.9}),
    "wins_per_second": ({}, {"control": 0.9}),
    "averaged_wins_per_flop": ({}, {"control": 0.9}),
    "averaged_wins_per_second": ({}, {"control": 0.9}),
    "silent_at_first": ({"fall": 600}, {"fall": 6000}),
    "equivariant_at_skill_0.5": ({}, LASTING),
    "equivariant_before_skilled": ({"fall": 1000, "energy": 2}, LASTING),
}
"""By claim, what is otherwise where it is true, and where it is false; of other sizes or optimisers alone: `others`."""
OTHERS = {"robust_to_model_size": ("model", 2), "robust_to_data_size": ("train_subset", 3),
          "robust_to_optimiser": ("lr", 3), "robust_with_skill": ("model", 2)}  # fmt: skip
"""By claim, what others differ in, and how many there are."""
NUMBERS = {"tracks_gradient_norm_ratio": (0.79, 0.0), "tracks_head_deviation": (0.94, 0.0), "smoother": (2.0, 0.5),
           "better_conditioned": (2.0, 0.5)}  # fmt: skip
"""Of analyses: what is true of the population where the claim is true, and where it is false."""


def curves(steps, start, fall, bump):
    """Share (%) and twirled loss (null loss: 1) at the steps, of a fall, a later rise and learning in between."""
    at = np.log(np.maximum(steps, 1))

    def line(points):
        x, y = np.log(np.array(points).T)
        return np.exp(np.interp(at, x, y))

    share = line([(30, start), (fall, 2), (1.3 * fall, 0.5), (2 * fall, 0.3), (4 * fall, bump), (40 * fall, bump / 2)])
    return share, line([(1, 2), (1500, 1), (2500, 0.9), (4500, 0.5), (10_000, 0.2)])


def run(name, population, clusters, effect, rng, seed=0, **changed):
    """Rows of the evaluation and sums over the clusters of one training, whose design is changed."""
    steps = effect["steps"]
    share, twirled = curves(steps, effect["start"], effect["fall"] * np.exp(0.4 * rng.normal()), effect["bump"])
    twirled, population = twirled * np.exp(0.03 * rng.normal()), population[: len(steps)]
    if name == "control":
        share, twirled = 0 * share, twirled * effect["control"]
    odds = share / (100 - share) * np.exp(0.3 * rng.normal())
    uneven, even = (population[:, clusters, i] for i in (0, 1))
    uneven, even = (part / population[..., i].mean(1)[:, None] for i, part in enumerate((uneven, even)))
    equivariance = uneven * (twirled * odds)[:, None]
    sums = {"total": even * twirled[:, None] + equivariance, "equivariance": equivariance}
    step, cluster = np.meshgrid(steps, np.arange(len(clusters)), indexing="ij")
    flat = {key: values.ravel() for key, values in ({"step": step, "cluster": cluster} | sums).items()}
    energy = effect["energy"] * np.clip(1 - twirled, 0.01, None)
    identity = {"run": f"{name}{seed}", "weights": "raw", "estimator": "exact", "t": 0.6}
    table = pd.DataFrame(identity | flat | {"weight": 1.0, "null_energy": 1.0})
    table["prediction_energy"] = np.repeat(energy, len(clusters)) + table["equivariance"]
    design = {"task": TASK, "model": name, "train_subset": "all", "batch_size": 1, "optimiser": "adam", "lr": 1e-3,
              "augmentation": 1.0, "seed": seed, "variant": "control" if name == "control" else ""}  # fmt: skip
    return pd.DataFrame({**identity, "step": steps, **{**design, **changed}}), table


def evidence(population, effect, count, seeds, rng, column="", others=0):
    """A study of so many clusters, seeds, and other runs that differ in a column."""
    clusters = rng.integers(0, population.shape[1], count)
    runs = [run(name, population, clusters, effect, rng, seed) for name in ("net", "control") for seed in range(seeds)]
    other = effect | effect["others"]
    runs += [run(f"other-{i}-", population, clusters, other, rng, **{"model": "net", column: i}) for i in range(others)]
    tables = {rows["run"].iloc[0]: table for rows, table in runs}
    costs = pd.DataFrame({"run": list(tables), "step_flops": 1.0, "timed_seconds_per_step": 1.0})
    choice = Choice(TASK, baseline="net0", weights="raw", timed=True)
    seed = int(rng.integers(2**31))
    return TaskTables(choice, pd.concat([rows for rows, _ in runs]), tables, {}, costs, 300, 0.95, seed)


def analysed(name, truth, study, seeds, rng):
    """A number for each seed."""
    kind = CLAIMS[name].kind
    scale = {"correlation": (np.arctanh, np.tanh), "ratio": (np.log, np.exp)}[kind]
    if kind == "ratio":
        return study.over_seeds(list(truth * np.exp(0.3 * rng.normal(size=seeds))), scale)
    values = []
    for _ in range(seeds):
        noise = np.zeros(24)
        for i in range(1, 24):
            noise[i] = 0.7 * noise[i - 1] + rng.normal()
        x = np.linspace(-1, 1, 24) + 0.1 * rng.normal(size=24)
        noise, x = (each - each.mean() for each in (noise, x))
        y = truth * x / x.std() + np.sqrt(1 - truth**2) * noise / noise.std()
        values.append(float(np.corrcoef(x, y)[0, 1]))
    return study.over_seeds(values, scale)


def judged(name, find):
    """The verdict on what is found."""
    try:
        found = find()
    except Untestable:
        return NOT_TESTABLE
    return verdict(CLAIMS[name].expected, found.low, found.high)[0] if found.kind == INTERVAL else NOT_TESTABLE


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=ROOT / "results/cpu")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clusters", type=int, default=80)
    parser.add_argument("--only", nargs="+", choices=[*PLANTED, *NUMBERS], default=[*PLANTED, *NUMBERS])
    told = parser.parse_args()
    rows = pd.read_parquet(told.study / "tables/clusters/chains.parquet").query("t == 0.6").sort_values("cluster")
    evaluated = np.unique(rows["step"])
    nearest = evaluated[np.abs(evaluated[:, None] - LONG).argmin(0)]
    by_step = dict(iter(rows.assign(twirled=rows["total"] - rows["equivariance"]).groupby("step")))
    population = np.stack([by_step[step][["equivariance", "twirled"]].to_numpy(float) for step in nearest])
    print("| claim | true: reproduced | true: not reproduced | false: reproduced | false: not reproduced |")
    print("|---|---|---|---|---|")
    for number, name in enumerate([*PLANTED, *NUMBERS]):
        if name not in told.only:
            continue
        cells, rng = [], np.random.default_rng(number)
        for holds in (True, False):
            verdicts = []
            for _ in range(told.samples):
                if name in PLANTED:
                    effect = TRUE | PLANTED[name][not holds]
                    study = evidence(population, effect, told.clusters, told.seeds, rng, *OTHERS.get(name, ()))
                    verdicts.append(judged(name, partial(CLAIMS[name].find, study)))
                else:
                    study = evidence(population, TRUE, 4, 1, rng)
                    find = partial(analysed, name, NUMBERS[name][not holds], study, told.seeds, rng)
                    verdicts.append(judged(name, find))
            cells += [f"{np.mean([each == what for each in verdicts]):.2f}" for what in (REPRODUCED, NOT_REPRODUCED)]
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
