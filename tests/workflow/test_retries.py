"""Jobs whose work may take many others: those that come further go on, those that fail by themselves do not."""

import pytest
import yaml
from project import ROOT, tiny_study

from equidyn.study.limits import RETRIES

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

WANTED = "results/tiny/data/force_field/store"
FAILS = """
    raise ValueError("by itself")
"""
SAVES = """
    folder = Path(scratch, f"{task}-0123456789abcdef")
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir()))
    (folder / str(number)).touch()
    if number < 8:
        raise ValueError("not yet")
"""


@pytest.mark.parametrize(("script", "attempts"), [(FAILS, RETRIES + 1), (SAVES, 9)])
def test_a_job_is_tried_again_while_it_comes_further(tmp_path, script, attempts):
    project = tiny_study(tmp_path)
    project.config["cluster"] = yaml.safe_load((ROOT / "config/paper.yaml").read_text("utf-8"))["cluster"]
    project.config["cluster"]["max_runtime"] = 1  # of the sixty minutes that the job asks for
    begun = "def main(files, store, log, threads, task, told, folders, scratch):\n"
    project.edit("workflow/scripts/make_store.py", begun, begun + script)
    result = project.run(WANTED)
    assert result.stderr.count("Trying to restart job") == attempts - 1, result.stderr[-5000:]
    assert (f"make_store/force_field.log: saved nothing in {attempts} attempts" in result.stderr) == (script == FAILS)
    assert (project.folder / WANTED).exists() == (result.returncode == 0) == (script == SAVES)
