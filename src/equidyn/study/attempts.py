"""What earlier attempts of a job lacked, as SLURM and the job itself say in the logs that are kept of failed jobs.

Imports nothing heavy: the workflow asks whenever it submits a job again.
"""

import re
from collections.abc import Sequence
from pathlib import Path

LOGS = Path(".snakemake/slurm_logs")
"""Where Snakemake's executor for SLURM puts the logs of jobs, and leaves those of failed ones for ten days."""

_TIME = re.compile(rb"DUE TO TIME LIMIT")
_MEMORY = re.compile(
    rb"oom[-_ ]kill|exceeded .*memory limit|(?<!OutOf)MemoryError|can't allocate memory|too little memory",
    re.IGNORECASE,
)


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
