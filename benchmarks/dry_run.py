"""Costs of planning: dry runs of the default study and of the paper's, side by side.

python benchmarks/dry_run.py
"""

import re
import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDIES = {"default": "config/config.yaml", "paper": "config/paper.yaml"}


def dry_run(config: str) -> tuple[int, float, float]:
    """Jobs, seconds and MiB of a dry run of everything, without any existing results."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--forceall", "--configfile", config]
    began = time.perf_counter()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    seconds = time.perf_counter() - began
    jobs = int(re.search(r"^total +(\d+)$", result.stdout + result.stderr, re.MULTILINE)[1])
    return jobs, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main():
    print(f"{'study':<10}{'jobs':>8}{'s':>8}{'ms per job':>12}{'MiB':>8}")
    measured = {}
    for name, config in STUDIES.items():
        # In a process of its own, whose children are this dry run alone.
        with ProcessPoolExecutor(1) as pool:
            jobs, seconds, memory = measured[name] = pool.submit(dry_run, config).result()
        print(f"{name:<10}{jobs:>8,}{seconds:>8.1f}{1000 * seconds / jobs:>12.1f}{memory:>8.0f}")
    small, large = measured["default"], measured["paper"]
    print(f"{large[0] / small[0]:.1f} times the jobs take {large[1] / small[1]:.1f} times the time")


if __name__ == "__main__":
    main()
