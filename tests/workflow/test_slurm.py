"""The slurm profile on a real SLURM of one node, started for the test (tests/slurm/cluster.sh).

SLURM itself submits, limits, requeues and ends the jobs, for lack of time and of memory. Only the passing of time is
not real: its limits are whole minutes, which it checks every half minute. Where a job shall lack time, its end is moved
up, and jobs have a grace otherwise, as they start slowly on a busy machine. Of the chain of ten, most links get the
signal that SLURM sends at the end of their time, without its verdict.
"""

import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from project import ROOT, tiny_study

PROGRAMS = ("slurmctld", "slurmd", "munged")
LINKS, STEPS = 10, {"augmented": 600, "fewer": 200}
MEMORY, MINUTES = 1400, 5  # MB, and minutes, that jobs ask for at first
GRACE = 10  # minutes
WAIT = 1500  # seconds, on a busy machine; a tenth otherwise
# Snakemake, but for its executor's way to wait ten seconds longer each time that no job has succeeded meanwhile.
SNAKEMAKE = """
import asyncio
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.sleep = lambda executor: asyncio.sleep(1)
main()
"""

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


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A study of two force-field runs on a cluster of jobs of one minute, where the longer one takes at least ten."""
    project = tiny_study(tmp_path_factory.mktemp("project"))
    accelerator = {
        "name": "made up",
        "memory_gb": 8,
        "bandwidth": 1,
        "tflops": {"fp64": 1, "fp32": 1e-3, "tf32": 1, "bf16": 1},
        "utilisation": 0.5,
    }
    project.config |= {"cluster": {"accelerator": accelerator, "max_runtime": 1, "max_memory_mb": 2 * MEMORY}}
    project.config["training"] |= {"checkpoint_steps": [0], "state_every": 5}
    project.config["evaluation"] |= {"checkpoints_per_job": 1, "weights": ["raw"]}
    project.rows = [row | {"steps": str(STEPS[row["name"]])} for row in project.rows[:2]]
    project.config["data"] = {"force_field": project.config["data"]["force_field"]}
    project.config["analysis"] = {"interpolation_floors": project.config["analysis"]["interpolation_floors"]}
    # Jobs of little memory and time, so that some can have too little of either.
    project.edit("src/equidyn/study/planning.py", "LEAST_ON_GPU = (6000, 30)", f"LEAST_ON_GPU = ({MEMORY}, {MINUTES})")
    project.write()
    return project


def test_a_chain_of_ten_jobs_of_one_minute_and_a_job_that_ends_too_late(cluster, project):
    """Each link resumes where the last one was ended; a training that had ended already is published again."""
    first = project.results / "train/fewer"
    ended: list[str] = []
    late, requeued, cancelled = "", False, False
    with workflow(project, "train") as running:
        while running():
            if late and state_of(late) == "TIMEOUT":
                grace(GRACE)
                late = ""
            for job in jobs("train_network", "RUNNING"):
                run = job["run"]
                if run == "augmented" and len(ended) < LINKS - 1 and job["id"] not in ended:
                    if saved(project, run) > job["started"]:
                        if not ended:
                            late = job["id"]
                            end(late)
                        else:
                            signal(job["id"])
                        ended.append(job["id"])
                elif run == "fewer" and first.exists() and not cancelled:
                    # All is done, but the job has not ended: SLURM counts it as cancelled, like one that ends too late.
                    subprocess.run(["scancel", job["id"]], check=True)
                    cancelled = True
                elif run == "fewer" and saved(project, run) and not requeued:
                    requeue(job["id"])
                    requeued = True
    chain = [job for job in jobs("train_network") if job["run"] == "augmented"]
    assert len(chain) >= LINKS
    assert {job["minutes"] for job in jobs()} == {1}
    assert "TIMEOUT" in {job["state"] for job in chain}
    assert all("gres:gpu:1" in job["tres"] for job in jobs("train_network"))
    assert requeued
    assert cancelled
    assert "fewer: already finished" in (project.results / "logs/train_network/fewer.log").read_text()
    for run, steps in STEPS.items():
        metrics = pd.read_parquet(project.results / f"train/{run}/metrics.parquet")
        assert metrics["step"].tolist() == list(range(1, steps + 1))
    undisturbed = project.folder / "undisturbed/tiny"
    undisturbed.mkdir(parents=True)
    (undisturbed / "data").symlink_to(project.results / "data")
    made = project.run("train", "--config", "results=undisturbed")
    assert made.returncode == 0, made.stderr
    for run, steps in STEPS.items():
        for weights in ("raw", "ema"):
            file = Path("train", run, weights, f"{steps:08d}.safetensors")
            assert filecmp.cmp(project.results / file, undisturbed / file, shallow=False)


def test_jobs_get_more_of_what_they_lacked(cluster, project):
    """One evaluation has too little memory, one too little time, and one a bad checkpoint, which costs no other."""
    project.config["cluster"]["max_runtime"] = 60
    hold, held = project.folder / "hold", project.folder / "held"
    hold.touch()
    # The first checkpoint of one run needs much memory, that of the other waits until its time is up.
    project.edit(
        "workflow/scripts/evaluate_checkpoints.py",
        "    torch.set_num_threads(threads)\n",
        f"""    torch.set_num_threads(threads)
    import os, time
    filled = os.urandom({MEMORY} << 20) if run == "augmented" and 0 in steps else b""
    time.sleep(3 if filled else 0)
    while run == "fewer" and 0 in steps and os.path.exists({str(hold)!r}):
        open({str(held)!r}, "w").close()
        time.sleep(0.1)
