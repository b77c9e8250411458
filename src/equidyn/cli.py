"""The command line of the package."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equidyn import __version__
from equidyn.core.extras import needed_by


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    parser = argparse.ArgumentParser(prog="equidyn", description="Learned rotational equivariance.")
    parser.add_argument("--version", action="version", version=f"equidyn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("models", help="list every model configuration with its parameters")
    verify = commands.add_parser("verify", help="compare models with recorded golden numbers")
    verify.add_argument("files", nargs="+", metavar="FILE", help="fixture, named after its model")
    verify.add_argument("--tolerance", type=float, help="relative to max(1, largest value)")
    plan = commands.add_parser("plan", help="say what a study will cost, before anything runs")
    run = commands.add_parser(
        "run",
        help="train, evaluate and analyse runs of a study, one after another, without Snakemake",
        description="Each call goes on where the last one stopped. Exit status: 0 if all is finished, 1 if something "
        f"failed, {os.EX_TEMPFAIL} if the time was up.",
    )
    run.add_argument(
        "runs", nargs="*", metavar="RUN", help="name in the run table (default: all in order, then the timing of steps)"
    )
    run.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="stop then, and keep what is done")
    run.add_argument("--data-only", action="store_true", help="only make the examples, and say what to take elsewhere")
    run.add_argument(
        "--collect", metavar="FILE", help="in the end, put all that is finished into a .tar.gz, without weights"
    )
    for command in (plan, run):
        command.add_argument(
            "--config",
            nargs="+",
            default=["config/config.yaml"],
            metavar="FILE",
            help="configuration of the study; later files are merged over earlier ones (default: %(default)s)",
        )
    measure = commands.add_parser(
        "measure", help="say which share of the error of a calculator of ASE is broken symmetry"
    )
    measure.add_argument(
        "--calculator",
        required=True,
        metavar="WHAT",
        help="module:name of a calculator or of a function or class that makes one; or a checkpoint of a force field",
    )
    measure.add_argument("--structures", required=True, metavar="FILE", help="any file that ASE reads, or FILE@INDEX")
    measure.add_argument(
        "--targets", nargs="+", metavar="NAME", help="'stored' results of the file, or PROPERTY=NAME of what holds it"
    )
    measure.add_argument("--properties", nargs="+", metavar="NAME", help="energy, forces, stress, …")
    measure.add_argument("--rotations", type=int, default=24, metavar="K", help="for each structure (default: 24)")
    measure.add_argument("--exact", type=int, metavar="DEGREE", help="exact averages up to a degree instead")
    measure.add_argument("--group", default="SO(3)", help="SO(3), O(3), cube or translations (default: %(default)s)")
    measure.add_argument(
        "--clusters", metavar="N", help="consecutive structures that belong together, or 'structures' if none do"
    )
    measure.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    measure.add_argument(
        "--out",
        nargs="+",
        default=[],
        metavar="FILE",
        help="a page (.html), all numbers (.json) or a table (.csv)",
    )
    measure.add_argument(
        "--fail-above",
        type=float,
        metavar="PERCENT",
        help="exit with status 2 if a property has a larger percent of its loss, or without targets of its prediction, "
        "and this is not round-off",
    )
    commands.add_parser("schema", help="print the JSON schema of a study's configuration")
    reference = commands.add_parser(
        "reference", help="renew the tables of documents: of configuration keys, and of results"
    )
    reference.add_argument("files", nargs="+", metavar="FILE", help="Markdown with marks between which tables go")
    pack = commands.add_parser("pack", help="make an archive of a study's results, with checksums")
    pack.add_argument("study", metavar="FOLDER", help="the study's results")
    pack.add_argument("--output", metavar="FILE", help="default: the folder's name with .tar.gz, here")
    unpack = commands.add_parser("unpack", help="check such an archive and unpack it")
    unpack.add_argument("archive", metavar="FILE")
    unpack.add_argument("--into", default="results", metavar="FOLDER", help="default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        with needed_by(f"equidyn {options.command}"):
            return _run_command(options)
    except ModuleNotFoundError as error:
        if error.__cause__ is None:  # nothing that an extra would bring
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run_command(options: argparse.Namespace) -> int:
    if options.command == "models":
        return _models()
    if options.command == "plan":
        return _plan(options.config)
    if options.command == "run":
        return _run(options)
    if options.command == "measure":
        return _measure(options)
    if options.command == "schema":
        return _schema()
    if options.command == "reference":
        return _reference(options.files)
    if options.command == "pack":
        return _pack(options.study, options.output or f"{Path(options.study).name}.tar.gz")
    if options.command == "unpack":
        return _unpack(options.archive, options.into)
    return _verify(options.files, options.tolerance)


def _models() -> int:
    from equidyn.models.registry import configurations

    print(f"{'model':<20}{'task':<14}{'parameters':>12}  note")
    for name, entry in configurations().items():
        print(f"{name:<20}{entry.task:<14}{entry.parameters:>12,}  {entry.note}")
    return 0


def _plan(files: list[str]) -> int:
    from equidyn.core.rooms import cards
    from equidyn.core.settings import StudyError
    from equidyn.study.plan_report import report
    from equidyn.study.reading import read_study

    analyses = cards("equidyn.analysis")
    return _printed(lambda: report(*read_study(files, analyses), analyses), StudyError)


def _run(options: argparse.Namespace) -> int:
    from equidyn.core.rooms import cards
    from equidyn.core.settings import StudyError
    from equidyn.study import running
    from equidyn.study.reading import merged
    from equidyn.study.stages import Study

    status = 0
    try:
        files = options.config
        study = Study(merged(files), cards("equidyn.analysis"), "workflow/scripts", " + ".join(files))
        if options.data_only:
            folders = running.make_data(study, options.runs)
            print("To take elsewhere:", ", ".join(f"{folder} ({_mebibytes(folder)})" for folder in folders))
            return 0
        try:
            running.run(study, options.runs, minutes=options.minutes)
        except running.JobError:
            status = 1  # they have said so
        except running.OutOfTimeError as stopped:
            print(f"The time was up {stopped}: the same command goes on from there.")
            status = os.EX_TEMPFAIL
        if options.collect:
            names = running.collect(study, options.collect)
            print(f"{options.collect} ({_mebibytes(Path(options.collect))}): {'; '.join(names) or 'nothing yet'}")
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


def _mebibytes(path: Path) -> str:
    """The size of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return f"{sum(file.stat().st_size for file in files) / 2**20:.1f} MiB"


