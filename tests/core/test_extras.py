"""What is not installed is named with the extra that brings it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from equidyn.core.extras import EXTRAS, needed_by

IMPORTING = """
import importlib, sys
sys.modules["torch"] = None
for name in sys.argv[1:]:
    try:
        importlib.import_module(f"equidyn.integrations.{name}")
    except ModuleNotFoundError as error:
        print(error)
"""


def test_extras_are_those_of_the_project():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])


@pytest.mark.parametrize(("name", "extra"), [("lightning.pytorch", "trainers"), ("yaml", "workflow")])
def test_the_extra_is_named(name, extra):
    hint = rf"a thing needs .* pip install 'equidyn\[{extra}\]'"
    with pytest.raises(ModuleNotFoundError, match=hint), needed_by("a thing"):
        raise ModuleNotFoundError("no", name=name)


def test_other_packages_are_left_alone():
    with pytest.raises(ModuleNotFoundError, match=r"^no$"), needed_by("a thing"):
        raise ModuleNotFoundError("no", name="elsewhere")


def test_integrations_name_it():
    names = ["ase", "lightning", "networks", "torchmetrics", "transformers"]
    result = subprocess.run([sys.executable, "-c", IMPORTING, *names], capture_output=True, text=True, check=True)
    said = [f"equidyn.integrations.{name} needs the package torch: pip install 'equidyn[measure]'" for name in names]
    assert result.stdout.splitlines() == said


def test_commands_name_it():
    code = "import sys; sys.modules[sys.argv.pop(1)] = None; from equidyn.cli import main; sys.exit(main(sys.argv[1:]))"
    for missing, extra, *command in (("torch", "measure", "verify", "x.npz"), ("yaml", "workflow", "plan")):
        result = subprocess.run([sys.executable, "-c", code, missing, *command], capture_output=True, text=True)
        hint = f"error: equidyn {command[0]} needs the package {missing}: pip install 'equidyn[{extra}]'\n"
        assert (result.returncode, result.stderr) == (1, hint)
