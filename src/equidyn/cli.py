"""The command line of the package."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    parser = argparse.ArgumentParser(prog="equidyn", description="Learned rotational equivariance.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("models", help="list every model configuration with its parameters")
    verify = commands.add_parser("verify", help="compare models with recorded golden numbers")
    verify.add_argument("files", nargs="+", metavar="FILE", help="fixture, named after its model")
    verify.add_argument("--tolerance", type=float, help="relative to max(1, largest value)")
    plan = commands.add_parser("plan", help="say what a study will cost, before anything runs")
    run = commands.add_parser("run", help="train and evaluate runs of a study, one after another, without Snakemake")
    run.add_argument("runs", nargs="+", metavar="RUN", help="name in the run table")
    for command in (plan, run):
        command.add_argument(
            "--config",
            nargs="+",
            default=["config/config.yaml"],
            metavar="FILE",
            help="configuration of the study; later files are merged over earlier ones (default: %(default)s)",
        )
    commands.add_parser("schema", help="print the JSON schema of a study's configuration")
    reference = commands.add_parser("reference", help="renew the tables of configuration keys in a document")
    reference.add_argument("file", metavar="FILE", help="Markdown with the marks between which the tables go")
    pack = commands.add_parser("pack", help="make an archive of a study's results, with checksums")
    pack.add_argument("study", metavar="FOLDER", help="the study's results")
    pack.add_argument("--output", metavar="FILE", help="default: the folder's name with .tar.gz, here")
    unpack = commands.add_parser("unpack", help="check such an archive and unpack it")
    unpack.add_argument("archive", metavar="FILE")
    unpack.add_argument("--into", default="results", metavar="FOLDER", help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.command == "models":
        return _models()
    if options.command == "plan":
        return _plan(options.config)
    if options.command == "run":
        return _run(options.config, options.runs)
    if options.command == "schema":
        return _schema()
    if options.command == "reference":
        return _reference(Path(options.file))
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


def _run(files: list[str], runs: list[str]) -> int:
    from equidyn.core.rooms import cards
    from equidyn.core.settings import StudyError
    from equidyn.study.reading import merged
    from equidyn.study.running import JobError, run
    from equidyn.study.stages import Study

    try:
        run(Study(merged(files), cards("equidyn.analysis"), "workflow/scripts", " + ".join(files)), runs)
    except (StudyError, JobError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _schema() -> int:
    from equidyn.core.rooms import cards
    from equidyn.study.reference import schema

    print(json.dumps(schema(cards("equidyn.analysis")), indent=1, ensure_ascii=False))
    return 0


def _reference(file: Path) -> int:
    from equidyn.core.rooms import cards
    from equidyn.study.reference import renewed

    file.write_text(renewed(file.read_text("utf-8"), cards("equidyn.analysis")), encoding="utf-8")
    return 0


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
