"""A small disk, which can be filled, and folders that nothing can be written to for a while."""

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path


class Disk:
    """A small file system of its own.

    Args:
        path: The folder that it is mounted on.
    """

    def __init__(self, path: Path):
        self.path = path

    def fill(self, leave=0):
        """Take all space but some bytes, also while others write."""
        with (self.path / "filler").open("wb") as stream:
            while True:
                free = os.statvfs(self.path)
                room = free.f_bavail * free.f_frsize - leave
                if room <= 0:
                    return
                with suppress(OSError):
                    os.posix_fallocate(stream.fileno(), 0, room)
                    return
                stream.truncate(0)  # what was got before there was too little

    def empty(self):
        """Give the space back."""
        (self.path / "filler").unlink()

    def remount(self, mode):
        """Make it read-only, "ro", or writable, "rw"."""
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)

    def names(self):
        """All files and folders but the filler."""
        return sorted(str(file.relative_to(self.path)) for file in self.path.rglob("*") if file.name != "filler")


@contextmanager
def mounted(path: Path, size: int):
    """A disk of so many bytes, mounted on a new folder; as root, on Linux.

    Raises:
        OSError: No file system can be mounted here; with what the system says.
    """
    path.mkdir()
    if os.geteuid() != 0:
        raise OSError("only root may mount a file system")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    done = subprocess.run(mount, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise OSError(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@contextmanager
def unwritable(folder: Path):
    """Let nothing be made in a folder, or removed from it; for root, too, whom permissions do not stop."""
    handle = os.open(folder, os.O_RDONLY)
    name = f"/proc/{os.getpid()}/fd/{handle}/."  # the folder, even if it is moved meanwhile
    mode = Path(name).stat().st_mode
    try:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "+i", name], check=True)
        else:
            Path(name).chmod(0o555)
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", name], check=True)
        else:
            Path(name).chmod(mode)
        os.close(handle)
