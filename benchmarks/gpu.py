"""Training on a GPU as it was and as it is: steps, what the GPU does in them, memory, losses, bits.

    python benchmarks/gpu.py --baseline PATH [--minutes 4] [--out FOLDER] [--parts plain checks …]
    python benchmarks/gpu.py --device cpu --small

It needs nothing but the library: examples are random. Checkouts train in processes of their own and take turns;
networks too large for two on one card train one after the other. Parts are, in this order: `plain`, the networks of the
paper without compiling; `compiled`, the same as the library chooses, which get ready together; `checks` of losses and
bits; `more` batches and precisions. When time is up, the rest is dropped. Tables go to the terminal, all numbers
after each part to gpu.json in the folder.
"""

import argparse
import json
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from sides import ROOT, Job, agreement, sides

MOLECULES, CHAINS, DRUGS = (30, 40), (51, 255), (38, 57)  # atoms or residues; drugs have 20 to 30 heavy atoms


@dataclass(frozen=True)
class Case:
    """A job, steps before and in each turn, and the number of turns."""

    job: Job
    settle: int = 3
    turn: int = 6
    turns: int = 4
    is_large: bool = False

    @property
    def title(self):
        """Network, batch and precision."""
        return f"{self.job.model}, {self.job.batch}, {self.job.recipe['precision']}"


def escaip(model, batch, precision, **options):
    recipe = {"precision": precision, "augmentation": 0.0}
    return Case(Job(model, batch, MOLECULES, "paper", batches=2 if batch > 64 else 16, recipe=recipe), **options)


def proteina(model, batch, precision, **options):
    return Case(Job(model, batch, CHAINS, "paper", recipe={"precision": precision}), **options)


VOXMOL = Job("voxmol-111M", 32, DRUGS, "paper", batches=4, microbatch=8, recipe={"precision": "tf32"})
MAIN = [
    escaip("escaip-6M", 64, "fp32"),
    escaip("escaip-6M", 1, "fp32"),
    escaip("escaip-1M", 64, "fp32"),
    proteina("proteina-60M", 4, "bf16"),
    Case(VOXMOL, settle=1, turn=1, turns=3),
    proteina("proteina-400M-tri", 4, "bf16", turn=3, turns=3, is_large=True),
]
MORE = [
    escaip("escaip-6M", 64, "bf16"),
    escaip("escaip-6M", 64, "tf32"),
    proteina("proteina-60M", 4, "tf32"),
    escaip("escaip-1M", 64, "bf16"),
    escaip("escaip-6M", 512, "tf32", turn=3, turns=3, is_large=True),
    proteina("proteina-60M", 32, "bf16", turn=3),
]
SINGLE = {"precision": "fp32", "augmentation": 0.0}
CHECKS = [  # without dropout, whose streams differ between devices
    Job("escaip-6M", 8, MOLECULES, "paper", 20, recipe=SINGLE, sizes={"mlp_dropout": 0.0, "attention_dropout": 0.0}),
    Job("proteina-2M-tri", 4, (51, 80), "paper", 20, recipe=SINGLE),
    Job("voxmol-1M", 4, DRUGS, "config", 20, recipe=SINGLE),
]
SMALL = {
    "escaip-6M": ("escaip-small", (3, 6), {}),
    "escaip-1M": ("escaip-tiny", (3, 6), {}),
    "proteina-60M": ("proteina-0.5M", (5, 9), {}),
    "proteina-2M-tri": ("proteina-0.5M-tri", (5, 9), {}),
    "proteina-400M-tri": ("proteina-0.5M-tri", (5, 9), {}),
    "voxmol-111M": ("voxmol-0.3M", (3, 6), {"side": 16}),
    "voxmol-1M": ("voxmol-0.3M", (3, 6), {"side": 16}),
}