def _measure(options: argparse.Namespace) -> int:
    from equidyn.core.plugins import load
    from equidyn.integrations.ase import measure_calculator
    from equidyn.integrations.networks import NetworkCalculator
    from equidyn.measuring.examples import MeasureError
    from equidyn.report.measurement import WRITERS, write

    sys.path.insert(0, "")  # calculators of the folder that one works in
    clusters = int(options.clusters) if options.clusters and options.clusters.isdecimal() else options.clusters
    try:
        for file in map(Path, options.out):
            if file.suffix.lower() not in WRITERS:
                raise MeasureError(f"--out: {file} ends in none of {', '.join(WRITERS)}")
            if not file.parent.is_dir():
                raise MeasureError(f"--out: there is no folder {file.parent}; make it first")
            if not os.access(file.parent, os.W_OK) or file.is_dir():
                raise MeasureError(f"--out: {file} cannot be written")
        if options.fail_above is not None and not options.fail_above >= 0:
            raise MeasureError(f"--fail-above: {options.fail_above:g} is no percentage; give 0 or more")
        targets: Any = options.targets
        if targets == ["stored"]:
            targets = "stored"
        elif targets is not None:
            if unnamed := [one for one in targets if not all(one.partition("="))]:
                raise MeasureError(f"--targets: {unnamed[0]!r} is neither 'stored' nor of the form PROPERTY=NAME")
            targets = dict(one.split("=", 1) for one in targets)
        is_file = options.calculator.endswith(".safetensors")
        calculator = NetworkCalculator(options.calculator) if is_file else load(options.calculator)
        found = measure_calculator(
            calculator, options.structures, targets, properties=options.properties, rotations=options.rotations,
            exact=options.exact, group=options.group, clusters=clusters, seed=options.seed,
            progress=sys.stderr.isatty(),
        )  # fmt: skip
        print(found)
        for file in options.out:
            write(file, found, f"{options.calculator} on {options.structures}")
    except (ValueError, ImportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.fail_above is None:
        return 0
    real = {name: one for name, one in found.properties.items() if one.verdict != "round-off"}
    above = [name for name, one in real.items() if not one.share <= options.fail_above]
    for name in above:
        print(f"{name}: {found[name].share:.3g} % is more than {options.fail_above:g} %", file=sys.stderr)
    return 2 if above else 0


def _schema() -> int:
    from equidyn.core.rooms import cards
    from equidyn.study.reference import schema

    print(json.dumps(schema(cards("equidyn.analysis")), indent=1, ensure_ascii=False))
    return 0


def _reference(files: list[str]) -> int:
    from equidyn.core.marked import renewed

    def renew() -> str:
        for file in map(Path, files):
            file.write_text(renewed(file.read_text("utf-8"), _part), encoding="utf-8")
        return f"renewed: {', '.join(files)}"

    return _printed(renew, ValueError)


def _part(name: str) -> str:
    """The part of a document that has this name between its marks."""
    if name == "configuration":
        from equidyn.core.rooms import cards
        from equidyn.study.reference import tables

        return tables(cards("equidyn.analysis"))
    if name == "glossary":
        from equidyn.report.glossary import listed

        return listed()
    from equidyn.report.document import part

    return part(name)


def _pack(study: str, archive: str) -> int:
    from equidyn.study.archives import ArchiveError, pack

    return _printed(lambda: f"{archive}: {len(pack(study, archive))} files", ArchiveError)


def _unpack(archive: str, folder: str) -> int:
    from equidyn.study.archives import ArchiveError, unpack

    return _printed(lambda: unpack(archive, folder), ArchiveError)


def _printed(result: Callable[[], object], foreseen: type[Exception]) -> int:
    """Print a result, or the message of an error that is the user's to repair; returns the exit status."""
    try:
        print(result())
    except foreseen as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _verify(files: list[str], tolerance: float | None) -> int:
    from equidyn.verification.fixtures import TOLERANCE, FixtureError, verify

    tolerance = TOLERANCE if tolerance is None else tolerance
    status = 0
    for file in files:
        print(file)
        try:
            verification = verify(file)
        except FixtureError as error:
            print(f"  error: {error}", file=sys.stderr)
            status = 1
            continue
        status |= not verification.within(tolerance)
        for deviation in verification.deviations:
            good = deviation.within(tolerance)
            print(
                f"  {deviation.quantity:<48}{deviation.absolute:10.2e}"
                f"  of {deviation.scale:8.3g}  {'ok' if good else 'DEVIATES'}"
            )
        if verification.lacking:
            print(f"  the fixture lacks: {', '.join(verification.lacking)}")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
