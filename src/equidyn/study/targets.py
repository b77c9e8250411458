"""What is asked of the workflow by name: whether it is something that this study makes."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from equidyn.core.settings import StudyError
from equidyn.study.near import near


def check_targets(targets: Iterable[str], folder: str, drawn: Iterable[tuple[str, str]]) -> None:
    """Refuse figures that a study does not draw.

    Args:
        targets: Names of files, and other words of a command, which do not matter.
        folder: The study's folder, ``results/mini`` for instance.
        drawn: Task and name of every figure that it draws.

    Raises:
        StudyError: A figure is none of this study's; the message says which there are.
    """
    here, figures = PurePosixPath(folder), [f"{task}/{name}" for task, name in drawn]
    for target in map(PurePosixPath, targets):
        if not target.match("figures/*/*.*") or not target.is_relative_to(here.parent):
            continue
        if not target.is_relative_to(here):
            raise StudyError(
                f"{target}: a figure of another study than {here}; name the configuration of its own, --configfile "
                "config/NAME.yaml, with --config archive=True to draw from tables that are there"
            )
        asked = f"{target.parent.name}/{target.stem}"
        if asked not in figures:
            of_task = [name for name in figures if name.startswith(f"{target.parent.name}/")] or figures
            raise StudyError(
                f"{target}: this study draws no such figure, but {', '.join(of_task)}{near(asked, figures)}"
            )
