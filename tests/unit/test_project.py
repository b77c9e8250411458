"""The project's own files agree with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"pytorch": "torch", "tblite-python": "tblite"}


@pytest.fixture(scope="module")
def pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = (re.fullmatch(r"([\w.-]+)(?:\[\w+\])?==([\w.]+)", entry) for group in lists for entry in group)
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("kind", ["data", "train", "figures"])
def test_conda_environments_pin_what_pyproject_pins(kind, pins):
    entries = yaml.safe_load((ROOT / f"envs/{kind}.yaml").read_text())["dependencies"]
    pinned = dict(entry.split(" ==") for entry in entries if "==" in entry)
    assert pinned, "an environment pins something"
    for name, version in pinned.items():
        assert pins[CONDA_NAMES.get(name, name)] == version, name


def test_every_dependency_is_pinned(pins):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for group in [project["dependencies"], *project["optional-dependencies"].values()]:
        for entry in group:
            assert "==" in entry or entry.startswith("equidyn["), entry


def test_ci_runs_the_test_command_of_the_readme():
    script = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert script[-1] == "make test"
    assert "make test" in (ROOT / "README.md").read_text()


def test_version_is_one(pins):
    import equidyn

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert equidyn.__version__ == project["version"] == citation["version"]
