"""Jobs without Snakemake: what was interrupted is done again, what is finished is kept."""

from types import SimpleNamespace

import pytest

from equidyn.study.running import Job, JobError, _do

SCRIPT = """
from pathlib import Path

def main(output, text, log):
    Path(output).mkdir(exist_ok=True)
    if text == "killed":
        raise SystemExit(1)
    Path(output, text).touch()
"""


@pytest.fixture
def do(tmp_path):
    """Do a job that makes a folder with a file of a name; what the folder holds then, and whether the job was done."""
    (tmp_path / "make.py").write_text(SCRIPT)
    study, output = SimpleNamespace(folder=tmp_path, scripts=tmp_path), tmp_path / "out"

    def done(text):
        said = []
        _do(study, Job("make", "one", text, [str(output)], [str(output), text], 2), said.append)
        return [path.name for path in output.iterdir()], not said[0].endswith("is there")

    return done


def test_what_was_killed_is_not_taken_for_finished(do):
    assert do("first") == (["first"], True)
    assert do("first") == (["first"], False)
    for _ in range(2):
        with pytest.raises(JobError, match="make one ended with exit code 1"):
            do("killed")
    assert do("second") == (["second"], True)
    assert do("second") == (["second"], False)
