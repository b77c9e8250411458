"""Benchmarks of training: their examples, how they read a trace, and whole calls in miniature on the CPU."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from rehearsal import write_small  # noqa: E402
from sides import agreement, summarise  # noqa: E402
from workload import make_store, molecules  # noqa: E402

from equidyn.core.rooms import cards  # noqa: E402
from equidyn.study.reading import merged  # noqa: E402
from equidyn.study.stages import Study  # noqa: E402


def call(script, *arguments):
    """The lines that a benchmark prints, this checkout being its own baseline."""
    command = [sys.executable, ROOT / "benchmarks" / script, "--baseline", ROOT, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def rehearsed(folder):
    """The study on a GPU as it is rehearsed, and as it is; read without the CPU's limits."""
    names = ["gpu.yaml", "rehearsal.yaml"]
    file = write_small([ROOT / "config" / name for name in names], folder, steps=10, batch=2)
    return (Study(merged([each]), cards("equidyn.analysis"), ROOT / "workflow/scripts") for each in (
        file, ROOT / "config/gpu.yaml"
    ))  # fmt: skip


def test_all_runs_and_analyses_of_the_study_on_a_gpu_are_rehearsed(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    small, study = rehearsed(tmp_path)
    for name, row in study.runs.items():
        assert small.runs[name] == row | {"steps": 10, "batch_size": 2}
    assert small.analysed() == study.analysed()
    for analysis, task in study.analysed():
        assert set(small.analysed_runs(analysis, task)) <= set(study.analysed_runs(analysis, task))
    assert small.folder.startswith(str(tmp_path))
    assert {small.config["training"]["device"], study.config["training"]["device"]} == {"cpu", "cuda"}


@pytest.mark.slow
@pytest.mark.long
def test_a_run_is_rehearsed(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/rehearsal.py", "control", "--folder", tmp_path, "--steps", "3"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert re.search(r"\| control \| control \| 230,017 \| \d+ \| \d+ \| 0 \| \d+ \| yes \|", result.stdout)


def test_atoms_are_bonded_and_keep_their_distance():
    positions = molecules(20, 30, np.random.default_rng(0))
    apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    apart[:, np.arange(30), np.arange(30)] = np.inf
    nearest = apart.min(-1)
    assert nearest.max() <= 1.5 + 1e-5
    assert (nearest >= 1 - 1e-5).mean() > 0.99


@pytest.mark.parametrize("task", ["force_field", "flow_matching", "voxel_denoising"])
def test_examples_are_as_long_as_asked_for(tmp_path, task):
    store = make_store(tmp_path / "store", task, 40, (5, 8))
    assert set(store.lengths_of(np.arange(40))) == {5, 6, 7, 8}


def test_a_trace_is_summed_up_per_step_and_overlaps_count_once():
    events = [
        {"cat": "kernel", "name": "gemm", "ts": 0, "dur": 10},
        {"cat": "kernel", "name": "add", "ts": 5, "dur": 10},
        {"cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pinned)", "ts": 20, "dur": 1},
        {"cat": "gpu_memcpy", "name": "Memcpy HtoD (Pinned -> Device)", "ts": 30, "dur": 4},
        {"cat": "gpu_user_annotation", "name": "Optimizer.step", "ts": 0, "dur": 100},
        {"cat": "cuda_runtime", "name": "cudaStreamSynchronize", "ts": 20, "dur": 2},
        {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 1, "dur": 2},
        {"name": "process_name", "ph": "M"},
    ]
    found = summarise(events, 2)
    assert found.pop("busy") == pytest.approx(10e-6)  # half of 15 + 1 + 4 µs
    assert found == {"kernels": 1, "reads": 0.5, "waits": 0.5}


def test_losses_agree_wholly_nearly_or_on_average():
    assert agreement([1.0, 2.0], [1.0, 2.0]) == "equal"
    assert agreement([1.0, 2.00002], [1.0, 2.0]) == "to 1e-05"
    assert agreement([3.0, 3.0], [1.0, 2.0]) == "mean × 2.00"


def test_steps_beside_a_checkout():
    head, _, line = call("train_step.py", "--cases", "escaip-tiny", "--pairs", "2")
    cells = dict(zip(head.split(" | "), line.split(" | "), strict=True))
    assert cells["threads"] == "1"
    assert all(float(number) > 0 for number in cells["ms, baseline / ours"].split(" / "))
    assert line.endswith("| equal |")


@pytest.mark.slow
@pytest.mark.long
def test_a_device_in_miniature(tmp_path):
    small = ("--device", "cpu", "--small", "--models", "voxmol", "--parts", "plain", "compiled", "checks")
    lines = call("gpu.py", *small, "--out", tmp_path)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["lost"] == []
    assert [row["side"] for row in found["times"]] == ["baseline", "ours", "ours, auto"]
    assert all(row["seconds"] > 0 for row in found["times"])
    equal = ("losses, baseline", "losses, cpu", "bits, ours", "bits, deterministic")
    assert found["checks"] == [{"network": "voxmol-1M"} | dict.fromkeys(equal, "equal")]
    assert len(lines) == 2 + 3 + 1 + 2 + 1


def test_what_there_is_no_time_for_is_dropped(tmp_path):
    out = tmp_path / "not there yet"
    call("gpu.py", "--device", "cpu", "--small", "--minutes", "0", "--out", out)
    found = json.loads((out / "gpu.json").read_text())
    assert found["times"] == found["checks"] == []
    assert found["lost"] == [f"{part}: time was up" for part in ("plain", "compiled", "checks", "more")]


def test_measuring_a_calculator_in_miniature(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["measuring.py", "--structures", "1", "--rotations", "2"])
    runpy.run_path(str(ROOT / "benchmarks/measuring.py"), run_name="__main__")
    assert "2 calls of EMT, 32 atoms on average" in capsys.readouterr().out
