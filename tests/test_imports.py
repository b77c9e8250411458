"""Imports: the contract of pyproject.toml holds and fails where it must, and the package's own names load when used."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import equidyn

ROOT = Path(__file__).parents[1]
READ_CARDS = """
import pathlib, sys, importlib, equidyn
root = pathlib.Path(equidyn.__path__[0])
for card in root.glob("**/*/card.py"):
    importlib.import_module("equidyn." + ".".join(card.with_suffix("").relative_to(root).parts))
print(*sys.modules)
"""

LACKING = """
import importlib, pkgutil, sys
from importlib.metadata import packages_distributions, requires
from packaging.requirements import Requirement
found = set()
def gather(name, extras):
    for text in requires(name) or []:
        need = Requirement(text)
        if any(need.marker is None or need.marker.evaluate({"extra": extra}) for extra in extras):
            if (need.name, *need.extras) not in found:
                found.add((need.name, *need.extras))
                gather(need.name, {"", *need.extras})
gather("equidyn", {"", sys.argv[1]})
there = {name.lower().replace("_", "-") for name, *_ in found} | {"equidyn"}
class Finder:
    @staticmethod
    def find_spec(name, *_):
        owners = {owner.lower().replace("_", "-") for owner in owners_of.get(name.partition(".")[0], ())}
        if owners and not owners & there:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)
owners_of = packages_distributions()
sys.meta_path.insert(0, Finder)
importlib.import_module("torch") if sys.argv[2:] == ["torch"] else None
for package in ("claims", "figures", "report"):
    folder = importlib.import_module(f"equidyn.{package}")
    for module in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
        if module.name not in ("equidyn.report.measurement", "equidyn.report.document"):  # which commands use
            importlib.import_module(module.name)
            print(module.name)
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package and of its contract."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder):
    """What the linter of imports says of a copy."""
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        capture_output=True,
        text=True,
    )


def test_all_contracts_are_kept(package):
    result = lint(package)
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "planted", "broken"),
    [
        ("core/rotations", "equidyn.study.config", "Floors"),
        ("claims/verdicts", "equidyn.figures.parts.style", "Floors"),
        ("study/config", "equidyn.analysis.losses", "Floors"),
        ("models/graph", "equidyn.tasks.contract", "Networks"),
        ("figures/parts/style", "equidyn.figures.families.heads.draw", "families stand on parts"),
        ("figures/families/heads/draw", "equidyn.figures.families.gradients.draw", "Families of figures"),
        ("core/groups/o3/symmetry", "equidyn.core.groups.so3.symmetry", "Groups do not"),
        ("data/sources/spice/build", "equidyn.data.sources.pdb.card", "Sources of data do not"),
        ("tasks/force_field/task", "equidyn.tasks.flow_matching.task", "Tasks do not"),
        ("models/escaip/network", "equidyn.models.proteina.network", "Architectures do not"),
        ("analysis/head/measure", "equidyn.analysis.angles.measure", "Analyses do not"),
        ("analysis/losses", "equidyn.analysis.angles.measure", "Analyses do not"),
    ],
)
def test_a_planted_import_breaks_its_contract(package, module, planted, broken):
    file = package / f"src/equidyn/{module}.py"
    file.write_text(f"{file.read_text()}\nimport {planted}\n")
    result = lint(package)
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if " BROKEN" in line and broken in line]
    assert lines, result.stdout
    assert f"equidyn.{module.replace('/', '.')} -> {planted}" in result.stdout


def test_a_new_room_is_held_too(package):
    """Contracts name floors, not rooms."""
    room = package / "src/equidyn/analysis/new_one"
    room.mkdir()
    (room / "__init__.py").write_text('"""New."""\n')
    (room / "measure.py").write_text("import equidyn.analysis.angles.measure\n")
    result = lint(package)
    assert "equidyn.analysis.new_one.measure -> equidyn.analysis.angles.measure" in result.stdout


def test_cards_need_no_heavy_library():
    """Cards are read whenever the workflow is parsed."""
    result = subprocess.run([sys.executable, "-c", READ_CARDS], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "equidyn.tasks.force_field.card" in loaded
    assert not loaded & {"torch", "pandas", "matplotlib", "rdkit", "scipy", "jaxtyping"}


def run(code, *words):
    """Run code in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)


def test_claims_figures_and_reports_need_what_their_extra_brings():
    """Results that others have made are judged and drawn anew where nothing else is installed."""
    result = run(LACKING, "report")
    assert result.returncode == 0, result.stderr
    assert {"equidyn.claims.definitions", "equidyn.figures.families.claims.draw"} <= set(result.stdout.split())
    assert "torch is not installed" in run(LACKING, "report", "torch").stderr


def test_the_package_alone_loads_nothing_heavy():
    """It is imported whenever the workflow is parsed."""
    result = run("import sys, equidyn; print(*sys.modules)")
    loaded = {name for name in result.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert "equidyn" in loaded
    assert not {name for name in loaded if not name.startswith(("equidyn", "_"))}


def test_public_names_are_there():
    assert dir(equidyn) == sorted(equidyn.__all__)
    for name in set(equidyn.__all__) - {"__version__"}:
        assert getattr(equidyn, name).__name__ == name
        assert getattr(equidyn, name).__doc__


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="module 'equidyn' has no attribute 'mesure'"):
        _ = equidyn.mesure


def test_type_checkers_know_all_public_names():
    tree = ast.parse((ROOT / "src/equidyn/__init__.py").read_text())
    (block,) = [statement for statement in tree.body if isinstance(statement, ast.If)]
    assert {alias.name for line in block.body for alias in line.names} == {*equidyn.__all__} - {"__version__"}


@pytest.mark.parametrize("missing", ["torch", "jaxtyping"])
def test_without_pytorch_the_extra_is_named(missing):
    result = run(f"import sys; sys.modules[{missing!r}] = None; from equidyn import measure")
    assert f"equidyn.measure needs the package {missing}: pip install 'equidyn[measure]'" in result.stderr
