"""A workflow that was killed goes on by the same command; one that is at work is in the way of a second one."""

import json
import os
import signal
import time

import pytest
from project import tiny_study
from torture.bench import Processes

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

WANTED = "results/tiny/data/force_field/index/validation.npy"


@pytest.fixture
def started(tmp_path):
    """A project, the workflow that makes its data, and its processes, of which one is making a store."""
    project, processes = tiny_study(tmp_path), Processes()
    with project.start(WANTED) as workflow:
        processes.sessions.add(workflow.pid)
        while not (project.results / "data/force_field/.store.new").exists():
            assert workflow.poll() is None, workflow.stdout.read()
            time.sleep(0.01)
        yield project, workflow, processes
        for process in processes.all():
            process.kill()


def finishes(project):
    result = project.run(WANTED)
    assert result.returncode == 0, result.stderr[-5000:]
    assert (project.folder / WANTED).exists()
    assert not list((project.folder / ".snakemake").glob("locks/*"))
    return result


def test_all_of_it_killed(started):
    project, workflow, processes = started
    for process in processes.all():
        process.kill()
    workflow.wait()
    assert list((project.folder / ".snakemake/locks").iterdir())
    finishes(project)


def test_its_jobs_are_waited_for(started):
    project, workflow, processes = started
    (job,) = processes.jobs()
    workflow.kill()
    workflow.wait()
    job.suspend()
    second = project.start(WANTED)
    waiting = "waiting for another process that still does this job"
    said = []
    assert any(said.append(line) or waiting in line for line in second.stdout), "".join(said)
    assert not (project.folder / WANTED).exists()
    job.resume()
    said, _ = second.communicate()
    assert second.returncode == 0, said
    assert (project.folder / WANTED).exists()


def test_one_that_is_terminated_ends_when_its_jobs_have(started):
    project, workflow, _ = started
    for _ in range(500):  # whatever it does at the moment
        workflow.terminate()
        time.sleep(0.002)
    said, _ = workflow.communicate(timeout=300)
    assert "Will exit after finishing currently running jobs" in said
    finishes(project)


def test_one_at_work_is_in_the_way(started):
    project, workflow, _ = started
    os.killpg(workflow.pid, signal.SIGSTOP)
    other = project.run("results/tiny/config.yaml")
    assert other.returncode == 0, other.stderr[-5000:]
    result = project.run(WANTED)
    assert result.returncode != 0
    assert f"another workflow makes the same files (process {workflow.pid} on" in result.stderr
    assert project.run("--dry-run", WANTED).returncode == 0
    assert project.run("results/tiny/data/voxel_denoising/index/validation.npy", "--dry-run").returncode == 0
    os.killpg(workflow.pid, signal.SIGCONT)
    assert workflow.wait() == 0


def test_a_lock_of_another_machine_stays(started):
    project, workflow, processes = started
    for process in processes.all():
        process.kill()
    workflow.wait()
    for file in (project.folder / ".snakemake/locks").iterdir():
        mark, _, rest = file.read_text("utf-8").partition("\n")
        word, _, fields = mark.partition("{")
        elsewhere = json.loads("{" + fields) | {"boot": "another", "host": "elsewhere"}
        file.write_text(f"{word}{json.dumps(elsewhere)}\n{rest}", encoding="utf-8")
    result = project.run(WANTED)
    assert result.returncode != 0
    assert "on elsewhere, since" in result.stderr
    assert "snakemake --unlock" in result.stderr
    assert project.run("--unlock").returncode == 0
    finishes(project)
    assert project.run("--unlock").returncode == 0
    assert not list((project.folder / ".snakemake").glob("locks/*"))
