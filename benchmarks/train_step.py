"""Training steps on the CPU, beside those of another checkout, in turns.

    python benchmarks/train_step.py [--baseline PATH] [--pairs 12] [--threads 1] [--cases escaip-tiny …]

Each side trains with `equidyn.run.training.train` in a process of its own, on the same random examples of realistic
sizes. Without a baseline only milliseconds and memory are printed. Small networks use one thread, as jobs of a study
do, larger ones two. Losses of the two sides are compared step by step; they differ where random streams do.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from sides import ROOT, Job, agreement, sides

MOLECULES, CHAINS, DRUGS = (9, 25), (51, 80), (38, 57)  # drugs have 20 to 30 heavy atoms


@dataclass(frozen=True)
class Case:
    """A job, its threads, and the steps of one turn."""

    job: Job
    threads: int
    turn: int


CASES = {
    **{name: Case(Job(name, 8, MOLECULES), 1, 10) for name in ("escaip-tiny", "escaip-small", "control-small")},
    **{name: Case(Job(name, 4, CHAINS), 1, 5) for name in ("proteina-0.5M", "control-chain")},
    **{name: Case(Job(name, 4, DRUGS), 1, 2) for name in ("voxmol-0.2M", "voxmol-0.3M", "control-voxels")},
    **{name: Case(Job(name, 8, MOLECULES), 2, 1) for name in ("escaip-1M", "escaip-4M", "escaip-6M")},
    **{name: Case(Job(name, 4, CHAINS), 2, 1) for name in ("proteina-2M", "proteina-2M-tri")},
    "voxmol-1M": Case(Job("voxmol-1M", 4, DRUGS), 2, 1),
}
WARM_UP = 3  # steps
KINDS = ("seconds", "processor")


def measure(case, threads, checkouts, pairs):
    """Elapsed and processor seconds per step of each turn, and how the run ended, for each side."""
    with sides(checkouts, threads) as running:
        for name, side in running.items():
            job = replace(case.job, steps=WARM_UP + pairs * case.turn)
            side.start(job if name == "ours" else replace(job, recipe={"compile": False}))
        turns = {name: [] for name in running}
        for turn in range(pairs):
            order = list(running.items())
            for name, side in reversed(order) if turn % 2 else order:  # so that no side is always the later one
                turns[name].append(side.turn(0 if turn else WARM_UP, case.turn))
        return turns, {name: side.end() for name, side in running.items()}


def line(name, threads, turns, ends):
    """One line of the table."""
    elapsed, processor = ({side: [turn[kind] for turn in each] for side, each in turns.items()} for kind in KINDS)
    least = " / ".join(f"{1e3 * min(each):.1f}" for each in elapsed.values())
    cells = [name, str(threads), least, " / ".join(f"{end['resident'] / 2**20:.0f}" for end in ends.values())]
    if "baseline" in turns:
        ratios = [old / new for old, new in zip(elapsed["baseline"], elapsed["ours"], strict=True)]
        cells += [f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"]
        cells += [f"{min(processor['baseline']) / min(processor['ours']):.2f}"]
        cells += [agreement(ends["ours"]["losses"], ends["baseline"]["losses"])]
    return f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, help="checkout of another version")
    parser.add_argument("--pairs", type=int, default=12, help="turns of each side")
    parser.add_argument("--threads", type=int, help="instead of those of the case")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    checkouts = {"baseline": options.baseline, "ours": ROOT} if options.baseline else {"ours": ROOT}
    header = ["case", "threads", f"ms, {' / '.join(checkouts)}", "MiB in the end"]
    header += ["baseline / ours", "processor", "losses"] if options.baseline else []
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for name in options.cases:
        threads = options.threads or CASES[name].threads
        print(line(name, threads, *measure(CASES[name], threads, checkouts, options.pairs)), flush=True)


if __name__ == "__main__":
    main()
