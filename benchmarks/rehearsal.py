"""Rehearse a study of large networks on a CPU: every run and every analysis in a few steps, by the same code.

    python benchmarks/rehearsal.py [RUN …] [--config config/gpu.yaml config/rehearsal.yaml] [--steps 10] [--batch 2]

The configuration is the study's, with what makes it small merged over it; the run table is the study's, cut to some
steps of some examples. Runs go one after the other, into a folder of their own, by `equidyn.study.running` as on a GPU;
a second call goes on where the first was stopped. If all runs were asked for, Snakemake then gathers the tables, judges
the claims and draws the figures. The table in the end says of each run what its jobs took.
"""

import argparse
import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from equidyn.core.rooms import cards
from equidyn.models.registry import configuration
from equidyn.study import running
from equidyn.study.config import read_runs
from equidyn.study.reading import merged
from equidyn.study.stages import Study

STAGES = {"train_network": "training", "evaluate_checkpoints": "evaluation", "analyse_checkpoints": "analyses"}


def write_small(files, folder, steps, batch):
    """Write the small study's run table and configuration into a folder; returns the latter's file."""
    config = merged(files)
    rows = read_runs(config["run_table"], config).values()
    folder.mkdir(parents=True, exist_ok=True)
    table, file = folder / "runs.tsv", folder / "config.yaml"
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(next(iter(rows))), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"steps": steps, "batch_size": batch} for row in rows)
    config |= {"run_table": str(table), "results": str(folder)}
    file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file


def report(study, runs):
    """The table of runs: parameters, seconds and MiB of their jobs, and whether all are done."""
    columns = ("run", "model", "parameters", *(f"{stage}, s" for stage in STAGES.values()), "peak MiB", "finished")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for run in runs:
        took, memory = dict.fromkeys(STAGES, 0.0), 0.0
        work = running.work_of(study, run)
        for job in work.jobs:
            file = job.benchmark(study)
            if job.script in STAGES and file.exists():
                with file.open(encoding="utf-8", newline="") as stream:
                    (row,) = csv.DictReader(stream, delimiter="\t")
                took[job.script] += float(row["s"])
                memory = max(memory, float(row["max_rss"]))
        model = study.runs[run]["model"]
        cells = [run, model, f"{configuration(model).parameters:,}", *(f"{took[stage]:.0f}" for stage in STAGES)]
        finished = not work.left(study)
        print(f"| {' | '.join([*cells, f'{memory:.0f}', 'yes' if finished else 'no'])} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help="default: all, and then the figures")
    parser.add_argument("--config", nargs="+", default=["config/gpu.yaml", "config/rehearsal.yaml"], metavar="FILE")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=2, help="examples of a step")
    parser.add_argument("--folder", type=Path, default=Path("build/rehearsal"))
    options = parser.parse_args()
    file = write_small(options.config, options.folder, options.steps, options.batch)
    os.environ["OMP_NUM_THREADS"] = "1"
    study, began, status = (
        Study(merged([file]), cards("equidyn.analysis"), "workflow/scripts", str(file)),
        time.time(),
        0,
    )
    try:
        running.run(study, options.runs)
        if not options.runs:
            snakemake = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", file, "--quiet", "rules"]
            status = subprocess.run(snakemake, check=False).returncode
    except running.JobError:
        status = 1
    report(study, options.runs or study.runs)
    print(f"{time.time() - began:.0f} s in all")
    return status


if __name__ == "__main__":
    sys.exit(main())