""",
    )
    bad = project.results / f"train/fewer/raw/{STEPS['fewer']:08d}.safetensors"
    assert bad.exists() or project.run("train").returncode == 0
    content = bad.read_bytes()
    bad.write_bytes(content[:1000])
    late = ""
    with workflow(project, "evaluate", "--retries", "1", fails=True) as running:
        while running():
            for job in jobs("evaluate_checkpoints", "RUNNING"):
                if job["run"] == "fewer" and job["part"] == "0" and held.exists() and not late:
                    late = job["id"]
                    end(late)
            if late and hold.exists() and state_of(late) == "TIMEOUT":
                grace(GRACE)
                hold.unlink()
    found: dict[tuple[str, str], list[dict]] = {}
    for job in jobs("evaluate_checkpoints"):
        found.setdefault((job["run"], job["part"]), []).append(job)
    large, slow, broken = found["augmented", "0"], found["fewer", "0"], found["fewer", "1"]
    memory = large[0]["memory"]
    assert [(job["memory"], job["minutes"]) for job in large] == [(memory, MINUTES), (2 * MEMORY, MINUTES)]
    assert [(job["memory"], job["state"]) for job in slow] == [(memory, "TIMEOUT"), (memory, "COMPLETED")]
    assert slow[1]["minutes"] == 2 * MINUTES  # the limit of the first has moved with its end
    assert [(job["memory"], job["minutes"]) for job in broken] == 2 * [(memory, MINUTES)]
    assert len(found["augmented", "1"]) == 1
    made = {file.relative_to(project.results / "evaluate").as_posix() for file in project.results.glob("evaluate/*/*")}
    assert made == {
        f"{part}.{kind}.parquet"
        for part in ("augmented/0", "augmented/1", "fewer/0")
        for kind in ("rows", "examples")
    }  # fmt: skip
    bad.write_bytes(content)
    assert project.planned("evaluate") == {"evaluate_checkpoints": 1, "gather_run": 1, "gather_tables": 1}


@contextmanager
def workflow(project, *arguments: str, fails: bool = False) -> Iterator[Callable[[], bool]]:
    """Run Snakemake with the profile; the function that is given waits a moment, and says whether it still runs."""
    project.write()
    command = [sys.executable, "-c", SNAKEMAKE, *arguments, "--workflow-profile", "profiles/slurm"]
    # There is no accounting database, and nothing to wait for.
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
    command += ["--jobs", "6", "--configfile", project.config_file]
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src"), "OMP_WAIT_POLICY": "PASSIVE"}
    log = project.folder / "snakemake.log"
    end = time.monotonic() + WAIT
    with log.open("w") as stream:
        snakemake = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=stream, stderr=stream)

    def running() -> bool:
        time.sleep(0.3)
        assert time.monotonic() < end, log.read_text()[-6000:]
        return snakemake.poll() is None

    try:
        yield running
        assert bool(snakemake.wait()) == fails, log.read_text()[-6000:]
    finally:
        snakemake.kill()
        snakemake.wait()


def saved(project, run: str) -> float:
    """When a run last saved its state, in seconds; 0 if it has not."""
    return max((file.stat().st_mtime for file in project.results.glob(f"state/{run}-*/state.pt")), default=0)


def end(job: str):
    """Let a job's time be up at once; SLURM notices within half a minute."""
    grace(0)
    subprocess.run(["scontrol", "update", f"JobId={job}", "EndTime=now+1"], check=True)


def grace(minutes: int):
    """Let jobs run for longer than they may."""
    subprocess.run(["scontrol", "update", "PartitionName=main", f"OverTimeLimit={minutes}"], check=True)


def signal(job: str):
    """Send what SLURM sends when a job's time is up."""
    subprocess.run(["scancel", "--signal=TERM", job], check=True)


def requeue(job: str):
    """Send a job back to the queue; SLURM would let it wait there for two minutes."""
    subprocess.run(["scontrol", "requeue", job], check=True)
    for _ in range(100):
        if state_of(job) == "PENDING":
            break
        time.sleep(0.2)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)


def state_of(job: str) -> str:
    return next(other["state"] for other in jobs() if other["id"] == job)


def jobs(rule: str = "", state: str = "") -> list[dict]:
    """The jobs that the cluster remembers, oldest first, or those of a rule and in a state."""
    listing = subprocess.run(["squeue", "--json", "--states=all"], capture_output=True, text=True, check=True).stdout
    found = []
    for job in sorted(json.loads(listing)["jobs"], key=lambda job: job["job_id"]):
        name, _, values = job["comment"].removeprefix("rule_").partition("_wildcards_")
        run, _, part = values.partition("_")
        if name.startswith(rule) and job["job_state"].startswith(state):
            found.append(
                {
                    "id": str(job["job_id"]),
                    "state": job["job_state"],
                    "started": job["start_time"],
                    "run": run,
                    "part": part,
                    "minutes": job["time_limit"],
                    "memory": job["memory_per_node"],
                    "tres": job["tres_per_job"],
                }
            )
    return found
