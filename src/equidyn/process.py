"""What every process of the workflow sets up first: threads and logging."""

import logging
import os
import sys
from pathlib import Path


def start(log: str | Path, threads: int) -> None:
    """Set up this process; call before PyTorch is imported.

    Args:
        log: File that receives log messages and uncaught errors, besides the terminal.
        threads: Threads for numeric libraries.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Waiting threads that spin starve the working ones when jobs share cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.FileHandler(log, "w", encoding="utf-8"), logging.StreamHandler()],
    )
    logging.captureWarnings(True)
    sys.excepthook = _log_error


def _log_error(kind: type[BaseException], error: BaseException, traceback) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger(__name__).critical("%s: %s", kind.__name__, error, exc_info=(kind, error, traceback))


def device(name: str) -> str:
    """The device that a configuration means: "auto" is a GPU if there is one, else the CPU.

    Raises:
        ValueError: A GPU was asked for and none is visible.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("training.device is 'cuda', but no GPU is visible: use 'auto' or 'cpu'")
    return "cuda" if available and name != "cpu" else "cpu"
