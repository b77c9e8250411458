"""Files that appear either complete or not at all, and the places of unfinished work."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same ending; the file that the block writes there is renamed to `path`.

    If the block fails, a file that was at `path` before stays. Remains of a killed process are overwritten by the next
    one, so a file may have only one writer at a time. The folder is made if it does not exist.

    Raises:
        OSError: The file cannot be written, because its disk is full, for instance.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.new{path.suffix}")
    try:
        with writing(path):
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name a file and the space left on its disk in the error that it could not be written, which libraries do not."""
    try:
        yield
    except OSError as error:
        if type(error) is not OSError:  # the file is not there, say, or a connection is lost
            raise
        free = shutil.disk_usage(path.parent).free / 1e6
        reason = f"could not be written ({error}); its disk has {free:,.0f} MB left"
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error


def receipt_path(path: str | Path) -> Path:
    """Path of the receipt of a downloaded file, which lies beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.json")


def shelved(folder: str | Path, id: str, name: str) -> Path:
    """Path of one of very many files, in a folder named after the two characters in the middle of its id."""
    middle = len(id) // 2
    return Path(folder, id[middle - 1 : middle + 1], name)


def publish(folder: Path, output: Path) -> None:
    """Give a finished folder its final name, also on another file system; an older one of that name is replaced.

    Args:
        folder: The finished folder, which stays; its files then are the same ones, or copies on another file system.
        output: Its final name, under which it appears complete or not at all.

    Raises:
        OSError: The folder cannot be copied, because the disk is full, for instance.
    """
    beside = output.with_name(f".{output.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(folder, beside, copy_function=os.link)
        except OSError:  # links do not reach across file systems, and some have none
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(folder, beside)
        shutil.rmtree(output, ignore_errors=True)
        beside.rename(output)
    except OSError as error:
        why = error.args[0][0][-1] if isinstance(error, shutil.Error) else error
        reason = f"finished, but could not be copied from {folder}, from where the next attempt goes on ({why})"
        raise OSError(error.errno or errno.EIO, reason, str(output)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def state_folder(root: str | Path, name: str, *decisive: Any) -> Path:
    """Folder for the state of unfinished work, named by the work and by everything that decides its result.

    Args:
        root: Parent folder.
        name: Name of a run or a data set.
        *decisive: Settings, arrays and checksums that decide the result.

    Returns:
        A folder whose name differs for any other recipe, data set or code version.
    """
    digest = hashlib.sha256()
    for item in decisive:
        digest.update(item.tobytes() if hasattr(item, "tobytes") else repr(item).encode())
        digest.update(b"\x1f")
    return Path(root) / f"{name}-{digest.hexdigest()[:_DIGITS]}"


def discard_states(root: str | Path, name: str, but: Path | None = None) -> None:
    """Remove the states of work of that name, but for one: work that is done, or will not be done in that way again."""
    for folder in Path(root).glob(f"{name}-{'[0-9a-f]' * _DIGITS}"):
        if folder != but:
            shutil.rmtree(folder, ignore_errors=True)  # another job may do the same


_DIGITS = 16
