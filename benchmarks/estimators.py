"""Costs of a percent: standard error per model evaluation of several protocols, on one checkpoint.

    python benchmarks/estimators.py results/mini --run augmented --step 1000

All protocols spend the same number of model evaluations. Each is repeated with new examples (drawn with replacement
from the held-out ones) and new rotations; the standard error is the spread of the resulting percents, the bias their
mean's distance from the exact percent of all held-out examples. The network's head tensors stand for its evaluations:
they give its prediction for any rotation to rounding (the second table times real forward passes).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from equidyn.core.decomposition import decompose, decompose_exact, twist_from_tensor
from equidyn.core.rotations import haar, icosahedral_group, randomised_cosets, tetrahedral_group
from equidyn.core.symmetry import symmetry
from equidyn.data.store import Store
from equidyn.data.subsets import read_index
from equidyn.models.registry import build
from equidyn.run.checkpoints import checkpoint_name, load_checkpoint
from equidyn.run.evaluation import twisted_predictions
from equidyn.tasks.force_field.task import ForceField


def independent(count):
    """Draws of K independent rotations for n examples, (n, K, 3, 3), and the number of cosets."""
    return lambda n, generator: haar(n * count, generator=generator).unflatten(0, (n, count)), None


def cosets(group, count):
    """Draws of a finite group times `count` Haar rotations for n examples."""
    return (
        lambda n, generator: randomised_cosets(group, n * count, generator=generator).reshape(n, -1, 3, 3),
        count,
    )


PROTOCOLS = {  # rotations per example, draw, cosets
    "independent, K = 10 (the paper's)": (10, *independent(10)),
    "independent, K = 2, 5 x examples": (2, *independent(2)),
    "tetrahedral group x 1 Haar, K = 12": (12, *cosets(tetrahedral_group(), 1)),
    "tetrahedral group x 2 Haar, K = 24": (24, *cosets(tetrahedral_group(), 2)),
    "icosahedral group x 1 Haar, K = 60": (60, *cosets(icosahedral_group(), 1)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--run", default="augmented")
    parser.add_argument("--step", type=int, default=1000)
    parser.add_argument("--weights", default="ema")
    parser.add_argument("--evaluations", type=int, default=1200)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)

    weights, metadata = load_checkpoint(
        options.study / "train" / options.run / options.weights / checkpoint_name(options.step)
    )
    store = Store(options.study / "data/force_field/store")
    held_out = read_index(options.study / "data/force_field/index/validation.npy", len(store))
    task = ForceField.restore(store, metadata["task_state"])
    model = build(metadata["recipe"]["model"]).eval()
    model.load_state_dict(weights)

    batch = task.batch(held_out)
    with torch.no_grad():
        tensor = task.head_tensor(model, batch).double()
    example, target = task.example(batch), task.target(batch)
    exact = decompose_exact(tensor, target, example, len(held_out))
    truth = 100 * exact.equivariance.sum() / exact.total.sum()
    print(f"{options.run}, step {options.step}: exact percent {truth:.4f} on {len(held_out)} held-out examples")
    print(f"{options.evaluations} model evaluations, {options.repeats} repeats\n")
    print(f"{'protocol':38}{'examples':>9}{'SE':>9}{'bias':>9}{'SE, same examples':>19}{'SE ratio':>10}")

    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    rows = [np.flatnonzero(example.numpy() == number) for number in range(len(held_out))]
    reference = None
    for name, (rotations, draw, groups) in PROTOCOLS.items():
        n = options.evaluations // rotations
        new, same = [], []
        fixed = rng.integers(len(held_out), size=n)
        for chosen, percents in ((None, new), (fixed, same)):
            for _ in range(options.repeats):
                picked = rng.integers(len(held_out), size=n) if chosen is None else chosen
                values = sampled(tensor, target, [rows[k] for k in picked], draw(n, generator), groups)
                percents.append(100 * values.equivariance.sum() / values.total.sum())
        error = np.std(new, ddof=1)
        reference = reference or error
        print(
            f"{name:38}{n:9d}{error:9.4f}{np.mean(new) - truth:9.4f}{np.std(same, ddof=1):19.4f}"
            f"{error / reference:10.2f}"
        )
    n, new = options.evaluations, []
    for _ in range(options.repeats):
        picked = exact.select(rng.integers(len(held_out), size=n))
        new.append(100 * picked.equivariance.sum() / picked.total.sum())
    error = np.std(new, ddof=1)
    print(
        f"{'exact, one evaluation an example':38}{n:9d}{error:9.4f}{np.mean(new) - truth:9.4f}{0:19.4f}"
        f"{error / reference:10.2f}"
    )
    print()
    time_evaluation(task, model, held_out[:64])


def sampled(tensor, target, rows, R, groups):
    """The decomposition of some examples, from their head tensors and own rotations (n, K, 3, 3)."""
    lengths = torch.tensor([len(part) for part in rows])
    atoms = torch.from_numpy(np.concatenate(rows))
    example = torch.arange(len(rows)).repeat_interleave(lengths)
    T = tensor[atoms]
    h = torch.stack([twist_from_tensor_each(T, R[example, k]) for k in range(R.shape[1])])
    return decompose(h, target[atoms], example, len(rows), cosets=groups)


def twist_from_tensor_each(tensor, R):
    """`twist_from_tensor` with one rotation per atom."""
    return torch.einsum("nka,nkb,nkb->na", R, tensor, R)


def time_evaluation(task, model, indices, rotations=10, repeats=3):
    """Ten rotations of 64 examples: one batched pass, a loop over rotations, and the exact estimator."""
    group = symmetry("SO(3)")
    R = haar(rotations * len(indices), generator=torch.Generator().manual_seed(1))
    R = R.unflatten(0, (rotations, len(indices)))
    batch = task.batch(indices)
    looped = torch.cat([twisted_predictions(task, model, batch, part[None], group) for part in R])
    assert torch.allclose(looped, twisted_predictions(task, model, batch, R, group), atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(
            twist_from_tensor(task.head_tensor(model, batch).double(), R[0, 0]),
            twisted_predictions(task, model, batch, R[:1, :1].expand(1, len(indices), 3, 3), group)[0].double(),
            atol=1e-3,
        )

    def loop():
        for part in R:
            twisted_predictions(task, model, task.batch(indices), part[None], group)

    def single():
        for part in R:
            for k in range(len(indices)):
                twisted_predictions(task, model, task.batch(indices[k : k + 1]), part[None, k : k + 1], group)

    ways = {
        "exact, one pass": lambda: task.head_tensor(model, task.batch(indices)),
        "batched over rotations": lambda: twisted_predictions(task, model, task.batch(indices), R, group),
        "loop over rotations": loop,
        "loop over rotations and examples": single,
    }
    seconds = {name: [] for name in ways}
    for round_ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            with torch.no_grad():
                way()
            if round_:
                seconds[name].append(time.perf_counter() - start)
    best = {name: min(values) for name, values in seconds.items()}
    print(f"{rotations} rotations of {len(indices)} examples{'ms':>30}{'ratio':>8}")
    for name, value in best.items():
        print(f"{name:38}{1e3 * value:20.1f}{value / best['batched over rotations']:8.2f}")


if __name__ == "__main__":
    main()