class Benchmark:
    """What was measured, and until when there is time."""

    def __init__(self, options):
        self.options = options
        self.deadline = time.monotonic() + 60 * options.minutes
        self.checkouts = {"baseline": options.baseline, "ours": ROOT} if options.baseline else {"ours": ROOT}
        self.threads = max(1, (os.cpu_count() or 1) // 2)
        self.rows, self.checked, self.lost = [], [], []

    def job(self, job, **recipe):
        """The job on the device that was asked for, in miniature if that was asked for."""
        job = replace(job, device=self.options.device, recipe=job.recipe | recipe)
        if not self.options.small:
            return job
        model, rows, task = SMALL[job.model]
        batch, portion, steps = min(job.batch, 2), job.microbatch and 1, job.steps if job.steps > 100 else 3
        return replace(job, model=model, rows=rows, task=task, batch=batch, batches=2, steps=steps, microbatch=portion)

    def plain(self, cases):
        """Time cases without compiling, the sides in turns; a side that failed is replaced for the next case."""
        cases = list(cases)
        while cases:
            with sides(self.checkouts, self.threads) as running:
                is_whole = True
                while cases and is_whole:
                    case, is_whole = cases.pop(0), False
                    with self.losing(case.title):
                        for group in [{name: side} for name, side in running.items()] if case.is_large else [running]:
                            began = time.monotonic()
                            for side in group.values():
                                side.start(self.job(case.job, compile=False))
                                side.begin(case.settle, 1)
                            self.time(case, group, self.ready(group, began))
                        is_whole = True

    def compiled(self, cases):
        """Time ours as it chooses whether to compile; networks that fit on the card together get ready together."""
        together = [case for case in cases if not case.is_large]
        for group in filter(None, [together, *([case] for case in cases if case.is_large)]):
            with ExitStack() as stack:
                began = time.monotonic()
                running = [stack.enter_context(sides({"ours, auto": ROOT}, self.threads)) for _ in group]
                for case, side in zip(group, running, strict=True):
                    side["ours, auto"].start(self.job(case.job, compile="auto"))
                    side["ours, auto"].begin(4 * case.settle, 1)
                waited = []
                for case, side in zip(group, running, strict=True):
                    with self.losing(f"{case.title}, auto"):
                        waited.append((case, side, self.ready(side, began)))
                for case, side, ready in waited:
                    with self.losing(f"{case.title}, auto"):
                        self.time(case, side, ready)

    def ready(self, group, began):
        """Wait for the first turn of sides, which has begun: seconds that each has taken since then."""
        seconds = {}
        for name, side in group.items():
            side.answer(self.deadline)
            seconds[name] = time.monotonic() - began
        return seconds

    def time(self, case, group, ready):
        """Measure sides that are ready."""
        seconds = {name: [] for name in group}
        for _ in range(1 if self.options.small else case.turns):
            for name, side in group.items():
                seconds[name].append(side.turn(case.settle, case.turn, self.deadline)["seconds"])
        for name, side in group.items():
            side.begin(case.settle, case.turn, profile=True)
            found = {"case": case.title, "side": name, "seconds": median(seconds[name]), "ready": ready[name]}
            found |= side.answer(self.deadline)["profile"] | side.end(self.deadline)
            self.rows.append(found)
            print(self.line(found), flush=True)

    def line(self, found):
        """One line of the table of times."""
        seconds, busy = found["seconds"], found["busy"]
        before = [row for row in self.rows if row["case"] == found["case"] and row["side"] == "baseline"]
        cells = [found["case"], found["side"], f"{1e3 * seconds:.1f}"]
        cells += [f"{before[0]['seconds'] / seconds:.2f}" if before else "", f"{busy / seconds:.0%}"]
        cells += [f"{found[name]:.0f}" for name in ("kernels", "reads", "waits")]
        cells += [f"{found.get('peak', 0) / 1e9:.1f}", f"{found['ready']:.0f}"]
        return f"| {' | '.join(cells)} |"

    def check(self, jobs):
        """Compare losses with those of others, and weights of equal runs; all runs of a job at once."""
        plain, firm = ("ours", "again", "cpu"), ("deterministic", "deterministic again")
        checkouts = self.checkouts | dict.fromkeys(plain, ROOT)
        with (
            sides(checkouts, self.threads) as running,
            sides(dict.fromkeys(firm, ROOT), self.threads, CUBLAS_WORKSPACE_CONFIG=":4096:8") as deterministic,
        ):
            running |= deterministic
            for job in jobs:
                for name, side in running.items():
                    sent = self.job(job, compile=False, deterministic=name in firm)
                    side.start(replace(sent, device="cpu") if name == "cpu" else sent)
                    side.begin(1, sent.steps - 1)
                ends = {}
                for name, side in running.items():
                    side.answer(self.deadline)
                    ends[name] = side.end(self.deadline)
                found = {"network": job.model}
                for name in sorted(ends.keys() & {"cpu", "baseline"}):
                    found[f"losses, {name}"] = agreement(ends["ours"]["losses"], ends[name]["losses"])
                for one, other in (plain[:2], firm):
                    same = ends[one]["weights"] == ends[other]["weights"]
                    found[f"bits, {one}"] = "equal" if same else "differ"
                if not self.checked:
                    print(f"\n{head(*found)}")
                self.checked.append(found)
                print(f"| {' | '.join(found.values())} |", flush=True)

    @contextmanager
    def losing(self, what, *errors):
        """Go on where a side fails, or another error arises; note what was not measured."""
        try:
            yield
        except (RuntimeError, *errors) as error:
            self.lost.append(f"{what}: {error}")
            print(self.lost[-1], flush=True)


def head(*columns):
    """The head of a table."""
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, help="checkout of another version")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of gpu.json")
    parser.add_argument("--parts", nargs="+", default=["plain", "compiled", "checks", "more"])
    parser.add_argument("--models", default="", help="only networks whose name contains this")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny networks and few steps, to try the script")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark(options)
    first, more = ([case for case in cases if options.models in case.job.model] for cases in (MAIN, MORE))
    works = {
        "plain": lambda: benchmark.plain(first),
        "compiled": lambda: benchmark.compiled(first),
        "checks": lambda: benchmark.check([job for job in CHECKS if options.models in job.model]),
        "more": lambda: benchmark.plain(more),
    }
    columns = "case", "side", "ms", "ratio", "on the GPU", "kernels", "reads", "waits", "peak GB", "ready after s"
    print(head(*columns), flush=True)
    for part in options.parts:
        with benchmark.losing(part, TimeoutError):
            works[part]()
        found = {"times": benchmark.rows, "checks": benchmark.checked, "lost": benchmark.lost}
        (options.out / "gpu.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
