"""The command line, but for `verify`, which has tests of its own."""

import re
import subprocess
from pathlib import Path

import pytest

from equidyn import __version__
from equidyn.cli import main
from equidyn.models.registry import configurations

ROOT = Path(__file__).parents[1]


def test_models_are_listed_with_their_parameters(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[:3] for line in lines] == [
        [name, entry.task, f"{entry.parameters:,}"] for name, entry in configurations().items()
    ]


def test_plan_of_the_default_study(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.startswith("Study mini on one CPU core")


def test_plan_with_a_file_over_another(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine.yaml").write_text("study: mine\n")
    assert main(["plan", "--config", "config/config.yaml", str(tmp_path / "mine.yaml")]) == 0
    assert capsys.readouterr().out.startswith("Study mine on")


@pytest.mark.parametrize("arguments", [["--config", "nowhere.yaml"]])
def test_plan_of_a_missing_file_is_an_error_without_traceback(capsys, monkeypatch, arguments):
    monkeypatch.chdir(ROOT)
    assert main(["plan", *arguments]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_plan_of_a_study_that_cannot_fit_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine.yaml").write_text("cluster: {max_gpus: 2}\n")
    assert main(["plan", "--config", "config/paper.yaml", str(tmp_path / "mine.yaml")]) == 1
    assert "run '400M', training.flow_matching: 4 GPUs, but cluster.max_gpus is 2" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"equidyn {__version__}\n"


def test_make_alone_says_what_it_can_do():
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^\.PHONY: (.*?)(?<!\\)$", (ROOT / "Makefile").read_text(), re.DOTALL | re.MULTILINE)[0]
    told = {line.split()[1] for line in said.splitlines() if line.startswith("make ")}
    parts = {"style", "rules", "imports", "types", "units", "help"}  # of make check and make lint
    assert set(targets.replace("\\", "").split()) - parts <= told
