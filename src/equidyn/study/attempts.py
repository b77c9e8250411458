"""What earlier attempts of a job lacked, as SLURM and the job itself say in the logs that are kept of failed jobs, and
whether they came any further, as the files say that they saved.

Imports nothing heavy: the workflow asks whenever it submits a job again.
"""

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

LOGS = Path(".snakemake/slurm_logs")
"""Where Snakemake's executor for SLURM puts the logs of jobs, and leaves those of failed ones for ten days."""

_TIME = re.compile(rb"DUE TO TIME LIMIT")
_MEMORY = re.compile(
    rb"oom[-_ ]kill|exceeded .*memory limit|(?<!OutOf)MemoryError|can't allocate memory|too little memory",
    re.IGNORECASE,
)

_DIGEST = 16 * "[0-9a-f]"
_SAVED = {
    "make_store": f"{{task}}-{_DIGEST}/**/*",
    "train_network": f"{{run}}-{_DIGEST}/state.pt",  # checkpoints after it are written again
    "evaluate_checkpoints": f"{{run}}+evaluation-{_DIGEST}/*",
    "analyse_checkpoints": f"{{run}}+{{analysis}}-{_DIGEST}/**/*",
}
"""Files that jobs of a rule write as they come further, in the folder of unfinished work."""

_LATEST: dict[str, tuple[int, int]] = {}  # of jobs: time of their last file, and the attempt that has written it


def lacked(rule: str, wildcards: Sequence[str], attempt: int) -> tuple[int, int]:
    """How many of the earlier attempts of a job ended for lack of time, and how many for lack of memory.

    Attempts that were cancelled, preempted or lost with their node, or that ended by an error, lacked neither.

    Args:
        rule: Name of the job's rule.
        wildcards: Values of its wildcards.
        attempt: Number of the attempt to come, from 1.
    """
    if attempt == 1:
        return 0, 0
    logs = LOGS.joinpath(f"rule_{rule}", "_".join(wildcards).replace("/", "_")).glob("*.log")
    texts = [log.read_bytes() for log in sorted(logs, key=lambda log: log.stat().st_mtime)[1 - attempt :]]
    memory = [bool(_MEMORY.search(text)) for text in texts]
    time = [bool(_TIME.search(text)) for text in texts]
    return sum(late and not large for late, large in zip(time, memory, strict=True)), sum(memory)


def fruitless(job: str, rule: str, wildcards: Mapping[str, str], state: str | Path, attempt: int) -> int:
    """How many attempts of a job in a row, up to the one that has just ended, have saved nothing.

    The first attempt counts as one of them, whatever it has saved: it is not known what was there before. A job must be
    asked about after each of its attempts.

    Args:
        job: A name of the job that no other has.
        rule: Name of its rule, in a module perhaps with something before it.
        wildcards: Its wildcards.
        state: Folder of unfinished work.
        attempt: Number of the attempt, from 1.
    """
    pattern = next((pattern for name, pattern in _SAVED.items() if rule.endswith(name)), None)
    escaped = {name: glob.escape(value) for name, value in wildcards.items()}
    files = Path(state).glob(pattern.format(**escaped)) if pattern else ()
    times = [file.stat().st_mtime_ns for file in files if file.is_file() and not file.name.startswith(".")]
    latest, by = _LATEST.get(job, (0, 0))
    found = max(times, default=0)
    if attempt > 1 and found > latest:
        by = attempt
    _LATEST[job] = max(found, latest), by
    return attempt - by
