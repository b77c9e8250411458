"""Settings of the whole process."""

import subprocess
import sys

import pytest

TF32 = """
import torch
from equidyn.core import process

BEFORE = (
    lambda: None,
    lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "tf32"),
    lambda: torch.set_float32_matmul_precision("medium"),
    lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
    lambda: setattr(torch.backends.mkldnn, "fp32_precision", "tf32"),
    lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    lambda: process.allow_tf32(True),
    lambda: process.allow_tf32(False),
)
for before in BEFORE:
    for allowed in (False, True):
        before()
        process.allow_tf32(allowed)
        cudnn, matmul, onednn = torch.backends.cudnn, torch.backends.cuda.matmul, torch.backends.mkldnn
        parts = (onednn.matmul, onednn.conv, onednn.rnn)
        assert allowed or {part.fp32_precision for part in parts} == {"ieee"}, parts
        print(matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, end=" ")
        print(torch.backends.fp32_precision, matmul.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision())
"""


FAMILY = """
import multiprocessing, time
from equidyn.core import process

def child():
    process.end_with_parent()
    print("at work", flush=True)
    time.sleep(10)
    print("still at work")

if __name__ == "__main__":
    one = multiprocessing.get_context("{method}").Process(target=child)
    one.start()
    one.join()
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_children_end_with_their_parent(method, tmp_path):
    (tmp_path / "family.py").write_text(FAMILY.format(method=method), encoding="utf-8")
    command = [sys.executable, tmp_path / "family.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as parent:
        assert parent.stdout.readline() == "at work\n"
        parent.kill()
        assert parent.stdout.read() == ""


def test_nothing_rounds_to_tf32_unless_allowed():
    """In a process of its own, as PyTorch remembers who set what."""
    done = subprocess.run([sys.executable, "-c", TF32], capture_output=True, text=True)
    expected = ["ieee ieee ieee ieee False False highest", "tf32 tf32 tf32 tf32 True True high"] * 10
    assert done.stdout.splitlines() == expected, done.stderr


TALK = """
import logging, sys, warnings
from equidyn.core import process

process.start(sys.argv[1], threads=1)
logging.getLogger("equidyn").info("left out: water")
logging.getLogger("equidyn").warning("few are left")
warnings.warn("something is old")
raise ValueError("nothing is left")
"""


def test_the_terminal_shows_what_is_wrong_and_the_log_all(tmp_path):
    done = subprocess.run([sys.executable, "-c", TALK, tmp_path / "job.log"], capture_output=True, text=True)
    log = (tmp_path / "job.log").read_text(encoding="utf-8")
    for text, shown in (("left out: water", False), ("few are left", True), ("is old", True), ("is left", True)):
        assert (text in log, text in done.stderr) == (True, shown), text
    assert "Traceback" in log


THREADS = """
import os
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "7"
from equidyn.core import process

process.start("job.log", threads=1)
import numpy as np
import psutil

np.ones((500, 500)) @ np.ones((500, 500))
print(psutil.Process().num_threads())
"""


def test_numeric_libraries_have_no_more_threads_than_a_job_tells(tmp_path):
    """Snakemake gives them all threads of the job, also those of its processes."""
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "1\n", done.stderr
