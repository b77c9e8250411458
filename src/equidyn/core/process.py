"""Setup of every process of the workflow: threads and logging."""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from equidyn.core import locks


def start(log: str | Path, threads: int) -> None:
    """Set up this process; call before PyTorch is imported.

    Jobs of a workflow outlive it if it is killed, and files may have one writer at a time. So this waits until any
    other process that has called it for the same log has ended.

    Args:
        log: File that receives log messages and uncaught errors; every job has its own. The terminal shows warnings and
            errors, too.
        threads: Threads for numeric libraries.
    """
    os.environ.update(variables(threads))
    # Waiting threads that spin starve the working ones when jobs share cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _keep_freed_memory()
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    held = Path(log).with_name(f".{Path(log).name}.lock")  # not the log, which Snakemake removes before each attempt
    busy = f"waiting for another process that still does this job: it holds {held}, and fuser says which it is"
    locks.hold(held, lambda: print(busy, file=sys.stderr, flush=True))
    _log_to(logging.FileHandler(log, "w", encoding="utf-8"), _terminal())
    sys.excepthook = _log_error


def variables(threads: int) -> dict[str, str]:
    """Environment variables that limit numeric libraries to this many threads.

    Snakemake sets them to all threads of a job, also where the job runs several processes of one thread each.
    """
    libraries = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMEXPR_NUM", "VECLIB_MAXIMUM")
    return {f"{library}_THREADS": str(threads) for library in libraries}


def join(log: str | Path, *, first: bool) -> None:
    """Set up a process whose parent has called `start`, and with whom it ends.

    Args:
        log: The file given to `start`, which the first of several such processes appends to. The others log nothing;
            their parent reports their errors.
        first: Whether this is the first of these processes.
    """
    end_with_parent()
    if first:
        _log_to(logging.FileHandler(log, "a", encoding="utf-8"), _terminal())
    else:
        _log_to(logging.NullHandler())


def forked(processes: int) -> ProcessPoolExecutor:
    """A pool of processes that are copies of this one as it is at their first task; on Linux they end with it.

    Call it from a process that has no other threads.
    """
    return ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), end_with_parent)


def end_with_parent() -> None:
    """Let the kernel end this process when the one that has made it is gone, which may be killed; on Linux only."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if (parent := multiprocessing.parent_process()) is not None and os.getppid() != parent.pid:
        os._exit(1)  # it was gone already


@contextmanager
def handlers_restored(*numbers: int) -> Iterator[None]:
    """Restore signal handlers at the end of the block; does nothing outside the main thread, which owns them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def termination_noted() -> Iterator[threading.Event]:
    """An event that SIGTERM sets instead of ending the process at once; in the main thread only."""
    noted = threading.Event()
    with handlers_restored(signal.SIGTERM):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: noted.set())
        yield noted


def _keep_freed_memory() -> None:
    """Let glibc's allocator reuse freed memory instead of returning it to the kernel; no effect on other allocators.

    By default, every large tensor is mapped when it is made and unmapped when it is freed, and the kernel zeroes its
    pages each time, which takes a sixth of the time of training on the CPU.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # constants of glibc's malloc.h
_PR_SET_PDEATHSIG = 1  # and of Linux's prctl.h


def _terminal() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    return handler


def _log_to(*handlers: logging.Handler) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", handlers=handlers
    )
    logging.captureWarnings(True)


def _log_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("%s: %s", kind.__name__, error, exc_info=(kind, error, traceback))


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid GPUs to round factors of matrix products and convolutions to TF32, in the whole process.

    What is forbidden to GPUs is forbidden to CPUs too, of which some round to TF32 or bfloat16 where they are told to.
    """
    import torch

    backends: Any = torch.backends
    matmul, cudnn = backends.cuda.matmul, backends.cudnn
    libraries = [backends, matmul, cudnn] + ([] if allowed else [backends.mkldnn])
    for library in libraries:
        for place in (library, *(getattr(library, name, None) for name in ("matmul", "conv", "rnn"))):
            if hasattr(place, "fp32_precision"):
                place.fp32_precision = "tf32" if allowed else "ieee"
    # Older ways to say it, which must agree: PyTorch refuses to answer otherwise.
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed


def use_onednn(used: bool) -> None:
    """Let PyTorch call oneDNN on CPUs, in the whole process, or its own kernels.

    oneDNN generates code for each new shape and keeps it, 1024 pieces of it. Where batches have ever new shapes, this
    takes a third of the time of training a small network, and memory grows for thousands of steps.
    """
    import torch

    torch.backends.mkldnn.enabled = used  # type: ignore[assignment]


def fix_order_of_sums(fixed: bool) -> None:
    """Let GPUs sum in a fixed order, so that equal computations give equal bits, or in the fastest one.

    Call before a GPU is used. PyTorch raises RuntimeError for operations that have no fixed order.
    """
    import torch

    if fixed:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(fixed)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not fixed


def device(name: str) -> str:
    """The device that a setting stands for; "auto" is a GPU if there is one, else the CPU.

    Raises:
        ValueError: A GPU was requested and none is visible.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("training.device is 'cuda', but no GPU is visible: use 'auto' or 'cpu'")
    return "cuda" if available and name != "cpu" else "cpu"
