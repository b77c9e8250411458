"""What failed attempts lacked, from the logs that SLURM's executor keeps of them."""

import os

import pytest

from equidyn.study import attempts
from equidyn.study.attempts import fruitless, lacked

LATE = "slurmstepd: error: *** STEP 3.0 ON node1 CANCELLED AT 2026-11-27T18:00:00 DUE TO TIME LIMIT ***"
LARGE = (
    "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0. Some of the step tasks have been OOM Killed.",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=3.batch.",
    "slurmstepd: error: StepId=3.0 exceeded memory limit (1088618496 > 1048576000), being killed",
    "MemoryError",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 TiB for an array",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory",
    "equidyn.run.distributed.WorkerError: process 1: killed by SIGKILL; was there too little memory?",
)
NEITHER = (
    "slurmstepd: error: *** JOB 3 ON node1 CANCELLED AT 2026-11-27T18:00:00 ***",
    "slurmstepd: error: *** JOB 3 ON node1 CANCELLED AT 2026-11-27T18:00:00 DUE TO PREEMPTION ***",
    "slurmstepd: error: *** STEP 3.0 ON node1 CANCELLED AT 2026-11-27T18:00:00 DUE TO NODE FAILURE ***",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "equidyn.run.training.TrainingError: step 3: loss nan",
)


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Write the logs of the attempts of a job, oldest first."""
    monkeypatch.setattr(attempts, "LOGS", tmp_path)

    def write(*texts):
        folder = tmp_path / "rule_evaluate_checkpoints" / "base_0"
        folder.mkdir(parents=True)
        for place, text in enumerate(texts):
            log = folder / f"{100 - place}.log"  # ids of jobs may start anew
            log.write_text(f"before\n{text}\nafter\n")
            os.utime(log, (place, place))

    return write


def found(attempt):
    return lacked("evaluate_checkpoints", ["base", "0"], attempt)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(LATE, (1, 0)), *((text, (0, 1)) for text in LARGE), *((text, (0, 0)) for text in NEITHER)],
)
def test_each_end_is_known_by_its_words(logs, text, expected):
    logs(text)
    assert found(2) == expected


def test_a_job_that_was_too_large_was_not_late(logs):
    logs(f"{LARGE[0]}\n{LATE}")
    assert found(2) == (0, 1)


def test_attempts_add_up(logs):
    logs(LATE, LARGE[0], NEITHER[0], LATE)
    assert found(5) == (2, 1)


def test_only_attempts_of_this_workflow_count(logs):
    logs(LARGE[0], LATE, LATE)
    assert found(1) == (0, 0)
    assert found(3) == (2, 0)


def test_a_job_that_never_started_has_no_log(logs):
    assert found(3) == (0, 0)


class TestFruitless:
    """Attempts in a row that have saved nothing."""

    @pytest.fixture
    def after(self, tmp_path):
        """Save a file, or nothing, and ask about the attempt, of which there is one for each call."""
        count = 0

        def ask(rule, saved="", **wildcards):
            nonlocal count
            count += 1
            if saved:
                file = tmp_path / saved
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
                os.utime(file, (count, count))
            return fruitless(f"{tmp_path}", rule, wildcards, tmp_path, count)

        return ask

    STATE = f"run[1]-{16 * 'a'}/state.pt"

    def test_a_job_that_saves_nothing(self, after):
        assert [after("train_network", run="run[1]") for _ in range(4)] == [1, 2, 3, 4]

    def test_what_was_there_before_is_nothing_new(self, after):
        assert after("train_network", self.STATE, run="run[1]") == 1
        assert after("train_network", run="run[1]") == 2

    def test_progress_counts_from_there(self, after):
        saved = ["", self.STATE, "", "", self.STATE, ""]
        assert [after("mine_train_network", name, run="run[1]") for name in saved] == [1, 0, 1, 2, 0, 1]

    @pytest.mark.parametrize(
        ("rule", "wildcards", "theirs", "others"),
        [
            ("train_network", {"run": "a"}, "a-{}/state.pt", "a-{}/output/raw/0.safetensors"),
            ("train_network", {"run": "a"}, "a-{}/state.pt", "a-b-{}/state.pt"),
            ("train_network", {"run": "a"}, "a-{}/state.pt", "a-{}/.state.new.pt"),
            ("evaluate_checkpoints", {"run": "a", "part": "0"}, "a+evaluation-{}/1.parquet", "a-{}/state.pt"),
            (
                "analyse_checkpoints",
                {"run": "a", "analysis": "hessian"},
                "a+hessian-{}/1/2.npz",
                "a+angles-{}/1.parquet",
            ),
            ("make_store", {"task": "voxels"}, "voxels-{}/0/1.npz", "a-{}/state.pt"),
            ("split_store", {"task": "voxels"}, "", "voxels-{}/0/1.npz"),
        ],
    )
    def test_each_rule_has_files_of_its_own(self, after, rule, wildcards, theirs, others):
        assert after(rule, **wildcards) == 1
        assert after(rule, others.format(16 * "a"), **wildcards) == 2
        assert after(rule, theirs.format(16 * "0"), **wildcards) == (0 if theirs else 3)
