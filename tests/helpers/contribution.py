"""A copy of the project to which a test adds one thing, at the places that CONTRIBUTING.md names."""

import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from project import ROOT, Project, tiny


def documented(thing: str) -> list[str]:
    """Places to touch for one more of these, as CONTRIBUTING.md names them."""
    _, _, text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition(f"### {thing}\n")
    table = re.search(r"^\|.*?(?=^[^|])", text + "\n.", re.MULTILINE | re.DOTALL)
    assert table, f"CONTRIBUTING.md has no table of {thing!r}"
    return [re.search(r"`(.+?)`", line)[1] for line in table[0].splitlines()[2:]]


class Contribution:
    """A copy of the project, and which of its files were written.

    Args:
        folder: Where to copy it to.
        thing: What is added; its heading in CONTRIBUTING.md.
    """

    def __init__(self, folder: Path, thing: str):
        self.project = Project(folder, *tiny())
        self.folder, self.places = folder, [re.sub(r"<\w+>", "*", place) for place in documented(thing)]

    def write(self, path: str, text: str) -> None:
        """Write a new file."""
        file = self._place(path)
        assert not file.exists(), f"{path} is there already"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Put a passage in place of another."""
        self._place(path)
        self.project.edit(path, old, new)

    def run(self, code: str, *arguments: object) -> str:
        """What a program prints that uses the copy's package."""
        paths = [str(self.folder / "src"), str(ROOT / "tests/helpers")]
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        assert result.returncode == 0, result.stderr[-4000:]
        return result.stdout

    def _place(self, path: str) -> Path:
        assert any(fnmatch(path, f"{place.rstrip('/')}{'/*' * place.endswith('/')}") for place in self.places), (
            f"{path} is at none of the places that CONTRIBUTING.md names: {self.places}"
        )
        return self.folder / path
