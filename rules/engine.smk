# The engine: what this project changes in Snakemake itself: times, locks, signals, folders with odd names, its output.
import time
from _thread import start_new_thread
from contextlib import ExitStack, contextmanager
from pathlib import Path

from snakemake.exceptions import LockException, WorkflowError
from snakemake.io import _IOFile
from snakemake.jobs import Job
from snakemake.logging import DefaultFormatter, get_event, logger
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.sourcecache import LocalSourceFile
from snakemake_interface_logger_plugins.common import LogEvent

from equidyn.core import locks
from equidyn.study.attempts import fruitless
from equidyn.study.limits import RETRIES

# Not the folder of the main Snakefile, which may use this one as a module.
PROJECT = Path(workflow.current_basedir).parent


def is_ours(rule):
    """Whether a rule is one of this project."""
    return Path(rule.basedir.get_path_or_uri(secret_free=True)).is_relative_to(PROJECT)


def timeless(is_newer):
    """Snakemake's comparison of times, but not in rules of this project: params decide what a job makes, times do not."""

    async def is_newer_elsewhere(file, time):
        return not is_ours(file.rule) and await is_newer(file, time)

    return is_newer_elsewhere


# Snakemake compares times even where they are none of its triggers.
_IOFile.is_newer = timeless(_IOFile.is_newer)


def patient(restart_times):
    """Snakemake's number of retries, but none after as many as are usual in which a job of this project saved nothing.

    Jobs whose work goes on in further ones have as many as these take; one that fails by itself needs no more than others.
    """

    def retries(job):
        most = restart_times.fget(job)
        if most <= RETRIES or not is_ours(job.rule):
            return most
        state = job.params.get("state") or job.params.get("scratch")
        failed = fruitless(
            str(job.log), job.rule.name, job.wildcards_dict, state, job.attempt
        )
        if failed <= RETRIES:
            return most
        logger.error(f"{job.log}: saved nothing in {failed} attempts: not tried again")
        return 0

    return property(retries)


Job.restart_times = patient(Job.restart_times)


def marking(write):
    """Snakemake's writing of a lock file, which then says whose it is, and is held while the workflow runs."""

    def write_locks(self, kind, files):
        write(self, kind, [locks.mark(), *files])
        locks.hold(self._lockfile[kind])

    return write_locks


def delete_own_locks(self):
    """Remove the lock files of this workflow; those of others, for other files, stay."""
    for file in self._lockfile.values():
        Path(file).unlink(missing_ok=True)
    self._lockfile.clear()


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
    # With --unlock, all are removed.
    FilePersistence.cleanup_locks = FilePersistence._delete_locks
    FilePersistence._delete_locks = delete_own_locks


class Brief(DefaultFormatter):
    """Snakemake's messages, but one line for each job that starts; all the others are in its log file."""

    LEFT_OUT = {
        LogEvent.WORKFLOW_STARTED,
        LogEvent.RESOURCES_INFO,
        LogEvent.RUN_INFO,
        LogEvent.JOB_STARTED,
        LogEvent.JOB_FINISHED,
        LogEvent.PROGRESS,
    }
    done, total = 0, 0

    def filter(self, record):
        """Whether a message is shown; those that count jobs are noted."""
        event = get_event(record)
        if event == LogEvent.RUN_INFO:
            self.total = record.stats["total"]
        elif event == LogEvent.PROGRESS:
            self.done, self.total = record.done, record.total
        return event not in self.LEFT_OUT and record.msg != "Select jobs to execute..."

    def format_job_info(self, job):
        done = f"{self.done:>{len(str(self.total))}} of {self.total} done"
        return f"{time.strftime('%X')}  {done}  {job['rule_msg'] or job['rule_name']}"


if (
    Path(workflow.main_snakefile).is_relative_to(PROJECT)
    and not workflow.output_settings.dryrun
    and not workflow.output_settings.verbose
):
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            handler.setFormatter(
                brief := Brief(
                    workflow.output_settings.quiet,
                    workflow.output_settings.show_failed_logs,
                )
            )
            handler.addFilter(brief)
