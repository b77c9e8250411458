"""Interrupts a small study again and again, lets it go on by the same command, and compares it with one left alone.

Run by `make torture`, on Linux. Jobs of each kind are killed, terminated, stopped, and find a full disk or a folder
that cannot be written to, at random moments. As root, the project lies on a small disk of its own, which is filled, and
folders are made immutable; others get a limit on the size of files, and folders without permissions.
"""

import argparse
import io
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
from disk import Disk, mounted, unwritable
from project import Project
from torture.study import EVERYTHING, small_study, write_mirror

DISK = 400 << 20  # bytes
TICK = 0.05  # seconds between two looks at the processes
LEFT_TO_PACK = 3  # interruptions
PACK, START = "pack", "start of the workflow"
MEASURED = "^seconds|^timed_|^training_seconds$|^(?:least|most)$|^peak_.*bytes$"
"""Columns of tables that differ between equal studies: times, and memory."""
NOT_COMPARED = re.compile(
    r"^(logs|benchmarks|state)/|/throughput\.json$|^manifest\.json$|^report\.html$|/loss_against_(compute|seconds)\.(png|txt)$"
)
"""Files of a study that state such numbers elsewhere; figures in captions, which are in pictures and in the report."""


class TortureError(RuntimeError):
    """The study did not go on by itself, or gave something else."""


@dataclass
class Counts:
    """What has been done to studies, and what came of it.

    Attributes:
        by_kind: Number of interruptions of each kind.
        by_rule: Number of interruptions while a job of each rule was running, or of several.
        invocations: How often the command was given.
        unexplained: How often it failed although nothing had interrupted it.
        differences: Files that differ from those of the undisturbed study.
    """

    by_kind: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    invocations: int = 0
    unexplained: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def interruptions(self) -> int:
        """All interruptions."""
        return self.by_kind.total()

    def __str__(self) -> str:
        parts = [f"{self.interruptions} interruptions, {self.invocations} invocations of the same two commands"]
        for title, counter in (("by kind", self.by_kind), ("by what was running", self.by_rule)):
            parts.append(f"{title}:")
            parts += [f"  {count:4d}  {name}" for name, count in sorted(counter.items())]
        parts.append(f"{self.unexplained} failures without an interruption, each of which would need a hand")
        parts.append(f"{len(self.differences)} differences from the undisturbed study")
        parts += [f"        {difference}" for difference in self.differences]
        return "\n".join(parts)


class Processes:
    """All processes of a study: those of every command given so far, and what has outlived them."""

    def __init__(self) -> None:
        self.sessions: set[int] = set()

    def all(self) -> list[psutil.Process]:
        """Those that are there now."""
        found = []
        for pid in psutil.pids():
            try:
                if os.getsid(pid) in self.sessions:
                    found.append(psutil.Process(pid))
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found

    def jobs(self) -> dict[psutil.Process, str]:
        """Those that run a script of the workflow, or pack, with the name of the rule."""
        found = {process: rule for process in self.all() if (rule := _rule(process))}
        started = {process.pid for process in found}
        # What a job has forked bears its command until it runs another.
        return {process: rule for process, rule in found.items() if _parent(process) not in started}

    def workers(self) -> list[psutil.Process]:
        """Those that a job has started."""
        jobs = {process.pid for process in self.jobs()}
        return [process for process in self.all() if _parent(process) in jobs]


