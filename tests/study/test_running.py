"""Jobs without Snakemake: what was interrupted is done again, what is finished is kept."""

import shutil
import threading
from types import SimpleNamespace

import pytest

from equidyn.core.locks import one_at_a_time
from equidyn.core.settings import StudyError
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

    def done(text, **options):
        said = []
        _do(study, Job("make", "one", text, [str(output)], [str(output), text], 2, **options), said.append)
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


def test_what_nothing_is_recorded_of_is_refused(do, tmp_path):
    assert do("first") == (["first"], True)
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(
        StudyError, match=r"out: is there, but not what it was made from .*one\.json is missing.* remove"
    ):
        do("first")
    assert do("first", is_given=True) == (["first"], False)
    shutil.rmtree(tmp_path / "out")
    assert do("second") == (["second"], True)


def test_a_job_is_done_by_one_process_at_a_time(do, tmp_path):
    assert do("first") == (["first"], True)
    waiting = threading.Thread(target=do, args=("second",))
    with one_at_a_time(tmp_path / "state/told/make/one.lock"):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["first"]
    waiting.join()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["second"]
