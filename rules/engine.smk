# The engine: what this project changes in Snakemake itself, for times, locks, signals, and folders with odd names.
from _thread import start_new_thread
from contextlib import ExitStack, contextmanager
from pathlib import Path

from snakemake.exceptions import LockException, WorkflowError
from snakemake.io import _IOFile
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.sourcecache import LocalSourceFile

from equidyn.core import locks

# Not the folder of the main Snakefile, which may use this one as a module.
PROJECT = Path(workflow.current_basedir).parent


def timeless(is_newer):
    """Snakemake's comparison of times, but not in rules of this project: params decide what a job makes, times do not."""

    async def is_newer_elsewhere(file, time):
        rules = file.rule.basedir.get_path_or_uri(secret_free=True)
        return not Path(rules).is_relative_to(PROJECT) and await is_newer(file, time)

    return is_newer_elsewhere


# Snakemake compares times even where they are none of its triggers.
_IOFile.is_newer = timeless(_IOFile.is_newer)


def marking(write):
    """Snakemake's writing of a lock file, which then says whose it is, and is held while the workflow runs."""

    def write_locks(self, kind, files):
        write(self, kind, [locks.mark(), *files])
        locks.hold(self._lockfile[kind])

    return write_locks


def unlocking(lock):
    """Snakemake's lock, for which those of workflows that were killed are removed first."""

    @contextmanager
    def lock_alone(self):
        with ExitStack() as stack:
            with locks.one_at_a_time(self.path / "equidyn.lock"):
                at_work = locks.remove_left(self.path.glob("locks/*.lock"))
                try:
                    stack.enter_context(lock(self))
                except LockException as error:
                    raise WorkflowError(locks.refusal(at_work, self.path)) from error
            yield

    return lock_alone


def literal(format):
    """Snakemake's filling in of wildcards in paths, but not where folders of this project have braces in their names."""

    def format_path(self, **values):
        is_ours = Path(self.path).is_relative_to(PROJECT)
        return self if is_ours else format(self, **values)

    return format_path


LocalSourceFile.format = literal(LocalSourceFile.format)


def beside(handle):
    """Snakemake's handling of SIGTERM, in a thread: it waits for locks, which what it interrupts may hold."""

    def handle_beside(self, *signal):
        start_new_thread(handle, (self, *signal))

    return handle_beside


JobScheduler.exit_gracefully = beside(JobScheduler.exit_gracefully)

# Only where a workflow runs: dry runs take no lock, nor do the jobs of a workflow.
if "lock" not in vars(FilePersistence):
    FilePersistence._write_locks = marking(FilePersistence._write_locks)
    FilePersistence.lock = unlocking(FilePersistence.lock)
