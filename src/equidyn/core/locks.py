"""Files that a process holds while it is at work, which say so to others, and which a killed process lets go.

The kernel keeps the hold, so that none survives its process; it is seen by all processes of a machine, in whatever
container, and on most network file systems by other machines too. Where a file system has no such locks, nothing can be
known, and files are taken for held.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_HELD: dict[Path, int] = {}  # descriptors, which stay open


def hold(path: str | Path, waiting: Callable[[], None] = lambda: None) -> None:
    """Hold a file until this process ends, which another process must let go first; it is made if it does not exist.

    Args:
        path: The file; nothing happens if this process holds it already, or if its file system has no locks.
        waiting: Called if another process holds it.
    """
    path = Path(path).resolve()
    handle = _opened(path)
    if (held := _HELD.get(path)) is not None:
        if os.path.sameopenfile(held, handle):
            os.close(handle)
            return
        os.close(held)  # its file was removed
    with suppress(OSError):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
    _HELD[path] = handle


def _forget() -> None:
    """Close a child's copies, which would outlive this process."""
    while _HELD:
        os.close(_HELD.popitem()[1])


os.register_at_fork(after_in_child=_forget)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """A block that one process at a time is in, of all that name one file, which is made; if it has locks."""
    handle = _opened(path)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """A descriptor of a file that is made if it does not exist; for writing, as locks of network file systems need."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    except PermissionError:  # another user has made it
        return os.open(path, os.O_RDONLY)


@dataclass(frozen=True)
class Holder:
    """A process that has marked a file as its own.

    Attributes:
        host: Name of its machine.
        machine: The machine's identity, which an installation has for ever; empty if it has none.
        boot: The identity of the time since the machine was started; empty if it has none.
        pid: Number of the process.
        since: When it marked the file.
    """

    host: str
    machine: str
    boot: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def mark() -> str:
    """A line for the head of a file which this process is about to hold."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return _MARK + json.dumps(asdict(Holder(socket.gethostname(), *_identity(), os.getpid(), now)))


def remove_left(files: Iterable[Path]) -> list[Holder]:
    """Remove the files whose marks are of processes that have ended; files without a mark are left alone.

    A process of this machine has ended if it no longer holds its file, or if the machine was started anew since. Of
    other machines nothing is known, and their files are left alone.

    Returns:
        Who has marked the files that are left.
    """
    left = []
    for file in files:
        with suppress(FileNotFoundError):  # whoever held it has removed it meanwhile
            holder = _holder(file)
            if holder is not None and _has_ended(holder, file):
                file.unlink()
            elif holder is not None:
                left.append(holder)
    return left


def refusal(at_work: Iterable[Holder], folder: Path) -> str:
    """Why a workflow may not start in a folder, and what to do about it."""
    found = sorted({str(holder) for holder in at_work}) or ["a process that does not say which"]
    return (
        f"{folder}: another workflow makes the same files ({'; '.join(found)}): wait until it has ended, or end it. "
        "The lock of a process of this machine that was killed is no obstacle; if one of another machine was, remove "
        "its lock with snakemake --unlock"
    )


_MARK = "held by "


def _holder(file: Path) -> Holder | None:
    with file.open(encoding="utf-8", errors="surrogateescape") as stream:
        line = stream.readline()
    try:
        return Holder(**json.loads(line.removeprefix(_MARK))) if line.startswith(_MARK) else None
    except (ValueError, TypeError):  # cut off, or of another version
        return None


def _has_ended(holder: Holder, file: Path) -> bool:
    (machine, boot), same_name = _identity(), holder.host == socket.gethostname()
    if holder.boot == boot and (boot or same_name):
        return not _is_held(file)
    return same_name and holder.machine == machine != ""  # the machine was started anew


def _is_held(file: Path) -> bool:
    """Whether a process holds the file; True if that cannot be known."""
    with file.open(encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _identity() -> tuple[str, str]:
    """Machine and boot, see `Holder`."""
    files = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")
    machine, boot = (file.read_text("utf-8").strip() if file.exists() else "" for file in files)
    return machine, boot
