"""Several processes that train one network, one device each, on one machine."""

import json
import os
import signal
import tempfile
import traceback
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from equidyn.core import process

_HANDLED = (signal.SIGTERM, signal.SIGINT)


class WorkerError(RuntimeError):
    """One of several processes failed, which ended all of them; its traceback is a note of this error."""


@dataclass(frozen=True)
class World:
    """The processes that work together, from the point of view of one of them, which by default is the only one.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        device: Device of this process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def sum(self, *values: Tensor | float) -> Tensor:
        """Sum of each number over all processes, (n,) float64 on the device; all must call this with as many."""
        parts = [
            value.detach().double()
            if isinstance(value, Tensor)
            else torch.full((), value, dtype=torch.float64, device=self.device)
            for value in values
        ]
        total = torch.stack(parts)
        if self.size > 1:
            distributed.all_reduce(total)
        return total

    def barrier(self) -> None:
        """Wait until all processes have arrived here."""
        if self.size > 1:
            self.sum(0.0).tolist()

    def share(self, model: nn.Module) -> nn.Module:
        """The model to call in training: its gradients are means over all processes, once `backward` returns."""
        if self.size == 1:
            return model
        # Networks have parameters without gradient, which must stay without. Buckets that follow the graph would be
        # rebuilt after a first step, and a resumed run would sum in another order.
        return DistributedDataParallel(model, forward_sync_buffers=False, find_unused_parameters=True)

    def apart(self, shared: nn.Module) -> AbstractContextManager[None]:
        """A context in which gradients of a model from `share` accumulate in this process alone."""
        return shared.no_sync() if isinstance(shared, DistributedDataParallel) else nullcontext()


def launch(
    function: Callable[..., None], devices: int, device: str = "cpu", *, log: str | Path, threads: int = 1
) -> None:
    """Call ``function(world=...)``, in this process for one device, else in one new process for each device.

    Errors in any process end all. So does SIGTERM, to this process or to the others: they may take 30 s to leave.

    Args:
        function: What to call; it must be picklable if there are several devices.
        devices: Number of devices to use.
        device: Their type, "cpu" or "cuda".
        log: File that the first process appends to, see `equidyn.core.process.join`.
        threads: Threads of numeric libraries, over all processes together.

    Raises:
        ValueError: Fewer GPUs are visible.
        WorkerError: A process failed; the message is its own error, or names the signal that killed it.
        SystemExit: With code 128 + n, after signal n.
    """
    if devices < 1 or (device == "cuda" and devices > torch.cuda.device_count()):
        raise ValueError(
            f"training.devices is {devices}, but it must be at least 1"
            + (f" and at most {torch.cuda.device_count()}, the number of visible GPUs" if device == "cuda" else "")
        )
    if devices == 1:
        torch.set_num_threads(threads)
        function(world=World(device=torch.device(device)))
        return
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle=",".join(number.name for number in _HANDLED),
    )
    with tempfile.TemporaryDirectory() as folder, process.handlers_restored(*_HANDLED):
        report = Path(folder) / "first_error.json"
        try:
            elastic_launch(config, _work)(function, device, str(log), max(1, threads // devices), str(report))
        except SignalException as stopped:
            raise SystemExit(128 + stopped.sigval) from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode in (-signal.SIGTERM, 128 + signal.SIGTERM):
                raise SystemExit(128 + signal.SIGTERM) from None
            raise _worker_error(rank, failure.exitcode, report) from None


def _work(function: Callable[..., None], device: str, log: str, threads: int, report: str) -> None:
    """Run the function in a new process."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    process.join(log, first=rank == 0)
    torch.set_num_threads(threads)
    try:
        if device == "cuda":
            place, backend = torch.device(device, rank), "nccl"
            torch.cuda.set_device(place)
        else:
            place, backend = torch.device(device), "gloo"
        distributed.init_process_group(backend)
        function(world=World(rank, size, place))
        distributed.destroy_process_group()
    except Exception as error:
        _report(Path(report), rank, error)
        raise


def _report(path: Path, rank: int, error: Exception) -> None:
    """Write what happened, unless another process failed earlier: the others then only report its disappearance."""
    message = f"process {rank}: {type(error).__name__}: {error}"
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump({"message": message, "traceback": "".join(traceback.format_exception(error))}, file)
    except FileExistsError:
        pass


def _worker_error(rank: int, exit_code: int, report: Path) -> WorkerError:
    if exit_code < 0:
        return WorkerError(f"process {rank}: killed by {signal.Signals(-exit_code).name}; was there too little memory?")
    if not report.exists():
        return WorkerError(f"process {rank}: ended with exit code {exit_code}")
    found = json.loads(report.read_text(encoding="utf-8"))
    error = WorkerError(found["message"])
    error.add_note(found["traceback"])
    return error
