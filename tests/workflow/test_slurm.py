"""The slurm profile on a real SLURM of one node, started for the test (tests/slurm/cluster.sh)."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from project import ROOT, tiny_study

PROGRAMS = ("slurmctld", "slurmd", "munged")
STEPS = 600
WAIT = 240  # seconds, for what takes a few

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slurm,
    pytest.mark.skipif(
        not all(map(shutil.which, PROGRAMS)) or os.geteuid() != 0,
        reason="needs SLURM (Debian: slurm-wlm, munge) and root",
    ),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A running cluster with two made-up GPUs."""
    folder = tmp_path_factory.mktemp("cluster")
    script = [str(ROOT / "tests/slurm/cluster.sh")]
    # To a file: daemons that hold a pipe open would keep us waiting.
    with (folder / "start.log").open("w") as log:
        started = subprocess.run([*script, "start", str(folder)], stdout=log, stderr=log)
    assert started.returncode == 0, (folder / "start.log").read_text()
    yield folder
    subprocess.run([*script, "stop", str(folder)], check=True)


@pytest.fixture
def project(tmp_path):
    """A study of two force-field runs, long enough to be interrupted, on one GPU each."""
    project = tiny_study(tmp_path)
    accelerator = {
        "name": "made up",
        "memory_gb": 8,
        "bandwidth": 1,
        "tflops": {"fp64": 1, "fp32": 1, "tf32": 1, "bf16": 1},
        "utilisation": 0.5,
    }
    project.config |= {"cluster": {"accelerator": accelerator}}
    project.config["training"] |= {"checkpoint_steps": [0, 10, STEPS], "state_every": 20}
    project.config["evaluation"] |= {"checkpoints_per_job": 1, "examples": 4, "weights": ["ema"]}
    project.config["evaluation"].pop("examples")
    project.rows = [row | {"steps": str(STEPS)} for row in project.rows[:2]]
    project.config["data"] = {"force_field": project.config["data"]["force_field"]}
    project.config["analysis"] = {"interpolation_floors": project.config["analysis"]["interpolation_floors"]}
    project.write()
    return project


def test_a_study_survives_cancelled_and_requeued_jobs(cluster, project):
    command = [sys.executable, "-m", "snakemake", "evaluate", "--workflow-profile", "profiles/slurm"]
    # There is no accounting database, and nothing to wait for.
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    command += ["--seconds-between-status-checks", "2", "--jobs", "4", "--configfile", project.config_file]
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src"), "OMP_WAIT_POLICY": "PASSIVE"}
    log = project.folder / "snakemake.log"
    with log.open("w") as stream:
        snakemake = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=stream, stderr=stream)
    try:
        for run, interrupt in {"augmented": cancel, "fewer": requeue}.items():
            wait_for(lambda run=run: list(project.results.glob(f"state/{run}-*/state.pt")), snakemake, log)
            job = running_job(run)
            assert "gres:gpu:1" in job["tres"]
            interrupt(job["id"])
        assert snakemake.wait(timeout=2 * WAIT) == 0, log.read_text()[-6000:]
    finally:
        snakemake.kill()
    for run in ("augmented", "fewer"):
        text = (project.results / f"logs/train_network/{run}.log").read_text()
        assert f"{run}: resuming at step" in text
        metrics = pd.read_parquet(project.results / f"train/{run}/metrics.parquet")
        assert metrics["step"].tolist() == list(range(1, STEPS + 1))
    table = pd.read_parquet(project.results / "tables/evaluation.parquet")
    assert set(zip(table["run"], table["step"], strict=True)) == {
        (run, step) for run in ("augmented", "fewer") for step in (0, 10, STEPS)
    }
    accounts = [job for job in jobs() if "evaluate_checkpoints" in job["comment"]]
    assert len(accounts) < 6, "evaluations were grouped into fewer jobs than there are checkpoints"


def cancel(job: str):
    subprocess.run(["scancel", job], check=True)


def requeue(job: str):
    """Send a job back to the queue; SLURM would let it wait there for two minutes."""
    subprocess.run(["scontrol", "requeue", job], check=True)
    for _ in range(100):
        if any(other["id"] == job and other["state"] == "PENDING" for other in jobs()):
            break
        time.sleep(0.2)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)


def wait_for(condition, process: subprocess.Popen, log: Path):
    """Wait until something is so, while a process runs."""
    end = time.monotonic() + WAIT
    while not condition():
        assert process.poll() is None, log.read_text()[-6000:]
        assert time.monotonic() < end, log.read_text()[-6000:]
        time.sleep(0.2)


def running_job(run: str) -> dict[str, str]:
    """The training job of a run."""
    (job,) = [job for job in jobs() if "train_network" in job["comment"] and run in job["comment"]
              and job["state"] == "RUNNING"]  # fmt: skip
    return job


def jobs() -> list[dict[str, str]]:
    """All jobs that the cluster remembers."""
    listing = subprocess.run(["squeue", "--json", "--states=all"], capture_output=True, text=True, check=True).stdout
    return [
        {"id": str(job["job_id"]), "state": job["job_state"], "comment": job["comment"], "tres": job["tres_per_job"]}
        for job in json.loads(listing)["jobs"]
    ]
