"""Worker processes of the builders of stores."""

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from equidyn.core import process


@contextlib.contextmanager
def workers(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of single-threaded processes, whose queue is dropped if the block fails."""
    if processes < 1:
        raise ValueError(f"processes is {processes}, expected at least 1")
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_one_thread,
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died: guard the calling script with `if __name__ == '__main__':`, "
            "or start fewer processes if memory ran out"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    """Prepare a worker; numerical libraries read these when they are first loaded."""
    process.end_with_parent()
    os.environ.update(process.variables(threads=1))
