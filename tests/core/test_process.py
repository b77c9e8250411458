"""Settings of the whole process."""

import subprocess
import sys

TF32 = """
import torch
from equidyn.core import process

BEFORE = (
    lambda: None,
    lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "tf32"),
    lambda: torch.set_float32_matmul_precision("medium"),
    lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    lambda: process.allow_tf32(True),
    lambda: process.allow_tf32(False),
)
for before in BEFORE:
    for allowed in (False, True):
        before()
        process.allow_tf32(allowed)
        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        print(matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, end=" ")
        print(torch.backends.fp32_precision, matmul.allow_tf32, cudnn.allow_tf32, torch.get_float32_matmul_precision())
"""


def test_nothing_rounds_to_tf32_unless_allowed():
    """In a process of its own, as PyTorch remembers who set what."""
    done = subprocess.run([sys.executable, "-c", TF32], capture_output=True, text=True)
    expected = ["ieee ieee ieee ieee False False highest", "tf32 tf32 tf32 tf32 True True high"] * 8
    assert done.stdout.splitlines() == expected, done.stderr