def _rule(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or "bash" in process.name():
            return ""
    except psutil.Error:
        return ""
    if {"equidyn.cli", PACK} <= set(words):
        return PACK
    script = re.search(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py$", words[-1]) if words else None
    return script[1] if script else ""


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


class Interrupter:
    """Does harm to a running study.

    Args:
        project: The study.
        disk: The disk that it lies on; None if it has none of its own.
        random: Chooses victims and times.
    """

    def __init__(self, project: Project, disk: Disk | None, random: random.Random):
        self.project, self.disk, self.random = project, disk, random
        self.processes = Processes()

    @property
    def kinds(self) -> dict[str, Callable[[], None]]:
        """What can be done, by name."""
        signals = {
            f"{number.name} to {name}": lambda number=number, victims=victims: self._send(number, victims())
            for number in (signal.SIGKILL, signal.SIGTERM)
            for name, victims in self._victims.items()
        }
        stops = {f"SIGSTOP and SIGCONT to {name}": lambda v=v: self._stop(v()) for name, v in self._victims.items()}
        return signals | stops | {"full disk": self._fill, "read-only folder": self._forbid}

    @property
    def _victims(self) -> dict[str, Callable[[], Sequence[psutil.Process]]]:
        return {
            "everything": self.processes.all,
            "the workflow alone": lambda: [p for p in self.processes.all() if p.pid in self.processes.sessions],
            "one job": lambda: self._one_of(list(self.processes.jobs())),
            "one worker": lambda: self._one_of(self.processes.workers() or list(self.processes.jobs())),
        }

    def end(self) -> None:
        """End all processes."""
        self._send(signal.SIGKILL, self.processes.all())

    def _one_of(self, processes: Sequence[psutil.Process]) -> Sequence[psutil.Process]:
        return [self.random.choice(processes)] if processes else []

    def _send(self, number: int, victims: Sequence[psutil.Process]) -> None:
        for victim in victims:
            try:
                victim.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def _stop(self, victims: Sequence[psutil.Process]) -> None:
        self._send(signal.SIGSTOP, victims)
        time.sleep(self.random.uniform(0.5, 2))
        self._send(signal.SIGCONT, victims)

    def _fill(self) -> None:
        if self.disk is not None:
            self.disk.fill(leave=self.random.choice([0, 4096, 100_000]))
            time.sleep(self.random.uniform(0.5, 4))
            self.disk.empty()
            return
        self._limit_files(self.random.choice([0, 4096, 100_000]))
        time.sleep(self.random.uniform(0.5, 4))
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        for process in self.processes.all():
            try:
                process.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            except psutil.Error:
                continue

    def _forbid(self) -> None:
        tops = [self.project.results, self.project.folder / "downloads", self.project.folder / ".snakemake"]
        folders = sorted(folder for top in tops for folder in (top, *top.rglob("*")) if folder.is_dir())
        try:
            with unwritable(self.random.choice(folders)):
                time.sleep(self.random.uniform(0.5, 4))
        except (FileNotFoundError, subprocess.CalledProcessError):  # it is gone already
            self._fill()


class Session:
    """One study, from nothing to its packed archive.

    Args:
        project: The study.
        interrupter: Knows its processes.
        log: File for what the commands say.
        counts: Where invocations are counted.
        cores: As Snakemake's.
        targets: As Snakemake's.
    """

    def __init__(
        self,
        project: Project,
        interrupter: Interrupter,
        log: Path,
        counts: Counts,
        *,
        cores: int,
        targets: Sequence[str],
    ):
        self.project, self.interrupter, self.log, self.counts = project, interrupter, log, counts
        self.cores, self.targets = cores, targets
        self.durations: dict[str, float] = {}
        self.jobs: Counter[str] = Counter()
        self.packed = project.folder / "packed.tar.gz"

    def finish(self, plan: "Plan") -> None:
        """Give both commands until each has succeeded.

        Raises:
            TortureError: A command fails again and again although nothing interrupts it.
        """
        given = [f"--cores={self.cores}", f"--configfile={self.project.config_file}"]
        snakemake = ["-m", "snakemake", *self.targets, *given]
        pack = ["-m", "equidyn.cli", "pack", "--output", str(self.packed), f"results/{self.project.config['study']}"]
        self._insist(snakemake, plan)
        self._insist(pack, plan)
        while plan.is_short:
            self._insist(pack, plan)

    def _insist(self, command: list[str], plan: "Plan") -> None:
        """Give a command until it succeeds."""
        failures = 0
        while not self._succeeds([sys.executable, *command], plan):
            failures = 0 if plan.acted else failures + 1
            if failures:
                self.counts.unexplained += 1
                print(f"a command has failed although nothing interrupted it: see {self.log}", flush=True)
            if failures == 3:
                raise TortureError(f"{' '.join(command)} does not succeed any more; it says\n{self._said()}")

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-6000:]

    def _succeeds(self, command: list[str], plan: "Plan") -> bool:
        """Give a command once, and interrupt it as planned."""
        environment = os.environ | {"PYTHONPATH": str(self.project.folder / "src"), "OMP_WAIT_POLICY": "PASSIVE"}
        with self.log.open("ab") as log:
            main = subprocess.Popen(
                command, cwd=self.project.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.counts.invocations += 1
        self.interrupter.processes.sessions.add(main.pid)
        try:
            self._watch(main, plan, is_workflow=command[2] == "snakemake")
        except BaseException:
            self.interrupter.end()
            raise
        return main.returncode == 0

    def _watch(self, main: subprocess.Popen, plan: "Plan", *, is_workflow: bool) -> None:
        """Note the jobs of a command, and interrupt them as planned, until it has ended."""
        plan.begin()
        seen: dict[psutil.Process, float] = {}
        if is_workflow:
            self.jobs[START] += 1
            plan.see(START, 4.0)
        while main.poll() is None:
            running = self.interrupter.processes.jobs()
            for process, rule in running.items():
                if process not in seen:
                    seen[process] = time.monotonic()
                    self.jobs[rule] += 1
                    plan.see(rule, self.durations.get(rule, 2.0))
                else:
                    lasted = time.monotonic() - seen[process]
                    self.durations[rule] = max(self.durations.get(rule, 0.0), lasted)
            if plan.is_due():
                plan.act(self.interrupter, sorted(set(running.values())))
            time.sleep(TICK)


class Plan:
    """When to interrupt, and how: some jobs of each rule, by all kinds in turn.

    Args:
        most: Number of interruptions.
        jobs: How many jobs each rule has.
        random: Chooses jobs, moments and the order of kinds.
        counts: Where interruptions are counted.
    """

    def __init__(self, most: int, jobs: Mapping[str, int], random: random.Random, counts: Counts):
        self.most, self.jobs, self.random, self.counts = most, jobs, random, counts
        places = [*jobs] * math.ceil(self._wanted() / max(1, len(jobs)))
        self.planned = Counter(random.sample(places, self._wanted()))
        self.kinds: list[str] = []
        self.moments: list[tuple[float, str]] = []
        self.acted = False

    def _wanted(self) -> int:
        return self.most - self.counts.interruptions

    @property
    def is_short(self) -> bool:
        """Whether so few interruptions are left that packing makes up for them."""
        return 0 < self._wanted() <= LEFT_TO_PACK

    def begin(self) -> None:
        """A command is given; what was planned for jobs of the last one is still to be done."""
        self.planned.update(rule for _, rule in self.moments)
        self.moments, self.acted = [], False

    def see(self, rule: str, duration: float) -> None:
        """A job of a rule has begun, and will last so many seconds."""
        chosen = self.planned[rule] > 0 and self.random.random() < max(0.5, 1 / self.jobs[rule])
        # The last command of a study makes up for what was missed.
        if chosen or (rule == PACK and self.is_short):
            self.planned[rule] -= 1
            self.moments.append((time.monotonic() + self.random.uniform(0, duration), rule))

    def is_due(self) -> bool:
        """Whether to interrupt now."""
        return self._wanted() > 0 and any(moment <= time.monotonic() for moment, _ in self.moments)

    def act(self, interrupter: Interrupter, running: list[str]) -> None:
        """Interrupt."""
        kinds = interrupter.kinds
        if not self.kinds:
            self.kinds = self.random.sample(list(kinds), len(kinds))
        kind = self.kinds.pop()
        where = " + ".join(running) or "between jobs"
        number = self.counts.interruptions + 1
        print(f"{time.strftime('%H:%M:%S')}  {number:3d} of {self.most}  {kind:<40} {where}", flush=True)
        self.counts.by_kind[kind] += 1
        self.counts.by_rule.update(running or ["between jobs"])
        self.moments.remove(min(self.moments))
        self.acted = True
        kinds[kind]()


def torture(
    interruptions: int, seed: int, folder: Path, *, cores: int = 2, targets: Sequence[str] = EVERYTHING
) -> Counts:
    """Interrupt studies until it was often enough, and compare each with an undisturbed one.

    Args:
        interruptions: How often to interrupt.
        seed: Chooses moments and kinds; what runs at a moment depends on the machine.
        folder: Where everything happens; made if it does not exist.
        cores: As Snakemake's.
        targets: As Snakemake's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_mirror(folder / "mirror")
    counts, chance = Counts(), random.Random(seed)
    undisturbed = small_study(folder / "undisturbed", folder / "mirror")
    undisturbed.write()
    print(f"seed {seed}; in {folder}; first the undisturbed study", flush=True)
    begun = time.monotonic()
    asked = {"cores": cores, "targets": targets}
    calm = Session(undisturbed, Interrupter(undisturbed, None, chance), folder / "undisturbed.log", Counts(), **asked)
    calm.finish(Plan(0, {}, chance, Counts()))
    print(
        f"it took {time.monotonic() - begun:.0f} s and has {len(calm.jobs)} kinds of jobs; now the others", flush=True
    )
    study = 0
    while counts.interruptions < interruptions:
        study += 1
        with _place(folder / f"study{study}") as (place, disk):
            project = small_study(place / "project", folder / "mirror")
            project.write()
            log = folder / f"study{study}.log"
            session = Session(project, Interrupter(project, disk, chance), log, counts, **asked)
            session.durations = dict(calm.durations)
            before = counts.interruptions
            session.finish(Plan(interruptions, calm.jobs, chance, counts))
            found = differences(calm, session)
            counts.differences += [f"study {study}: {name}" for name in found]
            print(*found, sep="\n", flush=True)
            print(f"study {study}: {len(found)} differences after {counts.interruptions - before} interruptions")
            if counts.interruptions == before:
                raise TortureError("nothing was interrupted: the study ends too soon")
    return counts


@contextmanager
def _place(folder: Path) -> Iterator[tuple[Path, Disk | None]]:
    """A folder, and its disk, if it can have one of its own."""
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(mounted(folder, DISK))
        except OSError as reason:
            print(f"{reason}: full disks are limits on the size of files instead")
            folder.mkdir(exist_ok=True)
            disk = None
        yield folder, disk


def differences(expected: Session, found: Session) -> list[str]:
    """Files of two finished studies, and of their archives, that differ in anything but times."""
    pairs = [(_files(session.project.results), _members(session.packed)) for session in (expected, found)]
    differing = []
    for title, (ours, theirs) in zip(("", "archive: "), zip(*pairs, strict=True), strict=True):
        differing += [f"{title}{name}: only in one" for name in sorted(ours.keys() ^ theirs.keys())]
        differing += [f"{title}{name}" for name in sorted(ours.keys() & theirs.keys()) if ours[name] != theirs[name]]
    return differing


def _files(results: Path) -> dict[str, bytes]:
    """The content of each file of a study, without times."""
    files = {str(file.relative_to(results)): file for file in sorted(results.rglob("*")) if file.is_file()}
    return {name: _untimed(name, file.read_bytes()) for name, file in files.items() if not NOT_COMPARED.search(name)}


def _members(archive: Path) -> dict[str, bytes]:
    """The content of each file of an archive, without times; its checksums have those of files with times."""
    with tarfile.open(archive) as tar:
        names = {member.name.partition("/")[2]: member for member in tar}
        return {
            name: b"" if NOT_COMPARED.search(name) or name == "SHA256SUMS" else _untimed(name, _read(tar, member))
            for name, member in names.items()
        }


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


def _untimed(name: str, content: bytes) -> bytes:
    """The content; of a table with columns of times, that of its other columns."""
    if Path(name).suffix not in (".csv", ".parquet"):
        return content
    table = (pd.read_csv if name.endswith(".csv") else pd.read_parquet)(io.BytesIO(content))
    measured = table.columns[table.columns.str.contains(MEASURED)]
    return table.drop(columns=measured).to_csv().encode() if len(measured) else content


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--interruptions", type=int, default=50, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: another one each time")
    parser.add_argument("--cores", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, help="kept at the end; default: a temporary one")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and take the processes along
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        try:
            counts = torture(options.interruptions, options.seed, folder, cores=options.cores)
        except TortureError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(counts)
    return int(bool(counts.differences or counts.unexplained))


if __name__ == "__main__":
    sys.exit(main())
