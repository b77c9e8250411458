"""Forward and training step of each EScAIP size against a plain implementation, side by side.

python benchmarks/escaip_speed.py [--repeats 5] [--threads 2]
"""

import argparse

import numpy as np
import torch
import workload
from escaip_reference import PlainEScAIP

from equidyn.core.batch import MoleculeBatch
from equidyn.models.escaip.network import EScAIP, EScAIPConfig

SIZES = {
    "1M": EScAIPConfig(layers=1, hidden=64),
    "4M": EScAIPConfig(layers=4),
    "6M": EScAIPConfig(layers=6),
}


def molecules(count=8, atoms=25):
    """Random molecules, each of `atoms` atoms, plus or minus two."""
    rng = np.random.default_rng(0)
    sizes = [atoms + n % 5 - 2 for n in range(count)]
    positions = np.concatenate([workload.molecules(1, size, rng)[0] for size in sizes])
    numbers = torch.from_numpy(rng.choice(workload.ELEMENTS, len(positions)))
    return MoleculeBatch(torch.from_numpy(positions), numbers, torch.tensor(sizes))


def training_step(model, batch, optimiser):
    """Forward, loss, backward, clip, update."""
    output = model(batch)
    loss = 100 * output.forces.norm(dim=1).mean() + 4 * output.energy.abs().mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimiser.step()
    optimiser.zero_grad()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch = molecules()
    print(f"{len(batch.positions)} atoms in {batch.molecules} molecules, {arguments.threads} threads")
    print(f"{'size':6}{'what':10}{'ours, ms':>10}{'plain, ms':>11}{'ratio':>8}")
    for name, config in SIZES.items():
        compare(name, EScAIP(config), batch, arguments.repeats)


def compare(name, model, batch, repeats):
    """Both lines of one size."""
    plain = PlainEScAIP(model)
    for network in (model, plain):
        network.eval()
    with torch.no_grad():
        difference = (model(batch).forces - plain(batch).forces).abs().max()
        scale = plain(batch).forces.abs().max().clamp(min=1)
        assert difference < 1e-4 * scale, f"{name}: the two disagree by {difference}"
        report(name, "forward", {"ours": lambda: model(batch), "plain": lambda: plain(batch)}, repeats)
    for network in (model, plain):
        network.train()
    fused = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    usual = torch.optim.AdamW(plain.parameters(), lr=1e-6)
    functions = {
        "ours": lambda: training_step(model, batch, fused),
        "plain": lambda: training_step(plain, batch, usual),
    }
    report(name, "train", functions, repeats)


def report(name, what, functions, repeats):
    """One line of the table."""
    (_, ours), (_, plain) = workload.least_seconds(functions, repeats).values()
    print(f"{name:6}{what:10}{1e3 * ours:10.1f}{1e3 * plain:11.1f}{plain / ours:8.2f}", flush=True)


if __name__ == "__main__":
    main()
